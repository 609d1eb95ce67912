"""How many runs scale: by `python -m uncertainty_suite.sweep`, against commands one after another.

    python benchmarks/scale.py
    python benchmarks/scale.py --only sweep

It takes about a quarter of an hour on two idle CPU cores, prints a line for each comparison, and writes the numbers to
`benchmarks/results/scale.json`. The target is of the sweep as it is, in one process. Ray's row says what its workers
gain on a machine whose cores one run uses already.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from comparison import HEADER, Row, format_line

from uncertainty_suite.files import write_json
from uncertainty_suite.training.run import provenance

ROOT = Path(__file__).parent.parent
NUM_RUNS = 8
NUM_EMPTY = 40
EMPTY = """
import json
from pathlib import Path

from uncertainty_suite import configuration


def main(config, options=None):
    Path(options.output_dir).mkdir(parents=True)
    saved = configuration.to_json(config)
    results = {"config": saved, "metrics": {}, "provenance": {}, "protocol_version": 2}
    (Path(options.output_dir) / "config.json").write_text(json.dumps(saved))
    (Path(options.output_dir) / "results.json").write_text(json.dumps(results))
"""


def seconds_of(*arguments: str | Path, check: bool = True) -> float:
    """Return how long a Python command takes."""
    started_at = time.perf_counter()
    subprocess.run([sys.executable, *map(str, arguments)], cwd=ROOT, capture_output=True, check=check)
    return time.perf_counter() - started_at


def sweep(folder: Path) -> Iterator[Row]:
    """Eight runs on digits, the configuration as it is, by both engines."""
    config, method = "configs/digits.py", "deterministic"
    script = f"baselines/{method}.py", f"--config={config}"
    commands = [
        seconds_of(*script, f"--config.seed={seed}", f"--output_dir={folder}/{seed}") for seed in range(NUM_RUNS)
    ]
    theirs = np.array([sum(commands)])
    command = ["-m", "uncertainty_suite.sweep", config, "--methods", method, "--seeds", f"0:{NUM_RUNS}", "--output_dir"]
    for engine, more, target in (("in one process", [], 0.5), ("Ray", ["--address", "local"], None)):
        ours = np.array([seconds_of(*command, folder / engine, *more)])
        yield Row(f"{NUM_RUNS} digits runs, {engine}", f"{NUM_RUNS} commands", ours, theirs, "x its time", target)


def overhead(folder: Path) -> Iterator[Row]:
    """What a sweep adds to a run: many runs that do nothing, less one."""
    script = folder / "empty.py"
    script.write_text(EMPTY)
    command = ["-m", "uncertainty_suite.sweep", "configs/digits.py", "--methods", script, "--output_dir"]
    for engine, more in (("Ray", ["--address", "local"]), ("in one process", [])):
        # The table cannot be made of nothing, so the command fails at its end.
        one, many = (
            seconds_of(*command, folder / f"{engine} {number}", "--seeds", f"0:{number}", *more, check=False)
            for number in (1, NUM_EMPTY + 1)
        )
        yield Row(f"overhead a run, {engine}", "the clock", np.array([(many - one) / NUM_EMPTY]), None, "s")


GROUPS = {"sweep": sweep, "overhead": overhead}


def main() -> int:
    """Run the benchmark; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS), metavar="GROUP")
    parser.add_argument("--output_dir", type=Path, default=ROOT / "benchmarks/results")
    arguments = parser.parse_args()
    made_with = {name: value for name, value in provenance().items() if name != "host"}
    print(HEADER)
    rows = []
    for group in arguments.only:
        with tempfile.TemporaryDirectory() as folder:
            for row in GROUPS[group](Path(folder)):
                rows.append(row.summarize())
                print(format_line(rows[-1]), flush=True)
    write_json(arguments.output_dir / "scale.json", {**made_with, "rows": rows})
    return int(any(not row["met"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())

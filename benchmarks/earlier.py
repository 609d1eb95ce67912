"""Time `make benchmark` beside what it was at an earlier revision, in turn and in this environment.

    python benchmarks/earlier.py
    python benchmarks/earlier.py --repeats 2

Twenty-four runs a side: four methods, two small tasks, three seeds. What is compared is processor time, which other
work on the machine changes less than the clock. The earlier revision is taken from the repository's history into a
folder that is deleted in the end. What a run measures has grown since: protocol 2 holds validation data out, and its
runs have more metrics, sets and figures. The row is the group `earlier` of the record of this kind of processor, as in
`speed.py`. The exit status is 1 if the target is missed.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from comparison import HEADER, RESULTS, Row, compare, draw_record, format_line, kind_of, write_group

from uncertainty_suite.training.run import origin

ROOT = Path(__file__).parent.parent
REVISION = "8f5e7ab"  # the last one before protocol 2 was begun
METHODS = ("deep_ensemble", "deterministic", "mc_dropout", "sngp")  # of the Makefile
TARGET = 2.0


def processor_seconds() -> float:
    """Return what all finished commands have taken of all cores."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def command_of(root: Path, arguments: list[str]) -> Callable[[], None]:
    """Return a function that runs Python in a checkout, with new run folders each time."""

    def call() -> None:
        with tempfile.TemporaryDirectory() as runs:
            subprocess.run(
                [sys.executable, *arguments, "--output_dir", runs],
                cwd=root,
                env={**os.environ, "PYTHONPATH": str(root)},
                capture_output=True,
                check=True,
            )

    return call


def main() -> int:
    """Run the benchmark; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--output_dir", type=Path, default=RESULTS, help="where the record and its figure are written")
    arguments = parser.parse_args()
    # The command would name where the interpreter lies.
    made_with = {name: value for name, value in origin().items() if name not in ("host", "command")}
    made_with["load"] = os.getloadavg()[0]
    sweep = ["-m", "uncertainty_suite.sweep", "configs/two_moons.py", "configs/digits.py", "--seeds", "0:3"]
    with tempfile.TemporaryDirectory() as folder:
        earlier = Path(folder, "earlier")
        subprocess.run(["git", "worktree", "add", "--detach", earlier, REVISION], cwd=ROOT, check=True)
        try:
            sides = {
                "ours": command_of(ROOT, [*sweep, "--methods", *METHODS]),
                "theirs": command_of(earlier, ["benchmarks/baselines.py"]),
            }
            seconds = compare(sides, arguments.repeats, warm_up=False, clock=processor_seconds)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", earlier], cwd=ROOT, check=True)
    row = Row(
        "24 runs of the benchmark, processor time", f"revision {REVISION}", **seconds, unit="x faster", target=TARGET
    )
    summary = row.summarize()
    print(f"{HEADER}\n{format_line(summary)}")
    path = arguments.output_dir / f"{kind_of(made_with['hardware'])}.json"
    write_group(path, "earlier", made_with, [summary])
    draw_record(path)
    return int(not summary["met"])


if __name__ == "__main__":
    sys.exit(main())

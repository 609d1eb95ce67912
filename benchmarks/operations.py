"""Profile train steps: which TensorFlow operations take the time.

    python benchmarks/operations.py
    python benchmarks/operations.py --quick

Written to `benchmarks/results/operations.json` for each network and precision: the milliseconds of a step as the script
and the task's configuration have it, and by operation the share of all operations' time (see `profiling.py`). With
`--quick` it is one small network, written into `runs/speed`.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from comparison import format_shares
from profiling import shares_of_operations
from scripts import ROOT
from speed import POLICIES, take, train

from uncertainty_suite import tf
from uncertainty_suite.files import write_json
from uncertainty_suite.training.run import provenance

# Of an epoch where the data are made up, and the epochs.
NUM_STEPS = {"resnet_mlp": (8, 10), "convnet": (10, 1), "resnet20": (5, 1), "wide_resnet 16-4": (2, 1)}


def profile(steps: Callable[[], Any], num_steps: int) -> dict[str, Any]:
    """Return milliseconds a step, and the share of each operation that takes 1 % at least."""
    steps()  # compiles
    started_at = time.perf_counter()
    steps()
    seconds = time.perf_counter() - started_at
    shares = {name: share for name, share in shares_of_operations(steps).items() if share >= 0.01}
    return {"milliseconds": 1000 * seconds / num_steps, "shares": shares}


def main() -> None:
    """Profile every network and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the smallest network")
    parser.add_argument("--output_dir", type=Path, help="where the JSON file is written")
    arguments = parser.parse_args()
    output_dir = arguments.output_dir or ROOT / ("runs/speed" if arguments.quick else "benchmarks/results")
    tf.get_logger().setLevel("ERROR")  # or it warns that one train step is traced so often, for so many networks
    made_with = {name: value for name, value in provenance().items() if name != "host"}
    profiles = []
    for name, (num_steps, epochs) in NUM_STEPS.items():
        if arguments.quick and name != "resnet_mlp":
            continue
        for what, method, precision in [
            *(("deterministic", "deterministic", precision) for precision in POLICIES),
            ("SNGP", "sngp", "float32"),
        ]:
            with tempfile.TemporaryDirectory() as folder:
                parts = take(method, name, Path(folder), num_steps, {"precision": POLICIES[precision]})
                found = profile(train(parts, epochs), num_steps * epochs)
            profiles.append({"what": f"{what}, {name}, {precision}", **found})
            shares = format_shares(found["shares"])
            print(f"{profiles[-1]['what']}: {found['milliseconds']:.1f} ms a step. {shares}", flush=True)
    write_json(output_dir / "operations.json", {**made_with, "profiles": profiles})


if __name__ == "__main__":
    main()

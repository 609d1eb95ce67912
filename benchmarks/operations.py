"""Profile train steps: which TensorFlow operations take the time.

    python benchmarks/operations.py

Written to `benchmarks/results/operations.json` for each network and precision: the milliseconds of a step, and by
operation the share of all operations' time. Two operations may run at the same time, each on a core or both on both, so
shares say where work is, not what a step would be without it.
"""

import collections
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
from speed import BATCH_SIZE, POLICIES, ROOT, SNGP, build, make_data, suite_training
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from uncertainty_suite.files import write_json
from uncertainty_suite.training.run import provenance

NUM_STEPS = {"resnet_mlp": 80, "convnet": 10, "resnet20": 5, "wide_resnet 16-4": 2}


def profile(train: Callable[[], Any], num_steps: int) -> dict[str, Any]:
    """Return milliseconds a step, and the share of each operation that takes 1 % at least."""
    train()  # compiles
    started_at = time.perf_counter()
    train()
    seconds = time.perf_counter() - started_at
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        train()
        tf.profiler.experimental.stop()
        (path,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(path.read_bytes())
    durations = collections.Counter()
    for plane in space.planes:
        for thread in plane.lines:
            for event in thread.events:
                # Kernels are called name:Operation; what has no operation is the executor around them.
                _, _, operation = plane.event_metadata[event.metadata_id].name.partition(":")
                if thread.name.startswith("tf_Compute") and operation.isidentifier():
                    durations[operation.removeprefix("_MklNative").removeprefix("_Mkl")] += event.duration_ps
    total = sum(durations.values())
    shares = {name: duration / total for name, duration in durations.most_common() if duration >= 0.01 * total}
    return {"milliseconds": 1000 * seconds / num_steps, "shares": shares}


def main() -> None:
    """Profile every network and write what was found."""
    tf.get_logger().setLevel("ERROR")  # or it warns that one train step is traced so often, for so many networks
    made_with = {name: value for name, value in provenance().items() if name != "host"}
    profiles = []
    for name, num_steps in NUM_STEPS.items():
        data = make_data(name, BATCH_SIZE * num_steps)
        for method, layer_set, precision in [
            *(("deterministic", None, precision) for precision in POLICIES),
            ("SNGP", SNGP, "float32"),
        ]:
            found = profile(suite_training([build(name, layer_set, precision)], data), num_steps)
            profiles.append({"what": f"{method}, {name}, {precision}", **found})
            shares = ", ".join(f"{operation} {share:.0%}" for operation, share in found["shares"].items())
            print(f"{profiles[-1]['what']}: {found['milliseconds']:.1f} ms a step. {shares}", flush=True)
    write_json(ROOT / "benchmarks/results/operations.json", {**made_with, "profiles": profiles})


if __name__ == "__main__":
    main()

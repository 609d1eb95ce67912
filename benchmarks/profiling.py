"""Which TensorFlow operations take the time of a function."""

import collections
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tensorflow.tsl.profiler.protobuf import xplane_pb2

from uncertainty_suite import tf


def shares_of_operations(function: Callable[[], Any]) -> dict[str, float]:
    """Return the share of the time of all operations that each kind takes in one call, the largest first.

    Two operations may run at the same time, each on a core or both on both, so shares say where work is, not what a
    call would be without it. `_MklNative` and `_Mkl`, oneDNN's kernels, are left out of the names.
    """
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        function()
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
    return {name: duration / durations.total() for name, duration in durations.most_common()}

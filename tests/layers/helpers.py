"""What several tests of layers share: golden values, and two replicas."""

import json
import os
import pathlib

import numpy as np
import pytest

from uncertainty_suite import keras, tf

# As the fixture `golden_dir`, but needed when tests are collected: every golden case is a test of its own.
GOLDEN_DIR = pathlib.Path(
    os.environ.get("UNCERTAINTY_SUITE_GOLDEN_DIR") or pathlib.Path(__file__).parents[3] / "shared" / "golden"
)


class Golden:
    """The cases of one golden file: `golden["case"]["array"]`, and `golden.parameters["case"]`."""

    def __init__(self, name: str, folder: pathlib.Path = GOLDEN_DIR / "layers"):
        path = folder / f"{name}.npz"
        self.cases, self.parameters = {}, {}
        if path.exists():
            with np.load(path, allow_pickle=False) as arrays:
                self.parameters = json.loads(str(arrays["__meta__"]))["cases"]
                for key in arrays.files:
                    case, _, array = key.partition("/")
                    if array:
                        self.cases.setdefault(case, {})[array] = arrays[key]

    def __getitem__(self, case: str) -> dict[str, np.ndarray]:
        return self.cases[case]

    def parametrize(self, *prefixes: str, argument: str = "case"):
        """Return the mark that runs a test for each case whose name starts with a prefix; skipped without the file."""
        cases = [case for case in self.cases if case.startswith(prefixes)]
        skipped = pytest.param(None, marks=pytest.mark.skip(reason=f"no golden values in {GOLDEN_DIR}"))
        return pytest.mark.parametrize(argument, cases or [skipped])


def two_replicas() -> tf.distribute.Strategy:
    """Return a strategy over two virtual CPU devices, or skip the test where the session has only one."""
    devices = tf.config.list_logical_devices("CPU")
    if len(devices) < 2:
        pytest.skip("one CPU device: TensorFlow started before a second was configured")
    # TensorFlow's default, collective operations, fails where a second strategy is made in the same process: its keys
    # start anew and clash with those of the first.
    return tf.distribute.MirroredStrategy(
        [device.name for device in devices[:2]], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )


def local_values(variable: keras.Variable) -> list[np.ndarray]:
    """Return the copies that the replicas hold of a variable."""
    return [copy.numpy() for copy in variable.value.values]

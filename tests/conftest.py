"""What all tests share: two virtual CPU devices, and where the data and the golden values lie."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# In the background and under nohup these are ignored, by all programs that tests start, too.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

ROOT = Path(__file__).parent.parent


def _folder(variable: str, default: str) -> Path:
    path = Path(os.environ.get(variable) or ROOT.parent / default)
    if not path.is_dir():
        pytest.skip(f"There is no {path}; name the folder in {variable}.")
    return path


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of prepared TFDS data sets."""
    return _folder("UNCERTAINTY_SUITE_DATA_DIR", "shared/data/tensorflow_datasets")


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """The folder of values that other libraries computed."""
    return _folder("UNCERTAINTY_SUITE_GOLDEN_DIR", "shared/golden")


@pytest.fixture(scope="session")
def two_devices():
    """A strategy over two virtual CPUs; one for all tests, since TensorFlow confuses the collectives of two."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture
def stopped_at(monkeypatch):
    """A function of a step that returns a context: training within it is stopped there, as by Ctrl-C, having saved."""

    @contextlib.contextmanager
    def stopped_at(step: int) -> Iterator[None]:
        from uncertainty_suite import training

        update = training.Loop.update

        def stop(loop, values):
            update(loop, values)
            if loop.step >= step:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(training.Loop, "update", stop)
            patch.setattr(training.Options, "seconds_per_checkpoint", 0)  # after every call
            yield

    return stopped_at


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Return the run folder and the results of a script's tiny run, trained once for all tests; they change nothing."""
    runs: dict[tuple, tuple[Path, dict]] = {}

    def run(method: str, task: str = "two_moons", **overrides: Any) -> tuple[Path, dict]:
        from tests.tiny import load_script, tiny_config
        from uncertainty_suite import training

        key = (method, task, tuple(sorted(overrides.items())))
        if key not in runs:
            folder = tmp_path_factory.mktemp("finished") / method
            config = tiny_config(method, task, **overrides)
            runs[key] = folder, load_script(method).main(config, training.Options(output_dir=folder))
        return runs[key]

    return run


@pytest.fixture
def forget_models():
    """Free what Keras keeps of the models that a test makes."""
    yield
    from uncertainty_suite import keras

    keras.utils.clear_session()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put modules that start programs first, so that no process is left with a long one at the end of `make test`."""

    def place(item: pytest.Item) -> int:
        parts = item.path.relative_to(ROOT / "tests").parts
        return 0 if parts[0] == "reliability" else 1 if len(parts) == 1 else 2

    items.sort(key=place)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Split the CPU in two before TensorFlow starts, so that distribution strategies have replicas to run on."""
    needed = any("two_devices" in getattr(item, "fixturenames", ()) for item in session.items)
    if needed or "tensorflow" in sys.modules:  # tests that do without it do not pay for it
        import tensorflow as tf

        devices = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)

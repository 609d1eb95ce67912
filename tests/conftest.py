"""What all tests share: two virtual CPU devices, and where the data and the golden values lie."""

import contextlib
import gc
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


@pytest.fixture(scope="session")
def scripts(tmp_path_factory):
    """Starts scripts as processes that need not import TensorFlow, which one process has done for all of them."""
    from tests.processes import Scripts

    scripts = Scripts(tmp_path_factory.mktemp("scripts"))
    yield scripts
    scripts.close()


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
        gc.collect()  # what was stopped holds its folder until then

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


@pytest.fixture(scope="session")
def large_images(tmp_path_factory) -> Path:
    """A folder of generated sets of large images, as TFDS writes them: names, versions, features, JPEGs of any size."""
    import numpy as np
    import tensorflow as tf
    import tensorflow_datasets as tfds

    folder = tmp_path_factory.mktemp("large_images")
    of_retinas = {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(num_classes=5)}
    rng = np.random.default_rng(0)

    def write(name: str, sizes: dict[str, int], features: Any = None) -> None:
        info = tfds.builder(name).info if features is None else None
        features = info.features if info else tfds.features.FeaturesDict(features)
        texts = [key for key in features if key not in ("image", "label")]

        def examples(size: int) -> Iterator[dict[str, Any]]:
            for i in range(size):
                height, width = features["image"].shape[:2]
                image = np.full((height or 40 + 9 * i, width or 70 - 4 * i, 3), 255 * i / size)
                image = np.clip(image + rng.normal(0, 20, image.shape), 0, 255).astype(np.uint8)
                label = 3 * i % features["label"].num_classes
                called = f"ILSVRC2012_val_{i + 1:08}.JPEG" if name == "imagenet2012" else f"{name}_{i}"
                yield {"image": image, "label": label, **dict.fromkeys(texts, called)}

        signature = {
            "image": tf.TensorSpec((None, None, 3), tf.uint8),
            "label": tf.TensorSpec((), tf.int64),
            **{key: tf.TensorSpec((), tf.string) for key in texts},
        }
        tfds.dataset_builders.TfDataBuilder(
            name=name.partition("/")[0],
            config=name.partition("/")[2] or None,
            version=str(info.version) if info else "1.0.0",
            data_dir=folder,
            split_datasets={
                split: tf.data.Dataset.from_generator(lambda size=size: examples(size), output_signature=signature)
                for split, size in sizes.items()
            },
            features=features,
        ).download_and_prepare(download_config=tfds.download.DownloadConfig(num_shards=2))

    write("imagenet2012", {"train": 16, "validation": 6})
    for name in ("imagenet_v2/matched-frequency", "imagenet_a", "imagenet_r"):
        write(name, {"test": 4})
    write("dtd", {"test": 4, "validation": 4})
    write("svhn_cropped", {"test": 4})
    write("imagenet2012_corrupted/fog_3", {"validation": 3})
    write("places365_small", {"validation": 4})
    sizes = {"train": 16, "validation": 5, "test": 10}
    write("diabetic_retinopathy_detection/btgraham-300", sizes)
    write("aptos2019", {"test": 5}, of_retinas)
    return folder


@pytest.fixture(scope="session")
def bert_preset(tmp_path_factory) -> Path:
    """A preset of keras-hub: a BERT of random weights and 40 token ids, for texts of up to 16 tokens."""
    from uncertainty_suite import keras

    keras.config.backend()  # which sets it before keras-hub imports Keras
    keras_hub = pytest.importorskip("keras_hub", reason="keras-hub is not installed.")
    import numpy as np

    folder = tmp_path_factory.mktemp("bert_preset")
    words = ["the", "is", "it", "my", "what", "how", "a", "to", "?", ",", "'"]
    letters = [letter for letter in "abcdefghijklmnopqrstuvwx" if letter != "a"]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *letters, "##s"]
    keras_hub.tokenizers.BertTokenizer(vocabulary=vocabulary, lowercase=True).save_to_preset(folder)
    keras.utils.set_random_seed(0)
    model = keras_hub.models.BertBackbone(
        vocabulary_size=len(vocabulary),
        num_layers=2,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=12,
        max_sequence_length=16,
    )
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:  # its own are so small that features would hardly differ
        variable.assign(rng.normal(0, 0.5, variable.shape))
    model.save_to_preset(folder)
    return folder


@pytest.fixture(autouse=True)
def in_float32():
    """The precision that a run has set does not outlive its test."""
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].config.set_dtype_policy("float32")


@pytest.fixture
def forget_models():
    """Free what Keras keeps of the models that a test makes."""
    yield
    from uncertainty_suite import keras

    keras.utils.clear_session()  # which collects garbage
    gc.freeze()


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
    # All that is there by now stays. To look it through for garbage again takes a second, of each test that does so.
    gc.collect()
    gc.freeze()

"""Data sets of one's own."""

import numpy as np
import pytest

from uncertainty_suite import datasets
from uncertainty_suite.datasets import sources
from uncertainty_suite.datasets.forms import Images, Vectors
from uncertainty_suite.errors import InputError
from uncertainty_suite.registry import Registry

CONFIGURATION = """
import numpy as np
from uncertainty_suite import datasets

x = np.arange(20.0).reshape(10, 2)
datasets.register(datasets.from_arrays("ours", {"train": (x, np.arange(10) % 3), "test": (x[:4], np.zeros(4, int))}))

@datasets.register
def slopes(slope: float = 2.0) -> datasets.Source:
    return datasets.from_arrays("slopes", {"train": (x[:, :1], slope * x[:, 0])}, likelihood="gaussian")
"""


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """Registered names do not outlive a test."""
    registry = Registry("data set")
    registry._entries = dict(sources._REGISTRY._entries)
    monkeypatch.setattr(sources, "_REGISTRY", registry)


def _run(path, text=CONFIGURATION):
    path.write_text(text)
    exec(compile(path.read_text(), str(path), "exec"), {"__name__": "their_configuration"})


def test_a_configuration_file_registers_its_data(tmp_path):
    _run(tmp_path / "config.py")
    assert {"ours", "slopes", "digits"} <= set(datasets.names())
    train = datasets.get("ours").holding_out(0.2)
    assert train.num_examples == 8
    assert train.num_classes == 3
    assert train.input_shape == (2,)
    batch = next(iter(datasets.get("ours").load(10)))
    np.testing.assert_allclose(batch["features"].numpy().mean(axis=0), 0, atol=1e-6)
    assert datasets.get("ours", "test").num_examples == 4


def test_a_configuration_file_may_run_twice(tmp_path):
    _run(tmp_path / "config.py")
    _run(tmp_path / "config.py")
    assert datasets.get("ours").num_examples == 10


def test_options_of_a_data_set(tmp_path):
    _run(tmp_path / "config.py")
    usual, steep = datasets.get("slopes"), datasets.get("slopes", slope=3.0)
    np.testing.assert_array_equal(steep.labels, usual.labels * 1.5)
    assert datasets.get("slopes(slope=3.0)").source is steep.source  # so that it is read once
    assert datasets.get("slopes", slope=2.0).source is usual.source
    with pytest.raises(InputError, match=r"Unknown option of data set 'slopes' 'slop'. Did you mean 'slope'"):
        datasets.get("slopes", slop=3.0)


def test_like_the_same_name_with_other_options(tmp_path):
    _run(tmp_path / "config.py")
    usual, steep = datasets.get("slopes"), datasets.get("slopes", slope=3.0)
    assert usual.like("slopes").form == usual.form
    assert steep.like("slopes(slope=2.0)").form == steep.like(usual).form
    with pytest.raises(InputError, match="Data set 'slopes' has other options here than 'slopes', which it should"):
        steep.like("slopes")


def test_two_of_one_name(tmp_path):
    _run(tmp_path / "config.py")
    with pytest.raises(InputError, match=r"There are two data sets named 'ours': in .*config.py:6 and .*other.py:6"):
        _run(tmp_path / "other.py")
    digits = datasets.from_arrays("digits", {"train": (np.zeros((3, 2)), np.zeros(3, int))})
    with pytest.raises(InputError, match="There are two data sets named 'digits': in "):
        datasets.register(digits)


def test_a_read_function_is_called_when_needed():
    asked = []

    def read(split, data_dir):
        asked.append((split, data_dir))
        return np.zeros((4, 2), np.float32), np.array([0, 1, 1, 0]), np.array([7, 5, 3, 1])

    datasets.register(datasets.Source("theirs", ("train", "test"), Vectors(2), read, num_classes=2, identified=True))
    train, test = datasets.get("theirs", "train", "somewhere"), datasets.get("theirs", "test", "somewhere")
    assert (train.input_shape, train.num_classes, asked) == ((2,), 2, [])
    np.testing.assert_array_equal(train.element_ids, [7, 5, 3, 1])
    assert train.holding_out(0.25).num_examples == 3
    _ = train.features, train.labels, train.fingerprint()
    assert asked == [("train", "somewhere")]
    assert test.num_examples == 4
    assert asked == [("train", "somewhere"), ("test", "somewhere")]


def test_numbers_of_the_authors_as_ids_in_batches_and_views():
    rng = np.random.default_rng(0)
    features, labels, ids = rng.integers(0, 256, (30, 8, 8, 1)), np.arange(30) % 3, 100 + 7 * np.arange(30)
    fields = {"form": Images(8, 8, 1), "num_classes": 3, "maximum": 255, "augmented": True, "read": lambda *_: arrays}
    arrays = features.astype(np.uint8), labels, ids
    data = datasets.Dataset(datasets.Source("theirs", ("train",), identified=True, **fields), "train").seeded(1)
    plain = datasets.Dataset(datasets.Source("theirs", ("train",), **fields), "train").seeded(1)
    for view in (lambda data: data, lambda data: data.holding_out(0.3), lambda data: data.classes((2, 1)).subset(5)):
        np.testing.assert_array_equal(view(data).element_ids, ids[view(plain).element_ids])
        numbered, indexed = (view(one).load(5, training=True).take(4).as_numpy_iterator() for one in (data, plain))
        for one, other in zip(numbered, indexed):
            np.testing.assert_array_equal(one["element_id"], ids[other["element_id"]])
            np.testing.assert_array_equal(one["features"], other["features"])


def test_a_validation_split_of_their_own():
    x, labels = np.arange(20.0).reshape(10, 2), np.arange(10) % 2
    source = datasets.from_arrays("theirs", {"train": (x, labels), "validation": (x[:3] + 1, labels[:3])})
    validation = datasets.Dataset(source, "validation")
    assert validation.num_examples == validation.holding_out(0).num_examples == 3
    np.testing.assert_array_equal(validation.features, x[:3] + 1)
    for split in ("train", "validation"):
        with pytest.raises(InputError, match="Data set 'theirs' has a split 'validation' of its own: set"):
            datasets.Dataset(source, split).holding_out(0.1)


def test_arrays_without_a_form():
    with pytest.raises(InputError, match="Data set 'images' needs a form"):
        datasets.from_arrays("images", {"train": (np.zeros((3, 4, 4, 1)), np.zeros(3, int))})
    with pytest.raises(InputError, match="Data set 'nothing' has no splits"):
        datasets.from_arrays("nothing", {})


def test_folds():
    assert datasets.folds("digits") == datasets.get("digits").num_folds == 1

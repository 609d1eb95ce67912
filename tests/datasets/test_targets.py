"""Sets whose labels are numbers: exact labels, and the statistics that a regression is standardised with."""

import numpy as np
import pytest
import tensorflow as tf

from uncertainty_suite import datasets
from uncertainty_suite.errors import InputError

NUM_EXAMPLES = 40


def _source(targets=None) -> datasets.Source:
    rng = np.random.default_rng(0)
    # float32 would round these.
    targets = rng.normal(1e7, 1.0, NUM_EXAMPLES) if targets is None else targets
    train, test = rng.normal(size=(NUM_EXAMPLES, 3)), rng.normal(size=(10, 3))
    splits = {"train": (train, targets), "test": (test, np.arange(10))}
    return datasets.from_arrays("numbers", splits, likelihood="gaussian")


def _get(split="train", **arguments) -> datasets.Dataset:
    return datasets.Dataset(_source(**arguments), split)


def test_targets_are_exact():
    data = _get()
    assert data.likelihood == "gaussian"
    assert data.labels.dtype == np.float64
    batches = list(data.load(7).as_numpy_iterator())
    np.testing.assert_array_equal(np.concatenate([batch["labels"] for batch in batches]), data.labels)
    assert data.load(7, training=True).element_spec["labels"] == tf.TensorSpec([7], tf.float64)
    for batch in data.load(7, training=True).take(10).as_numpy_iterator():
        np.testing.assert_array_equal(batch["labels"], data.labels[batch["element_id"]])


def test_integers_are_numbers_too():
    np.testing.assert_array_equal(_get("test").labels, np.arange(10.0))


def test_statistics_are_those_of_what_is_trained_on():
    train = _get()
    assert train.target_mean == train.labels.mean()
    assert train.target_stddev == train.labels.std()
    cut = train.holding_out(0.25)
    assert cut.target_mean == cut.labels.mean() != train.target_mean
    assert train.subset(5).target_stddev == train.labels[:5].std()
    for split in ("validation", "test"):
        view = datasets.Dataset(train.source, split).holding_out(0.25).subset(2)
        assert (view.target_mean, view.target_stddev) == (cut.target_mean, cut.target_stddev)


def test_targets_that_are_all_equal():
    data = _get(targets=np.full(NUM_EXAMPLES, 0.1))
    for statistic in ("target_mean", "target_stddev"):
        with pytest.raises(
            InputError, match=r"The targets of the 40 training examples of data set 'numbers' are all 0.1;"
        ):
            getattr(data, statistic)


def test_classes_and_numbers_are_not_mixed_up():
    data = _get()
    with pytest.raises(InputError, match=r"Data set 'numbers' has no classes: its labels are gaussian."):
        _ = data.num_classes
    with pytest.raises(InputError, match=r"Data set 'numbers' has no classes: its labels are gaussian."):
        data.classes((0, 1))
    with pytest.raises(InputError, match="Unknown split"):
        datasets.Dataset(data.source, "unknown")
    with pytest.raises(
        InputError, match=r"Data set 'digits' has no targets to standardise: its labels are categorical."
    ):
        _ = datasets.get("digits").target_mean
    classes = datasets.from_arrays("classes", {"train": (data.features, np.arange(NUM_EXAMPLES) % 2)})
    message = "Data set 'numbers' with gaussian labels cannot be made like 'classes' with categorical labels."
    with pytest.raises(InputError, match=message):
        data.like(datasets.Dataset(classes, "train"))
    assert data.classes(None).num_examples == NUM_EXAMPLES

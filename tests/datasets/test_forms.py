"""What a model receives: vectors that are standardised, tokens, and trees of several inputs."""

import numpy as np
import pytest
import tensorflow as tf

from uncertainty_suite import datasets
from uncertainty_suite.datasets.forms import Graphs, Images, Tokens, Vectors
from uncertainty_suite.errors import InputError
from uncertainty_suite.training.strategy import distribute

NUM_EXAMPLES = 41


def _deliver(data, batch_size=7):
    """Return the features of one pass, an array or a dict of arrays."""
    batches = [batch["features"] for batch in data.load(batch_size).as_numpy_iterator()]
    return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *batches)


def _two_inputs(**fields) -> datasets.Source:
    """Return a small set of an image and a pair of numbers."""
    rng = np.random.default_rng(0)

    def make(number):
        image = rng.integers(0, 256, (number, 4, 4, 1)).astype(np.uint8)
        return {"image": image, "numbers": rng.normal(5, 3, (number, 2))}, rng.integers(0, 3, number)

    form = {"numbers": Vectors(2), "image": Images(4, 4, 1)}
    return datasets.from_arrays(
        "two_inputs", {"train": make(NUM_EXAMPLES), "test": make(20)}, form, maximum=255, standardised=True, **fields
    )


def test_vectors_are_standardised_with_the_training_examples():
    rng = np.random.default_rng(0)
    train, test = rng.normal((1e6, -3), (1, 10), (100, 2)), rng.normal(0, 1, (30, 2))
    source = datasets.from_arrays("numbers", {"train": (train, np.arange(100) % 2), "test": (test, np.zeros(30, int))})
    delivered = _deliver(datasets.Dataset(source, "test"))
    assert delivered.dtype == np.float32
    expected = (test - train.mean(axis=0)) / train.std(axis=0)
    np.testing.assert_array_equal(delivered, expected.astype(np.float32))
    # In float32 a deviation of 1 would be lost beside a mean of 1e6.
    expected = (train - train.mean(axis=0)) / train.std(axis=0)
    np.testing.assert_allclose(_deliver(datasets.Dataset(source, "train")), expected, rtol=1e-6)
    np.testing.assert_array_equal(datasets.Dataset(source, "test").features, test)


def test_statistics_do_not_depend_on_what_is_held_out():
    data = datasets.Dataset(_two_inputs(), "train")
    assert data.holding_out(0.3).form == data.form == datasets.Dataset(data.source, "test").form


def test_indicators_stay_as_they_are():
    features = np.stack([np.arange(4.0), np.array([0, 0, 0, 1]), np.ones(4)], axis=1)
    form = Vectors(3, indicators=2).fitted(features)
    assert form == Vectors(3, (1.5, 0.0, 0.0), (np.sqrt(1.25), 1.0, 1.0), indicators=2)
    np.testing.assert_array_equal(form.bring(tf.constant(features), 1)[:, 1:], features[:, 1:])


def test_a_constant_feature_is_only_centred():
    features = np.stack([np.full(7, 0.1), np.arange(7.0)], axis=1)
    form = Vectors(2).fitted(features)
    assert form.means == (0.1, 3.0)
    assert form.stddevs == (1.0, 2.0)


def test_form_and_shape_of_a_standardised_set_are_told_apart():
    data = datasets.Dataset(_two_inputs(), "train")
    assert data.input_shape == {"image": (4, 4, 1), "numbers": (2,)}
    assert data.form["image"] == Images(4, 4, 1)
    np.testing.assert_allclose(data.form["numbers"].means, data.features["numbers"].mean(axis=0), rtol=1e-12)


def test_another_set_takes_the_statistics_of_the_task():
    rng = np.random.default_rng(0)
    names = ("task", "other")
    task, other = (
        datasets.Dataset(datasets.from_arrays(name, {"train": (rng.normal(i, 2, (50, 3)), np.arange(50) % 2)}), "train")
        for i, name in enumerate(names)
    )
    assert other.form != task.form
    view = other.like(task)
    assert view.form == task.form
    np.testing.assert_allclose(_deliver(view), (other.features - task.form.means) / task.form.stddevs, rtol=1e-6)


def test_tokens_are_int32():
    tokens = np.arange(12).reshape(3, 4) % 10
    source = datasets.from_arrays("texts", {"test": (tokens, np.array([0, 1, 0]))}, Tokens(4, 10))
    data = datasets.Dataset(source, "test")
    delivered = _deliver(data)
    assert delivered.dtype == np.int32
    np.testing.assert_array_equal(delivered, tokens)
    assert data.load(2).element_spec["features"] == tf.TensorSpec([None, 4], tf.int32)


def _graphs(change=()):
    """Return two graphs, of two and three nodes, with some numbers changed."""
    graphs = np.zeros((2, 3, 5), np.int64)
    graphs[0, :2] = [[1, 2, 0, 1, 0], [3, 0, 1, 0, 0]]
    graphs[1] = [[1, 2, 0, 2, 0], [3, 0, 2, 0, 1], [4, 0, 0, 1, 0]]
    for place, value in change:
        graphs[place] = value
    return graphs


def test_graphs_are_int32():
    source = datasets.from_arrays("graphs", {"test": (_graphs(), np.array([0, 1]))}, Graphs(3, 2, 5, 2))
    data = datasets.Dataset(source, "test")
    delivered = _deliver(data)
    assert delivered.dtype == np.int32
    np.testing.assert_array_equal(delivered, _graphs())
    assert str(data.form) == "graphs of up to 3 nodes"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ([((0, 0, 1), 5)], "has the id of a node 5; expected 0 to 4."),
        ([((0, 0, 3), 3), ((0, 1, 2), 3)], "has the kind of edge 3; expected 0 to 2."),
        ([((1, 0, 3), 1)], "has no graph at example 1; expected one node or more, and edges between nodes"),
        ([((0, 0, 4), 1), ((0, 2, 2), 1)], "has no graph at example 0; expected one node or more, and edges between"),
        ([((1, slice(None)), 0)], "has no graph at example 1; expected one node or more"),
    ],
)
def test_what_is_no_graph(change, message):
    with pytest.raises(InputError, match=f"^Split 'test' of data set 'graphs' {message}"):
        Graphs(3, 2, 5, 2).check(_graphs(change), 1, "Split 'test' of data set 'graphs'")
    with pytest.raises(InputError, match="has graphs of type float64; expected integers"):
        Graphs(3, 2, 5, 2).check(_graphs().astype(float), 1, "It")


@pytest.mark.parametrize(
    ("form", "other", "takes"),
    [
        (Images(8, 8, 3), Images(4, 5, 1), True),
        (Images(8, 8, 1), Images(4, 5, 3), True),
        (Images(8, 8, 4), Images(4, 5, 4), True),
        (Images(8, 8, 3), Images(4, 5, 4), False),
        (Images(8, 8, 3), Vectors(192), False),
        (Vectors(4), Vectors(4, (0.0,) * 4, (1.0,) * 4), True),
        (Vectors(4), Vectors(3), False),
        (Vectors(4), Tokens(4, 10), False),
        (Tokens(4, 10), Tokens(4, 10), True),
        (Tokens(4, 10), Tokens(4, 11), False),
        (Graphs(4, 2, 9, 2), Graphs(4, 2, 9, 2), True),
        (Graphs(4, 2, 9, 2), Graphs(5, 2, 9, 2), False),
    ],
)
def test_what_can_be_brought_into_a_form(form, other, takes):
    assert form.takes(other) is takes


@pytest.mark.parametrize(("means", "stddevs"), [((1.0,), ()), ((1.0,), (1.0,)), ((0.0, 0.0), (1.0, 0.0))])
def test_statistics_that_do_not_fit(means, stddevs):
    with pytest.raises(InputError, match="A form of 2 features or channels needs as many means and positive stddevs"):
        Vectors(2, means, stddevs)


# Trees


def test_a_tree_is_delivered_in_one_pass():
    data = datasets.Dataset(_two_inputs(), "test")
    delivered = _deliver(data)
    np.testing.assert_array_equal(delivered["image"], data.features["image"] / np.float32(255))
    form = data.form["numbers"]
    np.testing.assert_allclose(delivered["numbers"], (data.features["numbers"] - form.means) / form.stddevs, rtol=1e-6)


@pytest.mark.parametrize("batch_size", [NUM_EXAMPLES, 10])
def test_a_tree_is_trained_on_in_full_batches(batch_size, monkeypatch):
    data = datasets.Dataset(_two_inputs(), "train").seeded(2)
    steps = data.steps_per_epoch(batch_size)

    def take():
        return list(data.load(batch_size, training=True, start_step=1).take(2 * steps).as_numpy_iterator())

    batches = take()
    images = _deliver(data)["image"]
    for batch in batches:
        assert batch["features"]["numbers"].shape == (batch_size, 2)
        np.testing.assert_array_equal(batch["features"]["image"], images[batch["element_id"]])
    monkeypatch.setattr("uncertainty_suite.datasets.pipeline._EPOCH_BYTES", 0)
    for one, other in zip(batches, take()):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)


def test_a_tree_is_split_over_devices(two_devices):
    data = datasets.Dataset(_two_inputs(), "train")
    (expected,) = data.load(10, training=True).take(1).as_numpy_iterator()
    batch = next(distribute(data, 10, 0, two_devices))
    parts = two_devices.experimental_local_results(batch["features"]["numbers"])
    np.testing.assert_array_equal(tf.concat(parts, axis=0), expected["features"]["numbers"])


def test_fingerprints_tell_trees_apart():
    rng = np.random.default_rng(0)
    x, y, labels = rng.normal(size=(5, 2)), rng.normal(size=(5, 2)), np.arange(5)

    def fingerprint(features, form):
        return datasets.Dataset(
            datasets.from_arrays("tree", {"train": (features, labels)}, form), "train"
        ).fingerprint()

    two = Vectors(2)
    trees = [
        (x, two),
        ({"a": x}, {"a": two}),
        ({"a": x, "b": y}, {"a": two, "b": two}),
        ({"a": y, "b": x}, {"a": two, "b": two}),
        ((x, y), (two, two)),
        ({"a": (x, y)}, {"a": (two, two)}),
    ]
    assert len({fingerprint(*tree) for tree in trees}) == len(trees)
    assert fingerprint({"b": y, "a": x}, {"a": two, "b": two}) == fingerprint(*trees[2])


def test_a_tree_keeps_its_validation_and_classes():
    data = datasets.Dataset(_two_inputs(), "train").holding_out(0.2).classes((2, 0))
    whole = datasets.Dataset(data.source, "train")
    np.testing.assert_array_equal(data.features["numbers"], whole.features["numbers"][data.element_ids])


def test_a_tree_has_no_corruption_and_is_like_no_array():
    data = datasets.Dataset(_two_inputs(), "train")
    with pytest.raises(InputError, match="Corruptions are made for images"):
        data.corrupted("fog", 1)
    with pytest.raises(
        InputError, match=r"Data set 'digits' of images of shape .* cannot be made like 'two_inputs' of /"
    ):
        datasets.get("digits").like(data)
    with pytest.raises(InputError, match="Data set 'noise' is made of images, and 'two_inputs' of /image: images"):
        datasets.get("noise", "uniform").like(data)

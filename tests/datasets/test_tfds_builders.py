"""A user's own TFDS builder: tables, vectors and texts, of a set that is generated here."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tests.tiny import load_script, tiny_config
from uncertainty_suite import datasets, training
from uncertainty_suite.datasets.forms import Images, Tokens, Vectors
from uncertainty_suite.errors import InputError

SIZES = {"train": 40, "test": 12}
PORTS = ["Oslo", "Köln", "Turku"]
WORDS = ["good", "bad"]
FEATURES = {
    "id": tfds.features.Text(),
    "passenger": {
        "age": tfds.features.Scalar(np.float32),
        "class": tfds.features.ClassLabel(num_classes=4),  # of which the examples have three
        "port": tfds.features.Text(),
        "alone": tfds.features.Scalar(np.bool_),
    },
    "spectrum": tfds.features.Tensor(shape=(5,), dtype=np.float32),
    "gap": tfds.features.Scalar(np.float32),
    "about": tfds.features.Text(),
    "words": tfds.features.Sequence(np.int64),
    "picture": tfds.features.Image(shape=(None, None, 3)),
    "label": tfds.features.ClassLabel(num_classes=2),
    "fare": tfds.features.Scalar(np.float64),
}
TABLE = Vectors(9, indicators=7)  # age, alone; four classes, three ports
OF_TABLE = ("passenger/age", "passenger/class", "passenger/port", "passenger/alone")


def examples(split):
    rng = np.random.default_rng(len(split))
    for i in range(SIZES[split]):
        label = int(rng.integers(2))
        port = "Riga" if (split, i) == ("test", 3) else PORTS[i % 3]  # one that train does not have
        yield {
            "id": f"{split}_{100 + i}",
            "passenger": {"age": 30 + 10 * label + rng.normal(), "class": i % 3, "port": port, "alone": i % 2 == 0},
            "spectrum": rng.normal(label, 1, 5).astype(np.float32),
            "gap": np.nan if i == 5 else 1.0,
            "about": " ".join([WORDS[label], "thing"] * 3),
            "words": np.arange(i % 3),
            "picture": np.zeros((4 + i % 2, 4, 3), np.uint8),
            "label": label,
            "fare": 100.0 + label,
        }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    features = tfds.features.FeaturesDict(FEATURES)
    spec = tf.nest.map_structure(lambda one: tf.TensorSpec(one.shape, one.dtype), features.get_tensor_info())
    tfds.dataset_builders.TfDataBuilder(
        name="passengers",
        version="1.0.0",
        data_dir=folder,
        split_datasets={
            split: tf.data.Dataset.from_generator(lambda split=split: examples(split), output_signature=spec)
            for split in SIZES
        },
        features=features,
        disable_shuffling=True,
    ).download_and_prepare()
    return folder


def get(folder, form, split="test", num_classes=2, **options):
    return datasets.Dataset(datasets.from_tfds("passengers", form, num_classes, **options), split, folder)


def test_columns_of_a_table_are_numbers_and_categories(folder):
    data = get(folder, TABLE, features=OF_TABLE)
    rows = [each["passenger"] for each in examples("test")]
    np.testing.assert_allclose(data.features[:, 0], [each["age"] for each in rows], rtol=1e-6)
    np.testing.assert_array_equal(data.features[:, 1], [each["alone"] for each in rows])
    np.testing.assert_array_equal(data.features[:, 2:6], np.eye(4)[[each["class"] for each in rows]])
    ports = [[each["port"] == port for port in sorted(PORTS, key=str.encode)] for each in rows]
    np.testing.assert_array_equal(data.features[:, 6:], ports)
    assert not data.features[3, 6:].any()
    np.testing.assert_array_equal(data.labels, [each["label"] for each in examples("test")])
    np.testing.assert_array_equal(data.original_ids, 100 + np.arange(12))
    train = get(folder, TABLE, "train", features=OF_TABLE)
    delivered = next(iter(train.load(40)))["features"].numpy()
    np.testing.assert_allclose(delivered[:, 0].mean(), 0, atol=1e-5)
    np.testing.assert_array_equal(delivered[:, 2:], train.features[:, 2:])


def test_a_column_of_columns_stands_for_all_of_them(folder):
    in_order = get(folder, TABLE, features=OF_TABLE).features
    assert np.array_equal(np.sort(get(folder, TABLE, features="passenger").features), np.sort(in_order))


def test_a_tensor_is_a_vector_and_a_number_a_target(folder):
    data = get(folder, Vectors(5), num_classes=0, features="spectrum", label="fare", likelihood="gaussian")
    np.testing.assert_array_equal(data.features, [each["spectrum"] for each in examples("test")])
    np.testing.assert_array_equal(data.labels, [each["fare"] for each in examples("test")])
    assert len(data.form.means) == 5


def test_texts_become_tokens_by_the_words_of_train(folder):
    data = get(folder, Tokens(8, 10), features="about")
    assert data.features.shape == (12, 8)
    assert (data.features[:, 6:] == 0).all()
    good, bad = (set(data.features[data.labels == label][:, 0]) for label in (0, 1))
    assert len(good) == len(bad) == 1
    assert good.isdisjoint(bad)


@pytest.mark.parametrize(
    ("form", "options"),
    [
        (TABLE, {"features": OF_TABLE}),
        (Tokens(8, 10), {"features": "about"}),
        (Vectors(5), {"features": "spectrum", "num_classes": 0, "label": "fare", "likelihood": "gaussian"}),
    ],
)
def test_a_set_without_test_has_a_fifth_of_train(form, options, folder):
    whole = get(folder, form, "train", **options)
    train, test = (get(folder, form, split, splits=("train",), **options) for split in ("train", "test"))
    assert (train.num_examples, test.num_examples) == (32, 8)
    both = np.concatenate([train.original_ids, test.original_ids])
    order = np.argsort(both)
    np.testing.assert_array_equal(both[order], whole.original_ids)
    np.testing.assert_array_equal(np.concatenate([train.labels, test.labels])[order], whole.labels)
    if form == TABLE:
        np.testing.assert_array_equal(np.concatenate([train.features, test.features])[order], whole.features)


@pytest.mark.parametrize(
    ("form", "options", "message"),
    [
        (
            Vectors(8),
            {"features": OF_TABLE},
            "Data set 'passengers' of TFDS has 9 features (passenger/age: 1, passenger/alone: 1, passenger/class: 4, "
            "passenger/port: 3), 7 of them for categories, and its form has 8 and 0. Set it to Vectors(9, "
            "indicators=7).",
        ),
        (
            Vectors(4),
            {"features": "spectrum"},
            "Data set 'passengers' of TFDS has 5 features (spectrum: 5), 0 of them for categories, and its form has 4 "
            "and 0. Set it to Vectors(5).",
        ),
        (
            Vectors(4),
            {},
            "Data set 'passengers' of TFDS has about, fare, gap, id, label, passenger/age, passenger/alone, "
            "passenger/class, passenger/port, picture, spectrum, words, and no 'features'. Name what its examples are "
            "made of by features=... and label=..., or give its arrays to from_arrays.",
        ),
        (
            Vectors(1),
            {"features": "words"},
            "Column 'words' of data set 'passengers' of TFDS is int64 [None]; expected numbers, as many in each "
            "example, or one text.",
        ),
        (
            Vectors(1),
            {"features": "gap"},
            "Column 'gap' of split 'test' of data set 'passengers' of TFDS is NaN or infinite, first at example 5. "
            "Prepare the set without that, or leave the column out.",
        ),
        (
            Vectors(1),
            {"features": "label"},
            "Column 'label' of data set 'passengers' of TFDS is the label, and no feature. Name others.",
        ),
        (
            Vectors(5),
            {"features": "spectrum", "label": "about"},
            "Column 'about' of data set 'passengers' of TFDS is text []; expected the number of a class for each "
            "example, or a target.",
        ),
        (
            Vectors(5),
            {"features": "spectrum", "label": "fare"},
            "Split 'test' of data set 'passengers' has labels of type float64; expected integers, or the likelihood "
            "'gaussian' for numbers.",
        ),
        (
            Tokens(8, 10),
            {"features": "spectrum"},
            "Column 'spectrum' of data set 'passengers' of TFDS is float32 [5]; expected one text for each example.",
        ),
        (
            Images(4, 4, 3),
            {"features": "picture"},
            "Split 'test' of data set 'passengers' has examples of several shapes, and in memory all have one. Set "
            "streamed=True, by which images are resized, or name other columns.",
        ),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(form, options, message, folder):
    with pytest.raises(InputError) as error:
        _ = get(folder, form, **options).features
    assert str(error.value) == message


def test_options_that_are_not_for_a_form_are_refused_at_once():
    with pytest.raises(InputError, match=r"is of vectors of shape \(3,\), and only images are streamed"):
        datasets.from_tfds("passengers", Vectors(3), 2, streamed=True)
    with pytest.raises(InputError, match="which are in one column; received features=\\('a', 'b'\\)"):
        datasets.from_tfds("passengers", Tokens(8, 10), 2, features=("a", "b"))


def test_images_of_another_column_are_streamed(folder):
    data = get(folder, Images(4, 4, 3), features="picture", streamed=True)
    assert next(iter(data.load(12)))["features"].shape == (12, 4, 4, 3)


def test_a_method_is_trained_on_a_table(folder, tmp_path):
    datasets.register(datasets.from_tfds("passengers", TABLE, 2, features=OF_TABLE))
    overrides = {"dataset__name": "passengers", "batch_size": 16, "model__num_hidden": 8}
    without = {f"evaluation__ood_{part}": () for part in ("far", "near", "validation", "scores")}
    config = tiny_config("deterministic", **overrides, **without, evaluation__predict_only=())
    options = training.Options(output_dir=tmp_path / "run", data_dir=folder)
    metrics = load_script("deterministic").main(config, options)["metrics"]
    assert 0 <= metrics["test/accuracy"] <= 1

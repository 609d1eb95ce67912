"""Wrong training labels: drawn, and those that people gave to CIFAR-10."""

import numpy as np
import pytest

from uncertainty_suite import datasets
from uncertainty_suite.errors import InputError


@pytest.mark.parametrize("fraction", [0.05, 0.4, 0.9])
def test_exactly_that_fraction_of_the_training_labels_is_wrong(fraction):
    clean = datasets.get("digits").holding_out(0.1)
    noisy = clean.with_label_noise(fraction)
    wrong = noisy.labels != clean.labels
    assert wrong.sum() == round(fraction * clean.num_examples)
    assert noisy.labels.dtype == np.int32
    np.testing.assert_array_equal(noisy.element_ids, clean.element_ids)
    np.testing.assert_array_equal(noisy.features, clean.features)
    assert noisy.fingerprint() != clean.fingerprint()
    # Every other class is as likely, whatever the right one, and every class is as often wrong.
    shifts = (noisy.labels - clean.labels)[wrong] % 10
    assert set(shifts) == set(range(1, 10))
    if fraction > 0.3:
        np.testing.assert_allclose(np.bincount(shifts)[1:] / wrong.sum(), 1 / 9, atol=0.05)
        shares = np.bincount(clean.labels[wrong]) / np.bincount(clean.labels)
        np.testing.assert_allclose(shares, fraction, atol=0.12)


def test_more_noise_changes_the_same_labels_and_more():
    little, much = (datasets.get("digits").with_label_noise(fraction).labels for fraction in (0.1, 0.3))
    clean = datasets.get("digits").labels
    np.testing.assert_array_equal(much[little != clean], little[little != clean])


def test_noise_is_a_constant_of_the_benchmark():
    noisy = datasets.get("digits").with_label_noise(0.2)
    assert noisy.seeded(7).fingerprint() == noisy.with_label_noise(0.2).fingerprint() == noisy.fingerprint()
    assert noisy.with_label_noise(0.2, seed=1).fingerprint() != noisy.fingerprint()
    clean = datasets.get("digits").labels
    wrong = noisy.labels != clean
    kept = datasets.get("digits").fraction(0.5)
    assert wrong[kept.element_ids].mean() == pytest.approx(0.2, abs=0.03)  # the choice is not that of other views


def test_validation_and_test_keep_the_right_labels():
    for split in ("validation", "test"):
        data = datasets.get("digits", split).holding_out(0.2)
        assert data.with_label_noise(0.5).fingerprint() == data.fingerprint()


def test_noise_stays_within_the_known_classes():
    known = datasets.get("digits").classes((7, 0, 3))
    noisy = known.with_label_noise(0.5)
    assert set(noisy.labels) == {0, 1, 2}
    assert (noisy.labels != known.labels).sum() == round(known.num_examples / 2)
    np.testing.assert_array_equal(noisy.subset(20).labels, noisy.labels[:20])


def test_batches_have_the_wrong_labels():
    noisy = datasets.get("digits").with_label_noise(0.3)
    labels = dict(zip(noisy.element_ids.tolist(), noisy.labels.tolist()))
    for batch in noisy.load(64, training=True).take(3).as_numpy_iterator():
        assert [labels[i] for i in batch["element_id"].tolist()] == batch["labels"].tolist()


def test_examples_of_no_class_have_no_label_to_be_wrong():
    labels = np.array([0, 1, -1, 1, 0, -1, 1, 0, 0, 1])
    source = datasets.from_arrays("ours", {"train": (np.arange(20.0).reshape(10, 2), labels)})
    noisy = datasets.Dataset(source, "train").with_label_noise(0.5).labels
    np.testing.assert_array_equal(noisy == -1, labels == -1)
    assert (noisy != labels).sum() == 4


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: datasets.get("digits").with_label_noise(-0.1), "label_noise is a fraction in [0, 1), received -0.1."),
        (lambda: datasets.get("digits").with_label_noise(1), "label_noise is a fraction in [0, 1), received 1."),
        (
            lambda: datasets.get("digits").with_label_noise(float("nan")),
            "label_noise is a fraction in [0, 1), received nan.",
        ),
        (
            lambda: datasets.get("toy_regression").with_label_noise(0.2),
            "label_noise is 0.2: set it to 0. Data set 'toy_regression' has no classes: its labels are gaussian.",
        ),
        (
            lambda: datasets.get("digits").with_label_noise(1e-5).labels,
            "label_noise 1e-05 replaces none of 1297 labels; set it to 0, or higher.",
        ),
        (
            lambda: datasets.get("digits").classes((3,)).with_label_noise(0.5).labels,
            "label_noise 0.5 needs at least 2 classes, and there is 1.",
        ),
        (lambda: datasets.get("cifar10", labels="wurst"), "Unknown labels of data set 'cifar10' 'wurst'. Did you mean"),
    ],
)
def test_wrong_values(use, message):
    with pytest.raises(InputError) as error:
        use()
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


# Of the paper, table 1.
NOISE_RATES = {"aggregate": 0.0903, "random1": 0.1723, "random2": 0.1812, "random3": 0.1764, "worst": 0.4021}


@pytest.mark.slow
def test_labels_that_people_gave(data_dir):
    if not (data_dir.parent / "labels" / "cifar10n_train.npz").exists():
        pytest.skip("There are no labels of CIFAR-10N.")
    clean = datasets.get("cifar10", data_dir=data_dir).holding_out(0.1)
    whole = datasets.get("cifar10", data_dir=data_dir)
    for labels, rate in NOISE_RATES.items():
        noisy = datasets.get("cifar10", data_dir=data_dir, labels=labels)
        assert (noisy.labels != whole.labels).mean() == pytest.approx(rate, abs=3e-4)
        by_name = datasets.get(f"cifar10n/{labels}", data_dir=data_dir)
        np.testing.assert_array_equal(by_name.labels, noisy.labels)
    noisy = noisy.holding_out(0.1)
    assert noisy.fingerprint() != clean.fingerprint()
    np.testing.assert_array_equal(noisy.element_ids, clean.element_ids)
    validation = datasets.get("cifar10", "validation", data_dir, labels="worst").holding_out(0.1)
    np.testing.assert_array_equal(validation.labels, whole.labels[validation.element_ids])
    # What trains is what people took for one of the known classes.
    known = noisy.classes((3, 5))
    np.testing.assert_array_equal(np.array([3, 5])[known.labels], noisy.labels[np.isin(noisy.labels, (3, 5))])
    tail = noisy.imbalanced(10)
    sizes = np.bincount(tail.labels)
    assert sizes[0] / sizes[-1] == pytest.approx(10, rel=0.01)


def test_labels_of_people_that_cannot_be_joined(tmp_path):
    def message():
        source = datasets.get("cifar10", labels="worst").source
        stored = datasets.base.stored.Stored(np.zeros((3, 1)), np.array([5, 6, 7], np.int32), np.array([1, 0, 2]))
        with pytest.raises(InputError) as error:
            source.training_labels(stored, tmp_path / "tensorflow_datasets")
        assert "\n" not in str(error.value)
        return str(error.value).replace(str(tmp_path), "DIR")

    assert message().startswith(
        "The labels of CIFAR-10N are not there: looked for DIR/tensorflow_datasets/labels/cifar10n_train.npz, "
        "DIR/labels/cifar10n_train.npz. Name by --data_dir or UNCERTAINTY_SUITE_DATA_DIR a folder that holds"
    )
    (tmp_path / "labels").mkdir()
    path = tmp_path / "labels" / "cifar10n_train.npz"
    path.write_bytes(b"no arrays")
    assert message().startswith("Cannot read the labels of CIFAR-10N from 'DIR/labels/cifar10n_train.npz' (")
    np.savez(path, clean_label=np.zeros(50_000, np.uint8), worse_label=np.zeros(50_000, np.uint8))
    assert message().endswith("is not CIFAR-10N: its clean labels are not those of the training images.")

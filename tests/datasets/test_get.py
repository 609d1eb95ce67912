"""Names, splits, the validation cut, ids, fingerprints and the messages for what is wrong."""

import subprocess
import sys

import numpy as np
import pytest

from uncertainty_suite import datasets
from uncertainty_suite.errors import InputError


def test_names_and_shapes_need_neither_tensorflow_nor_files():
    """In a process of its own, in which no other test has registered a data set."""
    program = (
        "import sys; from uncertainty_suite import datasets; print(*datasets.names());"
        "assert datasets.get('cifar10', data_dir='nowhere').input_shape == (32, 32, 3);"
        "assert not {'tensorflow', 'tensorflow_datasets', 'sklearn'} & set(sys.modules)"
    )
    process = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert process.stdout.split() == [
        *("adult", "bandit/digits", "bandit/wheel", "banking77", "bike_sharing", "chaosnli_mnli", "chaosnli_snli"),
        *("cifar10", "cifar100", "cifar10_corrupted"),
        *("cifar10n/aggregate", "cifar10n/random1", "cifar10n/random2", "cifar10n/random3", "cifar10n/worst"),
        *("clinc_oos", "davidson_hate"),
        *("diabetic_retinopathy/country", "diabetic_retinopathy/severity", "digits", "dtd", "dtd32", "fashion_mnist"),
        *(
            "herg",
            "herg/graphs",
            "imagenet",
            "keras_hub/clinc_oos",
            "minilm/banking77",
            "minilm/clinc_oos",
            "mnist",
            "mnist_corrupted",
            "noise",
            "omniglot28",
        ),
        *(
            "optimization/branin",
            "optimization/hartmann6",
            "places365_small",
            "sst_sentences",
            "svhn_cropped",
            "toxicity",
        ),
        *("toy_regression", "two_moons"),
        *("uci/boston", "uci/concrete", "uci/energy", "uci/kin8nm", "uci/naval", "uci/power", "uci/protein"),
        *("uci/wine", "uci/yacht"),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "two_moon"}, "Unknown data set 'two_moon'. Did you mean 'two_moons'? Known: "),
        (
            {"name": "digits", "split": "tests"},
            "Unknown split of data set 'digits' 'tests'. Did you mean 'test'? Known: "
            "noise, photos, test, textures, train, unknown, validation.",
        ),
        ({"name": "digits", "fold": 3}, "Unknown option of data set 'digits' 'fold'."),
        ({"name": "digits(fold=3)"}, "Unknown option of data set 'digits' 'fold'."),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(InputError) as error:
        datasets.get(**arguments)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_validation_cut_that_leaves_nothing():
    with pytest.raises(InputError, match="leaves train or validation empty"):
        _ = datasets.get("digits", split="validation").holding_out(1e-9).num_examples


@pytest.mark.parametrize("name", ["two_moons", "digits"])
@pytest.mark.parametrize("validation_percent", [0.1, 0.25])
def test_train_and_validation_partition_the_stored_train(name, validation_percent):
    whole, train, validation = (
        datasets.get(name, split=split).holding_out(percent).seeded(seed)
        for split, percent, seed in [
            ("train", 0.0, 0),
            ("train", validation_percent, 1),
            ("validation", validation_percent, 2),
        ]
    )
    assert validation.num_examples == round(whole.num_examples * validation_percent)
    np.testing.assert_array_equal(
        np.sort(np.concatenate([train.element_ids, validation.element_ids])), whole.element_ids
    )
    for part in (train, validation):
        assert part.element_ids.dtype == np.int64
        assert part.labels.dtype == np.int32
        np.testing.assert_array_equal(part.features, whole.features[part.element_ids])
        np.testing.assert_array_equal(part.labels, whole.labels[part.element_ids])
    # A cut by position would take the last writers of the digits only.
    assert validation.element_ids.min() < whole.num_examples * 0.1


def test_the_validation_cut_leaves_other_splits_alone():
    assert datasets.get("digits", split="test").holding_out(0.5).num_examples == 500


def test_fingerprint_tells_data_apart_and_nothing_else():
    train = datasets.get("digits")
    fingerprint = train.fingerprint()
    assert train.seeded(1).like("mnist").fingerprint() == fingerprint
    splits = ("train", "test", "photos", "noise")
    assert len({datasets.get("digits", split).fingerprint() for split in splits}) == 4
    assert train.holding_out(0.1).fingerprint() != train.holding_out(0.2).fingerprint()


def test_train_and_validation_share_what_was_read():
    train, validation = (datasets.get("digits", split=split).holding_out(0.1) for split in ("train", "validation"))
    assert train._stored is validation._stored
    with pytest.raises(ValueError, match="read-only"):
        datasets.get("digits").features[:] = 0


@pytest.mark.parametrize(
    ("view", "message"),
    [
        (lambda: datasets.get("digits").like("minst"), "Unknown data set 'minst'. Did you mean 'mnist'? Known: "),
        (
            lambda: datasets.get("digits", "validation").holding_out(0),
            "Split 'validation' of data set 'digits' is empty: set validation_percent above 0",
        ),
        (
            lambda: datasets.get("digits").holding_out(1.0),
            "validation_percent is a fraction in [0, 1), received 1.0.",
        ),
        (
            lambda: datasets.get("digits").holding_out(-0.1),
            "validation_percent is a fraction in [0, 1), received -0.1.",
        ),
        (
            lambda: datasets.get("mnist").augmented(True),
            "Data set 'mnist' has no augmentation: set augment to False.",
        ),
        (
            lambda: datasets.get("two_moons").like("mnist"),
            "Data set 'two_moons' of vectors of shape (2,) cannot be made like 'mnist' of images of shape (28, 28, 1).",
        ),
        (lambda: datasets.get("digits").subset(-1), "max_examples must be 0, for all, or above 0; received -1."),
    ],
)
def test_wrong_views(view, message):
    with pytest.raises(InputError) as error:
        view()
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_validation_needs_a_percent():
    validation = datasets.get("digits", "validation")
    for use in (lambda: validation.num_examples, lambda: validation.fingerprint(), lambda: validation.load(1)):
        with pytest.raises(InputError, match="'validation' of data set 'digits' is empty: set validation_percent"):
            use()


def test_a_view_leaves_its_data_set_as_it_is():
    train = datasets.get("digits")
    before = train.fingerprint(), train.input_shape, train.num_classes
    train.holding_out(0.1).classes((1, 2)).like("cifar10").corrupted("fog", 1).subset(3).seeded(5)
    assert (train.fingerprint(), train.input_shape, train.num_classes) == before


def test_the_order_of_views_does_not_matter():
    train = datasets.get("digits")
    first = train.holding_out(0.1).classes((1, 2)).like("cifar10").corrupted("fog", 1).subset(50)
    second = train.subset(50).corrupted("fog", 1).like("cifar10").classes((1, 2)).holding_out(0.1)
    assert first.fingerprint() == second.fingerprint()
    assert first.num_examples == 50


def test_a_subset_is_the_first_examples():
    test = datasets.get("digits", "test")
    first = test.subset(30)
    assert first.num_examples == 30
    for of_all, of_some in zip(
        (test.features, test.labels, test.element_ids), (first.features, first.labels, first.element_ids)
    ):
        np.testing.assert_array_equal(of_all[:30], of_some)
    for everything in (0, 500, 10_000):
        assert test.subset(everything).fingerprint() == test.fingerprint()
    assert first.fingerprint() != test.fingerprint()


def test_like_a_view_is_like_its_form():
    task = datasets.get("digits").like("cifar10")
    assert datasets.get("fashion_mnist", "test").like(task).form == datasets.get("cifar10").form


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (lambda: datasets.get("two_moons"), "806c50d124a3693c3bb81d6962d4c6d040f33d132e9de34678c1eac640137b79"),
        (
            lambda: datasets.get("two_moons", "validation").holding_out(0.1),
            "1c9dda410832e033a80da0f5a5803e666bb6cf0808a5b8525d3e3a9df3fb670b",
        ),
        (
            lambda: datasets.get("digits").holding_out(0.2).seeded(3),
            "daf7bd5f32aa3f447a8c212ab4dddb5d730868fe0c2170bda09f1c73907e2abb",
        ),
        (
            lambda: datasets.get("digits", "validation").holding_out(0.2),
            "694857e93bb18ff15f5404dad65853d23b48bce6966064b470a0f649beec89ff",
        ),
        (lambda: datasets.get("digits", "test"), "00d20de6104749e586219b07dbc0426d98ab873aac18952683251e316b9264c4"),
        (
            lambda: datasets.get("digits", "unknown").classes((7, 0, 3)),
            "4861eaf415b0fcd2f411a5adbd02d61714ee14b1121ad4a66ee37cc52ef802e3",
        ),
        (
            lambda: datasets.get("digits", "photos").like("cifar10"),
            "0c62efeb3575533a981919fe7b218b7c1ba4f93b0346a8448fa0a5951ccb716a",
        ),
        (
            lambda: datasets.get("digits", "test").corrupted("fog", 3),
            "d858075e1e0d794da1f15929b9444544c93c4f535ff2c7b514eb4ffb40099473",
        ),
        (
            lambda: datasets.get("digits", "test").corrupted("gaussian_noise", 5).like("mnist"),
            "f2da45c77c9c20206fb1dd25e6aa039d7dd2f6eefdb8664fa342d695caae43ce",
        ),
        (
            lambda: datasets.get("noise", "permuted").like("digits"),
            "4a16da56a45ba0592a74a92b9b93c257f3959f5cf15b941d9d90a11fe838b528",
        ),
        (
            lambda: datasets.get("digits").with_label_noise(0.2),
            "9dd0ef3e1d4a239411a698a5557f74ab3269d592d349764cb4c6df16bec9dabe",
        ),
        (
            lambda: datasets.get("digits").fraction(0.5),
            "82a2f2148c8a0a1c65a042914be9d2ef4507e679d3a5acb7c68096449b488166",
        ),
        (
            lambda: datasets.get("digits").imbalanced(5),
            "9283d27b51d3766fa75f6128439298ca9b17d25ea4bf001ff555c0a4e339abc0",
        ),
        (
            lambda: datasets.get("digits", "textures"),
            "674bb7ea2d60cac045743ee4d925e9a25b6c4965cbff335dad6eef0ce528649d",
        ),
        (
            lambda: datasets.get("two_moons", "ood_validation"),
            "4c527949217465c29758e5dbf7dcdfb483c092f0fcfc2dcb980ee06a93235c7c",
        ),
    ],
)
def test_fingerprints_are_those_of_all_results_so_far(view, expected):
    assert view().fingerprint() == expected


def test_fingerprint_of_real_data(data_dir):
    train = datasets.get("mnist", "train", data_dir).holding_out(0.1)
    assert train.fingerprint() == "33ce181acdcb5febb8447aeacd2b905e7f7ce40f26902bb7b669ea2c28315878"

"""Training on named examples alone: what has been labelled so far."""

import numpy as np
import pytest

from tests.conftest import ROOT
from uncertainty_suite import configuration, datasets, launch
from uncertainty_suite.errors import InputError
from uncertainty_suite.training.run import data_of


def test_the_named_examples_are_left():
    whole = datasets.get("digits").holding_out(0.1)
    ids = whole.element_ids[[700, 3, 41]]
    part = whole.only(ids)
    assert part.element_ids.tolist() == sorted(ids.tolist())
    stored = datasets.get("digits")
    np.testing.assert_array_equal(part.labels, stored.labels[np.sort(ids)])
    np.testing.assert_array_equal(part.features, stored.features[np.sort(ids)])
    assert part.only(None).fingerprint() == whole.fingerprint()
    assert part.subset(2).element_ids.tolist() == sorted(ids.tolist())[:2]
    for split in ("test", "validation"):
        other = datasets.get("digits", split).holding_out(0.1)
        assert other.only(ids).fingerprint() == other.fingerprint()


def test_wrong_labels_do_not_depend_on_what_else_is_named():
    noisy = datasets.get("digits").with_label_noise(0.4)
    part = noisy.only(range(100))
    np.testing.assert_array_equal(part.labels, noisy.labels[:100])
    assert (part.labels != datasets.get("digits").labels[:100]).any()


def test_targets_that_are_not_named_are_not_looked_at():
    whole = datasets.get("toy_regression")
    part = whole.only([5, 6, 7])
    assert part.target_mean == whole.labels[5:8].mean()
    assert datasets.get("toy_regression", "test").only([5, 6, 7]).target_stddev == whole.labels[5:8].std()


def test_names_are_the_ids_of_the_authors(data_dir):
    fold = datasets.get("uci/yacht", data_dir=data_dir, fold=3)
    ids = fold.element_ids[[10, 20]]
    assert fold.only(ids).element_ids.tolist() == ids.tolist()
    outside = datasets.get("uci/yacht", "test", data_dir, fold=3).element_ids[0]
    with pytest.raises(InputError, match=f"has no training example with the id {outside}, of those that it keeps"):
        _ = fold.only([outside]).num_examples


def test_what_makes_no_sense_is_refused():
    train = datasets.get("digits").holding_out(0.1)
    with pytest.raises(InputError, match="No training examples of data set 'digits' are named: expected some ids"):
        train.only([])
    with pytest.raises(InputError, match="name an example twice"):
        train.only([3, 3])
    held_out = datasets.get("digits", "validation").holding_out(0.1).element_ids[0]
    with pytest.raises(InputError, match=f"has no training example with the id {held_out}"):
        _ = train.only([held_out]).labels


def test_a_configuration_names_examples_and_is_the_same_without():
    file = ROOT / "configs/digits.py"
    plain = launch.get_config(file, None, "deterministic")
    assert "train_ids" not in plain.dataset
    named = launch.get_config(file, None, "deterministic", ["--config.dataset.train_ids=(4, 8)"])
    ids = datasets.get("digits").holding_out(0.1).element_ids
    kept = [int(each) for each in ids[:3]]
    named.dataset.train_ids = tuple(kept)
    assert data_of(named.dataset, "train").element_ids.tolist() == kept
    off = launch.get_config(file, None, "deterministic", ["--config.dataset.train_ids=()"])
    assert configuration.config_hash(configuration.to_json(plain)) != configuration.config_hash(
        configuration.to_json(named)
    )
    assert data_of(off.dataset, "train").num_examples == len(ids)

import numpy as np
import pytest

from uncertainty_suite import datasets
from uncertainty_suite.datasets import chaosnli
from uncertainty_suite.datasets.folders import places
from uncertainty_suite.datasets.tfds_images import read_columns
from uncertainty_suite.errors import InputError


@pytest.fixture(scope="module")
def published(data_dir):
    """The published file of logits."""
    path = next((path for path in places(chaosnli.PREDICTIONS, data_dir) if path.is_file()), None)
    if path is None:
        pytest.skip(f"There is no {chaosnli.PREDICTIONS} in {data_dir} or beside it.")
    return path


@pytest.mark.parametrize(("name", "sizes"), [("chaosnli_mnli", (780, 789)), ("chaosnli_snli", (729, 785))])
def test_halves_have_the_answers_of_100_people(name, sizes, data_dir, published):
    validation, test = (datasets.get(name, split, data_dir) for split in ("validation", "test"))
    assert (validation.num_examples, test.num_examples) == sizes
    assert not set(validation.element_ids) & set(test.element_ids)
    for data in (validation, test):
        assert set(data.human_labels.sum(axis=1)) == {100}
        np.testing.assert_array_equal(data.human_labels.argmax(axis=1), data.labels)


def test_logits_are_those_of_the_examples_and_of_their_classes(data_dir, published):
    """The ids of SNLI end with the letter of a label: entailment, neutral or contradiction."""
    ids = np.sort(read_columns("chaosnli_snli", "validation", data_dir)["id"]).astype(str)
    letters = np.array(["enc".index(name[-1]) for name in ids])
    with np.load(published) as arrays:
        uids, raw = (arrays[f"snli_test_roberta_base_1/{part}"] for part in ("uid", "logits"))
    numbers, logits = chaosnli.predictions("chaosnli_snli", "test", data_dir)["roberta_base_1"]
    for number, row in list(zip(numbers, logits))[::100]:
        (place,) = np.flatnonzero(uids == ids[number])
        assert sorted(row) == sorted(raw[place])
    # Where people disagree models are often wrong, but far from chance.
    assert np.mean(logits.argmax(axis=1) == letters[numbers]) > 0.6
    np.testing.assert_array_equal(datasets.get("chaosnli_snli", "test", data_dir).element_ids, numbers)


def test_logits_that_are_not_there_are_one_line(tmp_path):
    with pytest.raises(InputError, match=r"^The logits of language models are not there: looked for .*\. Name by"):
        chaosnli.predictions("chaosnli_mnli", "test", tmp_path)

import numpy as np
import pytest

from uncertainty_suite import datasets
from uncertainty_suite.datasets import forms, texts
from uncertainty_suite.errors import InputError

TEXTS = {
    "train": (["Pay the bill.", "pay, pay the card!", "the bill"], np.array([0, 1, 0])),
    "test": (["Pay the unheard-of bill", "", "bill the the the the pay"], np.array([0, 1, -1])),
}


@pytest.fixture(scope="module")
def ours():
    def read(split, data_dir):
        return TEXTS[split]

    datasets.register(datasets.from_texts("our_texts", read, num_classes=2, length=5, vocabulary_size=10))
    return datasets.get("our_texts", "test")


def test_ids_are_by_frequency_in_the_training_texts_and_then_by_the_alphabet(ours):
    # pay and the occur three times, bill twice; all else once, and what occurs once is unknown, as in test.
    pay, the, bill = 2, 3, 4
    np.testing.assert_array_equal(
        datasets.get("our_texts", "train").features,
        [[pay, the, bill, 1, 0], [pay, 1, pay, the, 1], [the, bill, 0, 0, 0]],
    )
    # Longer texts are cut off, and one without a word is one unknown word.
    np.testing.assert_array_equal(ours.features, [[pay, the, 1, 1, 1], [1, 0, 0, 0, 0], [bill, the, the, the, the]])
    assert ours.form == forms.Tokens(5, 10)


def test_the_vocabulary_has_no_more_ids_than_asked_for():
    tokenizer = texts.fit(TEXTS["train"][0], vocabulary_size=4)
    assert texts.encode(tokenizer, ["pay the bill"], 3).tolist() == [[2, 3, 1]]


def test_other_texts_are_brought_into_the_vocabulary_of_a_task(ours):
    def read(split, data_dir):
        return ["the card", "hello"], np.array([-1, -1])

    datasets.register(datasets.from_texts("their_texts", read, num_classes=2, splits=("test",)))
    theirs = datasets.get("their_texts", "test")
    with pytest.raises(InputError, match=r"^Data set 'their_texts' has no form of its own: name the task's data set"):
        _ = theirs.input_shape
    (batch,) = theirs.like("our_texts").load(10)
    np.testing.assert_array_equal(batch["features"], [[3, 1, 0, 0, 0], [1, 0, 0, 0, 0]])
    with pytest.raises(InputError, match=r"^Data set 'their_texts' of texts cannot be made like 'digits', which"):
        theirs.like("digits")


def test_what_makes_no_sense_is_refused():
    with pytest.raises(InputError, match=r"^Data set 'ours' needs a length of at least 1 and a vocabulary of at least"):
        datasets.from_texts("ours", lambda split, data_dir: TEXTS[split], num_classes=2, vocabulary_size=2)
    blank = datasets.from_texts("blank_texts", lambda split, data_dir: ([" ", ""], np.array([0, 1])), num_classes=2)
    datasets.register(blank)
    with pytest.raises(InputError, match=r"^The texts of split 'train' of data set 'blank_texts' have no words\.$"):
        _ = datasets.get("blank_texts").features

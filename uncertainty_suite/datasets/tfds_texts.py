"""Sets of labelled texts, each of a prepared folder of `tensorflow_datasets`.

`clinc_oos` (CLINC150, Larson et al., 2019, https://arxiv.org/abs/1909.02027): queries to an assistant of 150 intents,
100, 20 and 30 of each in `train`, `validation` and `test`, and queries that are out of scope, with the label -1:
`train_oos` 100, `validation_oos` 100 and `test_oos` 1,000.

`banking77` (Casanueva et al., 2020, https://arxiv.org/abs/2003.04807): queries to a bank of 77 intents. CLINC150 has
intents of banking, too, so it is no clean OOD set for that. `sst_sentences` (SST-5, Socher et al., 2013): sentences of
film reviews, from very negative, 0, to very positive, 4; sentences only, no phrases.

`minilm/banking77` and `minilm/clinc_oos` are the same texts as the tokens of the trained encoder MiniLM-L6, which has
to be installed; see `models/pretrained.py`. `keras_hub/clinc_oos` has the tokens of a BERT of keras-hub, whose preset
is an option; see `models/keras_hub_presets.py`.

`davidson_hate` (Davidson et al., 2017, https://arxiv.org/abs/1703.04009): tweets with hate speech, 0, offensive
language, 1, or neither, 2, and the votes of three and more people for each. There is no published split: a fifth, the
same whatever the seed, is `test`.

`toxicity` has the same tweets in two classes, toxic (hate speech or offensive language), 1, or not, 0, the votes for
these, and sets from elsewhere to test on: `hatecheck` (HateCheck, Röttger et al., 2021,
https://arxiv.org/abs/2012.15606), short texts with functional tests of hate speech, in which 1 is hateful, so that an
insult of nobody's group is 0 there; parts of it by the people whom they are about, `hatecheck_women` and so on; and
`wikipedia` and `wikipedia_swapped` (Dixon et al., 2018, https://doi.org/10.1145/3278721.3278729), comments that name an
identity, and the same comments with another identity in its place: both of a pair have the same element id.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from uncertainty_suite.datasets.sources import Source
from uncertainty_suite.datasets.texts import DataDir, Encode, encode, from_texts
from uncertainty_suite.datasets.tfds_images import numbers_in, read_columns

_NUM_INTENTS = 150  # the number of the label "out of scope"
_CLINC = ("train", "validation", "test", "train_oos", "validation_oos", "test_oos")
_TESTED = 0.2  # share of Davidson's tweets that is the split test
_NEITHER = 2  # label of Davidson's tweets that are neither hate speech nor offensive
# Splits of `toxicity`, and what they are called where they come from.
_HATECHECK = {
    f"hatecheck_{about.partition(' ')[0].lower()}": about
    for about in ("black people", "disabled people", "gay people", "immigrants", "Muslims", "trans people", "women")
}
_WIKIPEDIA = {"wikipedia": "test", "wikipedia_swapped": "test_swapped"}


_read_once = functools.lru_cache(maxsize=4)(read_columns)


def read_texts(name: str, split: str, data_dir: DataDir) -> dict[str, np.ndarray]:
    """Return what `read_columns` does, kept for a while: texts are read for the vocabulary, and for their ids."""
    return _read_once(name, split, None if data_dir is None else os.fspath(data_dir))


def _decoded(texts: np.ndarray) -> list[str]:
    return [text.decode("utf-8") for text in texts]


def _read_clinc(split: str, data_dir: DataDir) -> tuple[list[str], np.ndarray]:
    columns = read_texts("clinc_oos", split, data_dir)
    intents = columns["intent"]
    return _decoded(columns["text"]), np.where(intents == _NUM_INTENTS, -1, intents)


def clinc_oos(length: int = 24, vocabulary_size: int = 3_000) -> Source:
    return from_texts("clinc_oos", _read_clinc, _NUM_INTENTS, _CLINC, length, vocabulary_size)


def _read_labelled(name: str, split: str, data_dir: DataDir) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return texts, labels and the examples' own numbers."""
    columns = read_texts(name, split, data_dir)
    numbers = numbers_in(columns["id"])
    assert numbers is not None, f"{name} has ids that are no numbers"
    return _decoded(columns["text"]), columns["label"], numbers


def banking77(length: int = 48, vocabulary_size: int = 3_000) -> Source:
    return from_texts(
        "banking77", functools.partial(_read_labelled, "banking77"), 77, length=length, vocabulary_size=vocabulary_size
    )


def _minilm_tokens(length: int) -> Encode:
    from tokenizers import Tokenizer

    from uncertainty_suite.models import pretrained  # models know data sets

    tokenizer = Tokenizer.from_file(str(pretrained.folder(pretrained.MINILM) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(length)  # which keeps the tokens that it puts at the end
    return functools.partial(encode, tokenizer, length=length)


def minilm_banking77(length: int = 48) -> Source:
    read = functools.partial(_read_labelled, "banking77")
    return from_texts("minilm/banking77", read, 77, length=length, **_MINILM)


def minilm_clinc_oos(length: int = 32) -> Source:
    return from_texts("minilm/clinc_oos", _read_clinc, _NUM_INTENTS, _CLINC, length, **_MINILM)


def keras_hub_clinc_oos(preset: str = "", length: int = 32, vocabulary_size: int = 30_522) -> Source:
    def tokens(length: int) -> Encode:
        from uncertainty_suite.models import keras_hub_presets  # models know data sets

        return keras_hub_presets.tokens(preset, vocabulary_size, length)

    return from_texts("keras_hub/clinc_oos", _read_clinc, _NUM_INTENTS, _CLINC, length, vocabulary_size, trained=tokens)


def sst_sentences(length: int = 48, vocabulary_size: int = 10_000) -> Source:
    read, splits = functools.partial(_read_labelled, "sst_sentences"), ("train", "validation", "test")
    return from_texts("sst_sentences", read, 5, splits, length, vocabulary_size)


def _read_tweets(split: str, data_dir: DataDir) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return the tweets of a part of Davidson's, which depends on nothing but their numbers."""
    texts, labels, numbers = _read_labelled("davidson_hate", "train", data_dir)
    in_order = np.sort(numbers)
    tested = np.random.default_rng(0).permutation(in_order)[: round(_TESTED * len(in_order))]
    rows = np.flatnonzero(np.isin(numbers, tested) == (split == "test"))
    return [texts[row] for row in rows], labels[rows], numbers[rows]


def _votes(data_dir: DataDir) -> np.ndarray:
    """Return how many people gave each tweet each label, int64 `[numbers, 3]`, by the tweets' numbers."""
    columns = read_texts("davidson_hate", "train", data_dir)
    numbers = numbers_in(columns["id"])
    assert numbers is not None, "davidson_hate has ids that are no numbers"
    votes = np.zeros((numbers.max() + 1, 3), np.int64)
    votes[numbers] = columns["label_counts"]
    return votes


def davidson_hate(length: int = 48, vocabulary_size: int = 10_000) -> Source:
    return from_texts(
        "davidson_hate",
        _read_tweets,
        3,
        length=length,
        vocabulary_size=vocabulary_size,
        human_labels={"train": _votes, "test": _votes},
    )


def _read_toxicity(split: str, data_dir: DataDir) -> tuple[list[str], np.ndarray, np.ndarray]:
    if split in _WIKIPEDIA:
        return _read_labelled("wiki_toxicity_identity", _WIKIPEDIA[split], data_dir)
    if split in ("train", "test"):
        texts, labels, numbers = _read_tweets(split, data_dir)
        return texts, (labels < _NEITHER).astype(np.int32), numbers
    texts, labels, numbers = _read_labelled("hatecheck", "test", data_dir)
    if split not in _HATECHECK:
        return texts, labels, numbers
    about = read_texts("hatecheck", "test", data_dir)["target_identity"]
    rows = np.flatnonzero(about == _HATECHECK[split].encode())
    return [texts[row] for row in rows], labels[rows], numbers[rows]


def _votes_toxic(data_dir: DataDir) -> np.ndarray:
    votes = _votes(data_dir)
    return np.stack([votes[:, _NEITHER], votes[:, :_NEITHER].sum(axis=1)], axis=1)


def toxicity(length: int = 64, vocabulary_size: int = 10_000) -> Source:
    return from_texts(
        "toxicity",
        _read_toxicity,
        2,
        ("train", "test", "hatecheck", *_HATECHECK, *_WIKIPEDIA),
        length,
        vocabulary_size,
        identified=True,  # by which pairs are joined
        human_labels={"train": _votes_toxic, "test": _votes_toxic},
    )


_MINILM: dict[str, Any] = {"vocabulary_size": 30_522, "trained": _minilm_tokens}
_OF_TRAINED: dict[str, Callable[..., Source]] = {
    "keras_hub/clinc_oos": keras_hub_clinc_oos,
    "minilm/banking77": minilm_banking77,
    "minilm/clinc_oos": minilm_clinc_oos,
}
for _name, _set in _OF_TRAINED.items():
    _set.__name__ = _name

SOURCES: list[Source | Callable[..., Source]] = [
    *(banking77, clinc_oos, davidson_hate, sst_sentences, toxicity),
    *_OF_TRAINED.values(),
]

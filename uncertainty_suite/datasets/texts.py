"""Texts as token ids, by a vocabulary that is a function of the training texts alone.

Texts are lower-cased and split at white space and around punctuation. The most frequent words of the stored split
`train` that occur twice or more are the vocabulary, words of equal frequency in alphabetical order. The id 0 is padding
and 1 a word that is not in it; words that occur once in training are the examples by which a network learns what an
unknown word means.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from uncertainty_suite.datasets.forms import Tokens
from uncertainty_suite.datasets.sources import Source, check_fields
from uncertainty_suite.errors import InputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

DataDir = str | os.PathLike | None
Encode = Callable[[Sequence[str]], np.ndarray]  # token ids of texts

_PADDING, _UNKNOWN, _UNKNOWN_ID = "[PAD]", "[UNK]", 1  # the id of padding is 0
_LEAST_FREQUENCY = 2


def fit(texts: Sequence[str], vocabulary_size: int) -> Tokenizer:
    """Return the tokenizer whose vocabulary is that of some texts.

    Args:
        texts: The training texts.
        vocabulary_size: The most ids that there are, those of padding and of unknown words included.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordLevel(unk_token=_UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordLevelTrainer(
        vocab_size=vocabulary_size,
        min_frequency=_LEAST_FREQUENCY,
        special_tokens=[_PADDING, _UNKNOWN],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def encode(tokenizer: Tokenizer, texts: Sequence[str], length: int) -> np.ndarray:
    """Return token ids, int32 `[n, length]`: the first tokens of each text, filled up with the id of padding, 0.

    A text without any word is one unknown word, so that no example is padding alone.
    """
    ids = np.zeros((len(texts), length), np.int32)
    for row, encoding in zip(ids, tokenizer.encode_batch_fast(list(texts))):
        words = encoding.ids[:length]
        row[: len(words)] = words
        if not words:
            row[0] = _UNKNOWN_ID
    return ids


def from_texts(
    name: str,
    read: Callable[[str, DataDir], tuple[Any, ...]],
    num_classes: int = 0,
    splits: tuple[str, ...] = ("train", "test"),
    length: int = 64,
    vocabulary_size: int = 10_000,
    fitted_on: str = "train",
    trained: Callable[[int], Encode] | None = None,
    **fields: Any,
) -> Source:
    """Return a data set of texts.

    The view `like` brings its texts into the vocabulary of another set of texts, as those of an OOD set have to be.

    Args:
        name: Its name in `datasets.get`.
        read: `read(split, data_dir)` returns all texts `[n]` and labels `[n]` of a split, and where the examples have
            numbers of their own, these, int64 `[n]`.
        num_classes: Of a categorical set: labels are in [0, num_classes), or -1 where an example belongs to no class.
        splits: Stored splits.
        length: Tokens in an example: longer texts are cut off, shorter ones filled up.
        vocabulary_size: The most ids that there are, those of padding and of unknown words included.
        fitted_on: The split whose texts make the vocabulary. A set without it has none, and needs `like`.
        trained: In place of a vocabulary that is fitted, where a trained network needs its own: `trained(length)`
            returns what makes token ids, int32 `[n, length]`, of texts. Padding is the id 0, and `vocabulary_size` the
            number of ids.
        **fields: Further fields of `Source`.

    Raises:
        InputError: A number makes no sense.

    Example:
        >>> texts = {"train": (["good", "bad"], np.array([1, 0])), "test": (["very good"], np.array([1]))}
        >>> datasets.register(datasets.from_texts("ours", lambda split, data_dir: texts[split], num_classes=2))
    """
    check_fields(name, fields)
    whole = isinstance(length, int) and isinstance(vocabulary_size, int)
    if not whole or length < 1 or vocabulary_size < 3:
        raise InputError(
            f"Data set '{name}' needs a length of at least 1 and a vocabulary of at least 3 ids, of which padding and "
            f"unknown words are two; received length {length!r} and vocabulary_size {vocabulary_size!r}."
        )

    @functools.cache
    def encoder(data_dir: str | None) -> Encode:
        if trained is not None:
            return trained(length)
        texts, *_ = read(fitted_on, data_dir)
        if not any(text.split() for text in texts):
            raise InputError(f"The texts of split '{fitted_on}' of data set '{name}' have no words.")
        return functools.partial(encode, fit(texts, vocabulary_size), length=length)

    def tokenize(texts: Sequence[str], data_dir: DataDir) -> np.ndarray:
        return encoder(None if data_dir is None else os.fspath(data_dir))(texts)

    def read_tokens(
        tokenize: Callable[[Sequence[str], DataDir], np.ndarray], split: str, data_dir: DataDir
    ) -> tuple[Any, ...]:
        texts, *rest = read(split, data_dir)
        return tokenize(texts, data_dir), *rest

    @functools.cache  # so that all views of it share what was read
    def imitate(task: Source) -> Source:
        if task.tokenize is None:
            raise InputError(f"Data set '{name}' of texts cannot be made like '{task.name}', which is not of texts.")
        return dataclasses.replace(source, form=task.form, read=functools.partial(read_tokens, task.tokenize))

    source = Source(
        name=name,
        splits=splits,
        form=Tokens(length, vocabulary_size) if fitted_on in splits else None,
        read=functools.partial(read_tokens, tokenize),
        num_classes=num_classes,
        imitate=imitate,
        tokenize=tokenize if fitted_on in splits else None,
        **fields,
    )
    return source

"""Sets of labelled texts, each as a prepared folder of `tensorflow_datasets`.

`clinc_oos` (CLINC150, Larson et al., 2019, https://arxiv.org/abs/1909.02027): queries to an assistant of 150 intents,
100, 20 and 30 of each in `train`, `validation` and `test`, and queries that are out of scope, with the label -1:
`train_oos` 100, `validation_oos` 100 and `test_oos` 1,000.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from uncertainty_suite.datasets.sources import Source
from uncertainty_suite.datasets.texts import DataDir, from_texts
from uncertainty_suite.datasets.tfds_images import read_columns

_NUM_INTENTS = 150  # the number of the label "out of scope"


def _decoded(texts: np.ndarray) -> list[str]:
    return [text.decode("utf-8") for text in texts]


def _read_clinc(split: str, data_dir: DataDir) -> tuple[list[str], np.ndarray]:
    columns = read_columns("clinc_oos", split, data_dir)
    intents = columns["intent"]
    return _decoded(columns["text"]), np.where(intents == _NUM_INTENTS, -1, intents)


def clinc_oos(length: int = 24, vocabulary_size: int = 3_000) -> Source:
    splits = ("train", "validation", "test", "train_oos", "validation_oos", "test_oos")
    return from_texts("clinc_oos", _read_clinc, _NUM_INTENTS, splits, length, vocabulary_size)


SOURCES: list[Source | Callable[..., Source]] = [clinc_oos]

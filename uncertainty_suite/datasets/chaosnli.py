"""ChaosNLI: whether a text entails another one, as 100 people each said of it, and what trained language models say.

Nie et al., "What can we learn from collective human opinions on natural language inference data?", 2020
(https://arxiv.org/abs/2010.03532): `chaosnli_mnli` of MNLI, 1,599 pairs of texts, and `chaosnli_snli` of SNLI, 1,514.
Labels are what most people said: entailment, 0, neutral, 1, or contradiction, 2.

The models are RoBERTa and BERT, trained on SNLI or MNLI by Baan et al., "Stop measuring calibration when humans
disagree", 2022 (https://arxiv.org/abs/2210.16133), who published their logits. They split the examples: those of their
development set are `validation` here and those of their test set `test`. 30 of `chaosnli_mnli` have no logits, and are
in neither. There is no split `train`: nothing is trained here.
"""

from __future__ import annotations

import functools

import numpy as np

from uncertainty_suite.datasets.folders import DATA_DIR_VARIABLE, looked, places
from uncertainty_suite.datasets.sources import Source
from uncertainty_suite.datasets.texts import DataDir, from_texts
from uncertainty_suite.datasets.tfds_texts import read_texts
from uncertainty_suite.errors import InputError

PREDICTIONS = "labels/nli_predictions.npz"
NAMES = ("chaosnli_mnli", "chaosnli_snli")
_PARTS = {"validation": "dev", "test": "test"}
_ORDER = [0, 2, 1]  # the models' classes are entailment, contradiction and neutral


def _columns(name: str, data_dir: DataDir) -> dict[str, np.ndarray]:
    """Return the published examples, by their ids: so the number of an example is its place."""
    columns = read_texts(name, "validation", data_dir)
    order = np.argsort(columns["id"])
    return {key: values[order] for key, values in columns.items()}


def predictions(name: str, split: str, data_dir: DataDir) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return what the language models say of a split.

    Args:
        name: `chaosnli_mnli` or `chaosnli_snli`.
        split: `validation` or `test`.
        data_dir: Folder of prepared data sets; `labels/` is in it or beside it.

    Returns:
        For each model, such as `roberta_base_0`, the numbers of the examples, int64 `[n]`, ascending, and the logits
        `[n, 3]` of entailment, neutral and contradiction.

    Raises:
        InputError: They are not there.
    """
    tried = places(PREDICTIONS, data_dir)
    path = next((place for place in tried if place.is_file()), None)
    if path is None:
        raise InputError(
            f"The logits of language models are not there: {looked(tried)}. Name by --data_dir or {DATA_DIR_VARIABLE} "
            f"a folder that holds {PREDICTIONS}."
        )
    ids = _columns(name, data_dir)["id"].astype(str)
    prefix, said = f"{name.removeprefix('chaosnli_')}_{_PARTS[split]}_", {}
    with np.load(path) as arrays:
        for key in arrays:
            if not (key.startswith(prefix) and key.endswith("/uid")):
                continue
            model = key.removesuffix("/uid")
            _, numbers, rows = np.intersect1d(ids, arrays[key], return_indices=True)
            logits = arrays[f"{model}/logits"][rows][:, _ORDER]
            said[model.removeprefix(prefix)] = numbers.astype(np.int64), logits
    return said


def _read(name: str, split: str, data_dir: DataDir) -> tuple[list[str], np.ndarray, np.ndarray]:
    columns = _columns(name, data_dir)
    numbers, _ = next(iter(predictions(name, split, data_dir).values()))
    pairs = zip(columns["premise"][numbers], columns["hypothesis"][numbers])
    texts = [f"{premise.decode()} {hypothesis.decode()}" for premise, hypothesis in pairs]
    return texts, columns["label"][numbers], numbers


def _source(name: str) -> Source:
    def votes(data_dir: DataDir) -> np.ndarray:
        return _columns(name, data_dir)["label_counts"]

    return from_texts(
        name,
        functools.partial(_read, name),
        3,
        tuple(_PARTS),
        fitted_on="validation",
        identified=True,
        human_labels=dict.fromkeys(_PARTS, votes),
    )


SOURCES = [_source(name) for name in NAMES]

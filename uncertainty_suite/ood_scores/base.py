"""What every OOD score shares: the interface, the registry, and the checks of what it is given."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import numpy as np

from uncertainty_suite.errors import InputError
from uncertainty_suite.metrics.base import to_array, to_finite
from uncertainty_suite.metrics.recalibration import are_probs
from uncertainty_suite.registry import Named, Registry

Saved = Mapping[str, Any]  # the arrays of a `predictions/<split>.npz`
Head = tuple[Any, Any]  # weights [d, classes] and bias [classes] of the layer from features to logits

_SAVED_BY = {
    "samples": "run with --config.evaluation.save=\"('samples',)\"",
    "logits": "run with --config.evaluation.save=\"('logits',)\"",
    "features": "run with --config.evaluation.save=\"('features',)\"",
}


class Score(Named):
    """A score of how far an example is out of distribution, from what a model said of it.

    A subclass gives `_score` and, where it learns from training data, `fit_needs` and `_fit`.

    Example:
        >>> score = ood_scores.get("knn(k=10)").fit(train)
        >>> score(test)  # float64 [n]

    Attributes:
        name: Its name; with the options by which it was asked for, it is the `key` of its results.
        formula: What is computed, in one line.
        paper: Where it comes from; empty for what is older than papers.
        likelihoods: The likelihoods whose predictions it scores.
        needs: The arrays it needs of what is scored.
        fit_needs: The arrays it needs of the training data; empty where there is nothing to fit.
        tunable: The option that may be chosen on OOD validation data, empty where there is none. What `_fit` learns
            does not depend on it.
        candidates: The values of it to try.
    """

    formula: ClassVar[str]
    paper: ClassVar[str] = ""
    likelihoods: ClassVar[tuple[str, ...]] = ("categorical",)
    needs: tuple[str, ...] = ()
    fit_needs: ClassVar[tuple[str, ...]] = ()
    tunable: ClassVar[str] = ""
    candidates: ClassVar[tuple[Any, ...]] = ()
    _fitted = False

    def check_fit_examples(self, count: int) -> None:
        """Refuse too few training examples to fit on. It needs their number alone, so ask it before training.

        Args:
            count: How many training examples there will be.

        Raises:
            InputError: They are too few.
        """

    def fit(self, train: Saved, head: Head | None = None) -> Self:
        """Learn from training data; do nothing where there is nothing to learn.

        Args:
            train: Saved predictions of training data: `features` `[n, d]`, `labels` `[n]`, `logits` `[samples, n,
                classes]`, as far as `fit_needs` names them.
            head: Weights `[d, classes]` and bias `[classes]` of the last layer, where it is linear. Only `vim` and
                `react` look at it; without it they fit one to the logits.

        Returns:
            The score itself.

        Raises:
            InputError: An array is missing or not that.
        """
        if self.fit_needs:
            self._require(train, self.fit_needs, "to fit")
            self._fit(train, head)
            self._fitted = True
        return self

    def __call__(self, saved: Saved) -> np.ndarray:
        """Return the score of each example, float64 `[n]`, larger the more it looks out of distribution.

        Args:
            saved: Saved predictions, with the arrays that `needs` names.

        Raises:
            InputError: The score is not fitted, or an array is missing or not what it should be.
        """
        if self.fit_needs and not self._fitted:
            raise InputError(f"OOD score '{self.key}' is not fitted; call fit(saved predictions of training data).")
        self._require(saved, self.needs, "to score")
        return self._score(saved)

    def variants(self, saved: Saved) -> dict[Any, np.ndarray]:
        """Return the score of each example, as `__call__` does, by each value of `tunable`, its own one first.

        Example:
            >>> score = ood_scores.get("knn").fit(train)
            >>> score.variants(test).keys()
            dict_keys([50, 1, 5, 10, 20, 100, 200])
        """
        values = dict.fromkeys([getattr(self, self.tunable), *self.candidates])
        return {value: self._with(value)(saved) for value in values}

    def _with(self, value: Any) -> Self:
        other = copy.copy(self)
        setattr(other, self.tunable, value)
        return other

    def _fit(self, train: Saved, head: Head | None) -> None:
        raise NotImplementedError

    def _score(self, saved: Saved) -> np.ndarray:
        raise NotImplementedError

    def _require(self, saved: Saved, keys: Iterable[str], purpose: str) -> None:
        for key in keys:
            if key not in saved:
                hint = _SAVED_BY.get(key, f"there are {', '.join(saved) or 'none'}")
                raise InputError(f"OOD score '{self.key}' needs {key} {purpose}, but none are saved; {hint}.")


def logits_of(saved: Saved) -> np.ndarray:
    """Return checked logits, float64 `[samples, n, classes]`."""
    logits = to_finite(saved["logits"], "Logits", (2, 3), "[n, classes] or [samples, n, classes]")
    if are_probs(logits):
        raise InputError(
            "Logits are probabilities: no number is negative and every row sums to 1. Pass the logits of the model."
        )
    return logits if logits.ndim == 3 else logits[np.newaxis]


def features_of(saved: Saved, dimension: int | None = None) -> np.ndarray:
    """Return checked features, float64 `[n, d]`, of the dimension seen in training, if given."""
    features = to_finite(saved["features"], "Features", (2,), "[n, d]")
    if dimension is not None and features.shape[1] != dimension:
        raise InputError(
            f"Features have {features.shape[1]} dimensions, but the score was fitted on {dimension}; "
            "fit and score predictions of the same model."
        )
    return features


def train_labels_of(saved: Saved, count: int) -> np.ndarray:
    """Return checked labels `[n]` of training data, none of them unknown."""
    labels = to_array(saved["labels"], "Labels", (1,), "[n]")
    if len(labels) != count:
        raise InputError(f"{count} features but {len(labels)} labels; pass one label for each example.")
    if labels.dtype.kind not in "iu" or labels.min() < 0:
        raise InputError("Labels to fit on must be class indices from 0, all of them known; fit on labelled data.")
    return labels


REGISTRY: Registry[type[Score]] = Registry("OOD score")


def names() -> list[str]:
    """Return the names of all OOD scores."""
    return REGISTRY.names()


def info(text: str) -> type[Score]:
    """Return what is known of a score without making one: its class, whose attributes say it.

    Args:
        text: A name, with options or without.

    Example:
        >>> info("vim").needs
        ('features', 'logits')

    Raises:
        InputError: The name is unknown, or the text is no name with options.
    """
    return REGISTRY.info(text)


def get(text: str, **options: Any) -> Score:
    """Return an OOD score by name.

    Args:
        text: One of `names()`, with options or without.
        **options: The score's options, e.g. `k=10`.

    Raises:
        InputError: The name or an option is unknown, or an option's value is not allowed.

    Example:
        >>> get("knn(k=10)").key, get("knn", k=10).key
        ('knn(k=10)', 'knn(k=10)')
    """
    return REGISTRY.make(text, **options)

"""OOD scores from features and the head, the linear layer from features to logits.

Give `fit` the head's weights and bias where the model has one linear head. Without them the linear map that is nearest
to the logits on the training data by least squares takes its place, and `head_error` says how near that is. A linear
head is found exactly, given more training examples than features, but for directions in which training features never
vary; one that is not linear (SNGP's Gaussian process, an ensemble, a head with hidden layers) is approximated. With
several samples, features and logits are their means, for which the head of an MC-dropout model is still exact.
"""

import numpy as np

from uncertainty_suite.errors import InputError
from uncertainty_suite.metrics.base import NoValueError, check_number, check_positive_integer, to_finite
from uncertainty_suite.ood_scores.base import REGISTRY, Head, Saved, Score, features_of, logits_of
from uncertainty_suite.ood_scores.logits import mean_energy

# A head that is not the model's is off by more than the logits' own spread; rounding and sampling stay far below this.
_HEAD_TOLERANCE = 0.25


def _head_of(head: Head | None, features: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return weights, bias, and the error of their logits on training data, relative to the spread of the logits.

    Args:
        head: Weights `[d, classes]` and bias `[classes]`, or None to fit them.
        features: Features of the training data `[n, d]`.
        logits: Their logits, mean over samples, `[n, classes]`.
    """
    if len(features) != len(logits):
        raise InputError(f"{len(features)} features but logits of {len(logits)} examples; pass both of the same.")
    centre, level = features.mean(axis=0), logits.mean(axis=0)
    if head is None:
        weights = np.linalg.lstsq(features - centre, logits - level, rcond=None)[0]
        bias = level - centre @ weights
    else:
        weights = to_finite(head[0], "Weights of the head", (2,), "[d, classes]")
        bias = to_finite(head[1], "Bias of the head", (1,), "[classes]")
        shape = (features.shape[1], logits.shape[1])
        if weights.shape != shape or bias.shape != shape[1:]:
            raise InputError(
                f"The head must have weights {list(shape)} and bias [{shape[1]}], for these features and logits, got "
                f"{list(weights.shape)} and {list(bias.shape)}."
            )
    spread = np.sqrt(((logits - level) ** 2).mean()) or 1.0
    error = float(np.sqrt(((features @ weights + bias - logits) ** 2).mean()) / spread)
    if head is not None and error > _HEAD_TOLERANCE:
        raise InputError(
            f"The head does not give the saved logits from the saved features: they differ by {error:.2g} times the "
            "spread of the logits. Pass the head of this model, or none to fit one."
        )
    return weights, bias, error


@REGISTRY.register
class ViM(Score):
    """Virtual-logit matching: the part of the features that training data hardly use, as one more logit.

    Centre features at the origin `o = -(W^T)^+ b` of the head. `R` are the eigenvectors of `X^T X` beyond the first
    `dimension`, and `alpha` scales the length of a residual to the largest logit, both means over training data. The
    paper's score is the softmax probability of the virtual logit `alpha |x R|`; this is its log-odds, of the same order
    but never rounded to 0 or 1.

    Wang et al., *ViM: Out-of-Distribution with Virtual-logit Matching*, CVPR 2022, https://arxiv.org/abs/2203.10807.

    Args:
        dimension: Of the principal space. By default as the authors take it: 1000 of 2048 or more feature dimensions,
            512 of 768 or more, and half of fewer.

    Attributes:
        head_error: After `fit`, how far the head's logits are from the saved ones, relative to their spread.
    """

    name = "vim"
    formula = "alpha |(f - o) R| - mean_s logsumexp_k z_sk"
    paper = "Wang 2022"
    needs = ("features", "logits")
    fit_needs = ("features", "logits")

    def __init__(self, dimension: int | None = None):
        if dimension is not None:
            check_positive_integer("dimension", dimension)
        self.dimension = dimension

    def _fit(self, train: Saved, head: Head | None) -> None:
        features, logits = features_of(train), logits_of(train)
        full = features.shape[1]
        principal = self.dimension or (1000 if full >= 2048 else 512 if full >= 768 else full // 2)
        if principal >= full:
            raise InputError(
                f"dimension={principal} of {full} feature dimensions leaves no residual; pass a smaller dimension."
            )
        weights, bias, self.head_error = _head_of(head, features, logits.mean(axis=0))
        self._origin = -np.linalg.pinv(weights.T) @ bias
        centred = features - self._origin
        _, vectors = np.linalg.eigh(centred.T @ centred / len(centred))  # in ascending order
        self._residual = vectors[:, : full - principal]  # [d, d - dimension]
        length = np.linalg.norm(centred @ self._residual, axis=1).mean()
        # Training data that lie in the principal space leave rounding errors, not to be taken for a scale.
        length = max(length, np.finfo(np.float32).eps * np.linalg.norm(centred, axis=1).mean()) or 1.0
        self._alpha = logits.max(axis=-1).mean() / length
        if self._alpha <= 0:
            raise NoValueError("OOD score 'vim' needs largest logits above zero on average in training; use 'knn'.")

    def _score(self, saved: Saved) -> np.ndarray:
        features, logits = features_of(saved, len(self._origin)), logits_of(saved)
        if len(features) != logits.shape[1]:
            raise InputError(f"{len(features)} features but logits of {logits.shape[1]} examples; pass both of each.")
        length = np.linalg.norm((features - self._origin) @ self._residual, axis=1)
        return self._alpha * length + mean_energy(logits)


@REGISTRY.register
class ReAct(Score):
    """Energy of the logits that the head gives for clipped features: OOD inputs excite a few units too much.

    Sun et al., *ReAct: Out-of-distribution Detection With Rectified Activations*, NeurIPS 2021,
    https://arxiv.org/abs/2111.12797.

    Args:
        percentile: Features are clipped from above at this percentile of all activations of the training data; the
            paper takes 90 (section 4.1). 100 clips nothing that training has seen.

    Attributes:
        head_error: After `fit`, how far the head's logits are from the saved ones, relative to their spread.
    """

    name = "react"
    tunable = "percentile"
    candidates = (70.0, 80.0, 85.0, 90.0, 95.0, 99.0)
    formula = "-logsumexp_k(min(f, c) W + b)_k, c the percentile of training activations"
    paper = "Sun 2021"
    needs = ("features",)
    fit_needs = ("features", "logits")

    def __init__(self, percentile: float = 90.0):
        check_number("percentile", percentile, 0, 100, at_high=True)
        self.percentile = percentile

    def _fit(self, train: Saved, head: Head | None) -> None:
        features = features_of(train)
        self._weights, self._bias, self.head_error = _head_of(head, features, logits_of(train).mean(axis=0))
        self._ceilings = {percent: np.percentile(features, percent) for percent in (self.percentile, *self.candidates)}

    def _score(self, saved: Saved) -> np.ndarray:
        features = features_of(saved, len(self._weights))
        logits = np.minimum(features, self._ceilings[self.percentile]) @ self._weights + self._bias
        return mean_energy(logits[np.newaxis])

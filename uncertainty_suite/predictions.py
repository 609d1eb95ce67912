"""The one contract between a method and everything after it."""

from typing import Any, NamedTuple


class Predictions(NamedTuple):
    """What a method says about a batch of examples, every sample of it.

    A sample is one stochastic forward pass or one ensemble member; a deterministic method has one. Fields are numpy
    arrays or tensors, so that a `predict` function can be compiled whole. A likelihood's `predict` fills them in.

    Attributes:
        probs: Class probabilities, float `[samples, batch, classes]`, of a categorical likelihood.
        logits: Logits behind them, float `[samples, batch, classes]`, or None where the method has none.
        mean: Means, float64 `[samples, batch]`, of a Gaussian likelihood, in the target's own units.
        stddev: Standard deviations around them, float64 `[samples, batch]`, in the same units.
        features: What the head saw of each example, float `[batch, d]`, the mean over samples; or None. OOD scores such
            as the Mahalanobis distance need it.
        uncertainty: Any further per-example uncertainty the method has, by name, each float `[batch]` and larger where
            the method is less certain, e.g. `{"variance": ...}`.
    """

    probs: Any = None
    logits: Any = None
    mean: Any = None
    stddev: Any = None
    features: Any = None
    uncertainty: dict[str, Any] = {}  # noqa: RUF012 - never written to

"""What every post-hoc method shares: that it is fitted once, on held-out predictions, and known by name."""

from typing import Any, ClassVar

from uncertainty_suite.errors import InputError
from uncertainty_suite.metrics.base import check_choice
from uncertainty_suite.registry import Named, Registry

KINDS = ("calibration", "conformal")


class PostHoc(Named):
    """A method that is fitted to held-out predictions and applied to others of the same model.

    Attributes:
        name: Its name; with the options by which it was asked for, it is the `key` of its results.
        kind: `"calibration"` for a map of probabilities, `"conformal"` for a predictor of sets.
        formula: What it does, in one line.
        paper: Where it comes from.
        likelihoods: The likelihoods whose predictions it takes.
        parameters: What `fit` found, numbers and lists, ready for JSON; None before. Assign it to restore a fit.
        note: What a reader of results must know of the fit, such as that there is no best temperature; mostly empty.
    """

    kind: ClassVar[str]
    formula: ClassVar[str]
    paper: ClassVar[str]
    likelihoods: ClassVar[tuple[str, ...]] = ("categorical",)
    parameters: dict[str, Any] | None = None
    note: str = ""

    def fitted(self, classes: int | None = None) -> dict[str, Any]:
        """Return the parameters, having refused to apply what is not fitted or was fitted on other classes."""
        if self.parameters is None:
            raise InputError(f"'{self.key}' is not fitted; call fit(validation_predictions, validation_labels).")
        if classes is not None and classes != self.parameters["classes"]:
            raise InputError(
                f"'{self.key}' was fitted on {self.parameters['classes']} classes, got {classes}; fit and apply it to "
                "predictions of the same model."
            )
        return self.parameters


REGISTRY: Registry[type[PostHoc]] = Registry("post-hoc method")


def names(kind: str | None = None) -> list[str]:
    """Return the names of all post-hoc methods, or of those of a kind, `"calibration"` or `"conformal"`.

    Example:
        >>> names("calibration")
        ['dirichlet_scaling', 'isotonic_regression', 'stddev_scaling', 'temperature_scaling', 'vector_scaling']
    """
    if kind is not None:
        check_choice("kind", kind, KINDS)
    return [name for name in REGISTRY.names() if kind in (None, REGISTRY.info(name).kind)]


def info(text: str) -> type[PostHoc]:
    """Return what is known of a post-hoc method without making one: its class, whose attributes say it.

    Args:
        text: A name, with options or without.

    Example:
        >>> info("raps(k_reg=2)").kind
        'conformal'

    Raises:
        InputError: The name is unknown, or the text is no name with options.
    """
    return REGISTRY.info(text)


def get(text: str, **options: Any) -> Any:
    """Return a post-hoc method by name: a calibration, called with predictions, or a `ConformalPredictor`.

    Both are fitted with `fit(predictions, labels)`, of what their likelihood's `metric_input` gives.

    Args:
        text: One of `names()`, with options or without.
        **options: The method's options, e.g. `seed=1`.

    Raises:
        InputError: The name or an option is unknown, or an option's value is not allowed.

    Example:
        >>> predictor = get("raps(k_reg=2)")
        >>> calibrate = get("dirichlet_scaling", regularization=0.01)
    """
    return REGISTRY.make(text, **options)

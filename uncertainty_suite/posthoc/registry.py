"""Post-hoc methods by name."""

from typing import Any

from uncertainty_suite.errors import unknown_name
from uncertainty_suite.metrics.base import check_choice, option_names
from uncertainty_suite.posthoc import calibration, conformal

_KINDS = {
    "calibration": (
        calibration.TemperatureScaling,
        calibration.VectorScaling,
        calibration.DirichletScaling,
        calibration.IsotonicCalibration,
    ),
    "conformal": (
        conformal.SplitConformal,
        conformal.AdaptivePredictionSets,
        conformal.RegularizedAdaptivePredictionSets,
    ),
}
_REGISTRY = {method.name: method for methods in _KINDS.values() for method in methods}


def names(kind: str | None = None) -> list[str]:
    """Return the names of all post-hoc methods, or of those of a kind, `"calibration"` or `"conformal"`.

    Example:
        >>> names("conformal")
        ['aps', 'raps', 'split_conformal']
    """
    if kind is None:
        return sorted(_REGISTRY)
    check_choice("kind", kind, _KINDS)
    return sorted(method.name for method in _KINDS[kind])


def get(name: str, **options: Any) -> calibration.Calibrator | conformal.ConformalPredictor:
    """Return a post-hoc method by name.

    Args:
        name: One of `names()`.
        **options: The method's options, e.g. `seed=1`.

    Raises:
        InputError: The name or an option is unknown, or an option's value is not allowed.

    Example:
        >>> calibrate = get("dirichlet_scaling", regularization=0.01)
    """
    if name not in _REGISTRY:
        raise unknown_name("post-hoc method", name, _REGISTRY)
    method = _REGISTRY[name]
    allowed = option_names(method)
    for option in options:
        if option not in allowed:
            raise unknown_name(f"option of post-hoc method '{name}'", option, allowed)
    return method(**options)

"""Post-hoc calibration and conformal prediction, from saved predictions: no retraining, no TensorFlow.

Example:
    >>> from uncertainty_suite import posthoc
    >>> calibrate = posthoc.get("temperature_scaling").fit(validation_probs, validation_labels)
    >>> probs = calibrate(test_probs)
    >>> calibrate.parameters
    {'classes': 10, 'temperature': 1.37}
    >>> predictor = posthoc.get("raps(k_reg=2)").fit(calibrate(validation_probs), validation_labels, alpha=0.1)
    >>> predictor.measure(probs, test_labels)
    {'coverage': 0.903, 'set_size': 1.24, ...}

Predictions of targets are a pair of means and standard deviations, for `stddev_scaling` and conformal intervals.

Fit on data that the model was not trained on. The promise of conformal sets is for examples exchangeable with those
fitted on: to calibrate first and then fit sets, as above, split the validation data in two.
"""

from uncertainty_suite.posthoc.base import REGISTRY, PostHoc, get, info, names
from uncertainty_suite.posthoc.calibration import (
    Calibrator,
    DirichletScaling,
    IsotonicCalibration,
    TemperatureScaling,
    VectorScaling,
)
from uncertainty_suite.posthoc.conformal import (
    AdaptivePredictionSets,
    ConformalPredictor,
    RegularizedAdaptivePredictionSets,
    SetPredictor,
    SortedAdaptivePredictionSets,
    SplitConformal,
    set_metrics,
)
from uncertainty_suite.posthoc.regression import (
    ConformalizedQuantiles,
    IntervalPredictor,
    NormalizedIntervals,
    SplitIntervals,
    StddevScaling,
    interval_metrics,
)

__all__ = [
    "REGISTRY",
    "AdaptivePredictionSets",
    "Calibrator",
    "ConformalPredictor",
    "ConformalizedQuantiles",
    "DirichletScaling",
    "IntervalPredictor",
    "IsotonicCalibration",
    "NormalizedIntervals",
    "PostHoc",
    "RegularizedAdaptivePredictionSets",
    "SetPredictor",
    "SortedAdaptivePredictionSets",
    "SplitConformal",
    "SplitIntervals",
    "StddevScaling",
    "TemperatureScaling",
    "VectorScaling",
    "get",
    "info",
    "interval_metrics",
    "names",
    "set_metrics",
]

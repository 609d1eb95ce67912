"""Every metric on every split of a task, through the one prediction contract.

Two steps: `predict_splits` asks the model once about every example and saves what it says (and measures labelled splits
meanwhile); `compute` makes every metric from what is saved, without the model and without TensorFlow. So a finished run
can be measured anew, by another metric or score, with `python -m uncertainty_suite.evaluate`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from uncertainty_suite.evaluation.decomposition import PARTS, human_correlation, label_entropy, uncertainty_parts
from uncertainty_suite.evaluation.measurement import (
    OOD_METRICS,
    Measured,
    compute,
    fit_posthoc,
    ood_metrics,
    posthoc_metrics,
    split_metrics,
)
from uncertainty_suite.evaluation.people import HUMAN_METRICS, human_metrics
from uncertainty_suite.evaluation.prediction import Predictor, predict_splits
from uncertainty_suite.evaluation.tuning import tune
from uncertainty_suite.predictions import Predictions

if TYPE_CHECKING:
    from uncertainty_suite.training import Run

__all__ = [
    "HUMAN_METRICS",
    "OOD_METRICS",
    "PARTS",
    "Measured",
    "Predictor",
    "compute",
    "evaluate",
    "fit_posthoc",
    "human_correlation",
    "human_metrics",
    "label_entropy",
    "ood_metrics",
    "posthoc_metrics",
    "predict_splits",
    "split_metrics",
    "tune",
    "uncertainty_parts",
]


def evaluate(
    predict: Callable[[Any], Predictions], run: "Run", head: tuple[np.ndarray, np.ndarray] | None = None
) -> Measured | None:
    """Predict every split of the task, and compute every metric.

    Args:
        predict: From features, as the data set gives them, `[batch, ...]`, to `Predictions`. It always gets
            `config.evaluation.batch_size` examples: the last batch of a split is filled up, and what was filled up is
            cut off again, so that it is compiled once.
        run: The run; predictions are saved in its folder.
        head: Weights `[d, units]` and bias `[units]` of the layer from features to outputs, where it is linear:
            `models.linear_head`. The OOD scores that look at the head have nothing to fit then.

    Returns:
        What `compute` returns, and what a prediction costs, as `predict_splits` says. None in a process of a cluster
        that is not its chief.
    """
    run.hand_over(predict)
    if not run.chief:
        return None
    costs, known = predict_splits(predict, run, head)
    measured = compute(run.folder, known=known)
    return measured._replace(metrics={**measured.metrics, **costs})

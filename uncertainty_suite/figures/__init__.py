"""Figures, drawn from the predictions that runs have saved.

Each function takes run folders by the label that stands for them, `{"sngp": "runs/digits/sngp/seed0", ...}`, one for
the figure of a run and several for a comparison, and returns a `matplotlib.figure.Figure`; for `decomposition_sweep` a
label stands for several runs; `parallel_coordinates` takes what a search has tried, and `decision_curves` the record of
decisions. Nothing touches pyplot, and the
same predictions give the same bytes.

`python -m uncertainty_suite.figures RUN...` draws all that the predictions of some runs allow, which follows from the
task's likelihood and splits. TensorFlow is imported only where the pixels of a TFDS data set are needed.

Example:
    >>> from uncertainty_suite import figures
    >>> figure = figures.reliability_diagram({"MC dropout": "runs/mc_dropout", "SNGP": "runs/sngp"})
    >>> figures.save(figure, "reliability.svg")
    >>> figures.draw("runs/sngp")  # every figure, into runs/sngp/figures/
"""

from uncertainty_suite.figures.calibration import reliability_diagram
from uncertainty_suite.figures.curve import predictive_curve
from uncertainty_suite.figures.decisions import decision_curves
from uncertainty_suite.figures.decomposition import decomposition_sweep
from uncertainty_suite.figures.images import uncertain_images
from uncertainty_suite.figures.ood import ood_detection
from uncertainty_suite.figures.regression import predicted_against_true, quantile_calibration
from uncertainty_suite.figures.report import compare, draw
from uncertainty_suite.figures.selective import failure_detection, referral, risk_coverage
from uncertainty_suite.figures.shift import shift_by_severity
from uncertainty_suite.figures.style import save
from uncertainty_suite.figures.trials import parallel_coordinates
from uncertainty_suite.figures.two_moons import two_moons_surfaces

__all__ = [
    "compare",
    "decision_curves",
    "decomposition_sweep",
    "draw",
    "failure_detection",
    "ood_detection",
    "parallel_coordinates",
    "predicted_against_true",
    "predictive_curve",
    "quantile_calibration",
    "referral",
    "reliability_diagram",
    "risk_coverage",
    "save",
    "shift_by_severity",
    "two_moons_surfaces",
    "uncertain_images",
]

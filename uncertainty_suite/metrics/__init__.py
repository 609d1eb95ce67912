"""Metrics of predictive uncertainty: streaming ones by name, and the plain functions made of them.

Example:
    >>> from uncertainty_suite import metrics
    >>> metric = metrics.get("ece(num_bins=10)")
    >>> metric.add_batch(probs, label=labels)
    >>> metric.result()
    {"ece(num_bins=10)": 0.021}
    >>> metrics.expected_calibration_error(probs, labels, num_bins=10)  # the same, with arrays in hand
    >>> metrics.per_example("nll", probs, labels)  # float64 [n]
    >>> metrics.info("ece").higher_is_better
    False

A metric is one class: its docstring and options are those of the function of the same name. `docs/metrics.md` has a
table of all metrics; `python -m uncertainty_suite.metrics` prints it.
"""

from uncertainty_suite.metrics import (
    calibration,
    classification,
    label_distribution,
    ood,
    regression,
    samples,
    selective,
)
from uncertainty_suite.metrics.base import REGISTRY, Metric, NoValueError, function
from uncertainty_suite.metrics.calibration import Bins, calibration_bins
from uncertainty_suite.metrics.classification import accuracy_by_class
from uncertainty_suite.metrics.collection import Collection, get, info, names, per_example
from uncertainty_suite.metrics.recalibration import apply_temperature, fit_temperature, recalibrate
from uncertainty_suite.metrics.selective import failure_curve, failure_detection, risk_coverage_curve

__all__ = [
    "REGISTRY",
    "Bins",
    "Collection",
    "Metric",
    "NoValueError",
    "accuracy_by_class",
    "apply_temperature",
    "calibration_bins",
    "failure_curve",
    "failure_detection",
    "fit_temperature",
    "function",
    "get",
    "info",
    "names",
    "per_example",
    "recalibrate",
    "risk_coverage_curve",
]

# Classification.
accuracy = function(classification.Accuracy)
balanced_accuracy = function(classification.BalancedAccuracy)
brier_decomposition = function(classification.BrierDecomposition)
brier_score = function(classification.BrierScore)
brier_top_class = function(classification.BrierTopClass)
macro_auroc = function(classification.MacroAUROC)
negative_log_likelihood = function(classification.NegativeLogLikelihood)
top_k_accuracy = function(classification.TopKAccuracy)
worst_class_accuracy = function(classification.WorstClassAccuracy)

# Calibration.
adaptive_calibration_error = function(calibration.AdaptiveCalibrationError)
calibration_auc = function(calibration.CalibrationAUC)
classwise_calibration_error = function(calibration.ClasswiseCalibrationError)
debiased_calibration_error = function(calibration.DebiasedCalibrationError)
expected_calibration_error = function(calibration.ExpectedCalibrationError)
general_calibration_error = function(calibration.GeneralCalibrationError)
maximum_calibration_error = function(calibration.MaximumCalibrationError)
monotonic_sweep_calibration_error = function(calibration.MonotonicSweepCalibrationError)
oracle_collaborative_accuracy = function(calibration.OracleCollaborativeAccuracy)
oracle_collaborative_auc = function(calibration.OracleCollaborativeAUC)
rms_calibration_error = function(calibration.RMSCalibrationError)
semiparametric_calibration_error = function(calibration.SemiparametricCalibrationError)
smooth_calibration_error = function(calibration.SmoothCalibrationError)
static_calibration_error = function(calibration.StaticCalibrationError)
temperature_scaled_ece = function(calibration.TemperatureScaledECE)
temperature_scaled_nll = function(calibration.TemperatureScaledNLL)
thresholded_adaptive_calibration_error = function(calibration.ThresholdedAdaptiveCalibrationError)
worst_class_calibration_error = function(calibration.WorstClassCalibrationError)

# Selective prediction.
accuracy_at_coverage = function(selective.AccuracyAtCoverage)
macro_auroc_at_coverage = function(selective.MacroAUROCAtCoverage)
augrc = function(selective.AUGRC)
aurc = function(selective.AURC)
coverage_at_risk = function(selective.CoverageAtRisk)
excess_aurc = function(selective.ExcessAURC)
risk_at_coverage = function(selective.RiskAtCoverage)

# Out-of-distribution detection.
aupr_in = function(ood.AUPRIn)
aupr_out = function(ood.AUPROut)
auroc = function(ood.AUROC)
fpr_at_tpr = function(ood.FPRAtTPR)
oscr = function(ood.OSCR)

# Samples and ensembles; those without labels give the value of each example, but for the correlation.
aleatoric_epistemic_correlation = function(samples.AleatoricEpistemicCorrelation)
aleatoric_variance = function(samples.AleatoricVariance, each=True)
bregman_kl_variance = function(samples.BregmanKLVariance, each=True)
cosine_similarity = function(samples.CosineSimilarity, each=True)
disagreement = function(samples.Disagreement, each=True)
epistemic_variance = function(samples.EpistemicVariance, each=True)
expected_entropy = function(samples.ExpectedEntropy, each=True)
expected_pairwise_kl = function(samples.ExpectedPairwiseKL, each=True)
mutual_information = function(samples.MutualInformation, each=True)
pairwise_kl = function(samples.PairwiseKL, each=True)
predictive_entropy = function(samples.PredictiveEntropy, each=True)
reverse_mutual_information = function(samples.ReverseMutualInformation, each=True)
total_variance = function(samples.TotalVariance, each=True)
variation_ratio = function(samples.VariationRatio, each=True)
ensemble_cross_entropy = function(samples.EnsembleCrossEntropy)
generalized_energy_distance = function(samples.GeneralizedEnergyDistance)
gibbs_brier = function(samples.GibbsBrier)
gibbs_cross_entropy = function(samples.GibbsCrossEntropy)
joint_nll = function(samples.JointNLL)
normalized_disagreement = function(samples.NormalizedDisagreement)

# Label distributions.
label_distribution_brier = function(label_distribution.LabelDistributionBrier)
label_distribution_ece = function(label_distribution.LabelDistributionECE)
label_distribution_kl = function(label_distribution.LabelDistributionKL)
label_distribution_nll = function(label_distribution.LabelDistributionNLL)
label_set_accuracy = function(label_distribution.LabelSetAccuracy)

# Regression.
ause = function(regression.AUSE)
crps = function(regression.CRPS)
crps_samples = function(regression.CRPSSamples)
gaussian_aleatoric_variance = function(regression.GaussianAleatoricVariance, each=True)
gaussian_epistemic_variance = function(regression.GaussianEpistemicVariance, each=True)
gaussian_expected_entropy = function(regression.GaussianExpectedEntropy, each=True)
gaussian_mutual_information = function(regression.GaussianMutualInformation, each=True)
gaussian_nll = function(regression.GaussianNLL)
gaussian_pairwise_kl = function(regression.GaussianPairwiseKL, each=True)
interval_coverage = function(regression.IntervalCoverage)
interval_score = function(regression.IntervalScore)
interval_width = function(regression.IntervalWidth)
mae = function(regression.MAE)
quantile_calibration_error = function(regression.QuantileCalibrationError)
rmse = function(regression.RMSE)
sharpness = function(regression.Sharpness)

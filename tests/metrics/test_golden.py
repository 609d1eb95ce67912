"""Every golden value of `metrics/expected.json`, each mapped to our function and the options that reproduce it."""

import functools
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from uncertainty_suite import metrics

ROOT = Path(os.environ.get("UNCERTAINTY_SUITE_GOLDEN_DIR", Path(__file__).parents[3] / "shared" / "golden"))
FOLDER = ROOT / "metrics"
FLOAT32_EPSILON = float(np.finfo(np.float32).eps)  # what Robustness Metrics adds to probabilities

pytestmark = pytest.mark.skipif(
    not (FOLDER / "expected.json").exists(),
    reason="no golden metric values; set UNCERTAINTY_SUITE_GOLDEN_DIR to the folder that holds metrics/expected.json",
)


def entries() -> list[tuple[str, str]]:
    if not (FOLDER / "expected.json").exists():
        return []
    return [(case, name) for case, values in expected().items() for name in values]


@functools.cache
def expected() -> dict[str, dict[str, dict[str, Any]]]:
    return json.loads((FOLDER / "expected.json").read_text())


@functools.cache
def inputs() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "inputs.npz", allow_pickle=False) as arrays:
        return dict(arrays)


class Case:
    """The arrays of a case, under the names that the mapping below uses."""

    def __init__(self, case: str):
        self.name = case
        arrays = inputs()
        source = "f_ensemble" if case == "f_ensemble_mean" else case
        for key, value in arrays.items():
            if key.startswith(source + "/"):
                setattr(self, key.split("/")[1], value)
        if case == "f_ensemble_mean":
            self.probs = self.mean_probs

    @property
    def p_y(self) -> tuple[np.ndarray, np.ndarray]:
        return self.probs, self.labels

    @property
    def binary(self) -> tuple[np.ndarray, np.ndarray]:
        p1 = 1 / (1 + np.exp(-self.binary_logits))
        return np.stack([1 - p1, p1], axis=-1), self.binary_labels.astype(int)

    @property
    def in_out(self) -> tuple[np.ndarray, np.ndarray]:
        return self.score_in, self.score_out

    @property
    def in_positive(self) -> tuple[np.ndarray, np.ndarray]:
        """In-distribution as the positive class, its score negated."""
        return -self.score_out, -self.score_in

    @property
    def class1(self) -> tuple[np.ndarray, np.ndarray]:
        """Class 1 as the positive class, in the arguments of an OOD metric."""
        return self.probs[self.labels == 0, 1], self.probs[self.labels == 1, 1]

    @property
    def gauss(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if self.name == "h_gauss":
            return self.mean, self.stddev, self.target
        return self.means, self.stddevs, self.target


def gce(case: Case, match: re.Match) -> float:
    options = dict(pair.split("=") for pair in match[1].split(","))
    return metrics.general_calibration_error(
        *case.p_y,
        binning=options["binning_scheme"],
        max_prob=options["max_prob"] == "True",
        class_conditional=options["class_conditional"] == "True",
        norm=options["norm"],
        num_bins=None if options["num_bins"] == "None" else int(options["num_bins"]),
        threshold=float(options["threshold"]),
        ones="own",
    )


def confidence_squared(probs: np.ndarray) -> np.ndarray:
    return probs.max(axis=1).astype(np.float32) ** 2


def crps_each(case: Case) -> list[float]:
    return [metrics.crps(case.mean[[i]], case.stddev[[i]], case.target[[i]]) for i in range(5)]


def crps_samples_each(case: Case) -> list[float]:
    return [metrics.crps_samples(case.samples[[i]].T, case.target[[i]]) for i in range(5)]


# A pattern of the golden name, and how our library gives that value.
MAPPING: dict[str, Callable[[Case, re.Match], Any]] = {
    r"(?:rm|sk)/accuracy": lambda c, m: metrics.accuracy(*c.p_y),
    r"sk/top5_accuracy": lambda c, m: metrics.top_k_accuracy(*c.p_y, k=5),
    r"rm/nll": lambda c, m: metrics.negative_log_likelihood(*c.p_y, clip=1e-7, renormalize=True),
    r"sk/log_loss": lambda c, m: metrics.negative_log_likelihood(*c.p_y, clip="eps"),
    r"tu/nll": lambda c, m: metrics.negative_log_likelihood(*c.p_y, clip=0),
    r"(?:rm/brier|tu/brier|sk/brier_multiclass)": lambda c, m: metrics.brier_score(*c.p_y),
    r"sk/brier_(?:multiclass_half|binary)": lambda c, m: metrics.brier_score(*c.p_y, half=True),
    r"tu/brier_top_class": lambda c, m: metrics.brier_top_class(*c.p_y),
    r"tu/brier_members": lambda c, m: metrics.gibbs_brier(*c.p_y),
    r"(?:rm|def)/brier_decomposition/(uncertainty|reliability)": lambda c, m: metrics.brier_decomposition(*c.p_y)[
        f"brier_{m[1]}"
    ],
    r"def/brier_decomposition/resolution": lambda c, m: metrics.brier_decomposition(*c.p_y)["brier_resolution"],
    r"(?:rm/brier_decomposition/resolution|def/brier_decomposition/resolution_rowwise)": lambda c, m: (
        metrics.brier_decomposition(*c.p_y, resolution="rowwise")["brier_resolution"]
    ),
    r"rm/ece/bins=(\d+)": lambda c, m: metrics.expected_calibration_error(*c.p_y, num_bins=int(m[1])),
    r"rm/ece_weighted/bins=(\d+)": lambda c, m: metrics.expected_calibration_error(
        *c.p_y, num_bins=int(m[1]), weighted=True
    ),
    r"tu/calibration_error/bins=(\d+),norm=(\w+)": lambda c, m: metrics.expected_calibration_error(
        *c.p_y, num_bins=int(m[1]), norm=m[2], ones="own"
    ),
    r"tu/adaptive_calibration_error/bins=(\d+),norm=(\w+)": lambda c, m: metrics.general_calibration_error(
        *c.p_y, num_bins=int(m[1]), norm=m[2], binning="split", ones="last"
    ),
    r"rm/gce/(.+)": gce,
    r"rm/gce_recalibrated/(\w+)/fit=([\d.]+)": lambda c, m: metrics.general_calibration_error(
        *c.p_y, recalibration=m[1], fit_percent=float(m[2]), seed=0, epsilon=FLOAT32_EPSILON, ones="own"
    ),
    r"rm/ace/bins=(\d+)": lambda c, m: metrics.adaptive_calibration_error(*c.p_y, num_bins=int(m[1]), ones="own"),
    # A defect of the library: the threshold is not applied.
    r"rm/tace_class/bins=(\d+)/threshold=[\d.]+": lambda c, m: metrics.thresholded_adaptive_calibration_error(
        *c.p_y, num_bins=int(m[1]), threshold=0.0, ones="own"
    ),
    r"rm/sce/bins=(\d+)": lambda c, m: metrics.static_calibration_error(*c.p_y, num_bins=int(m[1]), ones="own"),
    r"rm/rmsce/bins=(\d+)": lambda c, m: metrics.rms_calibration_error(*c.p_y, num_bins=int(m[1]), ones="own"),
    r"rm/rmsce/datapoints_per_bin=(\d+)": lambda c, m: metrics.rms_calibration_error(
        *c.p_y, datapoints_per_bin=int(m[1])
    ),
    r"rm/msce": lambda c, m: metrics.monotonic_sweep_calibration_error(*c.p_y),
    r"rm/semiparametric_ce/kernel": lambda c, m: metrics.semiparametric_calibration_error(*c.p_y, target="class1"),
    r"(?:rm|sp)/temperature_scaling_beta": lambda c, m: 1 / metrics.fit_temperature(*c.p_y, epsilon=FLOAT32_EPSILON),
    r"rm/calibration_auc/(\w+)/correct_positive=(\w+)": lambda c, m: metrics.calibration_auc(
        *c.p_y, curve=m[1], positive="correct" if m[2] == "True" else "wrong", num_thresholds=200
    ),
    r"sk/confidence_auroc": lambda c, m: metrics.calibration_auc(*c.p_y),
    r"sk/confidence_average_precision": lambda c, m: metrics.calibration_auc(*c.p_y, curve="PR"),
    r"sk/error_average_precision": lambda c, m: metrics.calibration_auc(*c.p_y, curve="PR", positive="wrong"),
    r"rm/oracle_collaborative_accuracy/fraction=([\d.]+)": lambda c, m: metrics.oracle_collaborative_accuracy(
        *c.p_y, fraction=float(m[1])
    ),
    r"rm/oracle_collaborative_accuracy_custom/fraction=([\d.]+)": lambda c, m: metrics.oracle_collaborative_accuracy(
        *c.p_y, fraction=float(m[1]), score=confidence_squared
    ),
    r"rm/oracle_collaborative_auc/(\w+)/oracle_fraction=([\d.]+)": lambda c, m: metrics.oracle_collaborative_auc(
        *c.p_y, fraction=float(m[2]), curve=m[1], target="class1"
    ),
    r"rm/oracle_collaborative_auc_correctness/(\w+)/oracle_fraction=([\d.]+)": lambda c, m: (
        metrics.oracle_collaborative_auc(*c.p_y, fraction=float(m[2]), curve=m[1])
    ),
    r"rm/average_pairwise_diversity/disagreement": lambda c, m: metrics.disagreement(c.probs).mean(),
    r"rm/average_pairwise_diversity/disagreement/normalized": lambda c, m: metrics.normalized_disagreement(*c.p_y),
    r"rm/average_pairwise_diversity/average_kl": lambda c, m: metrics.pairwise_kl(c.probs).mean(),
    r"rm/average_pairwise_diversity/cosine_similarity": lambda c, m: metrics.cosine_similarity(c.probs).mean(),
    r"rm/average_pairwise_diversity/bregman_kl_variance": lambda c, m: metrics.bregman_kl_variance(c.probs).mean(),
    r"tu/disagreement": lambda c, m: metrics.disagreement(c.probs).mean(),
    r"rm/ensemble_cross_entropy": lambda c, m: metrics.ensemble_cross_entropy(*c.p_y),
    r"rm/ensemble_cross_entropy_binary": lambda c, m: metrics.ensemble_cross_entropy(*c.binary),
    r"rm/gibbs_cross_entropy": lambda c, m: metrics.gibbs_cross_entropy(*c.p_y),
    r"rm/gibbs_cross_entropy_binary": lambda c, m: metrics.gibbs_cross_entropy(*c.binary),
    r"(?:sp|tu)/entropy": lambda c, m: metrics.predictive_entropy(c.probs).mean(),
    r"sp/predictive_entropy": lambda c, m: metrics.predictive_entropy(c.probs).mean(),
    r"(?:sp|tu)/expected_entropy": lambda c, m: metrics.expected_entropy(c.probs).mean(),
    r"(?:sp|tu)/mutual_information": lambda c, m: metrics.mutual_information(c.probs).mean(),
    r"tu/mutual_information_first5": lambda c, m: metrics.mutual_information(c.probs)[:5],
    r"tu/variation_ratio/probabilistic=(\w+)": lambda c, m: metrics.variation_ratio(
        c.probs, probabilistic=m[1] == "True"
    ).mean(),
    r"tu/(aurc|augrc)": lambda c, m: getattr(metrics, m[1])(*c.p_y, ties="input"),
    r"tu/risk_at_coverage=([\d.]+)": lambda c, m: metrics.risk_at_coverage(*c.p_y, float(m[1]), ties="input"),
    r"(?:tu|def)/coverage_at_risk=([\d.]+)": lambda c, m: metrics.coverage_at_risk(*c.p_y, float(m[1])),
    r"(?:rm/auc_roc|sk/auroc|sp/mannwhitney_auroc)": lambda c, m: metrics.auroc(*c.in_out),
    r"rm/auc_roc/in_positive": lambda c, m: metrics.auroc(*c.in_positive),
    r"sk/auroc_class1": lambda c, m: metrics.auroc(*c.class1),
    r"(?:rm/auc_pr|sk/average_precision)": lambda c, m: metrics.aupr_out(*c.in_out),
    r"(?:rm/auc_pr/in_positive|sk/average_precision_in)": lambda c, m: metrics.aupr_in(*c.in_out),
    r"sk/average_precision_class1": lambda c, m: metrics.aupr_out(*c.class1),
    r"sk/pr_auc_trapezoid": lambda c, m: metrics.aupr_out(*c.in_out, interpolation="trapezoid"),
    r"rm/fpr95": lambda c, m: metrics.fpr_at_tpr(*c.in_out),
    r"rm/fpr95/in_positive": lambda c, m: metrics.fpr_at_tpr(*c.in_positive),
    r"sk/fpr_at_recall=([\d.]+)": lambda c, m: metrics.fpr_at_tpr(*c.in_out, tpr=float(m[1])),
    r"tu/fpr95": lambda c, m: metrics.fpr_at_tpr(*c.in_out, cutoff="nearest"),
    r"tu/fpr_at_recall=([\d.]+)": lambda c, m: metrics.fpr_at_tpr(*c.in_out, tpr=float(m[1]), cutoff="nearest"),
    r"ps/crps_gaussian": lambda c, m: metrics.crps(*c.gauss),
    r"(?:ps/crps_gaussian_first5|sp/crps_gaussian_quadrature_first5)": lambda c, m: crps_each(c),
    r"ps/crps_moment_matched": lambda c, m: metrics.crps(*c.gauss, mixture="moments"),
    r"(?:rm/crps_samples_mean|ps/crps_ensemble)": lambda c, m: metrics.crps_samples(c.samples.T, c.target),
    r"rm/crps_samples_first5": lambda c, m: crps_samples_each(c),
    r"(?:rm/crps_member_means_mean|ps/crps_member_means)": lambda c, m: metrics.crps_samples(c.means, c.target),
    r"(?:sp/gaussian_nll|tu/distribution_nll|sp/mixture_nll|tu/distribution_nll_mixture)": lambda c, m: (
        metrics.gaussian_nll(*c.gauss)
    ),
    r"sp/moment_matched_nll": lambda c, m: metrics.gaussian_nll(*c.gauss, mixture="moments"),
    r"sp/mean_member_nll": lambda c, m: metrics.gaussian_nll(*c.gauss, mixture="members"),
    r"tu/quantile_calibration_error_mixture": lambda c, m: metrics.quantile_calibration_error(*c.gauss),
    r"tu/quantile_calibration_error/bins=(\d+),norm=(\w+)": lambda c, m: metrics.quantile_calibration_error(
        *c.gauss, num_bins=int(m[1]), norm=m[2]
    ),
    r"tu/ause": lambda c, m: metrics.ause(*c.gauss),
}

# Values that come of a library's defect and that no option of ours reproduces: case, name, and the defect.
DEFECTS: dict[tuple[str, str], str] = {
    (r"e_tiny", r"tu/adaptive_calibration_error/.+"): "NaN or 0 with more bins than examples",
    (r".+", r"tu/coverage_at_risk=.+"): "NaN although a coverage exists",
    (r"h_gauss_ensemble", r"tu/quantile_calibration_error_mixture"): "NaN for a mixture",
    (r"f_ensemble", r"tu/variation_ratio_documented_layout/.+"): "reduced over the wrong axis",
}


def find(name: str) -> list[tuple[Callable, re.Match]]:
    return [(function, match) for pattern, function in MAPPING.items() if (match := re.fullmatch(pattern, name))]


def is_defect(case: str, name: str, value: Any) -> bool:
    if re.fullmatch(r"tu/coverage_at_risk=.+", name):
        return value == "nan"
    return any(re.fullmatch(c, case) and re.fullmatch(n, name) for c, n in DEFECTS)


def tolerance(name: str, case: str) -> float:
    """What the folder's README allows for each source."""
    if "recalibrated" in name:
        return 1e-3
    if "quantile_calibration_error" in name:
        return 1e-4  # sums of 11,000 and more float32 numbers
    if name == "sp/temperature_scaling_beta":
        return 1e-6  # a minimiser that compares values finds the place to the root of the machine epsilon
    if re.match(r"rm/(gce/|ace|sce|rmsce|msce|tace_class|crps|semiparametric_ce|auc_)", name):
        return 1e-9  # these compute in float64
    if name.startswith(("rm/", "tu/")):
        return 2e-5
    # scikit-learn and SciPy worked in float64 on the float32 arrays of two cases.
    return 1e-9 if case not in ("b_overconfident10", "d_100class") else 1e-6


def test_every_entry_is_mapped_once() -> None:
    wrong = {name: len(find(name)) for _, name in entries() if not is_known_defect(name) and len(find(name)) != 1}
    assert not wrong


def test_every_mapping_is_used() -> None:
    names = {name for _, name in entries()}
    assert not [pattern for pattern in MAPPING if not any(re.fullmatch(pattern, name) for name in names)]


def is_known_defect(name: str) -> bool:
    return any(re.fullmatch(pattern, name) for _, pattern in DEFECTS)


@pytest.mark.parametrize(("case", "name"), entries())
def test_golden(case: str, name: str) -> None:
    entry = expected()[case][name]
    value = entry["value"]
    defect = is_defect(case, name, value)
    if defect and not find(name):  # the right value has an entry of another name
        return
    ((function, match),) = find(name)
    ours = function(Case(case), match)
    if defect:
        assert np.isfinite(ours)
        return
    if value == "nan":  # coverage_at_risk where no coverage is good enough
        assert name.startswith("def/coverage_at_risk")
        assert ours == 0.0
        return
    wanted = np.float64(value) if isinstance(value, str) else np.asarray(value, np.float64)
    np.testing.assert_allclose(ours, wanted, rtol=tolerance(name, case), atol=1e-12)

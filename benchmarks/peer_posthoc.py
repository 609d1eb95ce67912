"""Calibrations and conformal sets of predictions that lie in `predictions.npz`: two sides of `peers.py`.

`suite` is ours, `mapie` scikit-learn's calibration of a classifier that is fitted already, and MAPIE's sets, both as
their user guides have it. The NLL and accuracy are those after temperature scaling, the Brier score is that after
isotonic regression; coverage and size are those of sets that promise 90 %.
"""

import numpy as np
from peer_job import Job, answer, brier_and_ece

ALPHA = 0.1


def read(job: Job) -> list[np.ndarray]:
    """Return probabilities `[n, classes]` and labels `[n]` of the validation and the test split."""
    with np.load(job.folder / "predictions.npz") as file:
        return [file[name] for name in ("validation_probs", "validation_labels", "test_probs", "test_labels")]


def suite(job: Job) -> dict[str, float]:
    """Use `posthoc`."""
    from uncertainty_suite import metrics, posthoc

    held_out, held_out_labels, probs, labels = read(job)
    scaled, isotonic = (
        posthoc.get(name).fit(held_out, held_out_labels)(probs)
        for name in ("temperature_scaling", "isotonic_regression")
    )
    found = {
        "accuracy": metrics.accuracy(scaled, labels),
        "nll": metrics.negative_log_likelihood(scaled, labels),
        "brier": metrics.brier_score(isotonic, labels),
        "ece": metrics.expected_calibration_error(isotonic, labels),
    }
    for name, key in (("split_conformal", ""), ("aps", "aps_")):
        said = posthoc.get(name).fit(held_out, held_out_labels, alpha=ALPHA).measure(probs, labels)
        found |= {f"{key}coverage": said["coverage"], f"{key}set_size": said["set_size"]}
    return found


def mapie(job: Job) -> dict[str, float]:
    """Use scikit-learn and MAPIE."""
    from mapie.classification import SplitConformalClassifier
    from mapie.metrics.classification import classification_coverage_score, classification_mean_width_score
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator
    from sklearn.metrics import accuracy_score, log_loss

    class Network(ClassifierMixin, BaseEstimator):
        """A network that was trained elsewhere: its inputs are what it has said."""

        def fit(self, X, y):
            self.classes_ = np.arange(X.shape[1])
            return self

        def predict_proba(self, X):
            return X

        def predict(self, X):
            return X.argmax(axis=1)

    held_out, held_out_labels, probs, labels = read(job)
    network = Network().fit(held_out, held_out_labels)
    scaled, isotonic = (
        CalibratedClassifierCV(FrozenEstimator(network), method=method)
        .fit(held_out, held_out_labels)
        .predict_proba(probs)
        for method in ("temperature", "isotonic")
    )
    found = {
        "accuracy": accuracy_score(labels, scaled.argmax(axis=1)),
        "nll": log_loss(labels, scaled, labels=network.classes_),
        **brier_and_ece(isotonic, labels),
    }
    for score, key, options in (("lac", "", None), ("aps", "aps_", {"include_last_label": "randomized"})):
        classifier = SplitConformalClassifier(
            network, confidence_level=1 - ALPHA, conformity_score=score, prefit=True, random_state=0
        )
        _, sets = classifier.conformalize(held_out, held_out_labels).predict_set(probs, options)
        found[f"{key}coverage"] = classification_coverage_score(labels, sets)[0]
        found[f"{key}set_size"] = classification_mean_width_score(sets)[0]
    return found


if __name__ == "__main__":
    answer({"suite": suite, "mapie": mapie})

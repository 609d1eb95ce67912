"""What can be done with trained networks without training: calibration, sets, OOD scores, Laplace, ensembles.

    python benchmarks/posthoc.py

The networks are the two of `benchmarks/published_networks.py`, ResNet-20 and ResNet-56 on CIFAR-10, whose weights are
published, and the ensemble of both, the mean of their probabilities. They were trained on all 50,000 training images,
so nothing is left to fit on but the test images. These are divided in two at random, 5 times: what is fitted on one
half is measured on the other, and then the other way round, so that each number is a mean over 10 fits. Its standard
deviation over the 5 divisions is that of the fit and the division; the test images are always the same 10,000.

- Calibrations: NLL, Brier score and ECE, with those of the networks as they are.
- Conformal sets of 90 % coverage, of the networks as they are: coverage, mean size, and the coverage of the class where
  it is least.
- `laplace`: a Gaussian over the last layer (the full Hessian, closed form), from the features of the first
  `--fit_examples` training images, each counted as often as makes 50,000; the prior precision is chosen by the NLL of
  the half that is fitted on.
- OOD scores against textures (DTD), Fashion-MNIST and MNIST, the first `--ood_examples` of each. Those of features
  learn from the same training images. Nothing is chosen.
- The rank correlation of each part of the uncertainty with the entropy of people's answers (CIFAR-10H).

`--output_dir` keeps the predictions; `--results_dir` gets the numbers, `posthoc.json`; the tables are printed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats
from published_networks import ACCURACY, BATCH_SIZE, ROOT, build, read_weights

from uncertainty_suite import datasets, keras, layers, likelihoods, metrics, ood_scores, posthoc, tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.files import write_arrays, write_json
from uncertainty_suite.metrics.base import tie_groups
from uncertainty_suite.metrics.recalibration import log_softmax
from uncertainty_suite.metrics.samples import entropy_of
from uncertainty_suite.training.run import provenance

TASK = "cifar10"
OOD = ("dtd32", "fashion_mnist", "mnist")
CALIBRATIONS = ("temperature_scaling", "vector_scaling", "isotonic_regression")
SETS = ("split_conformal", "aps", "raps", "saps")
SCORES = ("max_prob", "entropy", "max_logit", "energy", "mahalanobis", "relative_mahalanobis", "knn", "vim", "react")
ALPHA = 0.1
DIVISIONS = 5
PRIOR_PRECISIONS = (0.01, 0.1, 1.0, 10.0, 100.0, 1e3, 1e4)
ENSEMBLE_SCORES = ("max_prob", "entropy", "mutual_information")
MEASURED = ("accuracy", "nll", "brier", "ece")
SET_METRICS = ("coverage", "set_size", "worst_class_coverage")

Saved = dict[str, np.ndarray]  # what a network says of the examples of a split, as a run saves it


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, default=ROOT / "runs/posthoc")
    parser.add_argument("--results_dir", type=Path, default=ROOT / "benchmarks/results")
    parser.add_argument("--data_dir", type=Path, help="prepared TFDS data sets; models/ is in it or beside it")
    parser.add_argument("--fit_examples", type=int, default=2000)
    parser.add_argument("--ood_examples", type=int, default=1000)
    arguments = parser.parse_args()
    try:
        results = run(arguments)
    except InputError as error:
        sys.exit(f"benchmarks/posthoc.py: {error}")
    made_with = {name: value for name, value in provenance().items() if name != "host"}
    sizes = {name: getattr(arguments, name) for name in ("fit_examples", "ood_examples")}
    write_json(arguments.results_dir / "posthoc.json", {**made_with, **sizes, "networks": results})
    print(tables(results))


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Predict by both networks, and return what is measured of them and of their ensemble."""
    test = datasets.get(TASK, "test", arguments.data_dir)
    train = datasets.get(TASK, "train", arguments.data_dir)
    splits = {"test": test, "fit": train.subset(arguments.fit_examples)}
    for name in OOD:
        outside = datasets.get(name, "test", arguments.data_dir).like(test)
        splits[f"ood/{name}"] = outside.subset(arguments.ood_examples)
    people = test.human_labels / test.human_labels.sum(axis=1, keepdims=True)
    networks: dict[str, dict[str, Saved]] = {}
    results: dict[str, Any] = {}
    for name in ACCURACY:
        arrays = predict(name, splits, arguments.output_dir, arguments.data_dir)
        networks[name] = {
            key: saved_of(arrays[f"{key}/logits"][np.newaxis], arrays[f"{key}/features"]) for key in splits
        }
        head = arrays["head/kernel"], arrays["head/bias"]
        scores = ood(networks[name], SCORES, splits["fit"].labels, head)
        variances = laplace_variances(networks[name], splits["fit"].labels, head, train.num_examples)
        results[name] = measure(networks[name]["test"], test.labels, variances) | {"ood": scores}
    members = list(networks.values())
    ensemble = {
        key: saved_of(np.concatenate([member[key]["logits"] for member in members])) for key in splits if key != "fit"
    }
    results["ensemble"] = measure(ensemble["test"], test.labels) | {"ood": ood(ensemble, ENSEMBLE_SCORES)}
    for name, said in [*((name, networks[name]["test"]) for name in ACCURACY), ("ensemble", ensemble["test"])]:
        results[name]["human_correlation"] = human_correlation(said, people)
    return results


def saved_of(logits: np.ndarray, features: np.ndarray | None = None) -> Saved:
    """Return what a run would save of logits `[samples, n, classes]`."""
    samples = np.exp(log_softmax(logits.astype(np.float64)))
    saved = {"logits": logits, "samples": samples, "log_probs": np.log(samples.mean(axis=0))}
    return saved if features is None else {**saved, "features": features}


def measure(said: Saved, labels: np.ndarray, variances: dict[float, np.ndarray] | None = None) -> dict[str, Any]:
    """Return metrics by calibration and by kind of set, each with its mean and standard deviation over divisions."""
    log_probs = said["log_probs"]
    probs = np.exp(log_probs)
    found: dict[str, list[dict[str, float]]] = {}
    for division in range(DIVISIONS):
        order = np.random.default_rng(division).permutation(len(labels))
        halves = np.array_split(order, 2)
        of_division: dict[str, list[dict[str, float]]] = {}
        for fit, test in (halves, halves[::-1]):
            of_division.setdefault("none", []).append(metrics_of(probs[test], labels[test]))
            for name in CALIBRATIONS:
                calibrate = posthoc.get(name, from_logits=True).fit(log_probs[fit], labels[fit])
                of_division.setdefault(name, []).append(metrics_of(calibrate(log_probs[test]), labels[test]))
            if variances is not None:
                candidates = {each: probit(said["logits"][0], variance) for each, variance in variances.items()}
                nll = {each: metrics_of(candidate[fit], labels[fit])["nll"] for each, candidate in candidates.items()}
                best = min(nll, key=lambda each, nll=nll: nll[each])
                chosen = {"prior_precision": best, **metrics_of(candidates[best][test], labels[test])}
                of_division.setdefault("laplace", []).append(chosen)
            for name in SETS:
                sets = posthoc.get(name).fit(probs[fit], labels[fit], alpha=ALPHA, element_ids=fit)
                said_of = sets.measure(probs[test], labels[test], element_ids=test)
                of_division.setdefault(name, []).append({each: said_of[each] for each in SET_METRICS})
        for name, both in of_division.items():
            means = {each: float(np.mean([half[each] for half in both])) for each in both[0]}
            found.setdefault(name, []).append(means)
    return {
        name: {
            each: {
                "mean": float(np.mean([means[each] for means in of_name])),
                "stddev": float(np.std([means[each] for means in of_name], ddof=1)),
            }
            for each in of_name[0]
        }
        for name, of_name in found.items()
    }


def metrics_of(probs: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return the metrics of probabilities `[n, classes]`."""
    collection = metrics.Collection(MEASURED)
    collection.add_batch(probs, label=labels)
    return {name: float(value) for name, value in collection.result().items()}


def laplace_variances(
    network: dict[str, Saved], labels: np.ndarray, head: tuple[np.ndarray, np.ndarray], num_examples: int
) -> dict[float, np.ndarray]:
    """Return the variances of the test logits `[n, classes]` by prior precision.

    Args:
        network: What it says of all splits; the Hessian is that of `fit`.
        labels: Of `fit`.
        head: Weights and bias of the last layer.
        num_examples: As many examples as those of `fit` stand for.
    """
    fit, test = network["fit"], network["test"]
    likelihood = likelihoods.get("categorical", num_classes=fit["logits"].shape[-1])
    outputs = tf.constant(fit["logits"][0], tf.float64)
    laplace = layers.LastLayerLaplace(fit["features"].shape[-1], likelihood.num_latents)
    information = likelihood.fisher_information(outputs) * (num_examples / len(labels))
    laplace.add(tf.constant(fit["features"]), information, -likelihood.loss(outputs, tf.constant(labels)))
    posterior = laplace.posterior(*map(tf.constant, head))
    features = tf.constant(test["features"])
    return {each: posterior.variance(features, each).numpy().astype(np.float64) for each in PRIOR_PRECISIONS}


def probit(logits: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return probabilities of logits that are uncertain, as `likelihoods.Categorical.predict` has them."""
    return np.exp(log_softmax(logits / np.sqrt(1 + np.pi / 8 * variance)))


def ood(
    network: dict[str, Saved],
    scores: Sequence[str],
    labels: np.ndarray | None = None,
    head: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, dict[str, float]]:
    """Return the AUROC of each score against each OOD set."""
    found = {}
    for name in scores:
        score = ood_scores.get(name)
        if score.fit_needs:
            score.fit({**network["fit"], "labels": labels}, head)
        inside = score(network["test"])
        found[name] = {each: metrics.auroc(inside, score(network[f"ood/{each}"])) for each in OOD}
    return found


def human_correlation(said: Saved, people: np.ndarray) -> dict[str, float]:
    """Return the rank correlation of each part of the uncertainty with the entropy of people's answers."""
    parts = {"aleatoric": metrics.expected_entropy(said["samples"])}
    if len(said["samples"]) > 1:
        parts["epistemic"] = metrics.mutual_information(said["samples"])
    human = tie_groups(entropy_of(people))
    return {name: float(scipy.stats.spearmanr(tie_groups(values), human).statistic) for name, values in parts.items()}


def tables(results: dict[str, Any]) -> str:
    """Return all numbers as Markdown tables."""
    text = table(
        ["network", "calibration", *MEASURED],
        [
            [name, each, *(write(of_network[each][metric]) for metric in MEASURED)]
            for name, of_network in results.items()
            for each in ("none", *CALIBRATIONS, "laplace")
            if each in of_network
        ],
    )
    text += "\n" + table(
        ["network", "sets", *SET_METRICS],
        [
            [name, each, *(write(of_network[each][metric]) for metric in SET_METRICS)]
            for name, of_network in results.items()
            for each in SETS
        ],
    )
    text += "\n" + table(
        ["network", "OOD score", *OOD],
        [
            [name, each, *(f"{aurocs[data]:.3f}" for data in OOD)]
            for name, of_network in results.items()
            for each, aurocs in of_network["ood"].items()
        ],
    )
    text += "\n" + table(
        ["network", "part", "rank correlation with people's entropy"],
        [
            [name, part, f"{value:.3f}"]
            for name, of_network in results.items()
            for part, value in of_network["human_correlation"].items()
        ],
    )
    return text


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    return "".join(f"| {' | '.join(line)} |\n" for line in [header, ["---"] * len(header), *rows])


def write(value: dict[str, float]) -> str:
    """Return a mean with its standard deviation, where it varies."""
    spread = f" ± {value['stddev']:.1g}" if value["stddev"] > 1e-9 else ""  # others are rounding
    return f"{value['mean']:.4f}{spread}"


def predict(name: str, splits: dict[str, datasets.Dataset], folder: Path, data_dir: Path | None) -> dict[str, Any]:
    """Return logits and features of all splits by their keys, `test/logits`, of a file or else predicted."""
    path = folder / f"{name}.npz"
    wanted = {key: data.num_examples for key, data in splits.items()}
    if path.exists():
        with np.load(path) as file:
            found = dict(file)
        if {key: len(found.get(f"{key}/logits", ())) for key in splits} == wanted:
            return found
    model = build(read_weights(name, data_dir), splits["test"].form)
    network = tf.function(keras.Model(model.input, [model.get_layer("pool").output, model.output]), autograph=False)
    arrays: dict[str, np.ndarray] = {"head/kernel": np.array(model.get_layer("linear").kernel)}
    arrays["head/bias"] = np.array(model.get_layer("linear").bias)
    for key, data in splits.items():
        said = [[np.asarray(each) for each in network(batch["features"])] for batch in data.load(BATCH_SIZE)]
        arrays[f"{key}/features"], arrays[f"{key}/logits"] = (np.concatenate(parts) for parts in zip(*said))
        print(f"{name}: {key}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    write_arrays(path, arrays)
    return arrays


if __name__ == "__main__":
    main()

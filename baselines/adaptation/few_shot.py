"""Few-shot probes: how much a linear classifier learns from a few examples, by the features of a trained network.

    python baselines/adaptation/few_shot.py runs/digits/*/seed0 --shots 1 5 10 100 --output_dir=runs/few_shot
    python baselines/adaptation/few_shot.py runs/mnist/*/seed0 --dataset=fashion_mnist --output_dir=runs/few_shot_2

It takes the run folders of any methods on one task and trains no network: features are those that a network's head
sees, and on them a logistic regression with an l2 penalty is fitted to k examples of each class of the training split,
of the task's own data set or of another one that comes in its form (as in Kolesnikov et al. 2020, arXiv:1912.11370,
with logistic in place of least-squares regression). The penalty is the one with the least NLL in cross-validation on
these examples; with one of each class there is nothing to validate on, and it is 1. `inputs` is the same without a
network, on the examples themselves. Each draw of examples is the same for all, so that differences are paired.
"""

import argparse
from pathlib import Path

import numpy as np

import uncertainty_suite
from uncertainty_suite import decisions, metrics
from uncertainty_suite.decisions import command
from uncertainty_suite.errors import InputError
from uncertainty_suite.program import Parser
from uncertainty_suite.runs import RunFolder
from uncertainty_suite.tasks import Split
from uncertainty_suite.training.run import data_of

METRICS = {"accuracy": True, "nll": False, "ece": False}  # whether higher is better
STRENGTHS = {"logisticregression__C": np.logspace(-4, 2, 7)}  # the inverses of penalties, as scikit-learn has them
FOLDS = 5  # at most
INPUTS = "inputs"


def main(argv=None):
    """Fit all probes of all runs; return the record, which is also written."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders of finished runs, of one task")
    parser.add_argument("--dataset", help="what is learnt; by default the task's own data set")
    parser.add_argument("--shots", nargs="+", type=int, default=[1, 5, 10, 100], help="examples of each class")
    parser.add_argument("--draws", type=int, default=10, help="how often the examples are drawn")
    parser.add_argument("--output_dir", type=Path, required=True, help="where record, tables and figure lie")
    parser.add_argument("--data_dir", type=Path, help="prepared data sets")
    arguments = parser.parse_args(argv)

    runs = name_runs([RunFolder(path) for path in arguments.runs])
    first = next(iter(runs.values()))
    name = arguments.dataset or first.config["dataset"]["name"]
    train, test = (split_of(first, name, split, arguments.data_dir) for split in ("train", "test"))
    check(arguments, runs, train)
    draws = [draw(train, arguments.shots, seed) for seed in range(arguments.draws)]

    curves = {metric: {} for metric in METRICS}
    for way, run in {INPUTS: None, **runs}.items():
        features = [features_of(run, data, arguments.data_dir) for data in (train, test)]
        for seed, places in enumerate(draws):
            measured = [
                probe(features[0][chosen], train.labels[chosen], features[1], test.labels, seed) for chosen in places
            ]
            for metric, by_way in curves.items():
                by_way.setdefault(way, {})[str(seed)] = [each[metric] for each in measured]
        print(f"{way}: {len(draws)} draws", flush=True)

    settings = {"dataset": name, "runs": {way: str(run.path) for way, run in runs.items()}}
    record = decisions.Record(
        decision="few_shot",
        title=f"Few-shot probes of {name} by features of {first.task.name}; each seed is a draw of examples",
        budget="examples of each class",
        budgets=tuple(arguments.shots),
        references=(INPUTS,),
        curves=curves,
        higher_is_better=METRICS,
        made_by=command.made_by(settings, {way: run.config for way, run in runs.items()}),
    )
    return command.finish(record, arguments.output_dir)


def name_runs(runs):
    """Return runs by the names of their methods, with the seed or the folder where one has several runs."""
    for name in (
        lambda run: run.method,
        lambda run: f"{run.method}, seed {run.config['seed']}",
        lambda run: str(run.path),
    ):
        named = {name(run): run for run in runs}
        if len(named) == len(runs):
            return named
    raise InputError(f"A run is named twice: {', '.join(str(run.path) for run in runs)}. Name each one once.")


def split_of(run, name, split, data_dir):
    """Return a split of a data set in the form that a run's network takes."""
    config = {**run.config["dataset"], "train_fraction": 1.0, "imbalance": 1.0, "label_noise": 0.0}
    for view in ("train_ids", "mixup", "cutmix", "augmix", "outliers"):
        config.pop(view, None)
    return data_of(config, Split(split, split, f"{name}/{split}"), data_dir)


def check(arguments, runs, train):
    """Refuse what would fail later."""
    first, *others = runs.values()
    for run in others:
        if run.config["dataset"] != first.config["dataset"]:
            raise InputError(f"{run.path} and {first.path} were trained on other data. Take runs of one task.")
    if train.likelihood != "categorical":
        raise InputError(f"Labels of data set '{train.name}' are {train.likelihood}; the probes are classifiers.")
    if arguments.draws < 1 or min(arguments.shots) < 1:
        raise InputError("--draws and --shots must be at least 1.")
    counts = np.bincount(train.labels, minlength=train.num_classes)
    if max(arguments.shots) > counts.min():
        raise InputError(
            f"--shots has {max(arguments.shots)} examples of each class, and of class {counts.argmin()} of data set "
            f"'{train.name}' there are {counts.min()} to train on."
        )


def draw(train, shots, seed):
    """Return the places of so many examples of each class; fewer shots are among the more."""
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(np.flatnonzero(train.labels == label)) for label in range(train.num_classes)]
    return [np.concatenate([order[:count] for order in orders]) for count in shots]


def features_of(run, data, data_dir):
    """Return the features `[n, d]` of all examples: what the head of a run's network sees; of None the examples."""
    if run is None:
        batches = [batch["features"] for batch in data.load(500).as_numpy_iterator()]
        if not isinstance(batches[0], np.ndarray):
            raise InputError(f"Examples of data set '{data.name}' have several parts; a probe of them is not made.")
        return np.concatenate(batches).reshape(data.num_examples, -1)
    predictor = uncertainty_suite.load(run.path, data_dir)
    predictor.begin(data.split)
    features = [predictor(batch["features"]).features for batch in data.load(predictor.batch_size)]
    if features[0] is None:
        raise InputError(f"The method of {run.path} gives no features. Leave it out.")
    return np.concatenate(features)


def probe(features, labels, test_features, test_labels, seed):
    """Return the metrics on test examples of a logistic regression of a few."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    folds = min(FOLDS, int(np.bincount(labels).min()))
    if folds > 1:
        parts = StratifiedKFold(folds, shuffle=True, random_state=seed)
        model = GridSearchCV(model, STRENGTHS, cv=parts, scoring="neg_log_loss")
    model.fit(features, labels)
    collection = metrics.Collection(METRICS)
    collection.add_batch(model.predict_proba(test_features), label=test_labels)
    return {name: float(value) for name, value in collection.result().items()}


if __name__ == "__main__":
    command.run(main)

"""Active learning: which examples to have labelled, by what any method says of those without a label.

    python baselines/decisions/active_learning.py --method=mc_dropout --config=configs/mnist.py \\
        --config.batch_size=20 --config.epochs=50 --output_dir=runs/active_learning

At first a few examples of each class are labelled, drawn by the seed. Each round trains the method from scratch on all
labelled examples, measures it on test examples, shows it a random part of the others, and has those labelled that the
acquisition function chooses (Gal, Islam and Ghahramani 2017, arXiv:1703.02910). With the same seed all acquisition
functions begin with the same network. The training split is that of the configuration; labels of its validation split
are seen only by methods that choose something there. `batch_size` has to be at most the number of first labels.

A round that is finished is not repeated, so the command can be given again. `docs/decisions.md` has results and times.
"""

import functools

import numpy as np

from uncertainty_suite import decisions, metrics
from uncertainty_suite.decisions import command
from uncertainty_suite.decisions.learner import Learner, ask
from uncertainty_suite.errors import InputError
from uncertainty_suite.likelihoods.categorical import sample_log_probs

METRICS = {"accuracy": True, "nll": False}  # whether higher is better


def main(argv=None):
    """Run all acquisition functions with all seeds; return the record, which is also written."""
    parser = command.parser(__doc__)
    parser.add_argument(
        "--acquisitions",
        nargs="+",
        default=["random", "entropy", "bald"],
        metavar="NAME",
        help=f"of {', '.join(decisions.LABELS.names())}; all others are compared with the first",
    )
    parser.add_argument("--first", type=int, default=2, help="examples of each class that are labelled at first")
    parser.add_argument("--rounds", type=int, default=8, help="how often labels are asked for")
    parser.add_argument("--labels", type=int, default=20, help="examples that a round has labelled")
    parser.add_argument("--pool_examples", type=int, default=2000, help="examples that a round may choose from")
    parser.add_argument("--test_examples", type=int, default=0, help="so many are measured, the first; 0 for all")
    arguments, overrides = command.parse(parser, argv)
    for name in arguments.acquisitions:
        decisions.LABELS.options(name, skip=3)  # refuses what it does not know
    learner = Learner(arguments.method, arguments.config, overrides, arguments.data_dir)
    train = learner.data("train")
    check(arguments, learner, train)

    sizes = {name: getattr(arguments, name) for name in ("first", "rounds", "labels", "pool_examples", "test_examples")}
    curves = {metric: {name: {} for name in arguments.acquisitions} for metric in METRICS}
    for seed in range(arguments.seeds):
        first = first_labels(train, arguments.first, seed)
        first_network = functools.cache(functools.partial(learner.learn, first, seed))  # the same for all
        for name in arguments.acquisitions:
            path = arguments.output_dir / name / f"seed{seed}.json"
            settings = {**sizes, "method": learner.method, "seed": seed, "config": learner.config.to_dict()}
            progress = decisions.Progress(path, settings)
            while len(progress.steps) <= arguments.rounds:
                labelled = progress.steps[-1]["next"] if progress.steps else first
                predictor = learner.learn(labelled, seed) if progress.steps else first_network()
                measured = measure(predictor, learner.data("test").subset(arguments.test_examples))
                chosen = []
                if len(progress.steps) < arguments.rounds:
                    rng = np.random.default_rng([seed, len(progress.steps)])
                    chosen = ask_for_labels(name, predictor, train, labelled, arguments, rng)
                progress.add({"labels": len(labelled), **measured, "next": [*labelled, *chosen]})
                print(f"{name}, seed {seed}: {len(labelled)} labels, {measured}", flush=True)
            for metric, by_name in curves.items():
                by_name[name][str(seed)] = [step[metric] for step in progress.steps]

    record = decisions.Record(
        decision="active_learning",
        title=f"Active learning of {learner.config.dataset.name} by {learner.method}",
        budget="labels",
        budgets=tuple(step["labels"] for step in progress.steps),
        references=(arguments.acquisitions[0],),
        curves=curves,
        higher_is_better=METRICS,
        made_by=command.made_by(sizes, learner.config.to_dict()),
    )
    return command.finish(record, arguments.output_dir)


def check(arguments, learner, train):
    """Refuse what would fail after hours."""
    if train.likelihood != "categorical":
        raise InputError(
            f"Labels of data set '{train.name}' are {train.likelihood}; these acquisitions are of classes."
        )
    num_first, batch_size = arguments.first * train.num_classes, learner.config.batch_size
    if batch_size > num_first:
        raise InputError(
            f"config.batch_size is {batch_size}, and at first {num_first} examples are labelled. Give "
            f"--config.batch_size={num_first}, or label more by --first."
        )
    if not 0 < arguments.labels <= arguments.pool_examples:
        raise InputError(f"--labels must be from 1 to --pool_examples, {arguments.pool_examples}.")
    needed = num_first + arguments.rounds * arguments.labels + arguments.pool_examples
    if needed > train.num_examples:
        raise InputError(
            f"First labels, those of all rounds and a last pool are {needed} examples, and data set '{train.name}' has "
            f"{train.num_examples} to train on. Lower --pool_examples, --rounds or --labels."
        )


def first_labels(train, count, seed):
    """Return the ids of so many examples of each class, drawn by the seed."""
    rng = np.random.default_rng(seed)
    ids = [rng.permutation(train.element_ids[train.labels == label])[:count] for label in range(train.num_classes)]
    return np.concatenate(ids).tolist()


def ask_for_labels(name, predictor, train, labelled, arguments, rng):
    """Return the ids of the examples that an acquisition function chooses of a random pool."""
    others = np.setdiff1d(train.element_ids, labelled)
    pool = train.only(rng.permutation(others)[: arguments.pool_examples])
    log_probs = sample_log_probs(ask(predictor, pool, "train"))
    return pool.element_ids[decisions.LABELS.make(name, log_probs, arguments.labels, rng)].tolist()


def measure(predictor, test):
    """Return the metrics of the mean prediction of test examples."""
    said = predictor.likelihood.to_saved(ask(predictor, test))
    collection = metrics.Collection(METRICS)
    collection.add_batch(predictor.likelihood.metric_input(said), label=test.labels)
    return {name: float(value) for name, value in collection.result().items()}


if __name__ == "__main__":
    command.run(main)

"""Fine-tuning: what a trained network learns from a few examples of another data set, and how calibrated it then is.

    python baselines/mc_dropout.py --config=configs/mnist.py --output_dir=runs/mnist/mc_dropout/seed0
    python baselines/adaptation/fine_tuning.py --method=mc_dropout --config=configs/fashion_mnist.py --seeds=1 \\
        --start_from=runs/mnist/mc_dropout --examples 500 5000 --output_dir=runs/fine_tuning

The second command trains the script twice for each number of examples: `from_scratch`, and `fine_tuning`, which begins
with the network in `<start_from>/seed<seed>`, a run of the same script with the same network and optimizer. Networks
that were trained before are said to be better calibrated (Hendrycks, Lee and Mazeika 2019, arXiv:1901.09960). Measured
are test examples, as they are predicted (`nll`, `ece`) and with a temperature that is fitted on the validation split
(`scaled_nll`, `scaled_ece`). Each training has `config.epochs` passes, so that fewer examples are fewer steps. What is
finished is not trained again when the command is given again.
"""

from pathlib import Path

import numpy as np

from uncertainty_suite import decisions, metrics, posthoc
from uncertainty_suite.decisions import command
from uncertainty_suite.decisions.learner import Learner, ask
from uncertainty_suite.errors import InputError

WAYS = ("from_scratch", "fine_tuning")
MEASURED = ("accuracy", "nll", "ece")
SCALED = ("nll", "ece")
METRICS = {"accuracy": True, "nll": False, "ece": False, "scaled_nll": False, "scaled_ece": False}  # is higher better?


def main(argv=None):
    """Train in both ways with all numbers of examples and seeds; return the record, which is also written."""
    parser = command.parser(__doc__)
    parser.add_argument("--start_from", type=Path, required=True, help="has the runs seed0, seed1 and so on")
    parser.add_argument("--examples", nargs="+", type=int, default=[100, 1000], help="how many are trained on")
    parser.add_argument("--test_examples", type=int, default=0, help="so many are measured, the first; 0 for all")
    arguments, overrides = command.parse(parser, argv)
    learner = Learner(arguments.method, arguments.config, overrides, arguments.data_dir)
    train = learner.data("train")
    check(arguments, learner, train)
    validation, test = learner.data("validation"), learner.data("test").subset(arguments.test_examples)

    sizes = {"examples": arguments.examples, "test_examples": arguments.test_examples}
    curves = {metric: {way: {} for way in WAYS} for metric in METRICS}
    for seed in range(arguments.seeds):
        order = np.random.default_rng(seed).permutation(train.element_ids)  # fewer examples are among the more
        for way in WAYS:
            start_from = arguments.start_from / f"seed{seed}" if way == "fine_tuning" else None
            folder = arguments.output_dir / way / f"seed{seed}"
            settings = {**sizes, "method": learner.method, "seed": seed, "config": learner.config.to_dict()}
            progress = decisions.Progress(folder / "progress.json", {**settings, "start_from": str(start_from)})
            for count in arguments.examples[len(progress.steps) :]:
                predictor = learner.learn(order[:count], seed, folder / f"examples{count}", start_from)
                progress.add(measure(predictor, validation, test))
                print(f"{way}, seed {seed}, {count} examples: {progress.steps[-1]}", flush=True)
            for metric, by_way in curves.items():
                by_way[way][str(seed)] = [step[metric] for step in progress.steps]

    record = decisions.Record(
        decision="fine_tuning",
        title=f"Fine-tuning on {learner.config.dataset.name} by {learner.method}, from {arguments.start_from}",
        budget="examples",
        budgets=tuple(arguments.examples),
        references=(WAYS[0],),
        curves=curves,
        higher_is_better=METRICS,
        made_by=command.made_by({**sizes, "start_from": str(arguments.start_from)}, learner.config.to_dict()),
    )
    return command.finish(record, arguments.output_dir)


def check(arguments, learner, train):
    """Refuse what would fail later."""
    if train.likelihood != "categorical":
        raise InputError(f"Labels of data set '{train.name}' are {train.likelihood}; what is measured is of classes.")
    for count in arguments.examples:
        if not learner.config.batch_size <= count <= train.num_examples:
            raise InputError(
                f"--examples must be from {learner.config.batch_size}, which is config.batch_size, to "
                f"{train.num_examples}, which data set '{train.name}' has, received {count}."
            )
    for seed in range(arguments.seeds):
        folder = arguments.start_from / f"seed{seed}"
        if not (folder / "checkpoints").is_dir():
            raise InputError(
                f"There is no training in {folder}: give as --start_from a folder with seed0, seed1 and so on, as many "
                "as --seeds."
            )


def measure(predictor, validation, test):
    """Return the metrics of test examples, as they are predicted and with a temperature."""
    predicted = []
    for data in (validation, test):
        said = predictor.likelihood.to_saved(ask(predictor, data))
        predicted.append((predictor.likelihood.metric_input(said), np.asarray(data.labels)))
    scale = posthoc.get("temperature_scaling").fit(*predicted[0])
    probs, labels = predicted[1]
    scaled = values(SCALED, scale(probs), labels)
    return {**values(MEASURED, probs, labels), **{f"scaled_{name}": value for name, value in scaled.items()}}


def values(names, probs, labels):
    """Return metrics by name."""
    collection = metrics.Collection(names)
    collection.add_batch(probs, label=labels)
    return {name: float(value) for name, value in collection.result().items()}


if __name__ == "__main__":
    command.run(main)

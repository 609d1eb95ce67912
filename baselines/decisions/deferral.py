"""Deferral: which decisions to leave to an expert who can take only some of them, by what a method says of its own.

    python baselines/decisions/deferral.py runs/digits/mc_dropout/seed*/ --output_dir=runs/deferral
    python baselines/decisions/deferral.py runs/published/resnet20 --expert=human --output_dir=runs/deferral_cifar10

It takes the run folders of any method on a task of classes, one a seed, and trains nothing. The expert answers the
examples of the test split about which the method is least certain, by each of the uncertainties that its predictions
have; all others the network answers. The expert is right with a probability that is given, whatever the example, or is
one of the people who labelled it (`human`: CIFAR-10H, whose answers are compared with the label of the data set);
examples that nobody labelled are left out.
Curves are the accuracy of both together (Madras, Pitassi and Zemel 2018, arXiv:1711.06664, without learning to defer).
`random` defers at random, `oracle` those first where the expert has most to add.
"""

import argparse
from pathlib import Path

import numpy as np

from uncertainty_suite import decisions
from uncertainty_suite.decisions import command
from uncertainty_suite.decisions.deferral import expert_accuracy, team_accuracy
from uncertainty_suite.errors import InputError
from uncertainty_suite.program import Parser
from uncertainty_suite.runs import RunFolder
from uncertainty_suite.training.run import data_of


def main(argv=None):
    """Measure all runs; return the record, which is also written."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders of one method's runs")
    parser.add_argument("--expert", default="1.0", help="the probability that the expert is right, or 'human'")
    parser.add_argument(
        "--budgets",
        nargs="+",
        type=float,
        default=[0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5],
        help="shares of the examples that are deferred",
    )
    parser.add_argument("--output_dir", type=Path, required=True, help="where record, tables and figure lie")
    parser.add_argument("--data_dir", type=Path, help="prepared data sets, for 'human'")
    arguments = parser.parse_args(argv)
    if not all(0 <= budget <= 1 for budget in arguments.budgets):
        raise InputError(f"--budgets are shares in [0, 1], received {arguments.budgets}.")

    runs = [RunFolder(path) for path in arguments.runs]
    check(runs)
    curves = {}
    for run in runs:
        saved = run.predictions(run.task.in_distribution)
        likelihood = run.task.likelihood
        correct = likelihood.metric_input(saved).argmax(axis=-1) == saved["labels"]
        expert = accuracies(arguments.expert, run, saved, arguments.data_dir)
        orders = {
            "random": np.zeros(len(correct)),
            **likelihood.uncertainties(saved),
            "oracle": expert - correct,
        }
        labelled = ~np.isnan(expert)  # ReaL has images that nobody gave a class
        for name, order in orders.items():
            of_seed = team_accuracy(correct[labelled], expert[labelled], order[labelled], arguments.budgets)
            curves.setdefault(name, {})[str(run.config["seed"])] = of_seed

    config = runs[0].config
    record = decisions.Record(
        decision="deferral",
        title=f"Deferral of {runs[0].task.name} by {runs[0].method} to an expert ({arguments.expert})",
        budget="deferred",
        budgets=tuple(arguments.budgets),
        references=("random",),
        curves={"team_accuracy": curves},
        higher_is_better={"team_accuracy": True},
        made_by=command.made_by({"expert": arguments.expert, "runs": [str(run.path) for run in runs]}, config),
    )
    return command.finish(record, arguments.output_dir)


def check(runs):
    """Refuse runs that are no replicates of each other, and those without right and wrong."""
    for run in runs:
        if run.results is None:
            raise InputError(f"{run.path} is no finished run. Name folders that have a results.json.")
    first = runs[0]
    if first.task.likelihood.name != "categorical":
        raise InputError(f"{first.path} is on labels that are {first.task.likelihood.name}: nothing is right or wrong.")
    seeds = [run.config["seed"] for run in runs]
    if len(set(seeds)) < len(seeds):
        raise InputError(f"Runs of the same seed: {', '.join(str(run.path) for run in runs)}. Name each seed once.")
    for run in runs:
        if {**run.config, "seed": 0} != {**first.config, "seed": 0}:
            raise InputError(f"{run.path} and {first.path} differ in more than the seed. Measure them one by one.")


def accuracies(expert, run, saved, data_dir):
    """Return how probable it is that the expert is right about each example."""
    if expert == "human":
        data = data_of(run.config["dataset"], run.task.split(run.task.in_distribution), data_dir)
        rows = {element_id: row for row, element_id in enumerate(data.element_ids.tolist())}
        counts = data.human_labels[[rows[element_id] for element_id in saved["element_id"].tolist()]]
        return expert_accuracy(counts, saved["labels"])
    try:
        accuracy = float(expert)
        if 0 <= accuracy <= 1:
            return np.full(len(saved["labels"]), accuracy)
    except ValueError:
        pass
    raise InputError(f"--expert is a probability in [0, 1] or 'human', received '{expert}'.")


if __name__ == "__main__":
    command.run(main)

"""Bayesian optimisation: what to try next for the best of a function, by what any method says of what was tried.

    python baselines/decisions/bayesian_optimization.py --method=deep_ensemble --config=configs/optimization.py \\
        --output_dir=runs/branin

At first a few candidates are tried that the seed draws. Each round trains the method from scratch on all that was
tried, asks it about all other candidates, and tries the one with the highest score (Jones, Schonlau and Welch 1998).
Curves are of the simple regret: what the best of all candidates gives more than the best that was tried. Candidates are
fixed points, so that regret can be nothing. `uniform` is not trained.

A round that is finished is not repeated, so the command can be given again.
"""

import numpy as np

from uncertainty_suite import decisions
from uncertainty_suite.decisions import Belief, command
from uncertainty_suite.decisions.learner import Learner, ask
from uncertainty_suite.errors import InputError

UNIFORM = "uniform"


def main(argv=None):
    """Run all acquisition functions with all seeds; return the record, which is also written."""
    parser = command.parser(__doc__)
    parser.add_argument(
        "--acquisitions",
        nargs="+",
        default=[UNIFORM, "greedy", "ucb", "thompson", "expected_improvement"],
        metavar="NAME",
        help=f"of {', '.join(decisions.VALUES.names())}; all others are compared with the first two",
    )
    parser.add_argument("--first", type=int, default=5, help="candidates that are tried at first")
    parser.add_argument("--rounds", type=int, default=15, help="how many more are tried")
    arguments, overrides = command.parse(parser, argv)
    for name in arguments.acquisitions:
        decisions.VALUES.options(name, skip=3)  # refuses what it does not know
    learner = Learner(arguments.method, arguments.config, overrides, arguments.data_dir)
    train = learner.data("train")
    check(arguments, learner, train)

    values = dict(zip(train.element_ids.tolist(), train.labels.tolist()))
    sizes = {name: getattr(arguments, name) for name in ("first", "rounds")}
    curves = {name: {} for name in arguments.acquisitions}
    for seed in range(arguments.seeds):
        first = np.random.default_rng(seed).permutation(train.element_ids)[: arguments.first].tolist()
        for name in arguments.acquisitions:
            path = arguments.output_dir / name / f"seed{seed}.json"
            settings = {**sizes, "method": learner.method, "seed": seed, "config": learner.config.to_dict()}
            progress = decisions.Progress(path, settings)
            while (number := len(progress.steps)) < arguments.rounds:
                rng = np.random.default_rng([seed, number])
                tried = [*first, *(step["tried"] for step in progress.steps)]
                others = train.only(np.setdiff1d(train.element_ids, tried))
                belief = believe(name, learner, tried, seed, others)
                scores = decisions.VALUES.make(name, belief, max(values[each] for each in tried), rng)
                chosen = int(others.element_ids[scores.argmax()])
                progress.add({"tried": chosen, "value": values[chosen]})
                print(f"{name}, seed {seed}, round {number + 1}: {values[chosen]:.4g}", flush=True)
            best = max(values[each] for each in first)
            found = np.maximum.accumulate([best, *(step["value"] for step in progress.steps)])
            curves[name][str(seed)] = (train.labels.max() - found).tolist()

    record = decisions.Record(
        decision="bayesian_optimization",
        title=f"Optimisation of {learner.config.dataset.name} by {learner.method}",
        budget="evaluations",
        budgets=tuple(range(arguments.first, arguments.first + arguments.rounds + 1)),
        references=tuple(arguments.acquisitions[:2]),
        curves={"simple_regret": curves},
        higher_is_better={"simple_regret": False},
        made_by=command.made_by(sizes, learner.config.to_dict()),
    )
    return command.finish(record, arguments.output_dir)


def check(arguments, learner, train):
    """Refuse what would fail after hours."""
    if train.likelihood != "gaussian":
        raise InputError(f"Labels of data set '{train.name}' are {train.likelihood}: there is no largest to look for.")
    if learner.config.batch_size > arguments.first:
        raise InputError(
            f"config.batch_size is {learner.config.batch_size}, and {arguments.first} candidates are tried at first. "
            f"Give --config.batch_size={arguments.first}, or try more by --first."
        )
    if arguments.first + arguments.rounds > train.num_examples:
        raise InputError(f"Data set '{train.name}' has {train.num_examples} candidates. Lower --first or --rounds.")


def believe(name, learner, tried, seed, others):
    """Return what the method believes of candidates that were not tried yet."""
    if name == UNIFORM:
        return Belief(np.zeros(others.num_examples), np.zeros(others.num_examples))
    predictor = learner.learn(tried, seed)
    return Belief.of(predictor.likelihood.to_saved(ask(predictor, others, "train")))


if __name__ == "__main__":
    command.run(main)

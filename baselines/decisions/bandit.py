"""Contextual bandits: which arm to pull in a context, by what any method says of the rewards.

    python baselines/decisions/bandit.py --method=mc_dropout --config=configs/bandit.py --output_dir=runs/bandit

Contexts come in an order that the seed decides. In the first few every arm is pulled equally often; from then on a
policy pulls one arm in each context, and only the reward of that arm is ever seen (Riquelme, Tucker and Snoek 2018,
arXiv:1802.09127). Each round trains the method from scratch on all rewards seen so far, and decides by it in a number
of contexts; a sample that Thompson sampling draws is that of one context. The regret of a decision is what the best arm
would have given more. Curves are sums of regret over all decisions after the first ones, divided by what the uniform
policy expects on the same contexts: 1 is no better than that, 0 perfect. `uniform` is not trained.

A round that is finished is not repeated, so the command can be given again. `docs/decisions.md` has results and times.
"""

import numpy as np

from uncertainty_suite import decisions
from uncertainty_suite.decisions import Belief, command
from uncertainty_suite.decisions.learner import Learner, ask
from uncertainty_suite.errors import InputError

UNIFORM = "uniform"


def main(argv=None):
    """Run all policies with all seeds; return the record, which is also written."""
    parser = command.parser(__doc__)
    parser.add_argument(
        "--policies",
        nargs="+",
        default=[UNIFORM, "greedy", "ucb", "thompson"],
        metavar="NAME",
        help=f"of {', '.join(decisions.VALUES.names())}; all others are compared with the first two",
    )
    parser.add_argument("--first", type=int, default=3, help="how often each arm is pulled at first")
    parser.add_argument("--rounds", type=int, default=8, help="how often the method is trained")
    parser.add_argument("--decisions", type=int, default=50, help="decisions of a round")
    arguments, overrides = command.parse(parser, argv)
    for name in arguments.policies:
        decisions.VALUES.options(name, skip=3)  # refuses what it does not know
    learner = Learner(arguments.method, arguments.config, overrides, arguments.data_dir)
    train = learner.data("train")
    num_arms = train.source.num_arms
    check(arguments, learner, train, num_arms)

    rewards = train.labels.reshape(-1, num_arms)
    regrets = rewards.max(axis=1, keepdims=True) - rewards  # [contexts, arms]
    sizes = {name: getattr(arguments, name) for name in ("first", "rounds", "decisions")}
    curves = {name: {} for name in arguments.policies}
    for seed in range(arguments.seeds):
        contexts = np.random.default_rng(seed).permutation(len(rewards))
        first, contexts = np.split(
            contexts[: arguments.first * num_arms + arguments.rounds * arguments.decisions],
            [arguments.first * num_arms],
        )
        pulled_first = first * num_arms + np.arange(len(first)) % num_arms
        of_round = contexts.reshape(arguments.rounds, arguments.decisions)
        expected = regrets[of_round].mean(axis=2).sum(axis=1).cumsum()  # of the uniform policy
        for name in arguments.policies:
            path = arguments.output_dir / name / f"seed{seed}.json"
            settings = {**sizes, "method": learner.method, "seed": seed, "config": learner.config.to_dict()}
            progress = decisions.Progress(path, settings)
            while (number := len(progress.steps)) < arguments.rounds:
                rng = np.random.default_rng([seed, number])
                seen = [*pulled_first.tolist(), *(row for step in progress.steps for row in step["pulled"])]
                beliefs = believe(name, learner, seen, seed, of_round[number], num_arms)
                arms = [decisions.VALUES.make(name, belief, 0.0, rng).argmax() for belief in beliefs]
                regret = float(regrets[of_round[number], arms].sum())
                progress.add({"pulled": (of_round[number] * num_arms + arms).tolist(), "regret": regret})
                print(f"{name}, seed {seed}, round {number + 1}: regret {regret:.4g}", flush=True)
            regret = np.cumsum([step["regret"] for step in progress.steps])
            curves[name][str(seed)] = (regret / expected).tolist()

    record = decisions.Record(
        decision="bandit",
        title=f"{learner.config.dataset.name} by {learner.method}",
        budget="decisions",
        budgets=tuple(range(arguments.decisions, arguments.rounds * arguments.decisions + 1, arguments.decisions)),
        references=tuple(arguments.policies[:2]),
        curves={"relative_regret": curves},
        higher_is_better={"relative_regret": False},
        made_by=command.made_by(sizes, learner.config.to_dict()),
    )
    return command.finish(record, arguments.output_dir)


def check(arguments, learner, train, num_arms):
    """Refuse what would fail after hours."""
    if not num_arms:
        raise InputError(f"Data set '{train.name}' is no contextual bandit; bandit/wheel and bandit/digits are.")
    if learner.config.dataset.validation_percent or learner.config.dataset.train_fraction < 1:
        raise InputError(
            "A bandit needs all arms of a context: set config.dataset.validation_percent to 0 and train_fraction to 1."
        )
    num_first, batch_size = arguments.first * num_arms, learner.config.batch_size
    if batch_size > num_first:
        raise InputError(
            f"config.batch_size is {batch_size}, and {num_first} rewards are seen at first. Give "
            f"--config.batch_size={num_first}, or pull more often by --first."
        )
    needed, there = num_first + arguments.rounds * arguments.decisions, train.num_examples // num_arms
    if needed > there:
        raise InputError(f"{needed} contexts are needed, and data set '{train.name}' has {there}. Lower --rounds.")


def believe(name, learner, seen, seed, contexts, num_arms):
    """Return what the method believes of all arms in each of some contexts, in their order."""
    if name == UNIFORM:
        return [Belief(np.zeros(num_arms), np.zeros(num_arms))] * len(contexts)
    predictor = learner.learn(seen, seed)
    rows = (contexts[:, np.newaxis] * num_arms + np.arange(num_arms)).ravel()
    said = predictor.likelihood.to_saved(ask(predictor, learner.data("train").only(rows), "train"))
    belief = Belief.of(said)
    places = np.argsort(np.argsort(contexts))  # rows come in their stored order
    return [belief.part(slice(place * num_arms, (place + 1) * num_arms)) for place in places]


if __name__ == "__main__":
    command.run(main)

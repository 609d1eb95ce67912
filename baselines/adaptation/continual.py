"""Continual learning: any method on some classes after others, and what it then says of the first ones.

    python baselines/adaptation/continual.py --method=mc_dropout --config=configs/digits.py --output_dir=runs/continual
    python baselines/adaptation/continual.py --method=deep_ensemble --config=configs/mnist.py --config.epochs=3 \\
        --output_dir=runs/continual_mnist

The classes come in tasks of two, in their order (split MNIST; Zenke, Poole and Ganguli 2017, arXiv:1703.04200). It is
class-incremental: one head has all classes from the start, and at test nobody says of which task an example is (Van de
Ven and Tolias 2019, arXiv:1904.07734). `task_accuracy` alone is of the classes of an example's task, as if somebody
did. Ways to learn are `fine_tuning`, which goes on with the network of the task before and sees no more than the new
examples; `replay`, which keeps a few examples of each class before and sees them as well; and `joint`, which trains
from scratch on all examples so far, and is what the others can hope for.

After each task all tasks so far are measured on their test examples: `accuracy`, the mean over tasks, and
`forgetting`, how far the accuracy of an earlier task is below the best that it had (Chaudhry et al. 2018,
arXiv:1801.10112). How uncertain the method is where it has forgotten say `old_nll` and `old_ece`, of earlier tasks, and
`augrc`, of all, which is low where errors are few and uncertain. A method that chooses something on the validation
split sees all classes there. What is finished is not trained again when the command is given again.
"""

import numpy as np

from uncertainty_suite import decisions, metrics
from uncertainty_suite.decisions import command
from uncertainty_suite.decisions.learner import Learner, ask
from uncertainty_suite.errors import InputError
from uncertainty_suite.metrics.samples import entropy_of

WAYS = ("joint", "fine_tuning", "replay")
METRICS = {  # whether higher is better
    "accuracy": True,
    "task_accuracy": True,
    "forgetting": False,
    "old_nll": False,
    "old_ece": False,
    "augrc": False,
}


def main(argv=None):
    """Learn all tasks in all ways with all seeds; return the record, which is also written."""
    parser = command.parser(__doc__)
    parser.add_argument("--classes", type=int, default=2, help="classes of a task")
    parser.add_argument("--memory", type=int, default=5, help="examples of each earlier class that replay keeps")
    parser.add_argument("--test_examples", type=int, default=0, help="so many are measured, the first; 0 for all")
    arguments, overrides = command.parse(parser, argv)
    learner = Learner(arguments.method, arguments.config, overrides, arguments.data_dir)
    train, test = learner.data("train"), learner.data("test").subset(arguments.test_examples)
    check(arguments, learner, train)
    tasks = np.arange(train.num_classes).reshape(-1, arguments.classes)

    sizes = {name: getattr(arguments, name) for name in ("classes", "memory", "test_examples")}
    curves = {metric: {way: {} for way in WAYS} for metric in METRICS}
    seen = {way: {} for way in WAYS}
    for seed in range(arguments.seeds):
        for way in WAYS:
            folder = arguments.output_dir / way / f"seed{seed}"
            settings = {**sizes, "method": learner.method, "seed": seed, "config": learner.config.to_dict()}
            progress = decisions.Progress(folder / "progress.json", settings)
            for i in range(len(progress.steps), len(tasks)):
                path, start_from = folder / f"task{i}", folder / f"task{i - 1}"
                if i == 0:  # the same for all ways
                    path = arguments.output_dir / "first" / f"seed{seed}"
                elif i == 1:
                    start_from = arguments.output_dir / "first" / f"seed{seed}"
                chosen = examples(way, train, tasks, i, arguments.memory, seed)
                predictor = learner.learn(chosen, seed, path, None if way == "joint" or i == 0 else start_from)
                progress.add(measure(predictor, test, tasks, i))
                print(f"{way}, seed {seed}, task {i + 1}: {progress.steps[-1]['accuracies']}", flush=True)
            seen[way][str(seed)] = progress.steps
            for metric, by_way in curves.items():
                by_way[way][str(seed)] = [value_of(metric, progress.steps, i) for i in range(1, len(tasks))]

    record = decisions.Record(
        decision="continual",
        title=f"Continual learning of {learner.config.dataset.name} by {learner.method}",
        budget="tasks",
        budgets=tuple(range(2, len(tasks) + 1)),
        references=(WAYS[0],),
        curves=curves,
        higher_is_better=METRICS,
        made_by={**command.made_by(sizes, learner.config.to_dict()), "after_each_task": seen},
    )
    return command.finish(record, arguments.output_dir)


def check(arguments, learner, train):
    """Refuse what would fail after hours."""
    if train.likelihood != "categorical":
        raise InputError(f"Labels of data set '{train.name}' are {train.likelihood}; tasks are made of classes.")
    if arguments.classes < 1 or train.num_classes % arguments.classes or train.num_classes == arguments.classes:
        raise InputError(
            f"--classes must divide the {train.num_classes} classes of data set '{train.name}' into two tasks or more, "
            f"received {arguments.classes}."
        )
    if arguments.memory < 1:
        raise InputError(f"--memory must be at least 1, received {arguments.memory}.")
    smallest = np.bincount(train.labels, minlength=train.num_classes).reshape(-1, arguments.classes).sum(axis=1).min()
    if learner.config.batch_size > smallest:
        raise InputError(
            f"config.batch_size is {learner.config.batch_size}, and the smallest task has {smallest} examples. Give "
            f"--config.batch_size={smallest}, or less."
        )


def examples(way, train, tasks, i, memory, seed):
    """Return the ids of the examples that a way to learn sees in a task."""
    new = train.element_ids[np.isin(train.labels, tasks[i])]
    if way == "joint":
        return train.element_ids[np.isin(train.labels, tasks[: i + 1])]
    if way == "fine_tuning":
        return new
    rng = np.random.default_rng(seed)
    kept = [rng.permutation(train.element_ids[train.labels == label])[:memory] for label in tasks[:i].ravel()]
    return np.concatenate([new, *kept])


def measure(predictor, test, tasks, i):
    """Return what is measured after a task, of all tasks: accuracies of each, and the uncertainty of those so far."""
    said = predictor.likelihood.to_saved(ask(predictor, test))
    probs, labels = predictor.likelihood.metric_input(said), np.asarray(test.labels)
    of_task = [np.isin(labels, classes) for classes in tasks]
    within = [classes[probs[chosen][:, classes].argmax(axis=-1)] for classes, chosen in zip(tasks, of_task)]
    measured = {
        "accuracies": [float((probs[chosen].argmax(axis=-1) == labels[chosen]).mean()) for chosen in of_task],
        "task_accuracies": [float((each == labels[chosen]).mean()) for each, chosen in zip(within, of_task)],
        "entropies": [float(entropy_of(probs[chosen]).mean()) for chosen in of_task],
        **of_classes(("augrc",), probs, labels, tasks[: i + 1]),
    }
    if i > 0:
        old = of_classes(("nll", "ece"), probs, labels, tasks[:i])
        measured |= {f"old_{name}": value for name, value in old.items()}
    return measured


def of_classes(names, probs, labels, classes):
    """Return metrics of the examples of some classes."""
    chosen = np.isin(labels, classes)
    collection = metrics.Collection(names)
    collection.add_batch(probs[chosen], label=labels[chosen])
    return {name: float(value) for name, value in collection.result().items()}


def value_of(metric, steps, i):
    """Return a metric after task i."""
    matrix = np.array([step["accuracies"] for step in steps])  # [i, j]: after task i that of task j
    if metric == "accuracy":
        return float(matrix[i, : i + 1].mean())
    if metric == "task_accuracy":
        return float(np.mean(steps[i]["task_accuracies"][: i + 1]))
    if metric == "forgetting":
        return float((matrix[:i, :i].max(axis=0) - matrix[i, :i]).mean())
    return steps[i][metric]


if __name__ == "__main__":
    command.run(main)

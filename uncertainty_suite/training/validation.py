"""What the values of a configuration may be, checked before anything is made or read."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from uncertainty_suite import configuration, datasets, metrics, models, ood_scores, posthoc
from uncertainty_suite.errors import InputError, unknown_name
from uncertainty_suite.training.optimizers import OPTIMIZERS, SCHEDULES

PRECISIONS = ("float32", "mixed_bfloat16")


@dataclasses.dataclass(frozen=True)
class _Rule:
    """A condition on a value, or on each one of a tuple, and how to say it."""

    holds: Callable[[Any], bool]
    text: str
    names: tuple[str, ...] = ()  # all that are allowed, where these are names

    def check(self, field: str, value: Any) -> None:
        try:
            good = self.holds(value)
        except TypeError:  # a text compared with a number
            good = False
        if good:
            return
        if self.names and isinstance(value, str):
            raise unknown_name(field, value, self.names)
        raise InputError(f"{field} must be {self.text}, received {value!r}.")


def _integer(low: int, high: float = float("inf")) -> _Rule:
    text = f"an integer of at least {low}" if high == float("inf") else f"an integer from {low} to {high}"
    return _Rule(lambda value: type(value) is int and low <= value <= high, text)


def _number(low: float, below: float = float("inf"), open_: bool = False) -> _Rule:
    text = f"a number {'above' if open_ else 'of at least'} {low}"
    if below < float("inf"):
        text += f" and below {below}"

    def holds(value: Any) -> bool:
        return type(value) in (int, float) and (low < value if open_ else low <= value) and value < below

    return _Rule(holds, text)


def _name(names: Iterable[str]) -> _Rule:
    names = tuple(names)
    return _Rule(lambda value: value in names, f"one of {', '.join(names)}", names)


def _tuple(kind: type, text: str) -> _Rule:  # a list, as JSON has no tuples
    return _Rule(lambda value: isinstance(value, list) and all(type(each) is kind for each in value), text)


_NAMES = _tuple(str, "a tuple of names, e.g. ('a',)")
_INTEGERS = _tuple(int, "a tuple of integers, e.g. (1,)")


# Every configuration has these; and those of a method's own section, where the method is called like the section.
_FIELDS: dict[str, _Rule] = {
    "seed": _integer(0, 2**32 - 1),
    "precision": _name(PRECISIONS),
    "batch_size": _integer(1),
    "epochs": _integer(1),
    "dataset.name": _name(datasets.names()),
    "dataset.validation_percent": _number(0, below=1),
    "dataset.classes": _INTEGERS,
    "model.name": _name(models.names()),
    "optimizer.name": _name(OPTIMIZERS),
    "optimizer.schedule": _name(SCHEDULES),
    "optimizer.learning_rate": _number(0, open_=True),
    "optimizer.l2": _number(0),
    "optimizer.warmup_epochs": _number(0),
    "evaluation.batch_size": _integer(1),
    "evaluation.shift_examples": _integer(0),
    "evaluation.fit_examples": _integer(0),
    "evaluation.splits": _NAMES,
    "evaluation.metrics": _NAMES,
    "evaluation.predict_only": _NAMES,
    "evaluation.corruptions": _NAMES,
    "evaluation.severities": _INTEGERS,
    "evaluation.ood_near": _NAMES,
    "evaluation.ood_far": _NAMES,
    "evaluation.ood_scores": _NAMES,
    "evaluation.posthoc": _NAMES,
    "evaluation.save": _NAMES,
    "mc_dropout.num_samples": _integer(1),
    "deep_ensemble.size": _integer(1),
    "sngp.spec_norm_bound": _number(0, open_=True),
    "sngp.spec_norm_iterations": _integer(1),
    "sngp.num_features": _integer(1),
    "sngp.kernel_scale": _number(0, open_=True),
    "sngp.feature_type": _name(("orthogonal", "random")),
    "sngp.feature_stddev": _number(0, open_=True),
    "sngp.ridge_penalty": _number(0, open_=True),
    "sngp.momentum": _number(-float("inf"), below=1),
    "sngp.precision": _name(("after_training", "every_step")),
    "sngp.mean_field_factor": _number(-float("inf")),
}
_SHARED = ("seed", "precision", "batch_size", "epochs", "dataset", "model", "optimizer", "evaluation")
_OPTIONAL: dict[str, _Rule] = {
    "optimizer.momentum": _number(0, below=1),
    "optimizer.weight_decay": _number(0),
    "optimizer.decay_epochs": _number(0),
    "optimizer.decay_ratio": _number(0, open_=True),
}
# Options of any architecture, by the last part of the field.
_MODEL_OPTIONS: dict[str, _Rule] = {
    "dropout_rate": _number(0, below=1),
    "dropout_rates": _number(0, below=1),
    "num_hidden": _integer(1),
    "num_layers": _integer(1),
    "num_filters": _integer(1),
    "width": _integer(1),
}


def validate(config: dict[str, Any]) -> None:
    """Refuse a configuration with a value that makes no sense, whose run would fail late or mean nothing.

    What needs the data to be known (a batch larger than the set) is refused where these are loaded.

    Args:
        config: As `configuration.to_json` returns it, its `method` filled in.

    Raises:
        InputError: A field is missing or not allowed, or a name is unknown; the message says what is.
    """
    values = configuration.flatten(config)
    for field, rule in _FIELDS.items():
        section = field.partition(".")[0]
        if field in values:
            rule.check(f"config.{field}", values[field])
        elif section in (*_SHARED, config["method"]):
            raise InputError(
                f"The configuration lacks {field}, which the method '{config['method']}' needs. The suite's own "
                "configurations lie in configs/<task>/<method>.py."
            )
    for field, value in values.items():
        rule = _OPTIONAL.get(field)
        if field.startswith(f"model.{config['model']['name']}."):
            rule = _MODEL_OPTIONS.get(field.rpartition(".")[2])
        for each in value if isinstance(value, list) else [value]:
            if rule is not None:
                rule.check(f"config.{field}", each)
    _validate_evaluation(config)


def _validate_evaluation(config: dict[str, Any]) -> None:
    """Look up every name that evaluation will need, which otherwise fails after training."""
    evaluation = config["evaluation"]
    metrics.Collection(evaluation["metrics"])
    for name in evaluation["ood_scores"]:
        ood_scores.info(name)
    for name in evaluation["posthoc"]:
        posthoc.get(name)
    for name in evaluation["save"]:
        _name(("features", "logits", "samples")).check("array in config.evaluation.save", name)
    if not evaluation["splits"]:
        raise InputError("config.evaluation.splits must name a split at least, received ().")
    if evaluation["posthoc"] and "validation" not in evaluation["splits"]:
        raise InputError(
            "config.evaluation.posthoc is fitted on the validation split: give --config.dataset.validation_percent=0.1 "
            "--config.evaluation.splits=\"('test', 'validation')\" too."
        )
    for source in (*evaluation["ood_near"], *evaluation["ood_far"]):
        if source.count("/") != 1:
            raise InputError(f"An OOD set is named <data set>/<split>, e.g. mnist/test, received {source!r}.")

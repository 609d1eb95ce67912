"""What a configuration holds: every field with its default, meaning and range; completing and checking it.

A task's file gives what the task decides, and a table of what differs for which method; the script gives its section of
hyper-parameters; what neither names has its default here. Whatever is chosen by name (data set, architecture,
optimizer, schedule) brings its options with it, and those of nothing else are in the configuration.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict

from uncertainty_suite import configuration, datasets, likelihoods, metrics, models, ood_scores, posthoc
from uncertainty_suite.configuration import REQUIRED, Parameter, Section
from uncertainty_suite.datasets.forms import Graphs, Tokens
from uncertainty_suite.datasets.trees import Tree, leaves
from uncertainty_suite.errors import InputError, unknown_name
from uncertainty_suite.training.optimizers import OF_METHODS, OPTIMIZERS, SCHEDULES

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
_MOST_EPOCHS = 10**9
MOST_AT_ONCE = 10**6  # predictions of one call: examples times samples

FIELDS: dict[str, Parameter] = {
    "seed": Parameter(0, "decides all that is random", at_least=0, at_most=2**32 - 1),
    "precision": Parameter("float32", "of the network's products", choices=PRECISIONS),
    "method": Parameter("", "its name in the results; empty for the script's file name"),
    "batch_size": Parameter(REQUIRED, "examples a training step, over all devices", at_least=1, kind=int),
    "epochs": Parameter(REQUIRED, "passes over the training data", at_least=1, kind=int),
    "dataset.name": Parameter(REQUIRED, "the task's data set", kind=str),
    "dataset.validation_percent": Parameter(
        0.1,
        "fraction of train held out as validation; 0 where the data set has a validation split",
        at_least=0,
        below=1,
    ),
    "dataset.train_fraction": Parameter(1.0, "share of the training examples that is used", above=0, at_most=1),
    "dataset.label_noise": Parameter(0.0, "share of the training labels that are wrong", at_least=0, below=1),
    "dataset.imbalance": Parameter(1.0, "examples of the first class for one of the last, in training", at_least=1),
    "dataset.classes": Parameter((), "train on these, the others are unknowns at test; empty for all", of=int),
    "model.name": Parameter(REQUIRED, "the architecture", kind=str),
    "optimizer.name": Parameter(REQUIRED, "the optimizer", kind=str),
    "optimizer.learning_rate": Parameter(REQUIRED, "after the warm-up", above=0, kind=float),
    "optimizer.l2": Parameter(0.0, "factor on the sum of squares of all trained variables", at_least=0),
    "optimizer.schedule": Parameter("constant", "how the learning rate goes on"),
    "optimizer.warmup_epochs": Parameter(0.0, "epochs in which the learning rate rises from 0", at_least=0),
    "evaluation.batch_size": Parameter(500, "examples a call of predict", at_least=1),
    "evaluation.splits": Parameter(("test", "validation"), "labelled splits to measure"),
    "evaluation.in_distribution": Parameter("test", "the one of them that shifted and OOD sets are compared with"),
    "evaluation.metrics": Parameter((), "metrics of labelled splits; by default the likelihood's headline"),
    "evaluation.predict_only": Parameter((), "splits without labels to predict"),
    "evaluation.corruptions": Parameter((), "corruptions of the in-distribution split"),
    "evaluation.severities": Parameter((1, 2, 3, 4, 5), "severity of each", of=int),
    "evaluation.shift_examples": Parameter(0, "how many examples are corrupted, the first; 0 for all", at_least=0),
    "evaluation.ood_near": Parameter((), "OOD sets that are like the task, <data set>/<split>"),
    "evaluation.ood_far": Parameter((), "OOD sets that are unlike it"),
    "evaluation.ood_validation": Parameter((), "OOD sets on which OOD scores choose what they leave open"),
    "evaluation.ood_scores": Parameter((), "OOD scores beside the method's own uncertainties"),
    "evaluation.fit_examples": Parameter(5000, "training examples for scores that learn; 0 for all", at_least=0),
    "evaluation.posthoc": Parameter(
        (), "calibrations and conformal predictors, fitted on the split validation; by default the likelihood's scale"
    ),
    "evaluation.ensemble_curve": Parameter(False, "measure ensembles of 1, 2, 3 and so on of the samples, too"),
    "evaluation.save": Parameter((), "arrays to save beside what the scores need"),
}

# Fields that change the labels or the loss of any method with the likelihood's.
_OF_THE_LOSS: dict[str, Parameter] = {
    "loss.logit_norm": Parameter(0.0, "temperature of logits of length 1 in the loss; 0 for none", at_least=0),
    "loss.label_smoothing": Parameter(0.0, "share of a label that all classes have, in the loss", at_least=0, below=1),
    "loss.focal_gamma": Parameter(0.0, "power of 1 - p by which the loss is multiplied", at_least=0),
    "loss.outlier_weight": Parameter(0.0, "weight of the outliers' loss, e.g. 0.5; needs dataset.outliers", at_least=0),
    "dataset.outliers": Parameter("", "training examples of no class, <data set>/<split>; empty for none"),
    "dataset.mixup": Parameter(0.0, "alpha of mixup of training examples; 0 for none", at_least=0),
    "dataset.cutmix": Parameter(0.0, "alpha of CutMix of training images; 0 for none", at_least=0),
}

# Fields that a configuration has only where they are given and not off, so that it is the same experiment with and
# without them.
OPTIONAL: dict[str, Parameter] = {
    **_OF_THE_LOSS,
    "dataset.train_ids": Parameter((), "train on these examples alone, by element id; empty for all", of=int),
    "evaluation.shifts": Parameter((), "labelled splits of the data set that are shifted as they are"),
    "dataset.augmix": Parameter(
        0.0, "severity of AugMix of training images, e.g. 3; 0 for none", at_least=0, at_most=10
    ),
}

# Options of architectures, data sets, optimizers and schedules, by their last name; the others by type alone.
_OPTIONS: dict[str, Parameter] = {
    "dropout_rate": Parameter(0.0, "a rate", at_least=0, below=1),
    "num_hidden": Parameter(1, "units", at_least=1),
    "num_layers": Parameter(1, "layers", at_least=1),
    "num_heads": Parameter(1, "heads", at_least=1),
    "width": Parameter(1, "a factor", at_least=1),
    "fold": Parameter(0, "a fold", at_least=0),
    "momentum": Parameter(0.0, "momentum", at_least=0, below=1),
    "beta_1": Parameter(0.0, "a decay", at_least=0, below=1),
    "beta_2": Parameter(0.0, "a decay", at_least=0, below=1),
    "epsilon": Parameter(0.0, "a small number", above=0),
    "weight_decay": Parameter(0.0, "a decay", at_least=0),
    "decay_ratio": Parameter(0.0, "a ratio", above=0),
    "decay_epochs": Parameter((), "epochs", of=float),
    "prior_stddev": Parameter(1.0, "a standard deviation", above=0),
    "temperature": Parameter(1.0, "a temperature", at_least=0),
    "friction": Parameter(0.1, "a share", above=0, at_most=1),
    "hess_init": Parameter(1.0, "a curvature", above=0),
    "clip_radius": Parameter(0.0, "a radius", at_least=0),
}

# What is chosen by name, and the options that come with it.
CHOICES: dict[str, Callable[[str], Mapping[str, Any]]] = {
    "dataset.name": datasets.options,
    "model.name": models.options,
    "optimizer.name": lambda name: OPTIMIZERS.options(name, skip=2),
    "optimizer.schedule": lambda name: SCHEDULES.options(name, skip=4),
}


def complete(
    config: ConfigDict,
    section: Section | None,
    method: str,
    chosen: Mapping[str, Any] | None = None,
    tuned: Mapping[str, Any] | None = None,
) -> ConfigDict:
    """Return a task's configuration with all that a method's run depends on.

    Args:
        config: What a configuration file gives. Its table `methods` has, for some methods, a piece of configuration
            that differs from the task's; its table `search` is no part of a run, see `search_ranges`.
        section: The script's hyper-parameters; None where it has none.
        method: The script's file name, without its ending.
        chosen: What the command line chooses by name, e.g. `{"model.name": "wide_resnet"}`: the options that the file
            gives for another choice are left out. And the fields of `OPTIONAL` that it sets, which so there are.
        tuned: Values of fields that a search has chosen, which come before the file's.

    Returns:
        A new, locked configuration. Completing it again changes nothing.

    Raises:
        InputError: A field is missing or unknown, or a name is.
    """
    own = section.name if section else method
    if section and own in {field.partition(".")[0] for field in (*FIELDS, *OPTIONAL)}:
        raise InputError(f"The script's section is named '{own}', as a part of every configuration is. Rename it.")
    values = _of_method(config, own, section)
    values.pop("search", None)
    if section:
        values.setdefault(own, {})
        if section.optimizers and chosen and "optimizer.name" in chosen:
            _check_optimizer(own, chosen["optimizer.name"], section)
    for field, value in (tuned or {}).items():
        _set(values, field, value)
    _choose(values, chosen or {})
    flat = configuration.flatten(values)
    defaults: dict[str, Any] = {name: one.default for name, one in FIELDS.items()}
    if section:
        defaults |= {f"{own}.{name}": one.default for name, one in section.parameters.items()}
    for field, options_of in CHOICES.items():
        name = flat.get(field, defaults[field])
        if name is REQUIRED:
            raise _missing(field)
        if not isinstance(name, str):
            FIELDS[field].check(f"config.{field}", name)
        defaults |= {f"{field.partition('.')[0]}.{option}": value for option, value in options_of(name).items()}
    source = datasets.find(flat["dataset.name"])
    likelihood = likelihoods.info(source.likelihood)
    if "validation" in source.splits:
        defaults["dataset.validation_percent"] = 0.0
    defaults["evaluation.metrics"] = likelihood.headline
    if "validation" in flat.get("evaluation.splits", defaults["evaluation.splits"]):
        defaults["evaluation.posthoc"] = (likelihood.calibration,)
    for field in flat:
        if field not in defaults and field not in OPTIONAL:
            raise unknown_name("configuration field", field, {**defaults, **OPTIONAL})
    for field, one in OPTIONAL.items():
        if chosen and field in chosen:
            defaults[field] = one.default
        elif flat.get(field) == one.default:
            _remove(values, field)
    for field, default in defaults.items():
        if field not in flat:
            if default is REQUIRED:
                raise _missing(field)
            _set(values, field, default)
    return ConfigDict(values).lock()


def search_ranges(config: ConfigDict, section: Section | None, method: str) -> dict[str, tuple[Any, ...]]:
    """Return the values to search of each field, as `Parameter.search` has them: the task's, then the script's own.

    Args:
        config: What a configuration file gives. Its table `search` has ranges by field, as nested as the fields are;
            `()` takes back a range of the script's.
        section: The script's hyper-parameters.
        method: The script's file name, without its ending.
    """
    own = section.name if section else method
    ranges = configuration.flatten(_of_method(config, own, section).get("search", {}))
    if section:
        for name, one in section.parameters.items():
            ranges.setdefault(f"{own}.{name}", one.search)
    return {field: tuple(values) for field, values in ranges.items() if values}


def _of_method(config: ConfigDict, own: str, section: Section | None) -> dict[str, Any]:
    """Return what a configuration file gives a method: its piece of the table `methods` over the rest.

    A choice by name in the piece takes away the options of what the rest has chosen. Where the method has optimizers of
    its own, the first of them takes the place of the file's.
    """
    values = copy.deepcopy(config.to_dict())
    parts = {field.partition(".")[0] for field in (*FIELDS, *OPTIONAL) if "." in field}
    for part in ("methods", "search", own, *sorted(parts)):
        if not isinstance(values.get(part, {}), dict):
            raise InputError(f"The configuration's {part} must be a part with fields, received {values[part]!r}.")
    table = values.pop("methods", {})
    if section and section.optimizers and values.get("optimizer", {}).get("name") not in section.optimizers:
        _choose(values, {"optimizer.name": section.optimizers[0]})
    piece = table.get(own, {})
    if not isinstance(piece, dict):
        raise InputError(f"The configuration's table 'methods' must hold pieces of configuration, received {piece}.")
    _choose(values, {field: name for field, name in configuration.flatten(piece).items() if field in CHOICES})
    _merge(values, piece)
    return values


def _merge(values: dict[str, Any], piece: Mapping[str, Any]) -> None:
    """Put a piece of configuration over a configuration."""
    for key, value in piece.items():
        if isinstance(value, Mapping):
            if not isinstance(values.setdefault(key, {}), dict):
                raise InputError(f"The configuration's table 'methods' makes a part of the field '{key}'.")
            _merge(values[key], value)
        else:
            values[key] = value


def _choose(values: dict[str, Any], chosen: Mapping[str, Any]) -> None:
    """Set what is chosen by name, and remove the options of what the file had chosen."""
    for field in CHOICES:
        place, _, last = field.partition(".")
        section = values.setdefault(place, {})
        before = section.get(last)
        if field not in chosen or chosen[field] == before:
            continue
        kept: set[str] = set()
        for other in CHOICES:
            name = section.get(other.partition(".")[2])
            if other.startswith(f"{place}.") and other != field and name:
                kept |= CHOICES[other](name).keys()
        for option in CHOICES[field](before) if before else ():
            if option not in kept:
                section.pop(option, None)
        section[last] = chosen[field]


def _set(values: dict[str, Any], field: str, value: Any) -> None:
    *places, last = field.split(".")
    for place in places:
        values = values.setdefault(place, {})
    values[last] = value


def _remove(values: dict[str, Any], field: str) -> None:
    place, _, last = field.partition(".")
    del values[place][last]
    if not values[place]:
        del values[place]


def _missing(field: str) -> InputError:
    return InputError(f"The configuration lacks {field}: {FIELDS[field].meaning} ({FIELDS[field].range}).")


def validate(config: Mapping[str, Any], section: Section | None = None) -> None:
    """Refuse a configuration with a value that makes no sense, whose run would fail late or mean nothing.

    What needs the data to be known (a batch larger than the set) is refused where these are loaded; what needs the
    splits, by `tasks`.

    Args:
        config: As `configuration.to_json` returns it, complete.
        section: The script's hyper-parameters.

    Raises:
        InputError: A value is not allowed, a name is unknown, or two values contradict each other; the message says
            what is allowed.
    """
    parameters = {**FIELDS, **OPTIONAL}
    if section:
        parameters |= {f"{section.name}.{name}": one for name, one in section.parameters.items()}
    for field, value in configuration.flatten(dict(config)).items():
        if field in parameters:
            parameters[field].check(f"config.{field}", value)
        else:
            _check_option(config, field, value)
    _check_likelihood(config, section)
    if section:
        for name in section.tuned:
            _check_tuned(config, f"{section.name}.{name}", config[section.name][name])
    if config["evaluation"]["ensemble_curve"] and not (section and section.samples):
        raise InputError(
            "config.evaluation.ensemble_curve is of ensembles of the samples of a prediction, and a prediction of "
            f"'{config['method']}' has one. Leave it out."
        )
    _check_loss(config, section)
    _check_optimizer(config["method"], config["optimizer"]["name"], section)
    _check_schedule(config)
    _check_evaluation(config, section)


def _check_likelihood(config: Mapping[str, Any], section: Section | None) -> None:
    likelihood = datasets.find(config["dataset"]["name"]).likelihood
    if section and section.likelihoods and likelihood not in section.likelihoods:
        raise InputError(
            f"'{config['method']}' is for labels that are {' or '.join(section.likelihoods)}, and those of data set "
            f"'{config['dataset']['name']}' are {likelihood}. Take another method or another task."
        )


def _check_loss(config: Mapping[str, Any], section: Section | None) -> None:
    if section and section.own_loss:
        for field in _OF_THE_LOSS:
            place, _, name = field.partition(".")
            if config.get(place, {}).get(name):
                raise InputError(
                    f"config.{field} changes the labels or the loss of the likelihood, and '{config['method']}' has a "
                    "loss of its own. Leave it out."
                )
    likelihood = datasets.find(config["dataset"]["name"]).likelihood
    if likelihood != "categorical" and config.get("loss"):
        raise InputError(
            f"config.loss.{min(config['loss'])} is for labels that are classes, and those of data set "
            f"'{config['dataset']['name']}' are {likelihood}. Leave it out."
        )
    if config["dataset"].get("mixup") and config["dataset"].get("cutmix"):
        raise InputError("config.dataset.mixup and config.dataset.cutmix are both set. Set one of them.")
    _check_outliers(config)


def _check_outliers(config: Mapping[str, Any]) -> None:
    """Refuse outliers that count nothing, are mixed, or are of the same source as those to test on."""
    data, evaluation = config["dataset"], config["evaluation"]
    outliers, weight = data.get("outliers", ""), config.get("loss", {}).get("outlier_weight", 0)
    if bool(outliers) != (weight > 0):
        raise InputError(
            "config.dataset.outliers names examples to train on, and config.loss.outlier_weight says how much they "
            "count: give both, or none."
        )
    if not outliers:
        return
    if data.get("mixup") or data.get("cutmix"):
        raise InputError(
            "config.dataset.outliers belong to no class, and mixed labels are of classes: set one of them."
        )
    source, _, split = outliers.rpartition("/")
    if not source or not split:
        raise InputError(f"config.dataset.outliers is named <data set>/<split>, received '{outliers}'.")
    for each in [*evaluation["ood_near"], *evaluation["ood_far"], *evaluation["ood_validation"]]:
        tested, _, other = each.rpartition("/")
        if tested == source and (source != data["name"] or other == split):
            raise InputError(
                f"config.dataset.outliers is '{outliers}', which is of the same data set as the OOD set '{each}': what "
                "is trained on cannot be tested on. Take another data set."
            )
    if source == data["name"] and split in ("train", "validation", "test"):
        raise InputError(f"config.dataset.outliers is '{outliers}', the task's own data. Take another data set.")


def _check_optimizer(method: str, name: str, section: Section | None) -> None:
    allowed = section.optimizers if section else ()
    if allowed and name not in allowed:
        raise InputError(
            f"'{method}' is for the optimizer {' or '.join(allowed)}, and config.optimizer.name is '{name}'. "
            "Leave it out, or take another method."
        )
    if not allowed and name in OF_METHODS:
        others = [each for each in OPTIMIZERS.names() if each not in OF_METHODS]
        raise InputError(
            f"The optimizer '{name}' is a part of methods that sample with it, and '{method}' does not. Set "
            f"config.optimizer.name to one of: {', '.join(others)}."
        )


def num_samples(config: Mapping[str, Any], section: Section | None) -> int:
    """Return how many samples a prediction of the method has."""
    return config[section.name][section.samples] if section and section.samples else 1


def _check_tuned(config: Mapping[str, Any], field: str, values: list[Any]) -> None:
    if not values:
        raise InputError(f"config.{field} must have a value at least, received ().")
    _refuse_twice(f"config.{field}", values)
    if len(values) > 1 and "validation" not in config["evaluation"]["splits"]:
        raise InputError(
            f"config.{field} has several values, of which one is chosen on the validation split, and there is none: "
            f'give one, e.g. --config.{field}="({values[0]},)", or '
            "--config.dataset.validation_percent=0.1 --config.evaluation.splits=\"('test', 'validation')\"."
        )


def _check_option(config: Mapping[str, Any], field: str, value: Any) -> None:
    """Check an option of what is chosen by name: by its range where it has one, else by the type of its default."""
    place, _, option = field.rpartition(".")
    if option in _OPTIONS:
        _OPTIONS[option].check(f"config.{field}", value)
        return
    for choice, options_of in CHOICES.items():
        if choice.startswith(f"{place}."):
            default = options_of(config[place][choice.partition(".")[2]]).get(option)
            if isinstance(default, tuple):
                of = type(default[0]) if default else int
                Parameter(default, "", of=of).check(f"config.{field}", value)
                for each in value:
                    _OPTIONS.get(option.removesuffix("s"), Parameter(each, "")).check(f"config.{field}", each)
            elif default is not None:
                Parameter(default, "").check(f"config.{field}", value)


def check_vocabulary(config: Mapping[str, Any], form: Tree) -> None:
    """Refuse an architecture that has no vectors for some of the token ids of its data set.

    Args:
        config: As `configuration.to_json` returns it, complete.
        form: What the data set's examples are brought into.

    Raises:
        InputError: It is so.
    """
    known = config["model"].get("vocabulary_size")
    for _, part in leaves(form):
        if known is not None and isinstance(part, Tokens | Graphs) and known < part.vocabulary_size:
            raise InputError(
                f"config.model.vocabulary_size is {known}, and data set '{config['dataset']['name']}' has ids up "
                f"to {part.vocabulary_size - 1}. Set --config.model.vocabulary_size={part.vocabulary_size}."
            )


def _check_schedule(config: Mapping[str, Any]) -> None:
    optimizer, epochs = config["optimizer"], config["epochs"]
    if epochs > _MOST_EPOCHS:
        raise InputError(f"config.epochs is {epochs}, and no training has more than {_MOST_EPOCHS:,}.")
    if optimizer["warmup_epochs"] >= epochs:
        raise InputError(
            f"config.optimizer.warmup_epochs is {optimizer['warmup_epochs']} of {epochs} epochs: the learning rate "
            "would never be reached. Make it smaller than config.epochs."
        )
    if "decay_epochs" in optimizer:
        decays = optimizer["decay_epochs"]
        if not decays or max(decays) >= epochs or sorted(decays) != decays:
            raise InputError(
                f"config.optimizer.decay_epochs must be rising epochs below config.epochs, which is {epochs}, e.g. "
                f"({max(1, epochs // 2)},), received {tuple(decays)}."
            )


def _check_uncertainties(config: Mapping[str, Any], section: Section | None) -> None:
    """Refuse OOD scores by an uncertainty that the method does not have."""
    own = section.uncertainties if section else ()
    for text in config["evaluation"]["ood_scores"]:
        for need in ood_scores.get(text).needs:
            kind, _, name = need.rpartition("/")
            if kind == "uncertainty" and name not in own:
                raise InputError(
                    f"config.evaluation.ood_scores: '{text}' is by an uncertainty '{name}' of the method's own, and "
                    f"'{config['method']}' has {' and '.join(own) or 'none'}. Leave it out; a script of yours that has "
                    f"it says so by Section(uncertainties=('{name}',))."
                )


def _check_at_once(config: Mapping[str, Any], section: Section | None) -> None:
    """Refuse batches of predictions that no memory holds."""
    batch_size, samples = config["evaluation"]["batch_size"], num_samples(config, section)
    if batch_size * samples > MOST_AT_ONCE:
        times = f" times config.{section.name}.{section.samples}" if section and samples > 1 else ""
        raise InputError(
            f"config.evaluation.batch_size{times} is {batch_size * samples:,} predictions at once, of at most "
            f"{MOST_AT_ONCE:,}. Make it smaller."
        )


def _check_evaluation(config: Mapping[str, Any], section: Section | None) -> None:
    """Look up every name that evaluation will need, which would otherwise fail after training."""
    evaluation, samples = config["evaluation"], num_samples(config, section)
    likelihood = datasets.find(config["dataset"]["name"]).likelihood
    kinds: dict[str, Callable[[str], Any]] = {
        "metrics": metrics.info,
        "ood_scores": ood_scores.info,
        "posthoc": posthoc.info,
    }
    for field, info in kinds.items():
        for text in evaluation[field]:
            one = info(text)
            if likelihood not in one.likelihoods:
                raise InputError(
                    f"config.evaluation.{field}: '{text}' is not defined for labels of data set "
                    f"'{config['dataset']['name']}', which are {likelihood}. Leave it out."
                )
            if samples == 1 and "samples" in getattr(one, "needs", ()):
                raise InputError(
                    f"config.evaluation.{field}: '{text}' compares the samples of a prediction, and a prediction of "
                    f"'{config['method']}' has one. Leave it out."
                )
    _check_uncertainties(config, section)
    _check_at_once(config, section)
    metrics.Collection(evaluation["metrics"])
    savable = likelihoods.info(likelihood).savable()
    for name in evaluation["save"]:
        if name not in savable:
            raise unknown_name("array in config.evaluation.save", name, savable)
    if evaluation["fit_examples"]:
        check_fit_examples(evaluation, evaluation["fit_examples"])
    for name in evaluation["posthoc"]:
        posthoc.get(name)
    if not evaluation["splits"]:
        raise InputError("config.evaluation.splits must name a split at least, received ().")
    for field in ("splits", "predict_only", "corruptions", "severities", "ood_scores", "posthoc", "save"):
        _refuse_twice(f"config.evaluation.{field}", evaluation[field])
    _refuse_twice("config.evaluation.splits and shifts", [*evaluation["splits"], *evaluation.get("shifts", ())])
    ood_sets = [*evaluation["ood_near"], *evaluation["ood_far"], *evaluation["ood_validation"]]
    _refuse_twice("config.evaluation.ood_near, ood_far and ood_validation", ood_sets)
    _check_ood_validation(config)
    if evaluation["corruptions"] and not evaluation["severities"]:
        raise InputError(
            "config.evaluation.severities is empty, so none of config.evaluation.corruptions would be used."
        )
    if evaluation["posthoc"] and "validation" not in evaluation["splits"]:
        raise InputError(
            "config.evaluation.posthoc is fitted on the validation split: give --config.dataset.validation_percent=0.1 "
            "--config.evaluation.splits=\"('test', 'validation')\" too, or --config.evaluation.posthoc=\"()\"."
        )


def _check_ood_validation(config: Mapping[str, Any]) -> None:
    """Refuse OOD sets to choose on that are of the same source as those to test on."""
    evaluation, task = config["evaluation"], config["dataset"]["name"]
    if evaluation["ood_validation"] and "validation" not in evaluation["splits"]:
        raise InputError(
            "config.evaluation.ood_validation is compared with the validation split: give "
            "--config.dataset.validation_percent=0.1 --config.evaluation.splits=\"('test', 'validation')\" too."
        )
    tested = {each.rpartition("/")[0]: each for each in [*evaluation["ood_near"], *evaluation["ood_far"]]}
    for each in evaluation["ood_validation"]:
        source = each.rpartition("/")[0]
        if source != task and source in tested:
            raise InputError(
                f"config.evaluation.ood_validation has '{each}', which is of the same data set as the test set "
                f"'{tested[source]}': what is chosen on it would not be honest. Take another data set."
            )


def check_fit_examples(evaluation: Mapping[str, Any], count: int) -> None:
    """Refuse OOD scores that need more training examples than they would get.

    Raises:
        InputError: A score needs more; the message names it and the field.
    """
    for name in evaluation["ood_scores"]:
        try:
            ood_scores.get(name).check_fit_examples(count)
        except InputError as error:
            raise InputError(f"config.evaluation.fit_examples: {error}") from error


def _refuse_twice(field: str, values: list[Any]) -> None:
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise InputError(f"{field} has {twice[0]!r} twice. Give it once.")

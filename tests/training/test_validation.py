import pytest

from uncertainty_suite import training
from uncertainty_suite.errors import InputError


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("batch_size", 0, "config.batch_size must be an integer of at least 1, received 0."),
        ("epochs", -1, "config.epochs must be an integer of at least 1, received -1."),
        ("epochs", 2.5, "config.epochs must be an integer of at least 1, received 2.5."),
        ("epochs", True, "config.epochs must be an integer of at least 1, received True."),
        ("epochs", "ten", "config.epochs must be an integer of at least 1, received 'ten'."),
        ("seed", -1, "config.seed must be an integer from 0 to 4294967295, received -1."),
        ("precision", "float23", "Unknown config.precision 'float23'. Did you mean 'float32'? Known: float32, "),
        ("dataset.name", "two_moon", "Unknown config.dataset.name 'two_moon'. Did you mean 'two_moons'? Known: "),
        ("dataset.validation_percent", 1.0, "config.dataset.validation_percent must be a number of at least 0 and "),
        ("model.name", "resnet_mpl", "Unknown config.model.name 'resnet_mpl'. Did you mean 'resnet_mlp'? Known: "),
        ("model.resnet_mlp.dropout_rate", 1.2, "config.model.resnet_mlp.dropout_rate must be a number of at least 0 "),
        ("model.resnet_mlp.num_hidden", 0, "config.model.resnet_mlp.num_hidden must be an integer of at least 1, rece"),
        ("optimizer.name", "adm", "Unknown config.optimizer.name 'adm'. Did you mean 'adam'? Known: adam, adamw, sgd."),
        ("optimizer.schedule", "cosin", "Unknown config.optimizer.schedule 'cosin'. Did you mean 'cosine'? Known: "),
        ("optimizer.learning_rate", -0.1, "config.optimizer.learning_rate must be a number above 0, received -0.1."),
        ("optimizer.learning_rate", float("nan"), "config.optimizer.learning_rate must be a number above 0, received"),
        ("optimizer.learning_rate", float("inf"), "config.optimizer.learning_rate must be a number above 0, received"),
        ("optimizer.l2", -1.0, "config.optimizer.l2 must be a number of at least 0, received -1.0."),
        ("optimizer.momentum", 1.0, "config.optimizer.momentum must be a number of at least 0 and below 1, received 1"),
        ("optimizer.decay_epochs", (1, -2), "config.optimizer.decay_epochs must be a number of at least 0, received -"),
        ("evaluation.batch_size", 0, "config.evaluation.batch_size must be an integer of at least 1, received 0."),
        ("evaluation.metrics", ("nll", "eec"), "Unknown metric 'eec'. Did you mean 'ece'? Known: "),
        ("evaluation.metrics", "nll", "config.evaluation.metrics must be a tuple of names, e.g. ('a',), received 'n"),
        ("evaluation.ood_scores", ("energie",), "Unknown OOD score 'energie'. Did you mean 'energy'? Known: "),
        ("evaluation.posthoc", ("temperature",), "Unknown post-hoc method 'temperature'. Did you mean 'temperature_"),
        ("evaluation.posthoc", ("raps",), "config.evaluation.posthoc is fitted on the validation split: give --config"),
        ("evaluation.save", ("logit",), "Unknown array in config.evaluation.save 'logit'. Did you mean 'logits'? "),
        ("evaluation.splits", ("tset",), "Unknown split of data set 'two_moons' 'tset'. Did you mean 'test'? Known: "),
        ("evaluation.splits", ("validation",), "Split 'validation' of data set 'two_moons' is empty: set validation_"),
        (
            "evaluation.predict_only",
            (-1,),
            "config.evaluation.predict_only must be a tuple of names, e.g. ('a',), recei",
        ),
        (
            "evaluation.severities",
            ("1",),
            "config.evaluation.severities must be a tuple of integers, e.g. (1,), received",
        ),
        ("evaluation.splits", (), "config.evaluation.splits must name a split at least, received ()."),
        (
            "evaluation.ood_far",
            ("mnist",),
            "An OOD set is named <data set>/<split>, e.g. mnist/test, received 'mnist'.",
        ),
        ("evaluation.ood_far", ("mnits/test",), "Unknown data set 'mnits'. Did you mean 'mnist'? Known: "),
    ],
)
def test_refused_before_anything_is_made(config, tmp_path, field, value, message):
    with config.unlocked(), config.ignore_type():
        config.update_from_flattened_dict({field: value})
        if field not in config.to_dict() and "." in field and not _has(config, field):
            section, name = field.rsplit(".", 1)
            config[section][name] = value
    with pytest.raises(InputError) as error:
        training.Run(config, "deterministic.py", tmp_path / "run")
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def _has(config, field: str) -> bool:
    for part in field.split("."):
        if part not in config:
            return False
        config = config[part]
    return True


@pytest.mark.parametrize(
    ("script", "field", "value", "message"),
    [
        (
            "mc_dropout.py",
            "mc_dropout.num_samples",
            0,
            "config.mc_dropout.num_samples must be an integer of at least 1",
        ),
        ("deep_ensemble.py", "deep_ensemble.size", 0, "config.deep_ensemble.size must be an integer of at least 1, re"),
        (
            "sngp.py",
            "sngp.precision",
            "always",
            "Unknown config.sngp.precision 'always'. Known: after_training, every",
        ),
        ("sngp.py", "sngp.ridge_penalty", 0.0, "config.sngp.ridge_penalty must be a number above 0, received 0.0."),
    ],
)
def test_a_method_s_own_section(config, tmp_path, script, field, value, message):
    section, name = field.split(".")
    method = script.removesuffix(".py")
    with pytest.raises(InputError, match=rf"lacks {method}\.\w+, which the method '{method}' needs"):
        training.Run(config, script, tmp_path / "run")
    with config.unlocked():
        config[section] = {name: value}
    with pytest.raises(InputError) as error:
        training.Run(config, script, tmp_path / "run")
    assert str(error.value).startswith((message, "The configuration lacks sngp.spec_norm_bound"))
    assert not (tmp_path / "run").exists()


def test_a_missing_field(config, tmp_path):
    with config.unlocked():
        del config.optimizer["l2"]
    with pytest.raises(InputError, match=r"The configuration lacks optimizer.l2, which the method 'deterministic' "):
        training.Run(config, "deterministic.py", tmp_path / "run")

import pytest
from ml_collections import ConfigDict

from tests.conftest import ROOT
from uncertainty_suite import configuration, launch, training
from uncertainty_suite.configuration import Parameter, Section
from uncertainty_suite.errors import InputError
from uncertainty_suite.training import schema
from uncertainty_suite.training.run import check

SECTION = Section(
    "mine",
    samples="size",
    size=Parameter(4, "members", at_least=1),
    kind=Parameter("fast", "how", choices=("fast", "slow")),
    scale=Parameter(1.0, "a factor", above=0),
)


def task(**fields) -> ConfigDict:
    config = configuration.load(ROOT / "configs/two_moons.py")
    config.update_from_flattened_dict({name.replace("__", "."): value for name, value in fields.items()})
    return config


# Completing.


def test_a_complete_configuration_has_what_is_used_and_nothing_else():
    config = training.complete(task(), SECTION, "script")
    assert config.is_locked
    assert config.mine.to_dict() == {"size": 4, "kind": "fast", "scale": 1.0}
    assert config.model.to_dict() == {"name": "resnet_mlp", "num_layers": 6, "num_hidden": 128, "dropout_rate": 0.1}
    assert (config.seed, config.precision, config.optimizer.beta_1) == (0, "float32", 0.9)
    assert "momentum" not in config.optimizer
    assert "methods" not in config
    assert training.complete(config, SECTION, "script").to_dict() == config.to_dict()
    assert not training.complete(task(), None, "script").to_dict().keys() & {"mine", "sngp"}


def test_the_table_of_a_task_is_for_the_section_of_a_script_or_for_its_name():
    config = task()
    config.methods = ConfigDict({"mine": {"mine": {"size": 7}, "epochs": 3}, "plain": {"batch_size": 64}})
    mine = training.complete(config, SECTION, "a_copy")
    assert (mine.mine.size, mine.epochs, mine.batch_size) == (7, 3, 128)
    plain = training.complete(config, None, "plain")
    assert (plain.epochs, plain.batch_size) == (100, 64)


def test_what_is_chosen_by_name_brings_its_options():
    chosen = {"model.name": "mlp", "optimizer.name": "sgd", "optimizer.schedule": "step"}
    config = training.complete(task(), None, "m", chosen)
    assert config.model.to_dict() == {"name": "mlp", "num_layers": 1, "num_hidden": 50, "dropout_rate": 0.0}
    assert (config.optimizer.momentum, config.optimizer.nesterov, config.optimizer.decay_epochs) == (0.9, True, ())
    assert config.optimizer.learning_rate == 1e-4
    assert "beta_1" not in config.optimizer


def test_what_the_table_of_a_task_chooses_by_name_brings_its_options_and_no_others():
    config = task(optimizer__schedule="step")
    config.optimizer.update({"decay_epochs": (3,), "beta_1": 0.5})
    config.methods = ConfigDict({"m": {"optimizer": {"name": "sgd", "momentum": 0.5, "schedule": "cosine"}}})
    of_method = training.complete(config, None, "m").optimizer
    assert (of_method.schedule, of_method.name, of_method.momentum) == ("cosine", "sgd", 0.5)
    assert not of_method.to_dict().keys() & {"decay_epochs", "decay_ratio", "beta_1"}
    assert training.complete(config, None, "another").optimizer.decay_epochs == (3,)


def test_what_the_file_chose_already_keeps_its_options():
    config = training.complete(task(), None, "m", {"model.name": "resnet_mlp"})
    assert config.model.num_layers == 6


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("epochs", r"The configuration lacks epochs: passes over the training data \(an integer of at least 1\)\."),
        ("dataset", r"The configuration lacks dataset.name: the task's data set \(a text\)\."),
    ],
)
def test_a_missing_field(field, message):
    config = task()
    del config[field]
    with pytest.raises(InputError, match=message):
        training.complete(config, None, "m")


def test_an_unknown_field():
    config = task()
    config.model.num_hiden = 3
    with pytest.raises(InputError, match=r"Unknown configuration field 'model.num_hiden'. Did you mean 'model.num_hi"):
        training.complete(config, None, "m")


def test_a_task_needs_little():
    config = ConfigDict(
        {"batch_size": 100, "epochs": 1, "dataset": {"name": "toy_regression"}, "model": {"name": "mlp"}}
    )
    config.optimizer = {"name": "adam", "learning_rate": 0.01}
    complete = training.complete(config, None, "m")
    training.validate({**configuration.to_json(complete), "method": "m"})
    assert complete.evaluation.metrics[0] == "rmse"


# Checking.


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
        ("dataset.name", "two_moon", "Unknown data set 'two_moon'. Did you mean 'two_moons'? Known: "),
        ("dataset.validation_percent", 1.0, "config.dataset.validation_percent must be a number of at least 0 and "),
        ("model.name", "resnet_mpl", "Unknown architecture 'resnet_mpl'. Did you mean 'resnet_mlp'? Known: "),
        (
            "model.dropout_rate",
            1.2,
            "config.model.dropout_rate must be a number of at least 0 and below 1, received 1.2.",
        ),
        ("model.num_hidden", 0, "config.model.num_hidden must be an integer of at least 1, received 0."),
        (
            "optimizer.name",
            "adm",
            "Unknown optimizer 'adm'. Did you mean 'adam'? Known: adam, adamw, ivon, sgd, sghmc, sgld.",
        ),
        ("optimizer.schedule", "cosin", "Unknown schedule 'cosin'. Did you mean 'cosine'? Known: "),
        ("optimizer.learning_rate", -0.1, "config.optimizer.learning_rate must be a number above 0, received -0.1."),
        ("optimizer.learning_rate", float("nan"), "config.optimizer.learning_rate must be a number above 0, received"),
        ("optimizer.learning_rate", float("inf"), "config.optimizer.learning_rate must be a number above 0, received"),
        ("optimizer.l2", -1.0, "config.optimizer.l2 must be a number of at least 0, received -1.0."),
        ("optimizer.epsilon", 0.0, "config.optimizer.epsilon must be a number above 0, received 0.0."),
        (
            "optimizer.beta_2",
            "big",
            "config.optimizer.beta_2 must be a number of at least 0 and below 1, received 'big'",
        ),
        (
            "optimizer.warmup_epochs",
            100.0,
            "config.optimizer.warmup_epochs is 100.0 of 100 epochs: the learning rate w",
        ),
        ("evaluation.batch_size", 0, "config.evaluation.batch_size must be an integer of at least 1, received 0."),
        ("evaluation.metrics", ("nll", "eec"), "Unknown metric 'eec'. Did you mean 'ece'? Known: "),
        ("evaluation.metrics", "nll", "config.evaluation.metrics must be a tuple of names, e.g. ('a',), received 'n"),
        ("evaluation.ood_scores", ("energie",), "Unknown OOD score 'energie'. Did you mean 'energy'? Known: "),
        ("evaluation.posthoc", ("temperature",), "Unknown post-hoc method 'temperature'. Did you mean 'temperature_"),
        ("evaluation.splits", ("test",), "config.evaluation.ood_validation is compared with the validation split: giv"),
        ("evaluation.save", ("logit",), "Unknown array in config.evaluation.save 'logit'. Did you mean 'logits'? "),
        (
            "evaluation.splits",
            ("test", "validation", "tset"),
            "Unknown split of data set 'two_moons' 'tset'. Did you mean 'test'? Known: ",
        ),
        (
            "dataset.validation_percent",
            0.0,
            "Split 'validation' of data set 'two_moons' is empty: set validation_",
        ),
        (
            "evaluation.predict_only",
            (-1,),
            "config.evaluation.predict_only must be a tuple of names, e.g. ('a',), recei",
        ),
        ("evaluation.severities", ("1",), "config.evaluation.severities must be a tuple of numbers, e.g. (1,), recei"),
        ("evaluation.splits", ("test", "test"), "config.evaluation.splits has 'test' twice. Give it once."),
        ("evaluation.in_distribution", "grid", "config.evaluation.in_distribution is 'grid', which is none of config."),
        (
            "evaluation.ood_far",
            ("two_moons/test",),
            "The OOD set 'two_moons/test' is the task's own data: nothing coul",
        ),
        (
            "evaluation.ood_near",
            ("two_moons/ood",),
            "config.evaluation.ood_near, ood_far and ood_validation has 'two_moons/ood' twice",
        ),
        (
            "evaluation.ensemble_curve",
            True,
            "config.evaluation.ensemble_curve is of ensembles of the samples of a pred",
        ),
        ("dataset.label_noise", 1.0, "config.dataset.label_noise must be a number of at least 0 and below 1, received"),
        ("dataset.train_fraction", 0.0, "config.dataset.train_fraction must be a number above 0 and of at most 1, rec"),
        ("dataset.imbalance", 0.5, "config.dataset.imbalance must be a number of at least 1, received 0.5."),
        ("evaluation.corruptions", ("fog",), "Corruptions are made for images"),
        ("evaluation.metrics", ("rmse",), "config.evaluation.metrics: 'rmse' is not defined for labels of data set 't"),
        ("evaluation.metrics", ("disagreement",), "config.evaluation.metrics: 'disagreement' compares the samples of "),
        (
            "evaluation.ood_scores",
            ("mutual_information",),
            "config.evaluation.ood_scores: 'mutual_information' compare",
        ),
        (
            "evaluation.ood_scores",
            ("knn(k=6000)",),
            "config.evaluation.fit_examples: OOD score 'knn(k=6000)' needs k=6000",
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
        section, _, name = field.rpartition(".")
        (config[section] if section else config)[name] = value
    with pytest.raises(InputError) as error:
        training.Run(config, "m.py", training.Options(output_dir=tmp_path / "run"))
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("size", 0, "config.mine.size must be an integer of at least 1, received 0."),
        ("kind", "fats", "Unknown config.mine.kind 'fats'. Did you mean 'fast'? Known: fast, slow."),
        ("scale", 0.0, "config.mine.scale must be a number above 0, received 0.0."),
    ],
)
def test_a_method_s_own_section(config, tmp_path, name, value, message):
    config.mine = ConfigDict({name: value})
    with pytest.raises(InputError) as error:
        training.Run(config, "m.py", training.Options(output_dir=tmp_path / "run"), SECTION)
    assert str(error.value) == message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["model", "method", "seed"])
def test_a_section_has_a_name_of_its_own(name):
    section = Section(name)
    with pytest.raises(InputError, match=f"The script's section is named '{name}', as a part of every configuration"):
        training.complete(task(), section, "m")


def test_a_method_for_other_labels_is_refused(config, tmp_path):
    section = Section("mine", likelihoods=("gaussian",))
    with pytest.raises(InputError, match="is for labels that are gaussian, and those of data set 'two_moons' are cat"):
        training.Run(config, "mine.py", training.Options(output_dir=tmp_path / "run"), section)


def test_metrics_that_compare_samples_need_a_method_with_samples(config, tmp_path):
    config.evaluation.metrics = ("disagreement",)
    run = training.Run(config, "m.py", training.Options(output_dir=tmp_path / "run"), SECTION)
    assert schema.num_samples(run.saved_config, SECTION) == 4


@pytest.mark.parametrize(
    ("decays", "message"),
    [
        (
            "()",
            r"config.optimizer.decay_epochs must be rising epochs below config.epochs, which is 100, e\.g\. \(50,\)",
        ),
        ("(30,100)", r"must be rising epochs below config.epochs, which is 100"),
        ("(60,30)", r"must be rising epochs below config.epochs, which is 100"),
    ],
)
def test_a_schedule_of_steps_needs_its_steps(decays, message, tmp_path):
    overrides = ["--config.optimizer.schedule=step", f"--config.optimizer.decay_epochs={decays}"]
    config = launch.get_config(ROOT / "configs/two_moons.py", None, "m", overrides)
    with pytest.raises(InputError, match=message):
        training.Run(config, "m.py", training.Options(output_dir=tmp_path / "run"))


def test_options_of_metrics_and_scores_are_checked_before_training(config, tmp_path):
    config.evaluation.metrics = ("ece(num_bins=10)", "ece")
    config.evaluation.ood_scores = ("knn(k=10)",)
    assert training.Run(config, "m.py", training.Options(output_dir=tmp_path / "run")).config.evaluation.metrics
    config.evaluation.metrics = ("ece(bins=10)",)
    with pytest.raises(InputError, match=r"Unknown option of metric 'ece' 'bins'"):
        training.Run(config, "m.py", training.Options(output_dir=tmp_path / "other"))


def test_ood_sets_to_choose_on_are_of_another_source_than_those_to_test_on():
    def check(**evaluation):
        config = training.complete(
            task(**{f"evaluation__{name}": value for name, value in evaluation.items()}), None, "m"
        )
        schema.validate({**configuration.to_json(config), "method": "m"})

    check(ood_far=("noise/uniform",), ood_validation=("two_moons/ood_validation",))
    with pytest.raises(InputError, match=r"ood_validation has 'noise/gaussian', which is of the same data set as th"):
        check(ood_far=("noise/uniform",), ood_validation=("noise/gaussian",))
    with pytest.raises(InputError, match=r"ood_validation is compared with the validation split: give --config.data"):
        check(splits=("test",), posthoc=(), ood_validation=("two_moons/ood_validation",))


TUNED = Section("mine", tuned=("factor",), factor=Parameter((0.0, 1.0), "a factor", at_least=0, of=float))


def test_values_to_choose_from_need_a_validation_split():
    def check(factor, **evaluation):
        given = task(mine=ConfigDict({"factor": factor}), **{f"evaluation__{k}": v for k, v in evaluation.items()})
        config = training.complete(given, TUNED, "mine")
        schema.validate({**configuration.to_json(config), "method": "mine"}, TUNED)

    alone = {"splits": ("test",), "posthoc": (), "ood_validation": ()}
    check((0.0, 1.0))
    check((1.0,), **alone)
    with pytest.raises(InputError, match=r"config.mine.factor has several values, of which one is chosen on the val"):
        check((0.0, 1.0), **alone)
    with pytest.raises(
        InputError, match=r"config.mine.factor must be a tuple of numbers of at least 0, e.g. \(1,\), r"
    ):
        check((-1.0,))
    with pytest.raises(InputError, match=r"config.mine.factor must have a value at least, received \(\)"):
        check(())


def test_splits_that_are_shifted_are_a_part_of_a_configuration_where_they_are_given():
    table = ROOT / "configs/toy_regression.py"
    script = configuration.load_module(ROOT / "baselines/evidential.py")  # of a loss of its own, which they leave alone

    def made(*overrides):
        return launch.get_config(table, script.CONFIG, "evidential", ["--config.evaluation.ood_near=()", *overrides])

    plain, none, some = made(), made("--config.evaluation.shifts=()"), made("--config.evaluation.shifts=('gap',)")
    assert "shifts" not in plain.evaluation
    _, splits = check(some, "evidential", script.CONFIG)
    assert [(split.key, split.role) for split in splits if split.source == "toy_regression/gap"] == [
        ("shift/gap", "shift")
    ]
    assert check(none, "evidential", script.CONFIG)[1] == check(plain, "evidential", script.CONFIG)[1]
    for given, message in (
        ("('gap', 'gap')", r"^config\.evaluation\.splits and shifts has 'gap' twice\. Give it once\.$"),
        ("('gaps',)", r"^Unknown split of data set 'toy_regression' 'gaps'\. Did you mean 'gap'\?"),
        ("('test',)", r"^config\.evaluation\.splits and shifts has 'test' twice\. Give it once\.$"),
    ):
        with pytest.raises(InputError, match=message):
            check(made(f"--config.evaluation.shifts={given}"), "evidential", script.CONFIG)

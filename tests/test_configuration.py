import pytest

from tests.conftest import ROOT
from uncertainty_suite import configuration, datasets, models
from uncertainty_suite.errors import InputError

CONFIGS = sorted(path for path in ROOT.glob("configs/*/*.py") if path.name != "task.py")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_configuration_names_what_exists_and_is_locked(path):
    variants = [(), ("wide_resnet_28_10",)] if path.parent.name == "cifar10" else [()]
    for variant in variants:
        config = configuration.load(path, *variant)
        assert config.is_locked
        assert config.dataset.name == path.parent.name
        assert config.dataset.name in datasets.names()
        assert config.model.name in models.names()
        for source in (*config.evaluation.ood_near, *config.evaluation.ood_far):
            name, split = source.split("/")
            datasets.get(name, split=split, like=config.dataset.name)
        with pytest.raises(AttributeError, match="epoch"):
            config.epoch = 3


def test_each_task_has_all_methods_and_they_share_their_data():
    scripts = {path.stem for path in ROOT.glob("baselines/*.py")}
    for task in ("two_moons", "digits", "mnist", "fashion_mnist", "cifar10"):
        paths = [path for path in CONFIGS if path.parent.name == task]
        assert {path.stem for path in paths} == scripts
        loaded = [configuration.load(path).to_dict() for path in paths]
        for part in ("dataset", "evaluation", "batch_size", "epochs"):
            assert all(config[part] == loaded[0][part] for config in loaded), f"{task}: {part}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs = 3\n", r"Configuration file .*mine.py has no function get_config\(\)\."),
        ("def get_config(:\n", r"mine.py, line 1, is no Python: invalid syntax\."),
        (
            "def get_config():\n    return {}\n",
            r"get_config\(\) of .*mine.py must return a ConfigDict, and ret",
        ),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path, text, message):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(InputError, match=message):
        configuration.load(tmp_path / "mine.py")


def test_unknown_variant():
    with pytest.raises(InputError, match=r"Unknown variant of configs/cifar10 'wrn'"):
        configuration.load(ROOT / "configs/cifar10/sngp.py", "wrn")


def test_missing_file_and_function(tmp_path):
    with pytest.raises(InputError, match=r"No configuration file nowhere.py. The suite's own lie in configs/"):
        configuration.load("nowhere.py")
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(InputError, match=r"empty.py has no function get_config\(\)"):
        configuration.load(tmp_path / "empty.py")


def test_hash_is_of_everything_but_the_seed():
    config = {"seed": 0, "optimizer": {"learning_rate": 0.1}, "epochs": 3}
    digest = configuration.config_hash(config)
    assert len(digest) == 16
    assert digest == configuration.config_hash({**config, "seed": 1})
    assert digest == configuration.config_hash(dict(reversed(config.items())))
    assert digest != configuration.config_hash({**config, "optimizer": {"learning_rate": 0.2}})


def test_differences():
    old = {"a": 1, "b": {"c": 2, "d": 3}, "gone": 0}
    new = {"a": 1, "b": {"c": 5, "d": 3}, "new": [1]}
    assert configuration.differences(old, new) == ["b.c: 2 -> 5", "gone: 0 -> absent", "new: absent -> [1]"]
    assert configuration.differences(old, old) == []


def test_override():
    config = configuration.load(ROOT / "configs/mnist/deterministic.py")
    assignments = ("epochs=3", "precision=mixed_bfloat16", "optimizer.learning_rate=1", "evaluation.severities=(2,)")
    for assignment in assignments:
        configuration.override(config, assignment)
    assert (config.epochs, config.precision, config.optimizer.learning_rate) == (3, "mixed_bfloat16", 1.0)
    assert (type(config.optimizer.learning_rate), config.evaluation.severities) == (float, (2,))
    with pytest.raises(InputError, match=r"Unknown configuration field 'epoch'. Did you mean 'epochs'\?"):
        configuration.override(config, "epoch=3")
    with pytest.raises(InputError, match=r"The value of epochs must be like 3, and 'many' is not\."):
        configuration.override(config, "epochs=many")

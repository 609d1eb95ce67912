import pytest

from tests.conftest import ROOT
from uncertainty_suite import configuration, datasets, launch, training
from uncertainty_suite.errors import InputError

CONFIGS = sorted(ROOT.glob("configs/*.py"))
VARIANTS = {
    "bandit": ("", "digits"),
    "cifar10": ("", "wide_resnet_28_10"),
    "optimization": ("", "hartmann6"),
    "uci": ("yacht", "protein"),
}


@pytest.mark.parametrize(
    ("path", "variant"),
    [
        pytest.param(path, variant, id=f"{path.stem}:{variant}")
        for path in CONFIGS
        for variant in VARIANTS.get(path.stem, ("",))
    ],
)
@pytest.mark.parametrize("script", sorted(ROOT.glob("baselines/*.py")), ids=lambda path: path.stem)
def test_every_method_has_a_sound_configuration_of_every_task(path, variant, script):
    section = getattr(configuration.load_module(script), "CONFIG", None)
    config = launch.get_config(f"{path}:{variant}" if variant else path, section, script.stem)
    assert config.is_locked
    with config.unlocked():
        config.method = script.stem
    likelihoods = section.likelihoods if section else ()
    if likelihoods and datasets.get(config.dataset.name).likelihood not in likelihoods:
        with pytest.raises(InputError, match="Take another method or another task"):
            training.validate(configuration.to_json(config), section)
        return
    training.validate(configuration.to_json(config), section)
    assert config.dataset.name.partition("/")[0] == path.stem
    for source in (*config.evaluation.ood_near, *config.evaluation.ood_far):
        name, split = source.split("/")
        datasets.get(name, split).like(config.dataset.name)
    with pytest.raises(AttributeError, match="epoch"):
        config.epoch = 3


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_configuration_says_how_it_is_run(path):
    text = path.read_text()
    assert f"--config=configs/{path.name}" in text
    assert len(text.splitlines()) < 90


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
    with pytest.raises(InputError, match=r"Unknown variant of configs/cifar10.py 'wrn'"):
        configuration.load(ROOT / "configs/cifar10.py", "wrn")


def test_missing_file_and_function(tmp_path):
    with pytest.raises(InputError, match=r"No configuration file nowhere.py. The suite's own are configs/"):
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


def test_identities():
    config = {"seed": 0, "epochs": 3, "dataset": {"name": "uci/yacht", "fold": 2}, "evaluation": {"metrics": ["nll"]}}
    evaluated = {**config, "evaluation": {"metrics": ["ece"]}}
    assert configuration.config_hash(config) == configuration.config_hash(
        {**config, "seed": 4, "dataset": {"name": "uci/yacht", "fold": 5}}
    )
    assert configuration.replicate(config) == (2, 0)
    assert configuration.trained_id(config) == configuration.trained_id(evaluated)
    assert configuration.trained_id(config) != configuration.trained_id({**config, "seed": 1})
    assert configuration.run_id(config) != configuration.run_id(evaluated)


def test_a_configuration_comes_back_from_json():
    config = configuration.load(ROOT / "configs/digits.py")
    assert configuration.from_json(configuration.to_json(config)).to_dict() == config.to_dict()


def test_a_section_lists_its_parameters():
    section = configuration.Section("mine", size=configuration.Parameter(4, "members", at_least=1))
    assert section.help() == "Hyper-parameters:\n  --config.mine.size=4\n      members; an integer of at least 1"

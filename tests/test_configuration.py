import pytest

from tests.conftest import ROOT
from tests.tiny import load_script
from uncertainty_suite import configuration, datasets, launch, layers, likelihoods, models, training
from uncertainty_suite.errors import InputError

SCORED = ("chaosnli",)  # tasks of predictions from elsewhere: they have nothing to train on
CONFIGS = [path for path in sorted(ROOT.glob("configs/*.py")) if path.stem not in SCORED]
VARIANTS = {
    "bandit": ("", "digits"),
    "cifar10": ("", "wide_resnet_28_10"),
    "clinc_oos": ("", "transformer"),
    "diabetic_retinopathy": ("", "severity"),
    "herg": ("", "graphs"),
    "imagenet": ("", "vit_s16", "vit_s16,c"),
    "optimization": ("", "hartmann6"),
    "uci": ("yacht", "protein"),
}


TASKS = [
    pytest.param(path, variant, id=f"{path.stem}:{variant}")
    for path in CONFIGS
    for variant in VARIANTS.get(path.stem, ("",))
]


@pytest.mark.parametrize(("path", "variant"), TASKS)
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


@pytest.mark.parametrize(("path", "variant"), TASKS)
def test_methods_that_refuse_some_networks_take_that_of_every_task(path, variant):
    """One command runs them: dropout, or masks in its place, has a rate; and no Hessian is too large."""
    built = {}
    for method in ("laplace", "masksembles", "mc_dropout"):
        section = load_script(method).CONFIG
        config = launch.get_config(f"{path}:{variant}" if variant else path, section, method)
        data = datasets.get(config.dataset.name)
        parameters = {"num_classes": data.num_classes} if data.likelihood == "categorical" else {"mean": 0, "stddev": 1}
        likelihood = likelihoods.get(data.likelihood, **parameters)
        layer_set = layers.LayerSet(dropout=layers.MonteCarloDropout)
        built[method] = models.build(config.model, data, likelihood, layer_set)
        if method == "laplace":
            size = built[method].output["features"].shape[-1]
            layers.LastLayerLaplace(size, likelihood.num_latents, config.laplace.structure)
    assert layers.has_stochastic(built["masksembles"])
    assert layers.has_stochastic(built["mc_dropout"])


def test_every_task_of_two_classes_has_a_point_of_the_referral_curve():
    metrics_of = {}
    for path, variant in (task.values for task in TASKS):
        config = launch.get_config(f"{path}:{variant}" if variant else path, None, "deterministic")
        data = datasets.get(config.dataset.name)
        if data.likelihood == "categorical" and data.num_classes == 2:
            metrics_of[config.dataset.name] = config.evaluation.metrics
    assert {"adult", "toxicity", "two_moons"} < set(metrics_of)
    for name, texts in metrics_of.items():
        assert any(text.startswith("macro_auroc_at_coverage") for text in texts), name


@pytest.mark.parametrize("task", SCORED)
def test_a_task_without_training_data_is_refused_before_training(task, tmp_path):
    config = launch.get_config(ROOT / f"configs/{task}.py", None, "deterministic")
    with pytest.raises(InputError, match=r"split .*'train'"):
        training.Run(config, ROOT / "baselines/deterministic.py", training.Options(output_dir=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


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
        ("get_config = dict\n", r"get_config\(\) of .*mine.py must return a ConfigDict, and returns a dict\."),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path, text, message):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(InputError, match=message):
        configuration.load(tmp_path / "mine.py")


MINE = "from ml_collections import ConfigDict\ndef get_config():\n    config = ConfigDict({'epochs': 1})\n    "


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nothing_of_that_name\n", ", line 1: ModuleNotFoundError: No module named 'nothing_of_that_name'."),
        ("x = 1\nraise RuntimeError('two\\nlines')\n", ", line 2: RuntimeError: two lines."),
        ("raise SystemExit(0)\n", ", line 1: SystemExit: 0."),
        ("def get_config():\n    exit()\n", ", line 2: SystemExit: None."),
        ("def get_config():\n    assert False\n", ", line 2: AssertionError: no more is said."),
        ("def get_config():\n    return get_config()\n", ", line 2: RecursionError: maximum recursion depth exceeded."),
        ("def get_config():\n    return {}['a']\n", ", line 2: KeyError: 'a'."),
        (
            f"{MINE}config.epochs = {{1}}",
            ", line 4: TypeError: Could not override field 'epochs' (reference). {1} is of original type <class 'set'> "
            "and cannot be casted to type <class 'int'>.",
        ),
        (
            f"{MINE}config.epochs_of = {{1}}\n    return config",
            ": its field epochs_of is a set, and can be a text, a number, a truth value, or a tuple of these.",
        ),
        (
            f"{MINE}import pathlib; config.a = ConfigDict({{'b': pathlib.Path('x')}})\n    return config",
            ": its field a.b is a PosixPath, and can be a text, a number, a truth value, or a tuple of these.",
        ),
        (
            f"{MINE}config.a = (1.0, float('nan'))\n    return config",
            ": its field a is nan, which is no finite number.",
        ),
        (f"{MINE}config.a = config\n    return config", ": its field a contains itself."),
        (f"{MINE}a = []; a.append(a); config.a = a\n    return config", ": its field a contains itself."),
        (
            f"{MINE}config['x\\n'] = 1\n    return config",
            r": its field (the whole) has the name 'x\n', which is no printable text.",
        ),
        ("class Mine(BaseException): pass\ndef get_config():\n    raise Mine('x')\n", ", line 3: Mine: x."),
        (
            "class Mine(Exception):\n    def __str__(self): raise self\nraise Mine\n",
            ", line 3: Mine: no more is said.",
        ),
        (
            f"{MINE}c = config\n    for _ in range(99): c.a = ConfigDict(); c = c.a\n    return config",
            f": its field {'.'.join('a' * 21)} is nested too deeply.",
        ),
        ("a = 1\0\n", ", line 1, is no Python: source code string cannot contain null bytes."),
    ],
)
def test_a_file_that_goes_wrong_is_one_line_with_its_place(tmp_path, text, said):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        configuration.load(path)
    assert str(error.value) == f"{path}{said}"


def test_a_file_that_ends_the_program_in_an_import_of_its_own(tmp_path):
    (tmp_path / "inner.py").write_text("raise SystemExit(0)\n")
    path = tmp_path / "mine.py"
    path.write_text(f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport inner\n")
    with pytest.raises(InputError) as error:
        configuration.load(path)
    assert str(error.value) == f"{path}, line 3: SystemExit: 0."


def test_a_variant_of_a_file_that_has_none_and_none_of_one_that_has(tmp_path):
    with pytest.raises(InputError) as error:
        configuration.load("configs/two_moons.py", "foo")
    assert str(error.value) == (
        "configs/two_moons.py:foo names a variant, and get_config() of configs/two_moons.py takes none: leave ':foo' "
        "out."
    )
    (tmp_path / "mine.py").write_text("def get_config(variant):\n    return 3\n")
    with pytest.raises(InputError) as error:
        configuration.load(tmp_path / "mine.py")
    assert str(error.value) == (
        f"get_config() of {tmp_path}/mine.py must be named with a variant, --config={tmp_path}/mine.py:<variant>."
    )


@pytest.mark.parametrize("name", ["a", "MC dropout (10)", "k=3, 4", "Бет", "a.b-c"])
def test_names_of_methods(name):
    configuration.check_name("config.method", name)


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", "a\\b", ".", "..", ".a", "-a", "a\nb", "\x1b[31m", "\ud800", "a" * 101]
)
def test_names_that_no_method_can_have(name):
    with pytest.raises(InputError) as error:
        configuration.check_name("config.method", name)
    assert str(error.value) == (
        "config.method must be a name of 1 to 100 printable characters, none of them / or \\, and the first neither . "
        f"nor -, received {name!r}."
    )


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

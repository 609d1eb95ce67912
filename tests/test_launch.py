"""The scripts as programs: what a user who mistypes sees."""

import json
import os
import subprocess
import sys

import pytest
from absl import flags
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import ROOT
from tests.tiny import flags_of
from uncertainty_suite import configuration, launch, training
from uncertainty_suite.errors import InputError


def run_script(*arguments: str, cwd=ROOT, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "baselines/deterministic.py"), *arguments]
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, capture_output=True, text=True
    )


def last_line(process: subprocess.CompletedProcess) -> str:
    assert "Traceback" not in process.stderr
    return process.stderr.splitlines()[-1].partition(": ")[2]


CONFIG = f"--config={ROOT}/configs/two_moons.py"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--confg=x"],
            "Unknown flag '--confg'. Did you mean '--config'? Known: --",
        ),
        ([CONFIG, "--config.epoch=3"], "Unknown configuration field 'epoch'. Did you mean 'epochs'? Known: "),
        ([CONFIG, "--config.epochs=many"], "flag --config.epochs=many: invalid literal for int()"),
        (["--config=configs/nowhere.py"], "No configuration file configs/nowhere.py. The suite's own are configs/"),
        ([], "--config is missing. Try: python "),
        ([CONFIG, "--config.optimizer.schedule=step"], "config.optimizer.decay_epochs must be rising epochs below con"),
        ([CONFIG, "epochs=3"], "Cannot read the argument 'epochs=3': flags are written --name=value."),
    ],
)
def test_a_mistyped_command_line_is_one_line(arguments, message, tmp_path):
    process = run_script(*arguments, f"--output_dir={tmp_path}/run")
    assert process.returncode == 1
    assert last_line(process).startswith(message)
    assert not (tmp_path / "run").exists()


# Command lines of any kind, in this process.

FIELDS = [
    *sorted(configuration.flatten(launch.get_config(ROOT / "configs/two_moons.py", None, "deterministic").to_dict())),
    *(
        "epoch",
        "optimizer",
        "optimizer.name.x",
        "methods",
        "loss.focal_gamma",
        "dataset.mixup",
        "dataset.fold",
        "",
        ".",
    ),
]
NUMBERS = ("nan", "inf", "-inf", "-1", "0", "1", "1e400", "1e308", "1e-308", "1.2", "1_0", "0x10", "9" * 20, "1" * 5000)
TUPLES = ("()", "('a',)", "('nll','nll')", "(1,)", "[]", "{", "1,2", "test,validation", "('nll', 3)", "(" * 200)
TEXTS = (
    "True",
    "None",
    "'",
    "'x'",
    "two_moons",
    "../../x",
    "lambda: 0",
    "\n",
    "\x1b[31m",
    "('grid',)",
    "('variance',)",
)
VALUES = st.one_of(st.sampled_from([*NUMBERS, *TUPLES, *TEXTS]), st.text(max_size=6))
FORMS = ("--config.{}={}", "--config.{} {}", "-config.{}={}", "--noconfig.{}", "--config.{}", "--{}={}", "{}={}")


@st.composite
def arguments_of(draw):
    """Return some arguments of a command line."""
    form, field, value = draw(st.sampled_from(FORMS)), draw(st.sampled_from(FIELDS)), draw(VALUES)
    name, space, rest = form.partition(" ")
    return [name.format(field, value), *([rest.replace("{}", value)] if space else [])]


def check_command_line(arguments):
    """Take a command line as a script does, up to where it would read data: one line is said of what is wrong."""
    try:
        config = launch.get_config(ROOT / "configs/two_moons.py", None, "deterministic", arguments)
        training.run.check(config, "deterministic")
    except InputError as error:
        assert "\n" not in str(error)


fuzz = settings(max_examples=200, derandomize=True, deadline=None, database=None)


@fuzz
@given(st.lists(arguments_of(), min_size=1, max_size=3))
def test_any_command_line(lists):
    check_command_line([argument for each in lists for argument in each])


@pytest.mark.slow
@settings(fuzz, max_examples=10_000)
@given(st.lists(arguments_of(), min_size=1, max_size=3))
def test_ten_thousand_command_lines(lists):
    check_command_line([argument for each in lists for argument in each])


CONFIG_OF = "configs/two_moons.py"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["--config.method=../../../escaped"],
            "config.method must be a name of 1 to 100 printable characters, no",
        ),
        (
            ["--config.method=a\nb"],
            "config.method must be a name of 1 to 100 printable characters, none of them / or \\",
        ),
        (["--config.optimizer.warmup_epochs=1e308"], "config.optimizer.warmup_epochs is 1e+308 of 100 epochs: the lea"),
        (
            ["--config.evaluation.metrics=('auroc',)"],
            "config.evaluation.metrics: 'auroc' is not defined for labels of data set 'two_moons', which are categori",
        ),
        (
            ["--config.evaluation.ood_scores=('variance',)"],
            "config.evaluation.ood_scores: 'variance' is by an uncertainty 'variance' of the method's own, and "
            "'deterministic' has none. Leave it out; a script of yours that has it says so by "
            "Section(uncertainties=('variance',)).",
        ),
        (
            ["--config.evaluation.ood_scores=('knn',)", "--config.evaluation.fit_examples=1"],
            "config.evaluation.fit_examples: OOD score 'knn' needs k=50 training examples or more, got 1; fit it on ",
        ),
        (
            ["--config.evaluation.batch_size=1000000000"],
            "config.evaluation.batch_size is 1,000,000,000 predictions at once, of at most 1,000,000. Make it smaller.",
        ),
        (["--config.epochs", "many"], "flag --config.epochs=many: invalid literal for int() with base 10: 'many'"),
    ],
)
def test_what_is_known_before_training(overrides, message):
    with pytest.raises(InputError) as error:
        training.run.check(launch.get_config(ROOT / CONFIG_OF, None, "deterministic", overrides), "deterministic")
    assert str(error.value).startswith(message)


def test_more_samples_than_any_memory_holds():
    section = configuration.load_module(ROOT / "baselines/mc_dropout.py").CONFIG
    config = launch.get_config(ROOT / CONFIG_OF, section, "mc_dropout", ["--config.mc_dropout.num_samples=1000000"])
    with pytest.raises(InputError) as error:
        training.run.check(config, "mc_dropout", section)
    assert str(error.value) == (
        "config.evaluation.batch_size times config.mc_dropout.num_samples is 1,000,000,000 predictions at once, of at "
        "most 1,000,000. Make it smaller."
    )


def test_a_score_by_an_uncertainty_that_the_method_has():
    section = configuration.load_module(ROOT / "baselines/sngp.py").CONFIG
    config = launch.get_config(ROOT / CONFIG_OF, section, "sngp", ["--config.evaluation.ood_scores=('variance',)"])
    assert training.run.check(config, "sngp", section)[0].evaluation.ood_scores == ("variance",)


def test_the_space_form_and_a_file_of_flags(tmp_path):
    (tmp_path / "flags").write_text(f"--config\n{ROOT}/{CONFIG_OF}\n--config.epochs=2\n")
    for arguments in (["--config", f"{ROOT}/{CONFIG_OF}", "--config.epochs=2"], [f"--flagfile={tmp_path}/flags"]):
        values = flags.FlagValues()
        flags.DEFINE_string("flagfile", "", "", values)
        config, file = launch._parse(values, ["script.py", *arguments, "--config.seed", "3"], None, "script")
        assert (config.epochs, config.seed, file) == (2, 3, f"{ROOT}/{CONFIG_OF}")
    with pytest.raises(InputError) as error:
        launch._parse(flags.FlagValues(), ["script.py", f"--flagfile={tmp_path}/none"], None, "script")
    assert str(error.value) == (f"Unable to open flagfile: [Errno 2] No such file or directory: '{tmp_path}/none'.")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{'dataset': 3}", "The configuration's dataset must be a part with fields, received 3."),
        ("{'methods': ['a']}", "The configuration's methods must be a part with fields, received ['a']."),
        (
            "{'methods': {'script': 3}}",
            "The configuration's table 'methods' must hold pieces of configuration",
        ),
        (
            "{'seed': 1, 'methods': {'script': {'seed': {'a': 1}}}}",
            "The configuration's table 'methods' makes a part",
        ),
    ],
)
def test_a_configuration_file_of_another_shape(tmp_path, text, message):
    path = tmp_path / "mine.py"
    path.write_text(f"from ml_collections import ConfigDict\ndef get_config():\n    return ConfigDict({text})\n")
    with pytest.raises(InputError) as error:
        launch.get_config(path, None, "script")
    assert str(error.value).startswith(message)


def test_a_missing_data_set_is_one_line(scripts, tmp_path):
    script, config = ROOT / "baselines/deterministic.py", ROOT / "configs/mnist.py"
    ended = scripts.run(
        [str(script), f"--config={config}", f"--data_dir={tmp_path}/none", f"--output_dir={tmp_path}/run"]
    )
    assert ended.status == 1
    assert "mnist" in ended.error
    assert "--data_dir" in ended.error


SMALL = {"epochs": 1, "model.num_hidden": 8, "batch_size": 500}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that a script made in another folder and where Keras is for NumPy; and how the process ended."""
    folder = tmp_path_factory.mktemp("a folder") / "with spaces"
    process = run_script(CONFIG, *flags_of(SMALL), f"--output_dir={folder}", cwd=folder.parent, KERAS_BACKEND="numpy")
    assert process.returncode == 0, process.stderr
    return folder, process


def test_a_script_runs_from_any_folder_and_under_another_backend(trained):
    folder, process = trained
    assert "epochs of 2 steps, 500 examples a step" in process.stderr
    assert "deterministic on two_moons, seed 0\n  test/accuracy  " in process.stdout
    assert json.loads((folder / "results.json").read_text())["provenance"]["versions"]["tensorflow"]


def test_it_takes_up_a_folder_of_the_same_configuration_alone(trained):
    folder, process = trained
    results = (folder / "results.json").read_bytes()
    command = ["baselines/deterministic.py", "--config=two_moons", *flags_of(SMALL), f"--output_dir={folder}"]
    again = run_python(WITHOUT_TENSORFLOW, *command)
    assert (again.returncode, again.stdout) == (0, process.stdout), again.stderr
    assert f"{folder} is finished already; its results are returned as they are." in again.stderr
    other = run_python(WITHOUT_TENSORFLOW, *command, "--config.epochs=2")
    assert other.returncode == 1
    assert "belongs to a run of another configuration (epochs: 1 -> 2)" in last_line(other)
    assert (folder / "results.json").read_bytes() == results


# What starts no TensorFlow: absl's conventions.


def run_python(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


WITHOUT_TENSORFLOW = """
import runpy, sys
sys.modules["tensorflow"] = sys.modules["keras"] = None  # whose import fails
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_help_lists_flags_and_hyper_parameters_without_tensorflow():
    process = run_python(WITHOUT_TENSORFLOW, "baselines/sngp.py", "--help")
    assert process.returncode == 1, process.stderr  # as absl's help always does
    help_text = process.stdout
    for text in (
        "--config.sngp.mean_field_factor=(0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)\n      how much the variance counts",
        "--config.sngp.feature_type=orthogonal\n      how the random features are drawn; one of orthogonal, random",
        "--output_dir",
        "Try --helpfull to get a list of all flags.",
        "Liu et al. 2020",
    ):
        assert text in help_text


def test_flags_are_refused_without_tensorflow():
    process = run_python(
        WITHOUT_TENSORFLOW, "baselines/sngp.py", "--config=configs/digits.py", "--config.sngp.momentun=0.9"
    )
    assert process.returncode == 1
    assert "Unknown configuration field 'sngp.momentun'. Did you mean 'sngp.momentum'?" in process.stderr
    assert "Traceback" not in process.stderr


def test_flags_from_a_file_and_flags_that_may_be_unknown(trained, tmp_path):
    folder, process = trained
    (tmp_path / "flags.txt").write_text("\n".join(flags_of(SMALL)))
    again = run_python(
        WITHOUT_TENSORFLOW,
        "baselines/deterministic.py",
        CONFIG,
        f"--flagfile={tmp_path}/flags.txt",
        "--undefok=of_another_script,config.sngp.num_features",
        "--of_another_script=3",
        "--config.sngp.num_features=8",
        "--verbosity=-1",
        f"--output_dir={folder}",  # which another configuration could not have
    )
    assert (again.returncode, again.stdout) == (0, process.stdout), again.stderr
    assert "is finished already" not in again.stderr  # an INFO line, and only warnings were asked for


KERAS_ON_JAX = """
import sys, types
sys.modules["keras"] = keras = types.ModuleType("keras")
keras.config = types.SimpleNamespace(backend=lambda: "jax")
from uncertainty_suite import layers
layers.LayerSet
"""


def test_keras_of_another_backend_is_refused_in_one_line():
    process = run_python(KERAS_ON_JAX)  # as after `import keras` under another backend
    assert process.stderr.splitlines()[-1].endswith(
        "Keras was imported with the backend 'jax' before uncertainty_suite, which needs 'tensorflow'. Import "
        "uncertainty_suite first, or set KERAS_BACKEND=tensorflow."
    )


def test_overrides_are_read_as_absl_reads_flags():
    def get(*overrides):
        section = configuration.load_module(ROOT / "baselines/mc_dropout.py").CONFIG
        return launch.get_config(ROOT / "configs/digits.py", section, "mc_dropout", overrides)

    config = get(
        *("--config.epochs", "3", "--config.mc_dropout.filterwise", "--noconfig.mc_dropout.shared_masks"),
        *("--config.optimizer.learning_rate=1", "--config.evaluation.severities=(2,)", "--config.epochs=4"),
    )
    assert (config.epochs, config.mc_dropout.filterwise, config.mc_dropout.shared_masks) == (4, True, False)
    assert (type(config.optimizer.learning_rate), config.evaluation.severities) == (float, (2,))
    wide = get("--config.model.name=wide_resnet", "--config.model.depth=16")
    assert wide.model.to_dict() == {"name": "wide_resnet", "depth": 16, "width": 10, "dropout_rate": 0.0}
    with pytest.raises(InputError, match=r"Unknown configuration field 'model.num_hidden'"):
        get("--config.model.name=wide_resnet", "--config.model.num_hidden=3")


@pytest.mark.parametrize(
    ("optimizer", "overrides", "warned"),
    [
        ({"name": "adam", "learning_rate": 1e-3}, [], True),
        ({"name": "adam", "learning_rate": 1e-3}, ["--config.optimizer.learning_rate=0.1"], False),
        ({"name": "sgd", "learning_rate": 0.1}, [], False),  # whose rates are theirs, too
    ],
)
def test_a_learning_rate_that_is_of_another_optimizer_is_said(tmp_path, optimizer, overrides, warned):
    task = {"batch_size": 64, "epochs": 2, "dataset": {"name": "digits"}, "model": {"name": "mlp"}}
    text = {**task, "optimizer": {**optimizer, "schedule": "cosine"}}
    file, script = tmp_path / "mine.py", tmp_path / "ivon.py"
    file.write_text(f"from ml_collections import ConfigDict\ndef get_config():\n    return ConfigDict({text})\n")
    script.write_text(
        "from uncertainty_suite import launch\n"
        "from uncertainty_suite.configuration import Section\n"
        "launch.run(lambda config, options: None, Section('ivon', optimizers=('ivon',)))\n"
    )
    command = [sys.executable, str(script), f"--config={file}", *overrides]
    process = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    said = (
        f"config.optimizer.learning_rate=0.001 is what {file} gives adam. Rates of ivon are those of gradient descent"
    )
    assert (said in process.stderr) == warned
    assert ("config.optimizer.learning_rate" in process.stderr) == warned

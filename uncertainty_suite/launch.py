"""Run a training script as a program: its flags, signals, and errors in one line.

Nothing here imports TensorFlow before the script's `main` does, so that `--help` and errors in flags come at once.
"""

import contextlib
import logging as python_logging
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from uncertainty_suite import configuration, program, shipped, training
from uncertainty_suite.configuration import Section
from uncertainty_suite.errors import InputError, unknown_name
from uncertainty_suite.leaderboard.tables import COSTS, headline
from uncertainty_suite.training.optimizers import OF_METHODS
from uncertainty_suite.training.options import STRATEGIES, Options
from uncertainty_suite.training.schema import CHOICES, OPTIONAL, complete

__all__ = ["Options", "get_config", "run"]

_HELP_FLAGS = {"help", "helpfull", "helpshort", "helpxml", "?"}
_OPTION_FLAGS = (
    *("output_dir", "data_dir", "checkpoint_every", "steps_per_call", "on_nan", "deterministic_ops", "strategy"),
    "trained",
)


def run(main: Callable[..., Any], section: Section | None = None, **script_flags: flags.FlagHolder) -> NoReturn:
    """Parse the command line, call `main(config, options, ...)`, and exit.

    Flags: `--config` (a file, and `--config.<field>` for each value in it), `--output_dir` and `--data_dir`; those that
    change no result and so are no part of the configuration, `--checkpoint_every`, `--steps_per_call`, `--strategy`
    and `--deterministic_ops`; `--on_nan`, which changes the result of a run that would otherwise have none; and absl's
    own, such as `--help`, `--helpfull`, `--flagfile`, `--undefok` and `--verbosity`.

    The exit status is 1 after an error that is the user's to mend, which is one line on stderr, and as shells have it
    129 after SIGHUP, 130 after Ctrl-C and 143 after SIGTERM, once a checkpoint is saved.

    Args:
        main: The script's function.
        section: The script's hyper-parameters.
        **script_flags: Flags of the script's own, by the keyword under which `main` takes their values.
    """
    program.run(sys.argv[0], lambda: _run(main, section, script_flags))


def _run(main: Callable[..., Any], section: Section | None, script_flags: Mapping[str, flags.FlagHolder]) -> int:
    training.interruption.install(shlex.join(["python", *sys.argv]))
    values = flags.FLAGS
    _define_flags(values)
    for name in (*_OPTION_FLAGS, *script_flags):
        values.register_key_flag_for_module(sys.argv[0], values[name])
    script = sys.modules["__main__"]
    if section:
        script.__doc__ = f"{script.__doc__ or ''}\n{section.help()}\n"  # which absl's --help shows
    try:
        config, file = _parse(values, sys.argv, section, Path(sys.argv[0]).stem)
        logging.use_absl_handler()
        if not values["verbosity"].present:
            logging.set_verbosity(logging.INFO)
            python_logging.getLogger("tensorflow").setLevel("WARNING")  # it says how it adds up, for each variable
        _warn_of_a_rate(config, file)
        given: dict[str, Any] = {name: values[name].value for name in _OPTION_FLAGS}
        tuned = configuration.read_tuned(configuration.tuned_path(file), Path(sys.argv[0]).stem)
        options = Options(**given, config_file=file, tuned=tuned)
        own = {name: holder.value for name, holder in script_flags.items()}
        results = _main_to_its_end(main, config, options, **own)
    except AttributeError as error:
        # So a ConfigDict reports a field that it does not have; other attributes that are missing are bugs.
        if error.args and isinstance(error.args[0], KeyError):
            lacking = error.args[0].args[0]
            raise InputError(f"The configuration lacks a field that this script reads: {lacking}") from error
        raise
    if results:
        _print_table(results)
    return 0


def get_config(
    file: str | Path,
    section: Section | None,
    method: str,
    overrides: Sequence[str] = (),
    tuned: Mapping[str, Any] | None = None,
) -> ConfigDict:
    """Return the configuration that a script's `main` gets from a command line.

    Args:
        file: A configuration file, with `:<variant>` after it where it has variants.
        section: The script's hyper-parameters.
        method: The script's file name, without its ending.
        overrides: What follows on the command line, `--config.<field>=<value>` each.
        tuned: Values that a search has chosen, by field; by default those of `configuration.tuned_path`.

    Raises:
        InputError: The file cannot be read, or a field or value is not allowed.

    Example:
        >>> script = configuration.load_module("baselines/sngp.py")
        >>> config = get_config("configs/uci.py:yacht", script.CONFIG, "sngp", ["--config.seed=1"])
    """
    return _parse(flags.FlagValues(), ["", f"--config={file}", *overrides], section, method, tuned)[0]


def _define_flags(values: flags.FlagValues) -> None:
    app.define_help_flags()
    flags.DEFINE_string(
        "output_dir",
        None,
        "Run folder. By default runs/<data set>/<method>-<hash of the configuration>/seed<seed>.",
        values,
    )
    flags.DEFINE_string(
        "data_dir",
        None,
        "Folder of prepared TFDS data sets. By default $UNCERTAINTY_SUITE_DATA_DIR, then TFDS's own.",
        values,
    )
    flags.DEFINE_string("checkpoint_every", "1min", "For example 500steps, 30s, 5min or 1h.", values)
    flags.DEFINE_integer(
        "steps_per_call",
        None,
        "Training steps that one compiled call takes. By default about a second's.",
        1,
        flag_values=values,
    )
    flags.DEFINE_enum(
        "on_nan",
        "stop",
        ["stop", "rollback"],
        "When a loss or gradient is not finite: stop, or go back to the epoch's start with half the learning rate.",
        values,
    )
    flags.DEFINE_enum(
        "strategy",
        "auto",
        STRATEGIES,
        "Where training runs: one_device; mirrored, all GPUs of this machine; multi_worker, the processes of TF_CONFIG "
        "or of a SLURM job step; tpu. auto: what TF_CONFIG and the GPUs say. The batch size is over all of them.",
        values,
    )
    flags.DEFINE_string(
        "trained",
        None,
        "A finished run whose network is taken in place of a training, by methods that come after training: of the "
        "script whose training theirs is, with the same configuration.",
        values,
    )
    flags.DEFINE_bool(
        "deterministic_ops",
        False,
        "Let no operation give other bits when it is repeated: for GPUs, and slower.",
        values,
    )


def _parse(
    values: flags.FlagValues,
    argv: Sequence[str],
    section: Section | None,
    method: str,
    tuned: Mapping[str, Any] | None = None,
) -> tuple[ConfigDict, str]:
    """Parse a command line, and return the configuration that it asks for and the file that it names.

    The configuration is put together first, since what it holds decides which of its fields there are; then
    ml_collections sets the fields that the command line gives.
    """
    try:
        arguments = values.read_flags_from_files(list(argv[1:]), force_gnu=True)
    except flags.Error as error:
        raise InputError(" ".join(str(error).split()).removeprefix("ERROR:: ") + ".") from error
    file, overrides, rest = _split(arguments)
    if file is None or any(argument.lstrip("-").partition("=")[0] in _HELP_FLAGS for argument in arguments):
        text = (
            "A task, two_moons, or a configuration file, configs/two_moons.py; --config.<field>=<value> sets a value."
        )
        flags.DEFINE_string("config", None, text, values)
        values.register_key_flag_for_module(sys.argv[0], values["config"])
        _parse_flags(values, [argv[0], *rest])
        raise InputError(f"--config is missing. Try: python {argv[0]} --config=configs/two_moons.py")
    file = shipped.config_file(file)
    path, _, variant = file.partition(":")
    chosen = {field: text for field, text in overrides if field in {**CHOICES, **OPTIONAL}}
    if tuned is None:
        found = configuration.read_tuned(configuration.tuned_path(file), method)
        tuned = configuration.with_tuples({field: said["chosen"] for field, said in found.items()})
    config = complete(configuration.load(path, *[variant] if variant else []), section, method, chosen, tuned)
    fields = configuration.flatten(config.to_dict())
    ignored = _undefined_is_ok(arguments)
    given = []
    for field, text in overrides:
        if field in fields:
            given.append(f"--config.{field}={text}")
        elif f"config.{field}" not in ignored:
            raise unknown_name("configuration field", field, {**fields, **OPTIONAL})
    config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=["", *given])
    _parse_flags(values, [argv[0], *given, *rest])
    return values["config"].value, file


def _split(arguments: Sequence[str]) -> tuple[str | None, list[tuple[str, str]], list[str]]:
    """Return the configuration file, the fields of it that are set with their values, and the other arguments."""
    file: str | None = None
    overrides, rest = [], []
    remaining = list(arguments)
    while remaining:
        argument = remaining.pop(0)
        match = re.fullmatch(r"--?(no)?config(\.[^=]+)?(=.*)?", argument, re.DOTALL)
        if match is None:
            rest.append(argument)
            continue
        no, field, value = match.groups()
        if value is not None:
            text = value[1:]
        elif remaining and not remaining[0].startswith("--") and not no:
            text = remaining.pop(0)
        else:
            text = "False" if no else "True"  # as absl reads a flag without a value
        if field is None:
            file = text
        else:
            overrides.append((field[1:], text))
    return file, overrides, rest


def _undefined_is_ok(arguments: Sequence[str]) -> set[str]:
    """Return the names that --undefok lists."""
    texts = [each.partition("=")[2] for each in arguments if re.match("--?undefok=", each)]
    return {name.strip() for text in texts for name in text.split(",")}


def _parse_flags(values: flags.FlagValues, argv: Sequence[str]) -> None:
    # absl spreads its errors over several lines, which a traceback would bury.
    try:
        rest = values(list(argv))
    except flags.UnrecognizedFlagError as error:
        raise unknown_name("flag", f"--{error.flagname}", [f"--{name}" for name in values]) from error
    except flags.Error as error:
        raise InputError(" ".join(str(error).split())) from error
    if len(rest) > 1:
        raise InputError(f"Cannot read the argument '{rest[1]}': flags are written --name=value.")


def _warn_of_a_rate(config: ConfigDict, file: str) -> None:
    """Say so where the optimizer of a method's own has the learning rate that the file gives Adam."""
    path, _, variant = file.partition(":")
    of_file = configuration.load(path, *[variant] if variant else []).get("optimizer", ConfigDict())
    rate, name, another = config.optimizer.learning_rate, config.optimizer.name, of_file.get("name")
    if name in OF_METHODS and another in ("adam", "adamw") and rate == of_file.get("learning_rate"):
        logging.warning(
            f"config.optimizer.learning_rate={rate:g} is what {path} gives {another}. Rates of {name} are those of "
            "gradient descent on the mean loss, mostly 10 to 1,000 times as large: with this one the network may learn "
            "next to nothing."
        )


def _main_to_its_end(main: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call `main` again each time that its training was rolled back."""
    while True:
        with contextlib.suppress(training.RolledBack):
            return main(*args, **kwargs)


def _print_table(results: dict[str, Any]) -> None:
    """Print the headline metrics of a run; `results.json` has all of them."""
    print(f"{results['method']} on {results['task']}, seed {results['seed']}")
    for name in (*headline([results["likelihood"]["name"]], results["in_distribution"]), *COSTS):
        if name in results["metrics"]:
            print(f"  {name:<32} {results['metrics'][name]:>12.6g}")
    for name, reason in results["left_out"].items():
        print(f"  {name:<32} {'none':>12}: {reason}")
    for rollback in results["provenance"].get("rollbacks", []):
        training_of, factor, epoch = map(rollback.get, ("training", "learning_rate_factor", "epoch"))
        print(f"  {training_of}: learning rate times {factor} from epoch {epoch} on")

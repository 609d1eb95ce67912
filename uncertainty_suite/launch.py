"""Run a training script as a program: its flags, signals, and errors in one line."""

import contextlib
import errno
import shlex
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import tensorflow as tf
from absl import flags, logging
from ml_collections import config_flags

from uncertainty_suite import configuration, training
from uncertainty_suite.errors import InputError, unknown_name
from uncertainty_suite.leaderboard.tables import COSTS, HEADLINE

_ENVIRONMENT = {errno.EACCES, errno.EDQUOT, errno.EIO, errno.ENOSPC, errno.EPERM, errno.EROFS}


def run(main: Callable[..., dict[str, Any]], **script_flags: flags.FlagHolder) -> None:
    """Parse the command line, call `main(config, output_dir, data_dir, ...)`, and exit.

    Flags: `--config` (a file, and `--config.<field>` for each value in it), `--output_dir` and `--data_dir`; and those
    that change no result and so are no part of the configuration, `--checkpoint_every`, `--steps_per_call` and
    `--deterministic_ops`; and `--on_nan`, which changes the result of a run that would otherwise have none.

    The exit status is 1 after an error that is the user's to mend, which is one line on stderr, and as shells have it
    130 after Ctrl-C and 143 after SIGTERM, once a checkpoint is saved.

    Args:
        main: The script's function.
        **script_flags: Flags of the script's own, by the keyword under which `main` takes their values.
    """
    config = config_flags.DEFINE_config_file("config", None, "Configuration file, e.g. configs/two_moons/sngp.py.")
    output_dir = flags.DEFINE_string(
        "output_dir", None, "Run folder. By default runs/<data set>/<method>-<hash of the configuration>/seed<seed>."
    )
    data_dir = flags.DEFINE_string(
        "data_dir", None, "Folder of prepared TFDS data sets. By default $UNCERTAINTY_SUITE_DATA_DIR, then TFDS's own."
    )
    checkpoint_every = flags.DEFINE_string("checkpoint_every", "1min", "For example 500steps, 30s, 5min or 1h.")
    steps_per_call = flags.DEFINE_integer(
        "steps_per_call", None, "Training steps that one compiled call takes. By default about a second's.", 1
    )
    on_nan = flags.DEFINE_enum(
        "on_nan",
        "stop",
        ["stop", "rollback"],
        "When a loss or gradient is not finite: stop, or go back to the epoch's start with half the learning rate.",
    )
    deterministic_ops = flags.DEFINE_bool(
        "deterministic_ops", False, "Let no operation give other bits when it is repeated: for GPUs, and slower."
    )
    known = [
        *("config", "output_dir", "data_dir", "checkpoint_every", "steps_per_call", "on_nan", "deterministic_ops"),
        *script_flags,
    ]
    try:
        _parse(sys.argv, known)
        if config.value is None:
            raise InputError(f"--config is missing. Try: python {sys.argv[0]} --config=configs/two_moons/<method>.py")
        logging.set_verbosity(logging.INFO)
        training.set_checkpoint_interval(checkpoint_every.value)
        training.set_steps_per_call(steps_per_call.value)
        training.set_on_nan(on_nan.value)
        if deterministic_ops.value:
            tf.config.experimental.enable_op_determinism()
        training.interruption.install()
        own = {name: holder.value for name, holder in script_flags.items()}
        results = _main_to_its_end(main, config.value, output_dir.value, data_dir.value, **own)
        if results:
            _print_table(results)
    except InputError as error:
        _exit(str(error), 1)
    except training.Interrupted as interrupted:
        command = shlex.join(["python", *sys.argv])
        _exit(f"Stopped by {interrupted.signal.name}. To go on, bit for bit: {command}", 128 + interrupted.signal)
    except AttributeError as error:
        # So a ConfigDict reports a field that it does not have; other attributes that are missing are bugs.
        if not (error.args and isinstance(error.args[0], KeyError)):
            raise
        _exit(f"The configuration lacks a field that this script reads: {error.args[0].args[0]}", 1)
    except OSError as error:
        if error.errno not in _ENVIRONMENT:
            raise
        _exit(f"{error.strerror}: {error.filename or 'no file named'}", 1)


def _main_to_its_end(main: Callable[..., dict[str, Any]], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Call `main` again each time that its training was rolled back."""
    while True:
        with contextlib.suppress(training.RolledBack):
            return main(*args, **kwargs)


def _print_table(results: dict[str, Any]) -> None:
    """Print the headline metrics of a run; `results.json` has all of them."""
    print(f"{results['method']} on {results['task']}, seed {results['seed']}")
    for name in (*HEADLINE, *COSTS):
        if name in results["metrics"]:
            print(f"  {name:<26} {results['metrics'][name]:>12.6g}")
    for rollback in results["provenance"].get("rollbacks", []):
        factor = rollback["learning_rate_factor"]
        print(f"  {rollback['training']}: learning rate times {factor} from epoch {rollback['epoch']} on")


def _exit(message: str, status: int) -> NoReturn:
    print(f"{sys.argv[0]}: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(status)


def _parse(arguments: list[str], names: list[str]) -> None:
    # absl spreads its errors over several lines, and ml_collections reports unknown fields and files as tracebacks.
    fields = {}
    for argument in arguments[1:]:
        if argument.startswith("--config="):
            path, _, variant = argument.removeprefix("--config=").partition(":")
            fields = configuration.flatten(configuration.load(path, *[variant] if variant else []).to_dict())
    for argument in arguments[1:]:
        field = argument.removeprefix("--config.").partition("=")[0]
        if field != argument.partition("=")[0] and field not in fields:
            raise unknown_name("configuration field", field, fields)
    try:
        rest = flags.FLAGS(arguments)
    except flags.UnrecognizedFlagError as error:
        raise unknown_name("flag", f"--{error.flagname}", [f"--{name}" for name in names]) from error
    except flags.Error as error:
        raise InputError(" ".join(str(error).split())) from error
    if len(rest) > 1:
        raise InputError(f"Cannot read the argument '{rest[1]}': flags are written --name=value.")

"""Run a training script as a program: its flags, and errors in one line."""

import sys
from collections.abc import Callable
from typing import Any

from absl import flags, logging
from ml_collections import config_flags

from uncertainty_suite import configuration
from uncertainty_suite.errors import InputError, unknown_name


def run(main: Callable[..., dict[str, Any]], **script_flags: flags.FlagHolder) -> None:
    """Parse the command line, call `main(config, output_dir, data_dir, ...)`, and exit.

    Flags: `--config` (a file, and `--config.<field>` for each value in it), `--output_dir` and `--data_dir`.

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
    try:
        _parse(sys.argv, ["config", "output_dir", "data_dir", *script_flags])
        if config.value is None:
            raise InputError(f"--config is missing. Try: python {sys.argv[0]} --config=configs/two_moons/<method>.py")
        logging.set_verbosity(logging.INFO)
        own = {name: holder.value for name, holder in script_flags.items()}
        main(config.value, output_dir.value, data_dir.value, **own)
    except InputError as error:
        print(f"{sys.argv[0]}: {error}", file=sys.stderr)
        sys.exit(1)


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

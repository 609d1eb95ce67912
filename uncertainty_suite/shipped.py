"""Where the suite's scripts and configurations lie: beside the package in a repository, inside it once installed."""

from pathlib import Path

from uncertainty_suite.errors import unknown_name

_PACKAGE = Path(__file__).parent


def folder(name: str) -> Path:
    """Return the folder `baselines` or `configs`."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def script(name: str) -> Path:
    """Return the suite's script of a method.

    Raises:
        InputError: There is none.
    """
    path = folder("baselines") / f"{name}.py"
    if not path.is_file():
        raise unknown_name("method", name, [each.stem for each in folder("baselines").glob("*.py")])
    return path


def config_file(text: str) -> str:
    """Return a configuration file, with its variant, that is given by its path or by a task's name.

    A name is that of `configs/<name>.py` below the working folder, or else of one of the suite's.

    Args:
        text: `configs/uci.py:yacht`, `uci:yacht`, `mnist`.

    Raises:
        InputError: There is no such task.
    """
    name, colon, variant = text.partition(":")
    if name.endswith(".py") or Path(name).name != name:
        return text
    places = [Path("configs", f"{name}.py"), folder("configs") / f"{name}.py"]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise unknown_name("task", name, [each.stem for each in folder("configs").glob("*.py")])
    return f"{path}{colon}{variant}"

"""The data behind saved predictions, for figures that show examples."""

from pathlib import Path

from uncertainty_suite.datasets import Dataset
from uncertainty_suite.errors import InputError
from uncertainty_suite.runs import RunFolder
from uncertainty_suite.training.run import data_of


class NoDataError(InputError):
    """The examples that a figure shows cannot be had."""


def read(run: RunFolder, split: str, data_dir: str | Path | None = None) -> Dataset:
    """Return a split of a run's own data set, with the examples that the run had, and read it.

    Args:
        run: The run.
        split: Name of the split in the data set.
        data_dir: Where prepared data sets lie; see `datasets.get`.

    Raises:
        NoDataError: The data set is not known or cannot be read.
    """
    try:
        data = data_of(run.config["dataset"], split, data_dir)
        _ = data.num_examples  # reads it
    except InputError as error:
        raise NoDataError(str(error)) from error
    except (KeyError, TypeError) as error:
        raise NoDataError(f"The configuration of {run.path} does not say which data it had ({error}).") from error
    return data

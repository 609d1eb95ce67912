"""The data behind saved predictions, for figures that show examples."""

from pathlib import Path

from uncertainty_suite import datasets
from uncertainty_suite.datasets import Dataset
from uncertainty_suite.errors import InputError
from uncertainty_suite.runs import RunFolder


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
    config, name = run.config["dataset"], run.task.name
    try:
        options = {option: config[option] for option in datasets.options(name)}
        data = datasets.get(name, split, data_dir, **options).holding_out(config["validation_percent"])
        data = data.classes(config["classes"] or None)
        _ = data.num_examples  # reads it
    except InputError as error:
        raise NoDataError(str(error)) from error
    return data

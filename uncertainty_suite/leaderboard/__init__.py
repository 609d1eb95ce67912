"""The leaderboard: comparisons of methods, made from finished runs and from nothing else.

`python -m uncertainty_suite.leaderboard RUNS...` prints tables; `docs/leaderboard.md` has the other commands and the
statistics. Neither the command nor this package imports TensorFlow.

Example:
    >>> from uncertainty_suite import leaderboard
    >>> records = leaderboard.read_records(["leaderboards"])
    >>> print(leaderboard.render(records, metrics=["test/nll", "ood/*/auroc"]))
"""

from uncertainty_suite.leaderboard.analysis import Analysis, rank
from uncertainty_suite.leaderboard.records import Record, find_runs, load_scores, read_record, read_records
from uncertainty_suite.leaderboard.rendering import render
from uncertainty_suite.leaderboard.store import add
from uncertainty_suite.leaderboard.tables import Row, Statistic, Table, select, tables

__all__ = [
    "Analysis",
    "Record",
    "Row",
    "Statistic",
    "Table",
    "add",
    "find_runs",
    "load_scores",
    "rank",
    "read_record",
    "read_records",
    "render",
    "select",
    "tables",
]

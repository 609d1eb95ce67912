"""The leaderboard: tables of methods, made from run folders and from nothing else.

`python -m uncertainty_suite.leaderboard RUNS...` prints them. Neither the command nor this package imports TensorFlow.

Example:
    >>> from uncertainty_suite import leaderboard
    >>> records = leaderboard.read_records(["runs"])
    >>> print(leaderboard.render(records, metrics=["test/nll", "ood/*/auroc"]))
"""

from uncertainty_suite.leaderboard.records import Record, find_runs, read_record, read_records
from uncertainty_suite.leaderboard.tables import Row, Statistic, Table, render, tables

__all__ = ["Record", "Row", "Statistic", "Table", "find_runs", "read_record", "read_records", "render", "tables"]

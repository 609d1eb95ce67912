"""Decisions by uncertainty: what to have labelled, what to try, what to leave to an expert.

The scripts of `baselines/decisions/` train any method's script on what decisions have revealed so far, ask its
`predict`, and decide by an acquisition function; `docs/decisions.md` shows them.
"""

from uncertainty_suite.decisions.acquisition import LABELS, VALUES, Belief
from uncertainty_suite.decisions.curves import Progress, Record, read, report, table

__all__ = ["LABELS", "VALUES", "Belief", "Progress", "Record", "read", "report", "table"]

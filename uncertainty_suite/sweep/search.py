"""Drawing the values that a search tries, quasi-randomly: they fill the space of all ranges more evenly than chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.stats import qmc

from uncertainty_suite.errors import InputError

_SCALES = ("linear", "log")
_DIGITS = 4  # of a number that is drawn


def draw(
    ranges: Mapping[str, tuple[Any, ...]], defaults: Mapping[str, Any], number: int, seed: int
) -> list[dict[str, Any]]:
    """Return the values of each trial: a scrambled Halton sequence (Owen 2017, arXiv:1706.02808).

    More trials begin with the same ones, and fields that come first have the same values whichever follow: so methods
    that search the task's fields first try the same ones of these.

    Args:
        ranges: What to search, by field; see `Parameter.search`.
        defaults: The values of a configuration, by field, which say what is an integer.
        number: How many trials.
        seed: Decides the scrambling.

    Raises:
        InputError: A range is not written as it should be.

    Example:
        >>> draw({"optimizer.learning_rate": (1e-4, 1e-2, "log")}, {"optimizer.learning_rate": 1e-3}, 2, seed=0)
    """
    for field, values in ranges.items():
        _check(field, values)
    shares = qmc.Halton(len(ranges), scramble=True, rng=np.random.default_rng(seed)).random(number)  # [number, fields]
    return [
        {field: _value(values, share, defaults.get(field)) for share, (field, values) in zip(row, ranges.items())}
        for row in shares.tolist()
    ]


def is_range(values: tuple[Any, ...]) -> bool:
    """Return whether these are the ends of a range and its scale, and not values to choose from."""
    return len(values) == 3 and values[2] in _SCALES


def _check(field: str, values: tuple[Any, ...]) -> None:
    if not is_range(values):
        return
    low, high, scale = values
    numbers = all(type(end) in (int, float) and math.isfinite(end) for end in (low, high))
    if not numbers or low >= high or (scale == "log" and low <= 0):
        raise InputError(
            f"The range to search {field} in must be (low, high, 'linear') with low < high, or (low, high, 'log') with "
            f"0 < low < high, received {values}."
        )


def _value(values: tuple[Any, ...], share: float, default: Any) -> Any:
    """Return the value at a share, from 0 to 1, of a range or of a choice."""
    if not is_range(values):
        return values[int(share * len(values))]
    low, high, scale = values
    value = low * (high / low) ** share if scale == "log" else low + (high - low) * share
    # Rounded, so that no last bit of a mathematical library decides; and within the ends all the same.
    value = min(max(float(f"{value:.{_DIGITS}g}"), low), high)
    return round(value) if type(default) is int else float(value)

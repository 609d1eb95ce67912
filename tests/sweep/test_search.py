"""What a search draws."""

import numpy as np
import pytest
from scipy.stats import qmc

from uncertainty_suite.errors import InputError
from uncertainty_suite.sweep.search import draw

RANGES = {
    "rate": (1e-4, 1e-1, "log"),
    "share": (0.0, 0.5, "linear"),
    "units": (16, 256, "log"),
    "kind": ("a", "b", "c"),
    "rates": ((0.1, 0.2), (0.3, 0.4)),
}
DEFAULTS = {"rate": 1e-3, "share": 0.1, "units": 64, "kind": "a", "rates": (0.1, 0.2)}


def test_values_are_in_their_ranges_and_of_their_types():
    drawn = draw(RANGES, DEFAULTS, 64, seed=0)
    assert len(drawn) == 64
    rates, shares, units = (np.array([each[field] for each in drawn]) for field in ("rate", "share", "units"))
    assert (rates >= 1e-4).all() and (rates <= 1e-1).all() and (shares >= 0).all() and (shares <= 0.5).all()
    assert {type(each["units"]) for each in drawn} == {int} and {type(each["rate"]) for each in drawn} == {float}
    assert units.min() >= 16 and units.max() <= 256
    assert np.median(rates) == pytest.approx(10**-2.5, rel=0.3)  # evenly over the logarithm
    assert np.median(shares) == pytest.approx(0.25, rel=0.1)
    counts = [sum(each["kind"] == kind for each in drawn) for kind in RANGES["kind"]]
    assert max(counts) - min(counts) <= 3
    assert {each["rates"] for each in drawn} == set(RANGES["rates"])


def test_the_same_seed_draws_the_same_and_more_trials_begin_with_it():
    assert draw(RANGES, DEFAULTS, 16, 3)[:8] == draw(RANGES, DEFAULTS, 8, 3)
    assert draw(RANGES, DEFAULTS, 8, 3) != draw(RANGES, DEFAULTS, 8, 4)


def test_fields_that_come_first_have_the_same_values_whichever_follow():
    first = {field: RANGES[field] for field in ("rate", "share")}
    for all_of_it, part in zip(draw(RANGES, DEFAULTS, 8, 0), draw(first, DEFAULTS, 8, 0)):
        assert {field: all_of_it[field] for field in first} == part


def test_the_space_is_filled_more_evenly_than_by_chance():
    ranges = {"x": (0.0, 1.0, "linear"), "y": (0.0, 1.0, "linear")}
    points = np.array([[each["x"], each["y"]] for each in draw(ranges, {}, 32, 0)])
    by_chance = [qmc.discrepancy(np.random.default_rng(seed).random((32, 2))) for seed in range(20)]
    assert qmc.discrepancy(points) < min(by_chance)


@pytest.mark.parametrize("ends", [(0.0, 1.0, "log"), (2.0, 1.0, "linear"), ("a", "b", "log"), (1, float("inf"), "log")])
def test_ranges_that_are_refused(ends):
    with pytest.raises(InputError, match="The range to search x in must be"):
        draw({"x": ends}, {}, 2, 0)

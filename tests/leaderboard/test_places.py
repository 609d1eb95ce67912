"""Where metrics were measured, by the splits of a record and not by the looks of their names."""

import pytest

from uncertainty_suite.leaderboard.places import Places
from uncertainty_suite.tasks import Split


@pytest.fixture
def places():
    splits = [
        Split("validation", "validation", "toys/validation"),
        Split("test", "test", "toys/test"),
        Split("ood/photos", "far_ood", "photos/test"),
        Split("shift/fog_of_war_3", "shift", "toys/test", "fog_of_war", 3),
        Split("shift/fog_of_war_5", "shift", "toys/test", "fog_of_war", 5),
        Split("shift/mean_3", "shift", "toys/test", "mean", 3),
        Split("fit", "fit", "toys/train"),
    ]
    return Places(splits, "test")


@pytest.mark.parametrize(
    ("metric", "key", "section", "rest"),
    [
        ("test/nll", "test", "inside", "nll"),
        ("test/temperature_scaling/nll", "test", "inside", "temperature_scaling/nll"),
        ("test/rm/ece", "test", "inside", "rm/ece"),
        ("validation/nll", "validation", "labelled", "nll"),
        ("shift/fog_of_war_3/ece(num_bins=10)", "shift/fog_of_war_3", "shift", "ece(num_bins=10)"),
        ("shift/mean_3/nll", "shift/mean_3", "shift", "nll"),
        ("shift/mean/nll", "shift/mean", "shift", "nll"),
        ("shift/severity_5/nll", "shift/severity_5", "shift", "nll"),
        ("shift/mce", "shift", "shift", "mce"),
        ("ood/photos/energy/auroc", "ood/photos", "ood", "energy/auroc"),
        ("ood/far/auroc", "ood/far", "ood", "auroc"),
    ],
)
def test_a_metric_has_the_place_of_its_split(places, metric, key, section, rest):
    place, found = places.of(metric)
    assert (place.key, place.section, found) == (key, section, rest)


def test_means_know_their_splits(places):
    def keys(metric):
        return [split.key for split in places.of(metric)[0].splits]

    assert keys("shift/severity_3/nll") == ["shift/fog_of_war_3", "shift/mean_3"]
    assert keys("shift/mean/nll") == ["shift/fog_of_war_3", "shift/fog_of_war_5", "shift/mean_3"]
    assert [places.of(f"shift/{name}/nll")[0].severity for name in ("severity_3", "mean")] == [3, None]


def test_splits_that_are_shifted_as_they_are_have_no_severity():
    places = Places([Split("test", "test", "toys/test"), Split("shift/2012", "shift", "toys/2012")], "test")
    assert [places.of(f"shift/{name}/nll")[0].severity for name in ("2012", "mean")] == [None, None]
    assert places.of("shift/severity_0/nll")[0].key == "shift"  # no place of its own


@pytest.mark.parametrize("metric", ["num_parameters", "fit/nll", "testing/nll", "ood/near/auroc"])
def test_what_no_split_has_has_no_place(places, metric):
    assert places.of(metric) == (None, metric)

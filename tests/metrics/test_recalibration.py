"""The fits of recalibration: that there is one temperature, and what becomes of data that do not determine a fit."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.isotonic import IsotonicRegression

from uncertainty_suite import metrics, posthoc
from uncertainty_suite.errors import InputError
from uncertainty_suite.metrics.recalibration import isotonic_curves


def draw(scale: float, count: int = 5000, classes: int = 10, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and labels with which they are calibrated."""
    random = np.random.default_rng(seed)
    logits = scale * random.normal(size=(count, classes))
    return logits, (logits + random.gumbel(size=logits.shape)).argmax(axis=1)


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_every_way_to_a_temperature_finds_that_of_scipy(scale):
    """The true one is 8; an epsilon of 1.19e-7 on probabilities would give 6.8, 5.2 and 4.4."""
    logits, labels = draw(scale)
    logits = 8 * logits
    rows = np.arange(len(labels))
    best = minimize_scalar(
        lambda t: -log_softmax(logits / np.exp(t), axis=1)[rows, labels].mean(),
        bounds=(-3, 5),
        method="bounded",
        options={"xatol": 1e-10},
    )
    expected = pytest.approx(np.exp(best.x), rel=1e-6)
    probs, log_probs = softmax(logits, axis=1), log_softmax(logits, axis=1)
    assert expected == pytest.approx(8, rel=0.05)
    assert metrics.fit_temperature(probs, labels) == expected
    for given in (logits, log_probs):
        assert metrics.fit_temperature(given, labels, from_logits=True) == expected
        fitted = posthoc.get("temperature_scaling", from_logits=True).fit(given, labels)
        assert fitted.parameters["temperature"] == expected
    assert metrics.fit_temperature(log_probs.astype(np.float32), labels, from_logits=True) == pytest.approx(
        np.exp(best.x), rel=1e-5
    )
    assert posthoc.get("temperature_scaling").fit(probs, labels).parameters["temperature"] == expected
    np.testing.assert_allclose(
        metrics.apply_temperature(logits, 8.0, from_logits=True), softmax(logits / 8, axis=1), rtol=1e-12
    )


@pytest.mark.parametrize(
    ("probs", "labels", "why"),
    [
        ([[0.9, 0.1], [0.2, 0.8]], [0, 1], "all 2 predictions are right"),
        ([[0.9, 0.1], [0.5, 0.5]], [0, 1], "all 2 predictions are right"),  # one of them by a tie
        ([[1.0, 0.0], [0.0, 1.0]], [0, 1], "all 2 predictions are right"),
        ([[0.9, 0.1], [0.2, 0.8]], [1, 0], "no better than guessing"),
        ([[0.9, 0.1], [0.9, 0.1]], [1, 0], "no better than guessing"),
        ([[0.5, 0.5]], [0], "every prediction is uniform"),
        ([[0.5 + 1e-7, 0.5 - 1e-7]] * 3, [0, 0, 1], "outside of 0.001 to 1000"),
    ],
)
def test_where_there_is_no_best_temperature_it_is_one_and_says_so(probs, labels, why):
    with pytest.warns(RuntimeWarning, match=why):
        assert metrics.fit_temperature(probs, labels) == 1
    with pytest.warns(RuntimeWarning, match=why):
        np.testing.assert_allclose(
            metrics.recalibrate(probs, labels, "temperature_scaling", fit_percent=100)[0], probs, atol=1e-300
        )
    fitted = posthoc.get("temperature_scaling").fit(probs, labels)
    assert fitted.parameters["temperature"] == 1 and why in fitted.note
    fitted.fit([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]], [0, 0, 1])
    assert fitted.note == ""


def test_isotonic_steps_are_those_of_sklearn_and_smoothed_by_one_example():
    logits, labels = draw(2, count=600, classes=3)
    probs = np.round(softmax(2 * logits, axis=1), 2)  # with ties
    for k, (x, y) in enumerate(zip(*isotonic_curves(probs, labels, smooth=False))):
        known = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(probs[:, k], labels == k)
        grid = np.linspace(0, 1, 999)
        np.testing.assert_allclose(np.interp(grid, x, y), known.predict(grid), atol=1e-12)
    # Steps of 3 examples at 0.1, none of the class, and of 2 at 0.8, both.
    (x, *_), (y, *_) = isotonic_curves(np.array([[0.1, 0.9]] * 3 + [[0.8, 0.2]] * 2), np.array([1, 1, 1, 0, 0]))
    np.testing.assert_allclose(x, [0.1, 0.8])
    np.testing.assert_allclose(y, [0.1 / 4, 2.8 / 3])


def test_isotonic_curves_rise_after_smoothing():
    for seed in range(20):
        logits, labels = draw(1, count=60, classes=3, seed=seed)
        for x, y in zip(*isotonic_curves(softmax(logits, axis=1), labels)):
            assert (np.diff(x) > 0).all() and (np.diff(y) >= 0).all() and y[0] > 0 and y[-1] < 1


def test_logits_and_probabilities_are_told_apart():
    logits, labels = draw(1, count=20)
    probs = softmax(logits, axis=1)
    for given in (probs, probs.astype(np.float16), np.stack([probs, probs]), np.eye(10)[labels]):
        with pytest.raises(InputError, match=r"With from_logits=True these must be logits, but .* probabilities"):
            metrics.fit_temperature(given, labels, from_logits=True)
        with pytest.raises(InputError, match="With from_logits=True these must be logits"):
            metrics.apply_temperature(given, 2.0, from_logits=True)
    with pytest.raises(InputError, match="If they are logits, say from_logits=True"):
        metrics.fit_temperature(logits, labels)
    with pytest.raises(InputError, match="If they are logits, say from_logits=True"):
        metrics.apply_temperature(np.log(probs), 2.0)
    with pytest.raises(InputError) as error:
        metrics.fit_temperature(np.where(probs == probs[0, 0], np.nan, probs), labels)
    assert "from_logits" not in str(error.value)
    with pytest.raises(InputError, match="leave it out with from_logits=True"):
        metrics.fit_temperature(logits, labels, epsilon=1e-7, from_logits=True)
    for wrong in (0, -1.0, np.nan, "1"):
        with pytest.raises(InputError, match=r"^epsilon=.* is not allowed; expected a number above 0\.$"):
            metrics.fit_temperature(probs, labels, epsilon=wrong)
    for options in (
        {"fit_percent": np.nan},
        {"fit_percent": "50"},
        {"fit_percent": 101},
        {"seed": -1},
        {"seed": 2**32},
    ):
        with pytest.raises(InputError, match=r"^(fit_percent|seed)=.* is not allowed; expected"):
            metrics.recalibrate(probs, labels, "isotonic_regression", **options)

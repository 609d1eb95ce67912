"""Calibration maps: what they must recover, what they must leave alone, and what they make of degenerate data."""

import json

import numpy as np
import pytest

from uncertainty_suite import metrics, posthoc
from uncertainty_suite.errors import InputError

CALIBRATIONS = [name for name in posthoc.names("calibration") if posthoc.info(name).likelihoods == ("categorical",)]
SOFTMAX_MAPS = ["temperature_scaling", "vector_scaling", "dirichlet_scaling"]
everywhere = pytest.mark.parametrize("name", CALIBRATIONS)


def softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)


def draw_labels(probs: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return labels with which the probabilities are calibrated."""
    uniform = np.random.default_rng(seed).random((len(probs), 1))
    return np.minimum((probs.cumsum(axis=1) < uniform).sum(axis=1), probs.shape[1] - 1)


@pytest.fixture(scope="module")
def logits() -> np.ndarray:
    return 2 * np.random.default_rng(1).normal(size=(20_000, 4))


@pytest.fixture(scope="module")
def labels(logits) -> np.ndarray:
    return draw_labels(softmax(logits))


def nll(probs: np.ndarray, labels: np.ndarray) -> float:
    return metrics.negative_log_likelihood(probs, labels)


def test_temperature_one_leaves_predictions_unchanged(logits):
    calibrate = posthoc.TemperatureScaling()
    calibrate.parameters = {"classes": 4, "temperature": 1.0}
    np.testing.assert_allclose(calibrate(softmax(logits)), softmax(logits), rtol=1e-12)


@everywhere
def test_calibrated_predictions_stay_nearly_as_they_are(name, logits, labels):
    probs = softmax(logits)
    calibrate = posthoc.get(name).fit(probs, labels)
    assert np.abs(calibrate(probs) - probs).mean() < 0.015
    if name == "temperature_scaling":
        assert calibrate.parameters["temperature"] == pytest.approx(1, abs=0.03)


@everywhere
def test_overconfident_predictions_are_mended(name, logits, labels):
    calibrate = posthoc.get(name).fit(softmax(3 * logits[:10_000]), labels[:10_000])
    before, after = softmax(3 * logits[10_000:]), calibrate(softmax(3 * logits[10_000:]))
    for metric in (metrics.expected_calibration_error, metrics.brier_score):
        assert metric(after, labels[10_000:]) < 0.95 * metric(before, labels[10_000:])
    assert metrics.expected_calibration_error(after, labels[10_000:]) < 0.03
    np.testing.assert_allclose(after.sum(axis=1), 1)


@pytest.mark.parametrize("factor", [0.2, 1.0, 5.0, 50.0])
def test_a_known_temperature_is_recovered(factor, logits, labels):
    unscaled = posthoc.get("temperature_scaling", from_logits=True).fit(logits, labels)
    scaled = posthoc.get("temperature_scaling", from_logits=True).fit(factor * logits, labels)
    assert scaled.parameters["temperature"] == pytest.approx(factor * unscaled.parameters["temperature"], rel=1e-8)
    np.testing.assert_allclose(scaled(factor * logits), unscaled(logits), rtol=1e-6)


def test_temperature_agrees_with_the_metrics(logits, labels):
    probs = softmax(3 * logits)
    calibrate = posthoc.get("temperature_scaling").fit(probs, labels)
    temperature = calibrate.parameters["temperature"]
    assert metrics.fit_temperature(probs, labels) == temperature
    np.testing.assert_array_equal(metrics.apply_temperature(probs, temperature), calibrate(probs))
    scaled = metrics.temperature_scaled_nll(probs, labels, temperature)
    assert metrics.negative_log_likelihood(calibrate(probs), labels) == pytest.approx(scaled, rel=1e-12)


def test_the_temperature_of_sure_predictions_is_the_true_one():
    """Probabilities far below the rounding of float32 count as what they are."""
    random = np.random.default_rng(5)
    logits = 12 * random.normal(size=(50_000, 4))
    calibrate = posthoc.get("temperature_scaling").fit(softmax(logits), draw_labels(softmax(logits / 2.5)))
    assert calibrate.parameters["temperature"] == pytest.approx(2.5, rel=0.02)


def test_temperature_changes_no_prediction(logits, labels):
    calibrate = posthoc.get("temperature_scaling").fit(softmax(3 * logits), labels)
    np.testing.assert_array_equal(calibrate(softmax(3 * logits)).argmax(axis=1), logits.argmax(axis=1))


@pytest.mark.parametrize("name", SOFTMAX_MAPS)
@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_nll_never_rises_on_the_fitting_set(name, factor, logits, labels):
    for chosen in (slice(0, 30), slice(0, 2000)):
        probs = softmax(factor * logits[chosen])
        after = posthoc.get(name).fit(probs, labels[chosen])(probs)
        assert nll(after, labels[chosen]) <= nll(probs, labels[chosen]) + 1e-12


def test_more_parameters_fit_at_least_as_well(logits, labels):
    probs = softmax(3 * logits)
    fits = [
        posthoc.get(name, **options).fit(probs, labels)(probs)
        for name, options in [
            ("temperature_scaling", {}),
            ("vector_scaling", {}),
            ("dirichlet_scaling", {"regularization": 0, "bias_regularization": 0}),
        ]
    ]
    losses = [nll(probs, labels) for probs in fits]
    assert losses[0] >= losses[1] - 1e-9 and losses[1] >= losses[2] - 1e-9


def test_vector_scaling_recovers_a_known_map(logits):
    probs = softmax(logits)
    weights, bias = np.array([1.5, 0.5, 1.0, 0.8]), np.array([0.3, -0.5, 0.0, 0.2])
    target = softmax(np.log(probs) * weights + bias)
    calibrate = posthoc.get("vector_scaling").fit(probs, draw_labels(target))
    np.testing.assert_allclose(calibrate.parameters["weights"], weights, atol=0.1)
    assert np.abs(calibrate(probs) - target).max() < 0.05


def test_dirichlet_recovers_a_known_map(logits):
    probs = softmax(logits)
    weights = np.eye(4) + 0.3 * np.random.default_rng(2).normal(size=(4, 4))
    bias = np.array([0.5, -0.5, 0.0, 0.2])
    target = softmax(np.log(probs) @ weights.T + bias)
    calibrate = posthoc.get("dirichlet_scaling", regularization=0, bias_regularization=0)
    calibrate.fit(probs, draw_labels(target))
    # A vector added to all rows of the weights changes no probability, so compare what is left without the mean row.
    found = np.array(calibrate.parameters["weights"])
    np.testing.assert_allclose(found - found.mean(axis=0), weights - weights.mean(axis=0), atol=0.2)
    assert np.abs(calibrate(probs) - target).mean() < 0.01


def test_odir_draws_off_diagonal_weights_and_bias_to_zero(logits):
    probs = softmax(logits)[:2000]
    target = draw_labels(softmax(np.log(probs) @ np.roll(np.eye(4), 1, axis=0) + [1, 0, 0, 0]))
    free, tied = (
        posthoc.get("dirichlet_scaling", regularization=each, bias_regularization=each).fit(probs, target).parameters
        for each in (1e-4, 1e4)
    )
    off_diagonal = ~np.eye(4, dtype=bool)
    assert np.abs(np.array(free["weights"])[off_diagonal]).max() > 0.5
    assert np.abs(np.array(tied["weights"])[off_diagonal]).max() < 1e-3
    assert np.abs(free["bias"]).max() > 0.3 and np.abs(tied["bias"]).max() < 1e-3


@pytest.mark.parametrize("name", ["vector_scaling", "dirichlet_scaling"])
def test_fit_is_where_the_objective_is_flat(name, logits, labels):
    probs, labels = softmax(3 * logits[:500]), labels[:500]
    options = {"regularization": 0.1, "bias_regularization": 0.1} if name == "dirichlet_scaling" else {}
    calibrate = posthoc.get(name, **options).fit(probs, labels)

    def objective() -> float:
        weights, bias = np.array(calibrate.parameters["weights"]), np.array(calibrate.parameters["bias"])
        moved = weights - (np.eye(4) if options else 1)
        loss = nll(calibrate(probs), labels) + (np.square(moved).sum() + np.square(bias).sum()) / (2 * 500)
        if options:
            loss += 0.1 / 12 * (weights[~np.eye(4, dtype=bool)] ** 2).sum() + 0.1 / 4 * np.square(bias).sum()
        return loss

    least, fitted = objective(), calibrate.parameters
    random = np.random.default_rng(0)
    for _ in range(20):
        moved = {
            key: np.array(fitted[key]) + 0.01 * random.normal(size=np.shape(fitted[key])) for key in ("weights", "bias")
        }
        calibrate.parameters = {**fitted, **moved}
        assert objective() > least - 1e-9


def test_isotonic_is_monotone_and_agrees_with_the_metrics(logits, labels):
    probs = softmax(3 * logits)
    calibrate = posthoc.get("isotonic_regression").fit(probs, labels)
    for x, y in zip(calibrate.parameters["x"], calibrate.parameters["y"]):
        assert (np.diff(x) > 0).all() and (np.diff(y) >= 0).all() and min(y) >= 0 and max(y) <= 1
    expected, _ = metrics.recalibrate(probs, labels, "isotonic_regression", fit_percent=100)
    np.testing.assert_allclose(calibrate(probs), expected, atol=1e-9)


def test_isotonic_of_two_classes_keeps_the_order(logits):
    probs = softmax(logits[:, :2])
    calibrate = posthoc.get("isotonic_regression").fit(probs[:1000], draw_labels(probs[:1000] ** 2 / 2 + 0.25))
    ordered = calibrate(probs[np.argsort(probs[:, 0])])[:, 0]
    assert (np.diff(ordered) >= -1e-12).all() and ordered[-1] > ordered[0]


@everywhere
def test_logits_and_probabilities_are_calibrated_alike(name, logits, labels):
    options = {"regularization": 0.1} if name == "dirichlet_scaling" else {}
    samples = np.stack([logits, logits[:, ::-1]])[:, :2000]
    by_probs = posthoc.get(name, **options).fit(softmax(samples), labels[:2000])
    by_logits = posthoc.get(name, from_logits=True, **options).fit(samples + 7.0, labels[:2000])
    np.testing.assert_allclose(by_logits(samples), by_probs(softmax(samples)), atol=1e-4)
    np.testing.assert_allclose(by_probs(softmax(samples)), by_probs(softmax(samples).mean(axis=0)), atol=1e-12)


@everywhere
def test_parameters_survive_json(name, logits, labels):
    probs = softmax(logits)
    calibrate = posthoc.get(name).fit(probs[:500], labels[:500])
    restored = posthoc.get(name)
    restored.parameters = json.loads(json.dumps(calibrate.parameters, allow_nan=False))
    np.testing.assert_array_equal(restored(probs), calibrate(probs))


@everywhere
@pytest.mark.parametrize("count", [1, 3, 500])
def test_degenerate_data_give_probabilities(name, count, logits):
    probs = softmax(4 * logits).astype(np.float32)
    right = probs[:count].argmax(axis=1)
    absent = np.where(right == 3, 0, right)  # no example of class 3
    wrong = (right + 1) % 4
    uniform = np.full((count, 4), 0.25)
    hard = np.eye(4)[right]
    cases = [(probs[:count], right), (probs[:count], absent), (probs[:count], wrong), (uniform, absent), (hard, wrong)]
    for predictions, labels in cases:
        calibrated = posthoc.get(name).fit(predictions, labels)(probs)
        assert np.isfinite(calibrated).all() and calibrated.min() >= 0
        np.testing.assert_allclose(calibrated.sum(axis=1), 1, rtol=1e-9)


@everywhere
def test_predictions_that_are_all_right_leave_no_harm(name):
    """Digits with 10 % for validation: a temperature of 0.001 took the test NLL from 0.043 to 7.04."""
    random = np.random.default_rng(0)
    classes = np.arange(1600) % 10
    logits = 9 * np.eye(10)[classes] + 2.1 * random.normal(size=(1600, 10))
    probs, right = softmax(logits), logits.argmax(axis=1) == classes
    held_out, test = np.flatnonzero(right)[:180], slice(200, None)
    assert 0.002 < (~right[test]).mean() < 0.02
    calibrate = posthoc.get(name).fit(probs[held_out], classes[held_out])
    before, after = nll(probs[test], classes[test]), nll(calibrate(probs[test]), classes[test])
    if name == "isotonic_regression":
        assert after < before + 0.05
    else:
        assert after == pytest.approx(before) and "There is no best" in calibrate.note


@everywhere
def test_a_class_without_an_example_keeps_its_probability(name, logits, labels):
    """Isotonic regression gave it 0, and so the test set an NLL of 155."""
    probs = softmax(1.5 * logits)
    seen = labels[:1000] != 3
    calibrate = posthoc.get(name).fit(probs[:1000][seen], labels[:1000][seen])
    after = calibrate(probs[1000:])
    np.testing.assert_allclose(after.sum(axis=1), 1, rtol=1e-12)
    assert nll(after, labels[1000:]) < nll(probs[1000:], labels[1000:]) + 0.1
    if name != "temperature_scaling":
        np.testing.assert_allclose(after[:, 3], probs[1000:, 3], rtol=1e-9)
        assert calibrate.note == "1 of 4 classes have no example to fit on and keep their probability: 3."
        # The others are calibrated as if there were no class 3.
        others = posthoc.get(name).fit(softmax(1.5 * logits[:1000][seen, :3]), labels[:1000][seen])
        if name != "isotonic_regression":  # whose curves are of the probabilities themselves
            given = after[:, :3] / after[:, :3].sum(axis=1, keepdims=True)
            np.testing.assert_allclose(given, others(softmax(1.5 * logits[1000:, :3])), atol=1e-6)


@everywhere
@pytest.mark.parametrize("count", [2, 10, 40])
def test_a_few_examples_do_no_great_harm(name, count, logits, labels):
    """Isotonic steps are smoothed, and linear maps have a prior."""
    probs = softmax(logits)
    harms = []
    for first in range(0, 10 * count, count):
        chosen = slice(first, first + count)
        calibrate = posthoc.get(name).fit(probs[chosen], labels[chosen])
        harms.append(nll(calibrate(probs[10_000:]), labels[10_000:]) - nll(probs[10_000:], labels[10_000:]))
    assert max(harms) < 1 and np.mean(harms) < 0.5


@everywhere
def test_mistakes_are_one_line(name, logits, labels):
    probs = softmax(logits)
    calibrate = posthoc.get(name)
    with pytest.raises(InputError, match=f"'{name}' is not fitted; call fit"):
        calibrate(probs)
    with pytest.raises(InputError, match="If they are logits, say from_logits=True"):
        calibrate.fit(logits, labels)
    with pytest.raises(InputError, match="With from_logits=True these must be logits"):
        posthoc.get(name, from_logits=True).fit(probs, labels)
    with pytest.raises(InputError, match="With from_logits=True these must be logits"):
        posthoc.get(name, from_logits=True).fit(logits, labels)(probs)
    with pytest.raises(InputError, match="must be probabilities"):
        calibrate.fit(np.where(probs == probs[0, 0], np.nan, probs), labels)
    with pytest.raises(InputError, match="Labels must be from 0 to 3"):
        calibrate.fit(probs, np.full(len(probs), -1))
    with pytest.raises(InputError, match="20000 predictions but 5 labels"):
        calibrate.fit(probs, labels[:5])
    with pytest.raises(InputError, match="fitted on 4 classes, got 3"):
        calibrate.fit(probs[:50], labels[:50])(softmax(logits[:, :3]))
    with pytest.raises(InputError, match="Logits must be finite"):
        posthoc.get(name, from_logits=True).fit(np.where(probs == probs[0, 0], np.inf, logits), labels)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("temperature", {}, "Unknown post-hoc method 'temperature'. Did you mean 'temperature_scaling'?"),
        ("vector_scaling", {"seed": 1}, "Unknown option of post-hoc method 'vector_scaling' 'seed'."),
        ("dirichlet_scaling", {"regularization": -1}, "regularization=-1 is not allowed"),
        ("temperature_scaling", {"from_logits": "no"}, "from_logits='no' is not allowed; expected True or False."),
        ("dirichlet_scaling", {"bias_regularization": "no"}, "bias_regularization='no' is not allowed"),
    ],
)
def test_wrong_options_are_one_line(name, options, message):
    with pytest.raises(InputError) as error:
        posthoc.get(name, **options)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_every_method_has_a_kind():
    assert sorted(posthoc.names("calibration") + posthoc.names("conformal")) == posthoc.names()
    with pytest.raises(InputError, match="kind='sets' is not allowed"):
        posthoc.names("sets")

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from uncertainty_suite import keras, tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.likelihoods import Categorical
from uncertainty_suite.predictions import Predictions

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(5, 3)).astype(np.float32)
LABELS = np.array([0, 2, 1, 1, 0], np.int32)


def test_loss_is_the_negative_log_probability_of_the_label():
    loss = Categorical(3).loss(tf.constant(LOGITS), tf.constant(LABELS))
    np.testing.assert_allclose(loss, -log_softmax(LOGITS, axis=1)[np.arange(5), LABELS], rtol=1e-6)


def test_each_member_has_its_loss_and_its_accuracy():
    members = np.stack([LOGITS, LOGITS[:, ::-1]], axis=1)  # [batch, members, units]
    likelihood = Categorical(3)
    loss = likelihood.loss(tf.constant(members), tf.constant(LABELS))
    assert loss.shape == (5, 2)
    for member in range(2):
        alone = likelihood.loss(tf.constant(members[:, member]), tf.constant(LABELS))
        np.testing.assert_allclose(loss[:, member], alone, rtol=1e-6)
    accuracy = likelihood.progress(tf.constant(members), tf.constant(LABELS))["accuracy"]
    assert float(accuracy) == pytest.approx(np.mean(members.argmax(axis=2) == LABELS[:, np.newaxis]))


def test_a_latent_variance_pulls_logits_to_zero():
    variance = np.array([0.0, 1.0, 3.0, 8.0, 1e12], np.float32)
    said = Categorical(3).predict(tf.constant(LOGITS)[tf.newaxis], latent_variance=tf.constant(variance))
    np.testing.assert_allclose(said.logits[0], LOGITS / np.sqrt(1 + variance)[:, np.newaxis], rtol=1e-6)
    np.testing.assert_allclose(said.probs[0, 0], softmax(LOGITS[0]), rtol=1e-6)
    np.testing.assert_allclose(said.probs[0, -1], [1 / 3] * 3, rtol=1e-5)


def test_what_is_saved_of_samples():
    samples = softmax(RNG.normal(size=(4, 5, 3)), axis=2).astype(np.float32)
    saved = Categorical(3).to_saved(Predictions(probs=samples, uncertainty={"variance": np.arange(5.0)}))
    assert {name: (each.dtype, each.shape) for name, each in saved.items()} == {
        "log_probs": (np.float32, (5, 3)),
        "uncertainty/variance": (np.float32, (5,)),
        "uncertainty/mutual_information": (np.float32, (5,)),
        "uncertainty/expected_entropy": (np.float32, (5,)),
    }
    np.testing.assert_allclose(saved["log_probs"], np.log(samples.mean(axis=0)), rtol=1e-6)
    np.testing.assert_allclose(Categorical.metric_input(saved), samples.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(Categorical.metric_input(saved).sum(axis=1), 1, rtol=1e-15)
    assert np.all(saved["uncertainty/mutual_information"] > 0)
    assert "uncertainty/mutual_information" not in Categorical(3).to_saved(Predictions(probs=samples[:1]))


def test_uncertainties_begin_with_that_of_every_method():
    saved = {"log_probs": np.log([[0.7, 0.3], [0.5, 0.5]]), "uncertainty/variance": np.array([1.0, 2.0])}
    found = Categorical.uncertainties(saved)
    assert list(found) == ["max_prob", "variance"]
    np.testing.assert_allclose(found["max_prob"], np.log([0.3, 0.5]))


def test_what_is_saved_keeps_what_logits_tell_apart():
    """A probability that is 1 in float32, and one that is 0, come back from logits with all their digits."""
    logits = np.array([[[0.0, -30.0, -1000.0], [-200.0, 0.0, -300.0]]], np.float32)
    said = Predictions(probs=softmax(logits, axis=2), logits=logits)
    saved = Categorical.to_saved(said)
    np.testing.assert_allclose(saved["log_probs"], log_softmax(logits[0].astype(np.float64), axis=1), rtol=1e-6)
    np.testing.assert_allclose(Categorical.uncertainties(saved)["max_prob"], [-30, -200], rtol=1e-6)
    without_logits = Categorical.to_saved(Predictions(probs=said.probs))
    assert np.isfinite(without_logits["log_probs"]).all()


def test_members_of_what_is_saved():
    samples = softmax(RNG.normal(size=(4, 5, 3)), axis=2).astype(np.float32)
    saved = {**Categorical.to_saved(Predictions(probs=samples)), "samples": samples}
    assert Categorical.num_samples(saved) == 4
    of_two = Categorical.metric_input(Categorical.of_members(saved, [3, 0]))
    np.testing.assert_allclose(of_two, samples[[3, 0]].mean(axis=0), rtol=1e-6)
    with pytest.raises(InputError, match="Only the mean over samples is saved"):
        Categorical.num_samples(Categorical.to_saved(Predictions(probs=samples)))


def probabilities_of(labels, classes=3):
    return np.eye(classes, dtype=np.float32)[labels]


def test_labels_can_be_probabilities():
    likelihood = Categorical(3)
    sharp = likelihood.loss(tf.constant(LOGITS), tf.constant(probabilities_of(LABELS)))
    np.testing.assert_allclose(sharp, likelihood.loss(tf.constant(LOGITS), tf.constant(LABELS)), rtol=1e-5)
    soft = RNG.dirichlet(np.ones(3), 5).astype(np.float32)
    members = np.stack([LOGITS, LOGITS[:, ::-1]], axis=1)
    expected = -(soft[:, np.newaxis] * log_softmax(members, axis=2)).sum(axis=2)
    np.testing.assert_allclose(likelihood.loss(tf.constant(members), tf.constant(soft)), expected, rtol=1e-5)
    accuracy = likelihood.progress(tf.constant(LOGITS), tf.constant(soft))["accuracy"]
    assert float(accuracy) == pytest.approx(np.mean(LOGITS.argmax(axis=1) == soft.argmax(axis=1)))


def test_label_smoothing_is_that_of_keras():
    expected = keras.losses.categorical_crossentropy(
        probabilities_of(LABELS), LOGITS, from_logits=True, label_smoothing=0.2
    )
    loss = Categorical(3, label_smoothing=0.2).loss(tf.constant(LOGITS), tf.constant(LABELS))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_loss_is_that_of_keras(gamma):
    expected = keras.losses.categorical_focal_crossentropy(
        probabilities_of(LABELS), LOGITS, alpha=1.0, gamma=gamma, from_logits=True
    )
    loss = Categorical(3, focal_gamma=gamma).loss(tf.constant(LOGITS), tf.constant(LABELS))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_normalized_logits_have_the_length_of_the_inverse_temperature():
    loss = Categorical(3, logit_norm=0.04).loss(tf.constant(LOGITS), tf.constant(LABELS))
    logits = LOGITS / np.linalg.norm(LOGITS, axis=1, keepdims=True) / 0.04
    np.testing.assert_allclose(loss, -log_softmax(logits, axis=1)[np.arange(5), LABELS], rtol=1e-4, atol=1e-6)
    scaled = Categorical(3, logit_norm=0.04).loss(tf.constant(9 * LOGITS), tf.constant(LABELS))
    np.testing.assert_allclose(scaled, loss, rtol=1e-4, atol=1e-6)


def test_outliers_are_trained_to_be_of_no_class():
    labels = np.array([0, 2, -1, -1], np.int32)
    logits = tf.constant(LOGITS[:4])
    likelihood = Categorical(3, outlier_weight=0.5)
    log_probs = log_softmax(LOGITS[:4], axis=1)
    inside, outside = -log_probs[[0, 1], [0, 2]].mean(), -log_probs[2:].mean()
    loss = likelihood.loss(logits, tf.constant(labels))
    assert np.mean(loss) == pytest.approx(inside + 0.5 * outside, rel=1e-5)
    accuracy = float(likelihood.progress(logits, tf.constant(labels))["accuracy"])
    assert accuracy == pytest.approx(np.mean(LOGITS[:2].argmax(axis=1) == labels[:2]))
    members = tf.stack([logits, logits], axis=1)
    np.testing.assert_allclose(likelihood.loss(members, tf.constant(labels))[:, 1], loss, rtol=1e-6)


def test_what_changes_the_loss_does_not_change_predictions_or_what_the_task_says():
    likelihood = Categorical(3, logit_norm=0.04, label_smoothing=0.1, focal_gamma=1.0)
    assert likelihood.parameters == {"num_classes": 3}
    np.testing.assert_array_equal(likelihood.predict(tf.constant(LOGITS)[tf.newaxis]).logits[0], LOGITS)


def test_fisher_information_is_the_hessian_of_the_loss():
    logits = tf.constant([[0.5, -1.0, 2.0], [0.0, 0.0, 3.0]], tf.float64)
    likelihood = Categorical(3)
    for label in range(3):  # the same whatever the label
        with tf.GradientTape() as outer:
            outer.watch(logits)
            with tf.GradientTape() as inner:
                inner.watch(logits)
                loss = likelihood.loss(logits, tf.constant([label, label]))
            gradient = inner.gradient(loss, logits)
        hessian = outer.batch_jacobian(gradient, logits)
        np.testing.assert_allclose(likelihood.fisher_information(logits), hessian, atol=1e-12)


def test_the_variance_of_a_logit_moves_it_towards_zero_by_the_probit_approximation():
    logits, variance = np.array([[[2.0, -1.0, 0.5]]]), np.array([[4.0, 0.0, 1.0]])
    likelihood = Categorical(3)
    said = likelihood.predict(tf.constant(logits), output_variance=tf.constant(variance)).logits
    np.testing.assert_allclose(said, logits / np.sqrt(1 + np.pi / 8 * variance))


def test_the_expected_loss_is_bounded_from_above_and_is_the_loss_without_variance():
    likelihood, variance = Categorical(3), np.array([[0.5, 2.0, 0.1]] * 5, np.float32)
    loss = likelihood.loss(tf.constant(LOGITS), tf.constant(LABELS))
    np.testing.assert_allclose(likelihood.expected_loss(LOGITS, 0 * variance, LABELS), loss, rtol=1e-5)
    drawn = LOGITS + np.sqrt(variance) * np.random.default_rng(1).normal(size=(20000, 5, 3))
    expected = -log_softmax(drawn, axis=-1)[:, np.arange(5), LABELS].mean(axis=0)
    bound = likelihood.expected_loss(LOGITS, variance, LABELS).numpy()
    assert np.all(expected < bound)
    np.testing.assert_allclose(expected, bound, rtol=0.3)

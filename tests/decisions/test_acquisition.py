import itertools

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from uncertainty_suite import metrics
from uncertainty_suite.decisions import LABELS, VALUES, Belief
from uncertainty_suite.errors import InputError


def draw(num_samples=4, num_examples=30, num_classes=3, seed=0):
    """Return log probabilities of samples that disagree, more on some examples than on others."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(num_samples, num_examples, num_classes)) * rng.uniform(0.2, 4, (1, num_examples, 1))
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def choose(name, log_probs, count, seed=0):
    return LABELS.make(name, log_probs, count, np.random.default_rng(seed)).tolist()


def joint_information(probs, examples):
    """Return the mutual information of the labels of examples with the sample, by enumeration of all labels."""
    num_samples, _, num_classes = probs.shape
    joint, conditional = 0.0, 0.0
    for labels in itertools.product(range(num_classes), repeat=len(examples)):
        each = [np.prod([probs[s, x, y] for x, y in zip(examples, labels)]) for s in range(num_samples)]
        joint -= np.mean(each) * np.log(np.mean(each))
        conditional -= np.mean([p * np.log(p) for p in each])
    return joint - conditional


def test_scores_are_those_of_the_metrics():
    log_probs = draw()
    probs = np.exp(log_probs)
    mean = probs.mean(axis=0)
    information = metrics.mutual_information(probs)
    assert choose("bald", log_probs, 30) == np.argsort(-information, kind="stable").tolist()
    assert choose("entropy", log_probs, 5) == np.argsort(-scipy.stats.entropy(mean, axis=1))[:5].tolist()
    sorted_probs = np.sort(mean, axis=1)
    assert choose("margin", log_probs, 5) == np.argsort(sorted_probs[:, -1] - sorted_probs[:, -2])[:5].tolist()
    chosen = choose("random", log_probs, 5, seed=3)
    assert len(set(chosen)) == 5
    assert chosen == choose("random", log_probs, 5, seed=3) != choose("random", log_probs, 5, seed=4)


def test_bald_is_the_information_of_one_label():
    log_probs = draw(num_examples=4)
    expected = [joint_information(np.exp(log_probs), [x]) for x in range(4)]
    np.testing.assert_allclose(metrics.mutual_information(np.exp(log_probs)), expected, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_batch_bald_is_greedy_on_the_joint_information(seed):
    log_probs = draw(num_examples=8, seed=seed)
    chosen = []
    for _ in range(4):
        others = [x for x in range(8) if x not in chosen]
        chosen.append(max(others, key=lambda x: joint_information(np.exp(log_probs), [*chosen, x])))
    assert choose("batch_bald", log_probs, 4) == chosen


def test_batch_bald_by_sampling_is_near_the_enumeration():
    """Combinations of four labels of three classes are 81: enumerated, or drawn."""
    log_probs = draw(num_samples=6, num_examples=12)
    exact = choose("batch_bald", log_probs, 4)
    sampled = choose("batch_bald(num_configurations=2)", log_probs, 4)  # two draws: noise
    probs = np.exp(log_probs)
    from uncertainty_suite.decisions import acquisition

    rng = np.random.default_rng(0)
    joint = acquisition._drawn(probs[:, exact[:3]], 20_000, rng)
    estimated = acquisition._joint_entropies(probs, joint, 1 / (joint.mean(axis=0) * 20_000))
    conditional = -(probs * log_probs).sum(axis=-1).mean(axis=0)
    for x in range(12):
        if x not in exact[:3]:
            information = estimated[x] - conditional[x] - conditional[exact[:3]].sum()
            assert information == pytest.approx(joint_information(probs, [*exact[:3], x]), abs=0.03)
    assert len(set(sampled)) == 4


def test_batch_bald_does_not_ask_the_same_thing_twice():
    """Four confident samples: examples 0, 1 and 2 each tell two from two, and so does 3, but other pairs."""
    labels = np.array([[0, 0, 0, 0, 0], [0, 0, 0, 1, 0], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0]])
    log_probs = np.log(np.where(np.arange(2) == labels[..., np.newaxis], 0.999, 0.001))
    assert choose("bald", log_probs, 2) == [0, 1]
    assert choose("batch_bald", log_probs, 2) == [0, 3]


@pytest.mark.parametrize("name", ["bald", "batch_bald"])
def test_one_sample_does_not_disagree(name):
    with pytest.raises(InputError, match=f"'{name}' is about how samples disagree, and predictions have one"):
        choose(name, draw(num_samples=1), 2)


def score(name, belief, best=0.0, seed=0):
    return VALUES.make(name, belief, best, np.random.default_rng(seed))


def test_scores_of_values_are_their_closed_forms():
    rng = np.random.default_rng(0)
    belief = Belief(rng.normal(size=6), rng.uniform(0.1, 2, 6))
    np.testing.assert_array_equal(score("greedy", belief), belief.mean)
    np.testing.assert_allclose(score("ucb(stddevs=2.0)", belief), belief.mean + 2 * belief.stddev)
    for best in (-1.0, 0.3, 2.0):
        expected = [
            scipy.integrate.quad(
                lambda f, m=m, s=s, best=best: (f - best) * scipy.stats.norm.pdf(f, m, s), best, np.inf
            )[0]
            for m, s in zip(belief.mean, belief.stddev)
        ]
        np.testing.assert_allclose(score("expected_improvement", belief, best), expected, atol=1e-8)
    certain = Belief(np.array([1.0, -1.0, 2.0]), np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(score("expected_improvement", certain, 0.5)[:2], [0.5, 0.0])


def test_thompson_sampling_follows_one_sample_at_a_time():
    samples = np.random.default_rng(0).normal(size=(5, 4))
    belief = Belief.of({"mean": samples, "stddev": np.ones_like(samples)})
    seen = {tuple(score("thompson", belief, seed=seed)) for seed in range(60)}
    assert seen == set(map(tuple, samples))
    own = {"mean": samples[:1], "stddev": np.ones((1, 4)), "uncertainty/epistemic_stddev": np.full(4, 0.5)}
    drawn = np.array([score("thompson", Belief.of(own), seed=seed) for seed in range(2000)])
    np.testing.assert_allclose(drawn.mean(axis=0), samples[0], atol=0.05)
    np.testing.assert_allclose(drawn.std(axis=0), 0.5, atol=0.03)


def test_beliefs_leave_the_noise_out():
    samples = np.array([[0.0, 1.0], [2.0, 1.0]])
    belief = Belief.of({"mean": samples, "stddev": np.full((2, 2), 7.0)})
    np.testing.assert_array_equal(belief.mean, [1.0, 1.0])
    np.testing.assert_array_equal(belief.stddev, [1.0, 0.0])
    np.testing.assert_array_equal(belief.part(slice(1, 2)).samples, [[1.0], [1.0]])


@pytest.mark.parametrize("name", ["ucb", "thompson", "expected_improvement"])
def test_a_mean_without_spread_is_refused(name):
    belief = Belief.of({"mean": np.zeros((1, 3)), "stddev": np.ones((1, 3))})
    with pytest.raises(InputError, match=f"'{name}' needs to know how uncertain a mean is"):
        score(name, belief)
    assert score("greedy", belief).tolist() == [0, 0, 0]

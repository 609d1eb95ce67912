import numpy as np
import pytest

from uncertainty_suite import datasets, testing
from uncertainty_suite.errors import InputError


def arms_of(name, split="train"):
    """Return contexts, and the reward of every arm in each of them."""
    data = datasets.get(name, split)
    num_arms = data.source.num_arms
    features = data.features.reshape(-1, num_arms, data.input_shape[0])
    np.testing.assert_array_equal(features[:, :, -num_arms:], np.tile(np.eye(num_arms), (len(features), 1, 1)))
    assert (features[:, :, :-num_arms] == features[:, :1, :-num_arms]).all()
    return features[:, 0, :-num_arms], data.labels.reshape(-1, num_arms)


@pytest.mark.parametrize("delta", [0.5, 0.9])
def test_the_wheel_pays_beyond_its_radius(delta):
    contexts, rewards = arms_of(f"bandit/wheel(delta={delta})")
    radius = np.linalg.norm(contexts, axis=1)
    assert rewards.shape == (2000, 5)
    assert radius.max() <= 1
    # Uniform in the disk: the share of the area.
    assert np.mean(radius > delta) == pytest.approx(1 - delta**2, abs=0.03)
    np.testing.assert_allclose(rewards[:, 0], 1.2, atol=0.06)
    large = rewards > 10
    np.testing.assert_array_equal(large.sum(axis=1), radius > delta)
    np.testing.assert_allclose(rewards[large], 50, atol=0.06)
    np.testing.assert_allclose(rewards[:, 1:][~large[:, 1:]], 1, atol=0.06)
    assert rewards.std(axis=0)[0] == pytest.approx(0.01, rel=0.1)
    # One quadrant, one arm.
    for arm in range(1, 5):
        (signs,) = set(map(tuple, np.sign(contexts[large[:, arm]])))
        assert signs == ((1, 1), (-1, 1), (1, -1), (-1, -1))[arm - 1]


def test_a_digit_is_the_arm_that_pays():
    contexts, rewards = arms_of("bandit/digits")
    digits = datasets.get("digits")
    np.testing.assert_array_equal(contexts.reshape(-1, 8, 8, 1) * 16, digits.features)
    np.testing.assert_array_equal(rewards, np.eye(10)[digits.labels])
    assert len(arms_of("bandit/digits", "test")[0]) == 500


def test_the_radius_has_a_range():
    with pytest.raises(InputError, match=r"delta of data set 'bandit/wheel' is a radius in \(0, 1\), received 1.5"):
        datasets.get("bandit/wheel(delta=1.5)")


@pytest.mark.parametrize("name", ["bandit/wheel", "bandit/digits"])
def test_they_are_sound(name):
    testing.check_dataset(name)

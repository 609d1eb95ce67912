import numpy as np
import pytest

from uncertainty_suite import tf
from uncertainty_suite.layers.draws import random_signs


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_signs_are_fair_and_independent(dtype):
    signs = random_signs(tf.constant([200, 500]), tf.constant([1, 2]), tf.as_dtype(dtype))
    assert (signs.shape, signs.dtype) == ((200, 500), dtype)
    signs = signs.numpy().astype(np.float64)
    assert set(np.unique(signs)) == {-1, 1}
    tolerance = 5 / np.sqrt(signs.size)
    assert signs.mean() == pytest.approx(0, abs=tolerance)
    for axis in (0, 1):
        assert np.mean(signs * np.roll(signs, 1, axis)) == pytest.approx(0, abs=tolerance)

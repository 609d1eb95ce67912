import numpy as np
import pytest

from tests.layers.helpers import Golden
from uncertainty_suite import keras
from uncertainty_suite.layers import OrthogonalRandomFeatures

GOLDEN = Golden("gp_features")


@GOLDEN.parametrize("orf_")
def test_golden_properties(case):
    parameters, golden = GOLDEN.parameters[case], GOLDEN[case]
    (rows, columns), stddev = parameters["shape"], parameters["stddev"]
    w = OrthogonalRandomFeatures(stddev, parameters["random_norm"], seed=0)((rows, columns)).numpy()
    assert w.shape == golden["W"].shape
    for start in range(0, columns, rows):
        block = w[:, start : start + rows]
        gram = block.T @ block
        np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-5 * stddev**2 * rows)
    if not parameters["random_norm"]:
        np.testing.assert_allclose(np.linalg.norm(w, axis=0), golden["column_norms"], rtol=1e-5)


def test_blocks_are_drawn_afresh():
    w = OrthogonalRandomFeatures(seed=0)((4, 12)).numpy()
    directions = w / np.linalg.norm(w, axis=0)
    cosines = np.abs(directions.T @ directions) - np.eye(12)
    assert cosines.max() < 0.999


def test_entries_are_distributed_as_normal_ones():
    w = OrthogonalRandomFeatures(stddev=2.0, seed=0)((5, 50_000)).numpy() / 2.0
    assert np.mean(w) == pytest.approx(0.0, abs=0.02)
    assert np.mean(w**2) == pytest.approx(1.0, abs=0.02)
    assert np.mean(w**4) == pytest.approx(3.0, abs=0.1)
    squared_norms = np.sum(w**2, axis=0)  # chi-squared with 5 degrees of freedom
    assert np.mean(squared_norms) == pytest.approx(5.0, abs=0.1)
    assert np.var(squared_norms) == pytest.approx(10.0, abs=0.5)


def test_seed_and_config():
    initializer = OrthogonalRandomFeatures(stddev=0.5, random_norm=False, seed=3)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(initializer))
    np.testing.assert_array_equal(initializer((4, 6)), again((4, 6)))
    assert np.any(initializer((4, 6)) != OrthogonalRandomFeatures(0.5, False, seed=4)((4, 6)))
    keras.utils.set_random_seed(0)
    first = OrthogonalRandomFeatures()((4, 6))
    keras.utils.set_random_seed(0)
    np.testing.assert_array_equal(first, OrthogonalRandomFeatures()((4, 6)))

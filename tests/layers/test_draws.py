import numpy as np
import pytest

from uncertainty_suite import replicas, tf
from uncertainty_suite.layers.draws import draw_for_rows, random_signs


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


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("copies", [1, 3])
def test_an_example_has_the_same_draws_on_any_number_of_replicas(copies, axis, two_devices):
    batch_size, seed = 5, tf.constant([1, 2], tf.int64)  # 3 examples on one replica, 2 on the other

    def drawn():
        part = replicas.current()
        rows = copies * (batch_size if part is None else part.size)
        shape = [rows, 4] if axis == 0 else [4, rows]
        return draw_for_rows(tf.random.stateless_normal, shape, rows, seed, axis)

    def on_replica():
        with replicas.sharing(batch_size):
            return drawn()

    parts = two_devices.experimental_local_results(tf.function(lambda: two_devices.run(on_replica))())
    by_copy = [np.split(part, copies, axis) for part in parts]
    joined = [np.concatenate(each, axis) for each in zip(*by_copy)]
    np.testing.assert_array_equal(np.concatenate(joined, axis), drawn())


def test_rows_of_no_batch_are_drawn_anew_on_each_replica(two_devices):
    def on_replica():
        with replicas.sharing(5):
            return draw_for_rows(tf.random.stateless_normal, [7], 7, tf.constant([1, 2], tf.int64))

    first, second = two_devices.experimental_local_results(tf.function(lambda: two_devices.run(on_replica))())
    assert not np.intersect1d(first, second).size

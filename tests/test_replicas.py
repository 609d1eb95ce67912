import numpy as np
import pytest

from uncertainty_suite import replicas, tf


@pytest.mark.parametrize(("batch_size", "num_replicas"), [(10, 4), (8, 2), (7, 7), (33, 2)])
def test_parts_follow_each_other_and_are_as_even_as_can_be(batch_size, num_replicas):
    parts = replicas.share_out(batch_size, num_replicas)
    examples = [example for part in parts for example in range(batch_size)[part]]
    assert examples == list(range(batch_size))
    sizes = [part.stop - part.start for part in parts]
    assert len(sizes) == num_replicas
    assert max(sizes) - min(sizes) <= 1


def test_each_replica_knows_its_part(two_devices):
    seen = []

    def note():
        with replicas.sharing(5):
            seen.append(replicas.current())

    two_devices.run(note)
    assert replicas.current() is None
    assert [(part.start, part.size, part.batch_size) for part in seen] == [(0, 3, 5), (3, 2, 5)]
    assert sum(part.share for part in seen) == 1


def test_adds_up_over_replicas(two_devices):
    def step():
        part = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.float32) + 1
        with tf.GradientTape() as tape:
            tape.watch(part)
            total = replicas.sum_over(part)
            square = total**2
        return total, tape.gradient(square, part)

    total, gradient = tf.function(lambda: two_devices.run(step))()
    assert [float(each) for each in two_devices.experimental_local_results(total)] == [3, 3]
    assert [float(each) for each in two_devices.experimental_local_results(gradient)] == [12, 12]  # of both squares


def test_each_replica_gets_the_whole_batch(two_devices):
    batch = {"x": np.arange(5.0), "y": np.arange(10).reshape(5, 2)}

    def on_replica():
        with replicas.sharing(5) as part:
            mine = slice(part.start, part.start + part.size)
            # Of y there are two copies, the first one of all examples and then the second.
            y = np.concatenate([batch["y"][mine], -batch["y"][mine]])
            return replicas.whole_batch({"x": tf.constant(batch["x"][mine]), "y": tf.constant(y)})

    whole = tf.function(lambda: two_devices.run(on_replica))()
    for x, y in zip(*(two_devices.experimental_local_results(whole[name]) for name in ("x", "y"))):
        np.testing.assert_array_equal(x, batch["x"])
        np.testing.assert_array_equal(y, np.concatenate([batch["y"], -batch["y"]]))
    assert replicas.whole_batch(batch) is batch  # of one replica

import numpy as np
import pytest

from tests.layers.helpers import local_values, two_replicas
from uncertainty_suite import tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.layers import CentroidKernel
from uncertainty_suite.testing import check_layer

FEATURES = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
LABELS = np.array([0, 2, 2, 0, 0, 2, 0, 0])  # none of class 1


def built(**arguments):
    layer = CentroidKernel(3, embedding_size=5, length_scale=0.7, **{"momentum": 0.9, **arguments})
    layer.build((None, 4))
    return layer


def embeddings(layer):
    return np.einsum("bd,dke->bke", FEATURES, np.asarray(layer.kernel))


def test_layer_promises(tmp_path):
    check_layer(lambda: CentroidKernel(3, 5, 0.7), (4,), [(None, 3)], 4 * 3 * 5, 3 + 3 * 5, tmp_path)


def test_the_kernel_by_its_formula():
    layer = built(seed=1)
    centroids = np.asarray(layer.sums) / np.asarray(layer.counts)[:, np.newaxis]
    distance = ((embeddings(layer) - centroids) ** 2).mean(axis=2)
    np.testing.assert_allclose(layer(FEATURES), -distance / (2 * 0.7**2), rtol=1e-5)


def test_centroids_are_moving_averages():
    layer = built(seed=1)
    counts, sums = np.asarray(layer.counts), np.asarray(layer.sums)
    layer.update_centroids(FEATURES, LABELS)
    z = embeddings(layer)
    for label in range(3):
        rows = label == LABELS
        np.testing.assert_allclose(layer.counts[label], 0.9 * counts[label] + 0.1 * rows.sum(), rtol=1e-6)
        expected = 0.9 * sums[label] + 0.1 * z[rows, label].sum(axis=0)
        np.testing.assert_allclose(layer.sums[label], expected, rtol=1e-5, atol=1e-6)


def test_centroids_come_to_the_mean_and_keep_where_no_example_is():
    layer = built(seed=1)
    before = layer.sums[1] / layer.counts[1]
    for _ in range(200):
        layer.update_centroids(FEATURES, LABELS)
    z = embeddings(layer)
    for label in (0, 2):
        mean = z[label == LABELS, label].mean(axis=0)
        np.testing.assert_allclose(layer.sums[label] / layer.counts[label], mean, atol=1e-5)
    np.testing.assert_allclose(layer.sums[1] / layer.counts[1], before, rtol=1e-3)
    at_centroid = np.linalg.lstsq(np.asarray(layer.kernel)[:, 0].T, np.asarray(layer.sums[0] / layer.counts[0]))[0]
    near, far = layer(np.stack([at_centroid, at_centroid + 10]).astype("float32")).numpy()[:, 0]
    assert far < near <= 0


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_the_centroid_of_a_class_that_is_never_there_stays(momentum):
    layer = built(seed=1, momentum=momentum)
    before = layer.sums[1] / layer.counts[1]
    for _ in range(300):  # 0.5^300 is less than float32 holds
        layer.update_centroids(FEATURES, LABELS)
    layer.update_centroids(FEATURES[:0], LABELS[:0])
    np.testing.assert_allclose(layer.sums[1] / layer.counts[1], before, rtol=1e-5)
    assert np.isfinite(layer(FEATURES)).all()
    np.testing.assert_allclose(
        layer.sums[0] / layer.counts[0], embeddings(layer)[LABELS == 0, 0].mean(axis=0), rtol=1e-4
    )


def test_replicas_add_up_their_batches():
    strategy = two_replicas()
    with strategy.scope():
        shared = built(seed=1)
    alone = built(seed=1)
    alone.update_centroids(FEATURES, LABELS)

    @tf.function
    def update():
        def step():
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            part = tf.range(4) + 4 * replica
            shared.update_centroids(tf.gather(FEATURES, part), tf.gather(LABELS, part))

        strategy.run(step)

    update()
    for variable, expected in ((shared.counts, alone.counts), (shared.sums, alone.sums)):
        for values in local_values(variable):
            np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"units": 0}, "units must be above 0"),
        ({"length_scale": 0.0}, "length_scale must be above 0"),
        ({"momentum": 1.0}, "momentum must be at least 0 and below 1, received 1.0"),
    ],
)
def test_refused_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        CentroidKernel(**{"units": 3, **arguments})

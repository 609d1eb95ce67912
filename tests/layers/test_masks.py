import numpy as np
import pytest

from tests.layers.helpers import GOLDEN_DIR, Golden
from uncertainty_suite import replicas, tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.layers import MemberMasks, TileMembers, member_masks
from uncertainty_suite.testing import check_layer

GOLDEN = Golden("masksembles_packed", GOLDEN_DIR / "methods")


def test_layer_promises(tmp_path):
    check_layer(lambda: MemberMasks(0.5, members=2, scale=1.5, seed=1), (6, 8), [(None, 6, 8)], 0, 16, tmp_path)
    check_layer(lambda: MemberMasks(0.0), (6, 8), [(None, 6, 8)], 0, 0, tmp_path)


@GOLDEN.parametrize("masks_")
def test_masks_are_those_of_the_golden_ones_but_for_the_draw(case):
    arrays, parameters = GOLDEN[case], GOLDEN.parameters[case]
    channels, scale = parameters["channels"], parameters["scale"]
    intersections = []
    for seed in range(20):
        masks = member_masks(parameters["n"], channels, scale, seed)
        assert masks.shape == arrays["masks"].shape
        np.testing.assert_array_equal(np.unique(masks), [0, 1])
        np.testing.assert_array_equal(masks.sum(axis=1), arrays["ones_per_mask"])
        assert masks.any(axis=0).all()  # every channel is used
        both = masks @ masks.T
        intersections.append(both[~np.eye(len(both), dtype=bool)].mean())
    # About m / s channels in common, and so have the golden ones.
    expected = arrays["ones_per_mask"] / scale
    assert np.mean(intersections) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("members", [1, 2, 4, 8])
@pytest.mark.parametrize("scale", [1.0, 1.1, 2.0, 6.0])
def test_there_are_masks_for_every_number_of_channels(members, scale):
    for channels in (1, 2, 3, 5, 13, 16, 100):
        masks = member_masks(members, channels, scale, seed=0)
        assert masks.any(axis=0).all()
        assert len(set(masks.sum(axis=1))) == 1
        if scale == 1 or members == 1:
            np.testing.assert_array_equal(masks, 1)


def test_masks_depend_on_the_seed_alone():
    first, again, other = (member_masks(4, 64, 2.0, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


@GOLDEN.parametrize("layer_")
def test_golden_values_of_the_layer(case):
    arrays = GOLDEN[case]
    layer = MemberMasks(0.5, members=len(arrays["masks"]), dtype="float64")
    layer.build(arrays["x"].shape)
    layer.masks.assign(arrays["masks"])
    np.testing.assert_array_equal(layer(arrays["x"]), arrays["y"])


def test_rows_are_shared_out_and_a_tiled_batch_is_seen_by_all():
    layer = MemberMasks(0.5, members=3, scale=1.5, seed=1)
    masks = layer(tf.ones((3, 10))).numpy()
    np.testing.assert_array_equal(layer(tf.ones((7, 10))), masks[[0, 0, 0, 1, 1, 2, 2]])  # 7 is no multiple of 3
    np.testing.assert_array_equal(layer(tf.ones((2, 10))), masks[[0, 1]])
    np.testing.assert_array_equal(layer(TileMembers(3)(tf.ones((2, 4, 4, 10))))[:, 0, 0], masks[[0, 0, 1, 1, 2, 2]])
    unknown = tf.function(layer, input_signature=[tf.TensorSpec((None, 10))])
    np.testing.assert_array_equal(unknown(tf.ones((7, 10))), layer(tf.ones((7, 10))))


def test_a_scale_below_one_is_refused():
    with pytest.raises(InputError, match=r"at least 1, received 0\.9"):
        member_masks(4, 64, 0.9, 0)


def test_an_example_has_the_same_mask_on_any_number_of_replicas(two_devices):
    def on_replica():
        with replicas.sharing(7) as part:
            return layer(tf.ones((part.size, 8)))

    with two_devices.scope():
        layer = MemberMasks(0.5, members=3, seed=1)
        layer.build((None, 8))
    parts = two_devices.experimental_local_results(tf.function(lambda: two_devices.run(on_replica))())
    np.testing.assert_array_equal(tf.concat(parts, axis=0), layer(tf.ones((7, 8))))

import numpy as np
import pytest

from tests.layers.helpers import Golden
from uncertainty_suite import keras, tf
from uncertainty_suite.layers import MemberHead, MergeMembers, SplitMembers, TileMembers, split_members
from uncertainty_suite.testing import check_layer

MIMO = Golden("mimo")


def test_layer_promises(tmp_path):
    check_layer(lambda: TileMembers(3), (6, 4), [(None, 6, 4)], 0, 0, tmp_path)
    check_layer(lambda: SplitMembers(2), (6, 4), [(None, 2, 6, 4)], 0, 0, tmp_path)
    check_layer(lambda: SplitMembers(2, mean=True), (6, 4), [(None, 6, 4)], 0, 0, tmp_path)
    check_layer(lambda: MergeMembers(2), (6, 4), [(None, 6, 8)], 0, 0, tmp_path)
    check_layer(lambda: MemberHead(3, members=2), (4,), [(None, 2, 3)], 2 * 15, 0, tmp_path)


@MIMO.parametrize("head")
def test_golden_values_of_heads_and_inputs(case):
    arrays, members = MIMO[case], MIMO.parameters[case]["ensemble_size"]
    head = MemberHead(MIMO.parameters[case]["classes"], members, dtype="float64")
    head.build(arrays["x"].shape)
    for variable, value in zip(head.variables, (arrays["kernel"], arrays["bias"])):
        variable.assign(value)
    np.testing.assert_allclose(head(arrays["x"]), arrays["y"], rtol=1e-10)
    rows = arrays["images"].swapaxes(0, 1)  # [members, batch, ...]
    rows = rows.reshape(-1, *rows.shape[2:])
    np.testing.assert_array_equal(MergeMembers(members)(rows), arrays["images_as_network_input"])


def test_rows_are_member_major_and_splitting_undoes_tiling():
    x = np.arange(6.0).reshape(3, 2).astype("float32")
    rows = TileMembers(2)(x)
    np.testing.assert_array_equal(rows, np.concatenate([x, x]))
    np.testing.assert_array_equal(SplitMembers(2)(rows), np.stack([x, x], axis=1))
    np.testing.assert_array_equal(SplitMembers(2)(tf.range(6)), [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(SplitMembers(2, mean=True)(tf.range(6.0)), [1.5, 2.5, 3.5])


def test_a_tree_of_inputs_keeps_its_types_in_every_precision():
    inputs = {"ids": tf.constant([2999.0, 2998.0]), "images": tf.ones((2, 4, 4, 1))}
    tiled = TileMembers(2, dtype="mixed_bfloat16")(inputs)
    np.testing.assert_array_equal(tiled["ids"], [2999.0, 2998.0, 2999.0, 2998.0])
    assert tiled["images"].shape == (4, 4, 4, 1)
    symbolic = TileMembers(2, dtype="mixed_bfloat16")({"ids": keras.Input((), dtype="int32")})["ids"]
    assert (symbolic.shape, symbolic.dtype) == ((None,), "int32")


def test_rows_that_cannot_be_shared_out_are_refused():
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        SplitMembers(4)(tf.ones((6, 2)))  # 12 values are 4 x 3 x 1


def test_features_are_the_mean_over_members_and_outputs_have_all():
    said = {"features": keras.Input((5,)), "outputs": keras.Input((3,))}
    split = split_members(said, members=4)
    assert {name: each.shape for name, each in split.items()} == {"features": (None, 5), "outputs": (None, 4, 3)}

"""Members of an ensemble side by side in one batch: copies of it, and their outputs again.

Rows are member-major: the first `batch` rows belong to member 0, the next ones to member 1, and so on.
"""

from __future__ import annotations

from typing import Any

from uncertainty_suite import keras, tf


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class TileMembers(keras.layers.Layer):
    """Repeat a batch for each member: rows `[members * batch, ...]`, member-major, from `[batch, ...]`.

    Args:
        members: Number of members.

    Call arguments:
        inputs: A tensor, or a tree of tensors, of any type.

    Example:
        >>> TileMembers(2)(tf.constant([1, 2, 3]))  # [1, 2, 3, 1, 2, 3]
    """

    def __init__(self, members: int, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)  # ids of tokens are not rounded to half precision
        self.members = members

    def call(self, inputs: Any) -> Any:
        return keras.tree.map_structure(lambda x: tf.concat([x] * self.members, axis=0), inputs)

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.tree.map_structure(lambda x: keras.KerasTensor(self._tiled(x.shape), x.dtype), inputs)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return self._tiled(input_shape)

    def _tiled(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (None if shape[0] is None else self.members * shape[0], *shape[1:])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "members": self.members}


def by_member(rows: tf.Tensor, members: int) -> tf.Tensor:
    """Return `[members, batch, ...]` from member-major rows `[members * batch, ...]`.

    Raises:
        tf.errors.InvalidArgumentError: The number of rows is no multiple of the members.
    """
    # All other sizes are given: with one more to be found out, rows that cannot be shared out would be cut elsewhere.
    sizes = [tf.shape(rows)[axis] if size is None else size for axis, size in enumerate(rows.shape)]
    count = -1 if rows.shape[0] is None else rows.shape[0] // members
    return tf.reshape(rows, [members, count, *sizes[1:]])


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class SplitMembers(keras.layers.Layer):
    """Give outputs a member axis: `[batch, members, ...]` from member-major rows `[members * batch, ...]`.

    Args:
        members: Number of members.
        mean: Whether to return their mean instead, `[batch, ...]`.

    Example:
        >>> SplitMembers(2)(tf.constant([1, 2, 3, 4, 5, 6]))  # [[1, 4], [2, 5], [3, 6]]
    """

    def __init__(self, members: int, mean: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.members = members
        self.mean = mean

    def call(self, rows: tf.Tensor) -> tf.Tensor:
        split = by_member(rows, self.members)
        if self.mean:
            return tf.reduce_mean(split, axis=0)
        return tf.transpose(split, [1, 0, *range(2, len(split.shape))])

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch = None if input_shape[0] is None else input_shape[0] // self.members
        return (batch, *input_shape[1:]) if self.mean else (batch, self.members, *input_shape[1:])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "members": self.members, "mean": self.mean}


def split_members(said: dict[str, Any], members: int) -> dict[str, Any]:
    """Return what a network says of examples from what it says of member-major rows; an `at_output` of a layer set.

    Args:
        said: `features` `[members * batch, d]`, `outputs`, and what else the head returns.
        members: Number of members.

    Returns:
        `features` `[batch, d]`, the mean over members, as what scores an example takes one vector of it; of the others
        all members, e.g. `outputs` `[batch, members, units]`.

    Example:
        >>> tile = TileMembers(4, name="tile_members")
        >>> layer_set = LayerSet(at_input=tile, at_output=functools.partial(split_members, members=4))
    """
    return {
        name: SplitMembers(members, mean=name == "features", dtype=tensor.dtype, name=f"{name}_by_member")(tensor)
        for name, tensor in said.items()
    }


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class MergeMembers(keras.layers.Layer):
    """Give each example the inputs of all members: `[batch, ..., c * members]` from `[members * batch, ..., c]`.

    Channel c of member m becomes channel c * members + m, as in Havasi et al. 2021, https://arxiv.org/abs/2010.06610.

    Args:
        members: Number of members.

    Call arguments:
        rows: A tensor of member-major rows, or a tree of such tensors, of any type.

    Example:
        >>> MergeMembers(2)(tf.constant([[1, 2], [3, 4]]))  # [[1, 3, 2, 4]]
    """

    def __init__(self, members: int, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.members = members

    def call(self, rows: Any) -> Any:
        return keras.tree.map_structure(self._merge, rows)

    def _merge(self, rows: tf.Tensor) -> tf.Tensor:
        split = by_member(rows, self.members)
        last = tf.transpose(split, [*range(1, len(split.shape)), 0])  # [batch, ..., c, members]
        sizes = [tf.shape(last)[axis] if size is None else size for axis, size in enumerate(last.shape[1:-2], start=1)]
        count = -1 if last.shape[0] is None else last.shape[0]
        return tf.reshape(last, [count, *sizes, last.shape[-2] * self.members])

    def compute_output_spec(self, rows: Any) -> Any:
        return keras.tree.map_structure(lambda x: keras.KerasTensor(self._merged(x.shape), x.dtype), rows)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return self._merged(input_shape)

    def _merged(self, shape: tuple[Any, ...]) -> tuple[int | None, ...]:
        batch = None if shape[0] is None else shape[0] // self.members
        return (batch, *shape[1:-1], shape[-1] * self.members)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "members": self.members}


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class MemberHead(keras.layers.Layer):
    """Give each member a head of its own on the same features: outputs `[batch, members, units]` from `[batch, d]`.

    One dense layer, whose columns m * units to (m + 1) * units - 1 are the head of member m (Lee et al. 2015,
    https://arxiv.org/abs/1511.06314; Havasi et al. 2021, https://arxiv.org/abs/2010.06610).

    Args:
        units: Outputs of a member.
        members: Number of members.

    Example:
        >>> head = functools.partial(MemberHead, members=3)  # of a layer set
    """

    def __init__(self, units: int, members: int, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})  # as of the plain head
        self.units = units
        self.members = members
        self.dense = keras.layers.Dense(units * members, dtype=self.dtype_policy, name=self.name)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.dense.build(input_shape)

    def call(self, features: tf.Tensor) -> tf.Tensor:
        outputs = self.dense(features)
        count = -1 if outputs.shape[0] is None else outputs.shape[0]
        return tf.reshape(outputs, [count, self.members, self.units])

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], self.members, self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "members": self.members}

"""What networks on graphs need besides dense layers."""

from __future__ import annotations

from typing import Any

from uncertainty_suite import keras, tf


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class SplitGraph(keras.layers.Layer):
    """Take a graph apart: what its nodes are, which edges it has, and which rows are nodes.

    Args:
        num_features: Ids of a node.
        vocabulary_size: Ids are in [0, vocabulary_size), and 0 is none.
        num_edge_kinds: Kinds of edges are 1 to this, and 0 is none.

    Call arguments:
        inputs: `[batch, nodes, num_features + nodes]`, see `datasets.forms.Graphs`.

    Returns:
        `nodes` `[batch, nodes, vocabulary_size]`, 1 for each id of a node and else 0; `edges`, for each kind
        `[batch, nodes, nodes]`, 1 where there is such an edge and else 0; and `is_node`, booleans `[batch, nodes]`.
    """

    def __init__(self, num_features: int, vocabulary_size: int, num_edge_kinds: int, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)  # ids are not rounded to half precision
        self.num_features = num_features
        self.vocabulary_size = vocabulary_size
        self.num_edge_kinds = num_edge_kinds

    def call(self, inputs: tf.Tensor) -> dict[str, Any]:
        ids, edges = inputs[..., : self.num_features], inputs[..., self.num_features :]
        nodes = tf.reduce_sum(tf.one_hot(tf.cast(ids, tf.int32), self.vocabulary_size, dtype=self.compute_dtype), -2)
        is_node = ids[..., 0] > 0
        return {
            # The id 0 is none, where it fills a graph up and where a node has fewer ids.
            "nodes": tf.concat([tf.zeros_like(nodes[..., :1]), nodes[..., 1:]], axis=-1),
            "edges": [tf.cast(tf.equal(edges, kind), self.compute_dtype) for kind in range(1, self.num_edge_kinds + 1)],
            "is_node": is_node,
        }

    def compute_output_spec(self, inputs: keras.KerasTensor) -> dict[str, Any]:
        batch, count, _ = inputs.shape
        edges = [keras.KerasTensor((batch, count, count), self.compute_dtype) for _ in range(self.num_edge_kinds)]
        nodes = keras.KerasTensor((batch, count, self.vocabulary_size), self.compute_dtype)
        return {"nodes": nodes, "edges": edges, "is_node": keras.KerasTensor((batch, count), "bool")}

    def get_config(self) -> dict[str, Any]:
        sizes = ("num_features", "vocabulary_size", "num_edge_kinds")
        return {**super().get_config(), **{name: getattr(self, name) for name in sizes}}

"""A message-passing network for graphs, such as molecules (Gilmer et al. 2017, arXiv:1704.01212)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uncertainty_suite import keras
from uncertainty_suite.models import checks

if TYPE_CHECKING:
    from uncertainty_suite.layers import LayerSet


def message_passing(
    inputs: keras.KerasTensor,
    layers: LayerSet,
    num_features: int = 6,
    vocabulary_size: int = 28,
    num_edge_kinds: int = 4,
    num_layers: int = 3,
    num_hidden: int = 64,
    dropout_rate: float = 0.1,
) -> keras.KerasTensor:
    """Build steps in which each node adds up what its neighbours say, and the mean over nodes.

    With x_v the vector of node v, and e the kind of the edge between v and w, a step is

        x_v <- x_v + dropout(relu(U y_v + sum_w A_e y_w)),   y = layer_norm(x),

    the messages of gated graph networks in the paper (its section 2) with an update of a dense layer in place of a
    recurrent one, as Schlichtkrull et al. 2018 (arXiv:1703.06103) have it, and with weights of its own in each step. At
    first x_v is a dense layer of what the node is. Rows that fill a graph up take no part.

    Args:
        inputs: Graphs `[batch, nodes, num_features + nodes]`, see `datasets.forms.Graphs`.
        layers: Layer set.
        num_features: Ids of a node.
        vocabulary_size: Number of ids, 0 included; that of the data.
        num_edge_kinds: Kinds of edges.
        num_layers: Steps.
        num_hidden: Dimension of the vectors.
        dropout_rate: Rate on what each step adds.

    Returns:
        Features `[batch, num_hidden]`.

    Raises:
        InputError: The examples are no graphs, or an option is outside its range.
    """
    # Imported here, so that the options of architectures are known without TensorFlow.
    from uncertainty_suite.layers import SplitGraph, TokenMean

    checks.require_graphs("message_passing", inputs, num_features)
    checks.require_counts(
        "message_passing",
        num_features=num_features,
        vocabulary_size=vocabulary_size,
        num_edge_kinds=num_edge_kinds,
        num_layers=num_layers,
        num_hidden=num_hidden,
    )
    checks.require_rates("message_passing", dropout_rate=dropout_rate)
    graph = SplitGraph(num_features, vocabulary_size, num_edge_kinds, name="graph")(inputs)
    x = layers.dense(num_hidden, activation="relu", name="nodes")(graph["nodes"])
    for i in range(1, num_layers + 1):
        y = layers.layer_norm(name=f"step{i}_norm")(x)
        said = [layers.dense(num_hidden, name=f"step{i}_update")(y)]
        for kind, edges in enumerate(graph["edges"], 1):
            message = layers.dense(num_hidden, use_bias=False, name=f"step{i}_message{kind}")(y)
            said.append(keras.layers.Dot(axes=(2, 1), name=f"step{i}_sum{kind}")([edges, message]))
        y = keras.layers.Add(name=f"step{i}_add1")(said)
        y = keras.layers.ReLU(name=f"step{i}_relu")(y)
        y = layers.dropout(dropout_rate, name=f"step{i}_dropout")(y)
        x = keras.layers.Add(name=f"step{i}_add2")([x, y])
    x = layers.layer_norm(name="norm")(x)
    return TokenMean(name="pool")(x, graph["is_node"])

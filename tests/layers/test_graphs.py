"""Graphs taken apart."""

import numpy as np

from uncertainty_suite import keras, layers


def test_a_graph_is_nodes_edges_of_each_kind_and_which_rows_are_nodes():
    graph = np.array([[1, 3, 0, 2, 0], [2, 0, 2, 0, 0], [0, 0, 0, 0, 0]])  # two nodes, one edge of the second kind
    said = layers.SplitGraph(2, 4, 2)(graph[np.newaxis])
    np.testing.assert_array_equal(said["nodes"], [[[0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]]])
    first, second = said["edges"]
    assert not np.any(first)
    np.testing.assert_array_equal(second, [[[0, 1, 0], [1, 0, 0], [0, 0, 0]]])
    np.testing.assert_array_equal(said["is_node"], [[True, True, False]])


def test_ids_are_told_apart_in_half_precision():
    layer = layers.SplitGraph(1, 1000, 1, dtype="mixed_bfloat16")
    graph = np.zeros((1, 2, 3), np.float32)
    graph[0, :, 0] = 998, 999
    np.testing.assert_array_equal(np.argmax(np.asarray(layer(graph)["nodes"], np.float32), axis=-1), [[998, 999]])


def test_shapes_and_configuration():
    layer = layers.SplitGraph(2, 4, 3, name="graph")
    said = layer(keras.Input((5, 7)))
    assert said["nodes"].shape == (None, 5, 4)
    assert [edges.shape for edges in said["edges"]] == [(None, 5, 5)] * 3
    assert (said["is_node"].shape, said["is_node"].dtype) == ((None, 5), "bool")
    again = layers.SplitGraph.from_config(layer.get_config())
    assert (again.num_features, again.vocabulary_size, again.num_edge_kinds, again.name) == (2, 4, 3, "graph")

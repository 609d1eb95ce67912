"""Splitting a stochastic network where its randomness begins."""

from collections.abc import Callable

import keras

from uncertainty_suite.layers.dropout import MonteCarloDropout


def split_at_dropout(model: keras.Model) -> tuple[Callable, Callable]:
    """Split a functional model into what is the same in every sample and what is not.

    The trunk ends where the first active `MonteCarloDropout` begins, on every path to it; for many samples of one
    batch it need be computed only once. `rest(trunk(x))` is `model(x)`, and shares its layers.

    Args:
        model: A functional model.

    Returns:
        `trunk`, from the model's input to the tensors between the two, and `rest`, from these to the model's output;
        both take `training`. Where nothing is stochastic, `trunk` is the model and `rest` the identity.

    Example:
        >>> trunk, rest = split_at_dropout(model)
        >>> hidden = trunk(x)
        >>> samples = [rest(hidden) for _ in range(10)]
    """
    stochastic: dict[int, bool] = {}
    cut: dict[int, keras.KerasTensor] = {}  # the last deterministic tensors on each path

    def inputs_of(tensor: keras.KerasTensor) -> list[keras.KerasTensor]:
        operation, node_index, _ = tensor._keras_history
        return operation._inbound_nodes[node_index].input_tensors

    def is_stochastic(tensor: keras.KerasTensor) -> bool:
        if id(tensor) not in stochastic:
            layer = tensor._keras_history.operation
            inputs = inputs_of(tensor)
            by_inputs = [is_stochastic(x) for x in inputs]  # all of them, and not only up to the first that is
            drops = isinstance(layer, MonteCarloDropout) and layer.rate > 0
            stochastic[id(tensor)] = drops or any(by_inputs)
            if stochastic[id(tensor)]:
                cut.update({id(x): x for x, random in zip(inputs, by_inputs) if not random})
        return stochastic[id(tensor)]

    by_outputs = [is_stochastic(output) for output in keras.tree.flatten(model.output)]
    if not any(by_outputs):
        return model, lambda outputs, training=None: outputs
    tensors = list(cut.values())
    return keras.Model(model.input, tensors), keras.Model(tensors, model.output)

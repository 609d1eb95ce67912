"""Weights beside those being trained: several sets of them kept and predicted with, and their batch statistics."""

from __future__ import annotations

from typing import Any

import numpy as np

from uncertainty_suite import datasets, keras, layers, tf


class Bank:
    """Several sets of a network's weights: samples of a chain or a posterior, or what it was at several times.

    A set is all of `model.weights`, statistics of batch normalisation included, so each set has its own. The bank's
    variables go into the checkpoint by `Loop(..., state=bank.state)`.

    Make it in the scope in which the model was made: `with run.scope(): bank = training.Bank(model, 10)`.

    Example:
        >>> bank = training.Bank(model, size=10)
        >>> bank.put(0)  # what the model's weights are now
        >>> said = bank.predict(inputs)  # in a tf.function; said["outputs"] is [10, batch, units]

    Attributes:
        size: Number of sets.
        state: Its variables by name, `[size, ...]` each.
    """

    def __init__(self, model: keras.Model, size: int) -> None:
        """Make room; all sets are zeros until they are put in.

        Args:
            model: The network, built.
            size: Number of sets.
        """
        self.size = size
        self._model = model
        self.state = {
            f"bank/{weight.path}": keras.Variable(
                np.zeros((size, *weight.shape)), dtype=weight.dtype, trainable=False, name=f"bank_{weight.name}"
            )
            for weight in model.weights
        }

    def put(self, index: int) -> None:
        """Keep the present weights as a set."""
        for weight, kept in self._pairs():
            # In place, where `assign` would write all sets; and on every replica, where `kept.value[index]` writes one.
            kept.value.scatter_update(tf.IndexedSlices(tf.convert_to_tensor(weight), tf.constant(index)))

    def get(self, index: int) -> None:
        """Make a set the network's weights."""
        for weight, kept in self._pairs():
            weight.assign(tf.gather(kept.value, index))

    def predict(self, inputs: Any, first: int | tf.Tensor = 0, count: int | None = None) -> Any:
        """Return the outputs with each set in turn, or with `count` sets from `first` on; call it in a `tf.function`.

        The model's own weights are not read or changed.

        Args:
            inputs: A batch `[batch, ...]`.
            first: The first set; a scalar tensor or an integer.
            count: Number of sets; all if None.

        Returns:
            What `model(inputs, training=False)` returns, with sets in front: `[count, batch, ...]`.
        """
        others = [each for each in self._model.variables if all(each is not weight for weight in self._model.weights)]
        draws = layers.has_stochastic(self._model)

        def with_set(index: tf.Tensor) -> Any:
            weights = [(weight, tf.gather(kept.value, index)) for weight, kept in self._pairs()]
            with keras.StatelessScope(weights) as scope:
                outputs = self._model(inputs, training=False)
            for variable in others if draws else ():  # states of random numbers: the scope has kept the new ones
                value = scope.get_current_value(variable)
                if value is not None:
                    variable.assign(value)
            return outputs

        batch = keras.tree.flatten(inputs)[0].shape[0]
        return tf.map_fn(
            lambda i: with_set(first + i),
            tf.range(self.size if count is None else count),
            fn_output_signature=keras.tree.map_structure(
                lambda x: tf.TensorSpec((batch, *x.shape[1:]), x.dtype), self._model.output
            ),
            parallel_iterations=1 if draws else None,  # sets that draw from the same generators do so in their order
        )

    def _pairs(self) -> list[tuple[Any, Any]]:
        return list(zip(self._model.weights, self.state.values()))


def refresh_batch_norm(model: keras.Model, data: datasets.Dataset, batch_size: int) -> None:
    """Set the statistics of batch normalisation to those of the training data under the present weights.

    Weights that no step has led to, as means or samples of several, have statistics of other weights (Izmailov et al.
    2018, https://arxiv.org/abs/1803.05407, section 3.2). One pass over the training data, shuffled and augmented as in
    training, normalises each batch by its own statistics, as training does. What a layer sees in this pass has a mean
    and a variance over all examples, and these it gets: the mean of the batches' means, and the mean of their variances
    plus the variance of their means. (Torch's `update_bn` leaves that last part out.) Nothing else of the model changes
    but the states of random numbers, if it has dropout. Without batch normalisation nothing is done.

    Args:
        model: The network.
        data: The training data; its seed decides the order, of which the first epoch's is taken.
        batch_size: Examples a batch: those of training.
    """
    norms = [each for each in model._flatten_layers() if isinstance(each, keras.layers.BatchNormalization)]
    if not norms:
        return
    others = [each for each in model.variables if all(each is not weight for weight in model.weights)]

    @tf.function
    def batch_moments(inputs: Any) -> Any:
        with keras.StatelessScope() as scope:
            model(inputs, training=True)
        for variable in others:  # states of random numbers go on
            value = scope.get_current_value(variable)
            if value is not None:
                variable.assign(value)
        return [[scope.get_current_value(each) for each in (norm.moving_mean, norm.moving_variance)] for norm in norms]

    momenta = [norm.momentum for norm in norms]
    sums: list[list[Any]] = [[0.0, 0.0] for _ in norms]
    steps = data.steps_per_epoch(batch_size)
    try:
        for norm in norms:
            norm.momentum = 0.0  # so that the moving statistics are the batch's
        for batch in data.load(batch_size, training=True).take(steps):
            for total, (mean, variance) in zip(sums, batch_moments(batch["features"])):
                mean = np.asarray(mean, np.float64)
                total[0] += mean
                total[1] += np.asarray(variance, np.float64) + mean**2
    finally:
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum
    for norm, (mean, square) in zip(norms, sums):
        norm.moving_mean.assign(mean / steps)
        norm.moving_variance.assign(np.maximum(square / steps - (mean / steps) ** 2, 0.0))

"""Weights beside those being trained: several sets of them kept and predicted with, and their batch statistics."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
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
        draws = layers.has_stochastic(self._model)

        def with_set(index: tf.Tensor) -> Any:
            with keras.StatelessScope(self._set(index)) as scope:
                outputs = self._model(inputs, training=False)
            if draws:
                _go_on(self._model, scope)
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

    def refresh_batch_norm(self, data: datasets.Dataset, batch_size: int) -> None:
        """Do for each set what `training.refresh_batch_norm` does for a network, in one pass over the data for all."""

        def moments(inputs: Any) -> Any:
            return tf.map_fn(
                lambda index: _batch_moments(self._model, self._set(index), inputs),
                tf.range(self.size),
                fn_output_signature=[
                    tuple(tf.TensorSpec(each.shape, each.dtype) for each in _statistics(norm))
                    for norm in _norms(self._model)
                ],
                parallel_iterations=1,
            )

        for variable, value in _population_moments(self._model, moments, data, batch_size):
            self.state[f"bank/{variable.path}"].assign(value)

    def _pairs(self) -> list[tuple[Any, Any]]:
        return list(zip(self._model.weights, self.state.values()))

    def _set(self, index: tf.Tensor) -> list[tuple[Any, tf.Tensor]]:
        return [(weight, tf.gather(kept.value, index)) for weight, kept in self._pairs()]


class LowRankGaussian:
    """A Gaussian over the trained weights of a network, fitted to the weights of several times.

    Its covariance is `scale` times the sum of a diagonal matrix, the variances over all times, and D D^T / (K - 1),
    where the K columns of D are deviations from the mean at the last K times (Maddox et al. 2019,
    https://arxiv.org/abs/1902.02476, whose posterior has the scale 1/2). As in their code a deviation is from the mean
    that counts its own time, too. In place of the mean of squares the sum of squared deviations is kept (Welford 1962),
    so that in float32 small variances of large weights are not lost, and none is below 0. K is the number of columns
    there are, where the authors' code divides by their greatest number less one.

    Attributes:
        state: Its variables by name, for `Loop(..., state=...)`.
    """

    def __init__(self, model: keras.Model, rank: int) -> None:
        """Make room; make it in the scope in which the model was made.

        Args:
            model: The network, built.
            rank: The most columns of D that are kept, at least 2.
        """
        self._weights = model.trainable_variables
        self._rank = rank

        def zeros(what: str, *axes: int) -> list[Any]:
            return [
                keras.Variable(
                    np.zeros((*axes, *each.shape)), dtype=each.dtype, trainable=False, name=f"{what}_{each.name}"
                )
                for each in self._weights
            ]

        self._count = keras.Variable(0, dtype="int32", trainable=False, name="count")
        self._mean, self._squares, self._deviations = zeros("mean"), zeros("squares"), zeros("deviation", rank)
        kinds = {"mean": self._mean, "squares": self._squares, "deviations": self._deviations}
        self.state = {"count": self._count} | {
            f"{kind}/{weight.path}": variable
            for kind, variables in kinds.items()
            for weight, variable in zip(self._weights, variables)
        }

    def collect(self) -> None:
        """Count the present weights."""
        count = int(tf.convert_to_tensor(self._count))
        for weight, mean, squares, deviations in zip(self._weights, self._mean, self._squares, self._deviations):
            before = weight - mean
            mean.assign_add(before / (count + 1))
            deviation = weight - mean
            squares.assign_add(before * deviation)
            deviations.value.scatter_update(tf.IndexedSlices(deviation, tf.constant(count % self._rank)))
        self._count.assign(count + 1)

    def draw(self, scale: float, *entropy: int) -> list[tf.Tensor]:
        """Return weights drawn from it, in the order of `model.trainable_variables`.

        Args:
            scale: Factor on the covariance; with 0 it is the mean.
            *entropy: Integers of at least 0, which decide the noise.
        """
        seed = tf.constant(np.random.SeedSequence(entropy).generate_state(2), tf.int64)
        noise = [
            tf.random.stateless_normal(each.shape, tf.random.fold_in(seed, i), dtype=each.dtype)
            for i, each in enumerate(self._weights, start=1)
        ]
        return self.transform(scale, noise, tf.random.stateless_normal([self._rank], seed))

    def transform(self, scale: float, noise: Sequence[tf.Tensor], column_noise: tf.Tensor) -> list[tf.Tensor]:
        """Return the weights that standard normal numbers stand for.

        Args:
            scale: Factor on the covariance.
            noise: For the diagonal part, one tensor of the shape of each weight.
            column_noise: For the columns of D, `[rank]`, in the order in which they were written.
        """
        count = int(tf.convert_to_tensor(self._count))
        divisor = max(min(count, self._rank) - 1, 1)
        drawn = []
        for mean, squares, deviations, z in zip(self._mean, self._squares, self._deviations, noise):
            change = tf.sqrt(squares / max(count, 1)) * z
            change += tf.tensordot(tf.cast(column_noise, z.dtype), deviations.value, 1) / divisor**0.5
            drawn.append(mean + scale**0.5 * change)
        return drawn


@contextlib.contextmanager
def with_weights(model: keras.Model, weights: Sequence[tf.Tensor]) -> Iterator[None]:
    """Let a model have other weights within this, in place of its trained variables, which do not change.

    What else a pass changes, statistics of batch normalisation and states of random numbers, does change. A gradient by
    a trained variable is that by the weight in its place, as far as this was computed from it.

    Args:
        model: The model.
        weights: In the order of `model.trainable_variables`.

    Example:
        >>> with tf.GradientTape() as tape, training.with_weights(model, [w + 0.1 for w in model.trainable_variables]):
        ...     outputs = model(inputs, training=True)["outputs"]
    """
    with keras.StatelessScope(list(zip(model.trainable_variables, weights))) as scope:
        yield
    for variable in model.non_trainable_variables:
        value = scope.get_current_value(variable)
        if value is not None:
            variable.assign(value)


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
    moments = _population_moments(model, lambda inputs: _batch_moments(model, [], inputs), data, batch_size)
    for variable, value in moments:
        variable.assign(value)


def _norms(model: keras.Model) -> list[Any]:
    return [each for each in model._flatten_layers() if isinstance(each, keras.layers.BatchNormalization)]


def _statistics(norm: Any) -> tuple[Any, Any]:
    return norm.moving_mean, norm.moving_variance


def _go_on(model: keras.Model, scope: Any) -> None:
    """Let the states of random numbers, which are no weights, go on outside of a scope from where they are in it."""
    weights = {id(weight) for weight in model.weights}
    for variable in model.variables:
        value = None if id(variable) in weights else scope.get_current_value(variable)
        if value is not None:
            variable.assign(value)


def _batch_moments(model: keras.Model, weights: list[tuple[Any, tf.Tensor]], inputs: Any) -> list[tuple[Any, Any]]:
    """Return the mean and the variance of a batch at each batch normalisation, whose momentum must be 0."""
    with keras.StatelessScope(weights) as scope:
        model(inputs, training=True)
    _go_on(model, scope)
    return [tuple(scope.get_current_value(each) for each in _statistics(norm)) for norm in _norms(model)]  # type: ignore


def _population_moments(
    model: keras.Model, batch_moments: Callable[[Any], Any], data: datasets.Dataset, batch_size: int
) -> Iterator[tuple[Any, np.ndarray]]:
    """Yield each statistic of batch normalisation and its value over one pass."""
    norms = _norms(model)
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    sums: list[Any] = [[0.0, 0.0] for _ in norms]
    compiled, steps = tf.function(batch_moments), data.steps_per_epoch(batch_size)
    try:
        for norm in norms:
            norm.momentum = 0.0  # so that the moving statistics are the batch's
        for batch in data.load(batch_size, training=True).take(steps):
            for total, moments in zip(sums, compiled(batch["features"])):
                mean, variance = (np.asarray(each, np.float64) for each in moments)
                total[0] += mean / steps
                total[1] += (variance + mean**2) / steps
    finally:
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum
    for norm, (first, second) in zip(norms, sums):
        yield norm.moving_mean, first
        yield norm.moving_variance, np.maximum(second - first**2, 0.0)

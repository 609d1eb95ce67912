"""Optimizers and learning-rate schedules by name, each with its options; and a step of them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

from ml_collections import ConfigDict

from uncertainty_suite import datasets, keras, replicas, tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.marks import marks
from uncertainty_suite.registry import Registry

# From a learning rate (a number or a schedule), the number of training examples and its options to a Keras optimizer.
OPTIMIZERS: Registry[Callable[..., Any]] = Registry("optimizer")
# Those that are a part of methods, which name them in their section: with others they would mean nothing.
OF_METHODS = ("ivon", "sghmc", "sgld")
# From the learning rate, the steps of an epoch, the epochs of the training, the steps of the warm-up and its options to
# a Keras schedule.
SCHEDULES: Registry[Callable[..., Any]] = Registry("schedule")
FIRST_LOSS_SCALE, STEPS_TO_DOUBLE_IT = 2.0**15, 2000  # as in Keras' LossScaleOptimizer


@OPTIMIZERS.register
def adam(
    learning_rate: Any, num_examples: int, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7
) -> keras.Optimizer:
    """Kingma and Ba 2015, https://arxiv.org/abs/1412.6980."""
    return keras.optimizers.Adam(learning_rate, beta_1, beta_2, epsilon, name="optimizer")


@OPTIMIZERS.register
def adamw(
    learning_rate: Any,
    num_examples: int,
    weight_decay: float = 0.004,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
) -> keras.Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101)."""
    return keras.optimizers.AdamW(learning_rate, weight_decay, beta_1, beta_2, epsilon, name="optimizer")


@OPTIMIZERS.register
def sgd(learning_rate: Any, num_examples: int, momentum: float = 0.9, nesterov: bool = True) -> keras.Optimizer:
    """Stochastic gradient descent; Nesterov's momentum where there is one."""
    return keras.optimizers.SGD(learning_rate, momentum, nesterov=nesterov and momentum > 0, name="optimizer")


@OPTIMIZERS.register
def sgld(learning_rate: Any, num_examples: int, prior_stddev: float = 1.0, temperature: float = 1.0) -> keras.Optimizer:
    """Stochastic gradient Langevin dynamics (Welling and Teh 2011); see `samplers.Langevin`."""
    from uncertainty_suite.training.samplers import Langevin

    return Langevin(learning_rate, num_examples, prior_stddev, temperature, name="optimizer")


@OPTIMIZERS.register
def sghmc(
    learning_rate: Any,
    num_examples: int,
    friction: float = 0.1,
    prior_stddev: float = 1.0,
    temperature: float = 1.0,
) -> keras.Optimizer:
    """Stochastic gradient Hamiltonian Monte Carlo (Chen et al. 2014, https://arxiv.org/abs/1402.4102)."""
    from uncertainty_suite.training.samplers import Langevin

    return Langevin(learning_rate, num_examples, prior_stddev, temperature, friction, name="optimizer")


@OPTIMIZERS.register
def ivon(
    learning_rate: Any,
    num_examples: int,
    hess_init: float = 1.0,
    beta_1: float = 0.9,
    beta_2: float = 0.99999,
    weight_decay: float = 1e-4,
    clip_radius: float = 0.0,
) -> keras.Optimizer:
    """The improved variational online Newton method (Shen et al. 2024, https://arxiv.org/abs/2402.17641)."""
    from uncertainty_suite.training.samplers import IVON

    return IVON(learning_rate, num_examples, hess_init, beta_1, beta_2, weight_decay, clip_radius, name="optimizer")


@SCHEDULES.register
def constant(learning_rate: float, steps_per_epoch: int, epochs: int, warmup_steps: int) -> Any:
    """The learning rate as it is, after a warm-up."""
    from uncertainty_suite.training.schedules import WarmupStepDecay

    return WarmupStepDecay(learning_rate, warmup_steps, (), 1.0)


@SCHEDULES.register
def cosine(learning_rate: float, steps_per_epoch: int, epochs: int, warmup_steps: int) -> Any:
    """Half a cosine from the learning rate to 0 (Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983)."""
    return keras.optimizers.schedules.CosineDecay(
        0.0 if warmup_steps else learning_rate,
        max(1, steps_per_epoch * epochs - warmup_steps),
        warmup_target=learning_rate if warmup_steps else None,
        warmup_steps=warmup_steps,
    )


@SCHEDULES.register
def step(
    learning_rate: float,
    steps_per_epoch: int,
    epochs: int,
    warmup_steps: int,
    decay_epochs: tuple[float, ...] = (),
    decay_ratio: float = 0.2,
) -> Any:
    """The learning rate times `decay_ratio` at each of `decay_epochs`, which have to be given."""
    from uncertainty_suite.training.schedules import WarmupStepDecay

    decay_steps = tuple(math.ceil(epoch * steps_per_epoch) for epoch in decay_epochs)
    return WarmupStepDecay(learning_rate, warmup_steps, decay_steps, decay_ratio)


def get_optimizer(
    config: ConfigDict,
    model: keras.Model,
    data: datasets.Dataset,
    cycles: int = 1,
    constant_from: int | None = None,
    constant_factor: float = 1.0,
) -> keras.Optimizer:
    """Build the optimizer that a configuration names, for the variables of a model that are trained.

    Under a distribution strategy, call it within the strategy's scope. Where Keras' dtype policy is mixed_float16, the
    optimizer has a loss scale, for `update`, among its variables.

    Args:
        config: The whole configuration; of it `optimizer`, `batch_size` and `epochs`.
        model: The model, built.
        data: The training data, whose number decides the steps of an epoch, and which samplers are told.
        cycles: How often the learning rate goes through its schedule, warm-up included. Each cycle has as many epochs.
        constant_from: After so many epochs the schedule is left, and the rate is constant; None for never.
        constant_factor: That rate, as a factor on `config.optimizer.learning_rate`.

    Raises:
        InputError: The optimizer, the schedule or an option is not known, or the epochs cannot be shared out to cycles.
    """
    settings = config.optimizer
    steps_per_epoch = data.steps_per_epoch(config.batch_size)
    warmup_steps = round(settings.warmup_epochs * steps_per_epoch)
    epochs, rest = divmod(config.epochs, cycles)
    if rest or (cycles > 1 and max((settings.warmup_epochs, *settings.get("decay_epochs", ()))) >= epochs):
        raise InputError(
            f"config.epochs is {config.epochs}, and the learning rate goes through its schedule {cycles} times: make "
            f"it a multiple of {cycles}, and warm-up and decays shorter than a cycle."
        )
    schedule = SCHEDULES.make(
        settings.schedule,
        *(settings.learning_rate, steps_per_epoch, epochs, warmup_steps),
        **{option: settings[option] for option in SCHEDULES.options(settings.schedule, skip=4)},
    )
    if cycles > 1:
        from uncertainty_suite.training.schedules import Cycles

        schedule = Cycles(schedule, steps_per_epoch * epochs)
    if constant_from is not None:
        from uncertainty_suite.training.schedules import ConstantFrom

        schedule = ConstantFrom(schedule, constant_from * steps_per_epoch, constant_factor * settings.learning_rate)
    optimizer = OPTIMIZERS.make(
        settings.name,
        schedule,
        data.num_examples,
        **{option: settings[option] for option in OPTIMIZERS.options(settings.name, skip=2)},
    )
    optimizer.build(model.trainable_variables)
    if keras.config.dtype_policy().name == "mixed_float16":
        first = keras.initializers.Constant(FIRST_LOSS_SCALE)
        optimizer.loss_scale = optimizer.add_variable((), first, "float32", name="loss_scale")
        optimizer.steps_of_scale = optimizer.add_variable((), "zeros", "int32", name="steps_of_scale")
    return optimizer


def scale_learning_rate(optimizer: keras.Optimizer, factor: float) -> None:
    """Multiply the learning rate of every step by a factor; call it before a train step is compiled."""
    rate = optimizer._learning_rate  # a schedule or a variable; the property gives the schedule's value
    optimizer.learning_rate = lambda: factor * (rate(optimizer.iterations) if callable(rate) else rate)


def penalty(model: keras.Model, l2: float) -> Any:
    """Return what is added to the loss: `l2` times the sum of squares of the trained variables, and the layers' own.

    There is no factor 1/2, and nothing is computed for an `l2` of zero. Variables that `layers.mark` says so of are
    left out.
    """
    squares = 0.0
    if l2 != 0:
        penalized = [variable for variable in model.trainable_variables if marks(variable).penalized]
        if penalized:
            squares = l2 * tf.add_n([tf.reduce_sum(tf.square(variable)) for variable in penalized])
    return squares + sum(model.losses)


def update(model: keras.Model, optimizer: keras.Optimizer, tape: tf.GradientTape, objective: tf.Tensor) -> tf.Tensor:
    """Take one step down the gradient of an objective, and return the norm of the gradient, float32.

    Where the optimizer has a loss scale, for float16, in which small gradients are 0 and large ones infinite, the
    gradient is computed of the objective times the scale, and divided by it. If it is not finite, the step is not
    taken, the scale is halved, and 0 is returned; below a scale of 1 it is what it is. After 2000 steps in a row the
    scale is doubled.

    Args:
        model: The model, all of whose trained variables are changed.
        optimizer: Its optimizer.
        tape: What has watched the objective.
        objective: A mean over the replica's part of the batch; the gradient is that of the mean over the whole batch.
            That of a variable is multiplied by the factor that `layers.mark` gave it.
    """
    part, count = replicas.current(), tf.distribute.get_strategy().num_replicas_in_sync
    weight = None
    if count > 1:  # before the gradient is taken, which passes between replicas where a layer has added up over them
        weight = tf.constant(1 / count if part is None else part.share, objective.dtype)
    scale = getattr(optimizer, "loss_scale", None)
    if scale is not None:
        weight = tf.cast(scale, objective.dtype)
    gradients = tape.gradient(objective, model.trainable_variables, output_gradients=weight)
    factors = [marks(variable).gradient_factor for variable in model.trainable_variables]
    gradients = [each if factor == 1 else factor * each for each, factor in zip(gradients, factors)]
    if scale is not None:
        return _update_scaled(model, optimizer, gradients)
    if count == 1:
        optimizer.apply(gradients, model.trainable_variables)
        return tf.linalg.global_norm(gradients)
    there = [index for index, gradient in enumerate(gradients) if gradient is not None]
    for index, gradient in zip(there, replicas.sum_over([gradients[index] for index in there])):
        gradients[index] = gradient
    with _adding_nothing_up(optimizer):
        optimizer.apply(gradients, model.trainable_variables)
    return tf.linalg.global_norm(gradients)


def _update_scaled(model: keras.Model, optimizer: keras.Optimizer, gradients: list[Any]) -> tf.Tensor:
    """Take a step by gradients that are as many times too large as the loss scale says; see `update`."""
    scale, steps = optimizer.loss_scale, optimizer.steps_of_scale
    part = 1 / tf.convert_to_tensor(scale)
    gradients = [None if each is None else tf.math.scalar_mul(part, each) for each in gradients]
    norm = tf.linalg.global_norm(gradients)

    def take() -> tf.Tensor:
        optimizer.apply(gradients, model.trainable_variables)
        enough = steps + 1 >= STEPS_TO_DOUBLE_IT
        scale.assign(tf.where(enough, 2 * scale, scale))
        steps.assign(tf.where(enough, 0, steps + 1))
        return norm

    def leave_out() -> tf.Tensor:
        said = tf.where(scale < 1, norm, 0.0)
        scale.assign(scale / 2)
        steps.assign(0)
        return said

    return tf.cond(tf.math.is_finite(norm), take, leave_out)


@contextlib.contextmanager
def _adding_nothing_up(optimizer: keras.Optimizer) -> Iterator[None]:
    """Within this, an optimizer takes gradients for sums over replicas, which it else makes itself.

    It keeps them to itself, and their norm is wanted; to add up twice would send everything over the network twice.
    """
    if not hasattr(optimizer, "_all_reduce_sum_gradients"):
        raise RuntimeError("This version of Keras adds gradients up elsewhere, so several replicas cannot be trained.")
    optimizer._all_reduce_sum_gradients = list
    try:
        yield
    finally:
        vars(optimizer).pop("_all_reduce_sum_gradients", None)  # of all replicas' threads the first one does it


def annealed(optimizer: keras.Optimizer, steps: int) -> tf.Tensor:
    """Return the factor of a term of the objective that comes in over the first steps of a training: float32.

    It rises linearly, 1 / steps in the first step and 1 from the last of them on; with 0 steps it is 1 at once.

    Args:
        optimizer: Its optimizer, which counts the steps taken.
        steps: In how many steps.

    Example:
        >>> objective = loss + training.annealed(optimizer, 1000) * layers.kl_divergence(model) / data.num_examples
    """
    return tf.minimum(tf.cast(tf.convert_to_tensor(optimizer.iterations) + 1, tf.float32) / max(steps, 1), 1.0)

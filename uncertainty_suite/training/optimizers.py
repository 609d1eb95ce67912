"""Optimizers and learning-rate schedules by configuration."""

import keras
import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from uncertainty_suite.errors import unknown_name

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "cosine", "step")


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class WarmupStepDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Raise the learning rate linearly, then multiply it by a ratio at given steps.

    `base * step / warmup_steps` while that is below one, then `base * ratio ** k` with `k` the number of `decay_steps`
    reached: the schedule of Uncertainty Baselines' CIFAR scripts (Zagoruyko and Komodakis 2016, with the warm-up of
    Goyal et al. 2017).
    """

    def __init__(
        self, base_learning_rate: float, warmup_steps: int, decay_steps: tuple[int, ...], decay_ratio: float
    ) -> None:
        """Create the schedule.

        Args:
            base_learning_rate: Rate after the warm-up.
            warmup_steps: Steps of the warm-up; 0 for none.
            decay_steps: Steps at which the rate is multiplied by `decay_ratio`.
            decay_ratio: The factor.
        """
        self.base_learning_rate = base_learning_rate
        self.warmup_steps = warmup_steps
        self.decay_steps = tuple(decay_steps)
        self.decay_ratio = decay_ratio

    def __call__(self, step):
        step = keras.ops.cast(step, "float32")
        reached = sum((keras.ops.cast(step >= decay, "float32") for decay in self.decay_steps), keras.ops.zeros(()))
        decayed = self.base_learning_rate * self.decay_ratio**reached
        if self.warmup_steps == 0:
            return decayed
        return keras.ops.where(
            step < self.warmup_steps, self.base_learning_rate * step / float(self.warmup_steps), decayed
        )

    def get_config(self) -> dict:
        return {
            "base_learning_rate": self.base_learning_rate,
            "warmup_steps": self.warmup_steps,
            "decay_steps": self.decay_steps,
            "decay_ratio": self.decay_ratio,
        }


def get_optimizer(
    config: ConfigDict, variables: list[keras.Variable], steps_per_epoch: int, epochs: int
) -> keras.optimizers.Optimizer:
    """Build the optimizer that a configuration names, for the variables that it shall train.

    Under a distribution strategy, call it within the strategy's scope.

    Args:
        config: `config.optimizer`: `name` (adam, adamw, sgd), `learning_rate`, `momentum` (sgd, Nesterov's),
            `weight_decay` (adamw), `schedule` (constant, cosine, step), `warmup_epochs`, and for `step` the tuple
            `decay_epochs` and `decay_ratio`.
        variables: What is trained.
        steps_per_epoch: Steps of one epoch.
        epochs: Epochs of the training; a cosine ends there.

    Raises:
        InputError: The optimizer or the schedule is not known.
    """
    warmup_steps = round(config.warmup_epochs * steps_per_epoch)
    if config.schedule == "step":
        decay_steps = tuple(int(np.ceil(epoch * steps_per_epoch)) for epoch in config.decay_epochs)
        learning_rate = WarmupStepDecay(config.learning_rate, warmup_steps, decay_steps, config.decay_ratio)
    elif config.schedule == "cosine":
        learning_rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup_steps else config.learning_rate,
            max(1, steps_per_epoch * epochs - warmup_steps),
            warmup_target=config.learning_rate if warmup_steps else None,
            warmup_steps=warmup_steps,
        )
    elif config.schedule == "constant":
        learning_rate = WarmupStepDecay(config.learning_rate, warmup_steps, (), 1.0)
    else:
        raise unknown_name("config.optimizer.schedule", config.schedule, SCHEDULES)

    if config.name == "adam":
        optimizer = keras.optimizers.Adam(learning_rate)
    elif config.name == "adamw":
        optimizer = keras.optimizers.AdamW(learning_rate, weight_decay=config.weight_decay)
    elif config.name == "sgd":
        optimizer = keras.optimizers.SGD(learning_rate, momentum=config.momentum, nesterov=config.momentum > 0)
    else:
        raise unknown_name("config.optimizer.name", config.name, OPTIMIZERS)
    optimizer.build(variables)
    return optimizer


def scale_learning_rate(optimizer: keras.optimizers.Optimizer, factor: float) -> None:
    """Multiply the learning rate of every step by a factor; call it before a train step is compiled."""
    rate = optimizer._learning_rate  # a schedule or a variable; the property gives the schedule's value
    optimizer.learning_rate = lambda: factor * (rate(optimizer.iterations) if callable(rate) else rate)


def l2_penalty(variables: list[keras.Variable], l2: float) -> tf.Tensor | float:
    """Return `l2` times the sum of squares of all variables, without a factor 1/2; nothing is computed for zero."""
    if l2 == 0:
        return 0.0
    return l2 * tf.add_n([tf.reduce_sum(tf.square(variable)) for variable in variables])

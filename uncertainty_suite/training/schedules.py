"""The learning-rate schedules that Keras lacks."""

from typing import Any

from uncertainty_suite import keras


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

    def __call__(self, step: Any) -> Any:
        step = keras.ops.cast(step, "float32")
        reached = sum((keras.ops.cast(step >= decay, "float32") for decay in self.decay_steps), keras.ops.zeros(()))
        decayed = self.base_learning_rate * self.decay_ratio**reached
        if self.warmup_steps == 0:
            return decayed
        return keras.ops.where(
            step < self.warmup_steps, self.base_learning_rate * step / float(self.warmup_steps), decayed
        )

    def get_config(self) -> dict[str, Any]:
        return {
            "base_learning_rate": self.base_learning_rate,
            "warmup_steps": self.warmup_steps,
            "decay_steps": self.decay_steps,
            "decay_ratio": self.decay_ratio,
        }


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class Cycles(keras.optimizers.schedules.LearningRateSchedule):
    """Begin another schedule anew after every so many steps.

    With half a cosine it is that of warm restarts (Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983) and of
    snapshots (Huang et al. 2017, https://arxiv.org/abs/1704.00109).
    """

    def __init__(self, schedule: Any, steps: int) -> None:
        """Create the schedule.

        Args:
            schedule: The schedule of one cycle.
            steps: Steps of a cycle.
        """
        self.schedule = schedule
        self.steps = steps

    def __call__(self, step: Any) -> Any:
        return self.schedule(keras.ops.mod(keras.ops.cast(step, "int64"), self.steps))

    def get_config(self) -> dict[str, Any]:
        return {"schedule": keras.saving.serialize_keras_object(self.schedule), "steps": self.steps}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Cycles":
        return cls(keras.saving.deserialize_keras_object(config["schedule"]), config["steps"])


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class ConstantFrom(keras.optimizers.schedules.LearningRateSchedule):
    """Leave another schedule at a step, and keep a constant rate from there on.

    So weights are averaged in Izmailov et al. 2018 (https://arxiv.org/abs/1803.05407).
    """

    def __init__(self, schedule: Any, step: int, learning_rate: float) -> None:
        """Create the schedule.

        Args:
            schedule: The schedule until then.
            step: The first step with the constant rate.
            learning_rate: That rate.
        """
        self.schedule = schedule
        self.step = step
        self.learning_rate = learning_rate

    def __call__(self, step: Any) -> Any:
        return keras.ops.where(keras.ops.cast(step, "int64") < self.step, self.schedule(step), self.learning_rate)

    def get_config(self) -> dict[str, Any]:
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": schedule, "step": self.step, "learning_rate": self.learning_rate}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ConstantFrom":
        return cls(**{**config, "schedule": keras.saving.deserialize_keras_object(config["schedule"])})

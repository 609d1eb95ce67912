"""What every likelihood answers."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from uncertainty_suite.errors import InputError
from uncertainty_suite.predictions import Predictions

if TYPE_CHECKING:
    import tensorflow as tf

Saved = dict[str, np.ndarray]  # the arrays of a `predictions/<split>.npz`

_NUMBERS_AT_ONCE = 2**23  # of an array; in float64 64 MB


class Likelihood(abc.ABC):
    """The distribution of a label given a network's outputs.

    The upper methods run inside train steps and `predict` functions and use TensorFlow; the lower ones take and return
    NumPy arrays and import no TensorFlow.

    Attributes:
        name: Its name.
        num_outputs: Units that a head needs.
        headline: The metrics of a labelled split that a table shows first.
        calibration: The post-hoc method that corrects the scale of its predictions, and nothing else.
        calibration_options: Options of post-hoc calibrations of `calibration_input`.
        has_errors: Whether a prediction is right or wrong.
        criterion: The metric by which a method's settings are chosen on the validation split.
        by_sample: The saved arrays whose first axis runs over samples and whose second one over examples.
    """

    name: ClassVar[str]
    num_outputs: int
    headline: ClassVar[tuple[str, ...]]
    calibration: ClassVar[str]
    calibration_options: ClassVar[Mapping[str, Any]] = {}
    has_errors: ClassVar[bool] = False
    criterion: ClassVar[str]
    by_sample: ClassVar[tuple[str, ...]]

    @property
    @abc.abstractmethod
    def parameters(self) -> dict[str, Any]:
        """What `likelihoods.get` takes to make it again, as JSON has it."""

    @abc.abstractmethod
    def loss(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Return the negative log-likelihood of each label in nats.

        Args:
            outputs: float32 `[batch, units]`, or `[batch, members, units]`.
            labels: `[batch]`.

        Returns:
            float32 `[batch]`, or `[batch, members]`.
        """

    @abc.abstractmethod
    def progress(self, outputs: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the scalars to show in training, means over a batch, by name; arguments as for `loss`."""

    @abc.abstractmethod
    def predict(
        self,
        outputs: tf.Tensor,
        features: tf.Tensor | None = None,
        latent_variance: tf.Tensor | None = None,
        uncertainty: Mapping[str, tf.Tensor] | None = None,
        output_variance: tf.Tensor | None = None,
    ) -> Predictions:
        """Return what outputs say of a batch.

        Args:
            outputs: float32 `[samples, batch, units]`.
            features: What the head saw, `[batch, d]`.
            latent_variance: Variance `[batch]` of the function whose value `outputs` are the mean of, as a method knows
                it whose head is a Gaussian process. It makes the prediction less certain.
            uncertainty: Further uncertainties `[batch]` of the method, by name.
            output_variance: Variances `[batch, num_latents]` of the latent outputs, whose means `outputs` has, as a
                method knows them whose last layer has a distribution.
        """

    @property
    def num_latents(self) -> int:
        """How many of the outputs, the first ones, are values of the function that is learnt.

        A method that gives the last layer's weights a distribution does so for these; the others, such as the scale of
        a Gaussian, say how labels scatter about them.

        Raises:
            InputError: The likelihood does not say it.
        """
        raise self._without("its latent outputs")

    def fisher_information(self, outputs: tf.Tensor) -> tf.Tensor:
        """Return what a label tells of the latent outputs: the expected Hessian of `loss` in them.

        Args:
            outputs: `[batch, units]`.

        Returns:
            Symmetric and positive semi-definite `[batch, latents, latents]`.

        Raises:
            InputError: The likelihood does not say it.
        """
        raise self._without("its Fisher information")

    def expected_loss(self, outputs: tf.Tensor, output_variance: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Return the expectation of `loss` over independent Gaussian latent outputs, or an upper bound of it.

        Args:
            outputs: Their means, and the other outputs, `[batch, units]`.
            output_variance: Their variances, `[batch, latents]`.
            labels: `[batch]`.

        Returns:
            `[batch]`, in nats.

        Raises:
            InputError: The likelihood does not say it.
        """
        raise self._without("its expected loss")

    def refuse(self, output_variance: tf.Tensor | None) -> None:
        """Raise an `InputError` if there is a variance of outputs, which a likelihood may have no place for."""
        if output_variance is not None:
            raise self._without("what a variance of its outputs means")

    def _without(self, what: str) -> InputError:
        return InputError(f"The likelihood '{self.name}' does not say {what}, so this method is not for it.")

    @staticmethod
    @abc.abstractmethod
    def savable() -> dict[str, str]:
        """Return the arrays that a configuration can ask to be saved: the field of `Predictions` behind each name."""

    @staticmethod
    @abc.abstractmethod
    def to_saved(predictions: Predictions) -> Saved:
        """Return what a run saves of every split, from predictions of some examples as NumPy arrays."""

    @classmethod
    def pieces(cls, saved: Saved) -> Iterator[Saved]:
        """Yield saved predictions some examples at a time: all at once, unless they are very many numbers."""
        axes = {name: int(name in cls.by_sample) for name, values in saved.items() if np.ndim(values)}
        count = next(saved[name].shape[axis] for name, axis in axes.items())
        step = max(1, _NUMBERS_AT_ONCE * count // max(1, *(saved[name].size for name in axes)))
        for start in range(0, count, step):
            rows = slice(start, start + step)
            chosen = {name: saved[name][:, rows] if axis else saved[name][rows] for name, axis in axes.items()}
            yield {**saved, **chosen}

    @classmethod
    def by_example(cls, function: Callable[[Saved], np.ndarray], saved: Saved) -> np.ndarray:
        """Return what a function gives for each example of saved predictions, `[n]`, having asked it for `pieces`."""
        return np.concatenate([function(piece) for piece in cls.pieces(saved)])

    @staticmethod
    @abc.abstractmethod
    def num_samples(saved: Mapping[str, Any]) -> int:
        """Return how many samples are saved.

        Raises:
            InputError: Only their mean is.
        """

    @staticmethod
    @abc.abstractmethod
    def of_members(saved: Mapping[str, Any], members: Sequence[int]) -> Saved:
        """Return what would be saved of some of the samples alone, without labels."""

    @staticmethod
    @abc.abstractmethod
    def metric_input(saved: Mapping[str, Any]) -> Any:
        """Return what the `add_batch` of a metric receives as its predictions, from saved arrays."""

    @staticmethod
    @abc.abstractmethod
    def calibration_input(saved: Mapping[str, Any]) -> Any:
        """Return what a post-hoc calibration receives, from saved arrays."""

    @staticmethod
    @abc.abstractmethod
    def samples_input(predictions: Predictions) -> Any:
        """Return what a metric of samples receives, from predictions as NumPy arrays."""

    @staticmethod
    @abc.abstractmethod
    def uncertainties(saved: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return each uncertainty of saved predictions as `[n]`, larger where the method is less certain.

        The first one is what every method with this likelihood has.
        """

    @staticmethod
    @abc.abstractmethod
    def decomposed(saved: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the aleatoric and the epistemic uncertainty of each example, `[n]` each; None of a single sample."""

    @staticmethod
    @abc.abstractmethod
    def ood_summary(inside: Mapping[str, np.ndarray], outside: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Return further numbers of an OOD set, from saved predictions of it and of the in-distribution split."""


def further_uncertainties(saved: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the uncertainties that were saved beside the predictions, by name."""
    prefix = "uncertainty/"
    return {name.removeprefix(prefix): values for name, values in saved.items() if name.startswith(prefix)}

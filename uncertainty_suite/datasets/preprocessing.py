"""From stored arrays to what the model sees: shape and normalisation belong to the task, not to the stored data."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """The form in which a task's model receives its inputs.

    Attributes:
        input_shape: Shape of one example, `(height, width, channels)` for images.
        means: Per channel, subtracted from features in [0, 1]. Empty: nothing is.
        standard_deviations: Per channel, divided by after that. Empty: nothing is.
    """

    input_shape: tuple[int, ...]
    means: tuple[float, ...] = ()
    standard_deviations: tuple[float, ...] = ()

    def __call__(
        self, features: tf.Tensor, maximum: float, change: Callable[[tf.Tensor], tf.Tensor] | None = None
    ) -> tf.Tensor:
        """Return features in this form. Each example's result depends on that example only.

        Args:
            features: `[batch, ...]`, of any numeric type; images of another size or number of channels are converted
                (RGB to its luminance, gray to three equal channels, then bilinear resizing with antialiasing).
            maximum: The stored value that stands for 1.
            change: What to do to images that have their size and are still in [0, 1].

        Returns:
            float32 `[batch, *input_shape]`.
        """
        import tensorflow as tf

        features = tf.cast(features, tf.float32) / maximum
        if tuple(features.shape[1:]) != self.input_shape:
            height, width, channels = self.input_shape
            if features.shape[-1] == 3 and channels == 1:
                features = tf.image.rgb_to_grayscale(features)
            elif features.shape[-1] == 1 and channels == 3:
                features = tf.image.grayscale_to_rgb(features)
            if tuple(features.shape[1:3]) != (height, width):
                features = tf.image.resize(features, (height, width), method="bilinear", antialias=True)
        if change is not None:
            features = change(features)
        if self.means:
            features = (features - tf.constant(self.means)) / tf.constant(self.standard_deviations)
        return features

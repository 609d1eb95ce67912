"""Fixed masks, one for each member, in place of those that dropout draws."""

from __future__ import annotations

from typing import Any

import numpy as np

from uncertainty_suite import keras, replicas, tf
from uncertainty_suite.errors import InputError

_MOST_DRAWS = 500  # for each number of positions


def member_masks(members: int, channels: int, scale: float, seed: int) -> np.ndarray:
    """Draw masks that keep equally many channels each and all channels together.

    Durasov et al. 2021, https://arxiv.org/abs/2012.08334: each of n masks keeps m of about m s positions, drawn without
    replacement, and positions that no mask keeps are dropped. For the given number of channels c to be left, m is
    c / (s (1 - (1 - 1/s)^n)), rounded down, and at least c / n. Two masks have about m / s channels in common.

    Args:
        members: Number of masks, n.
        channels: Number of channels, c.
        scale: How little masks overlap, s, at least 1; with 1 each keeps every channel.
        seed: Integer seed, on which alone the masks depend.

    Returns:
        float32 `[members, channels]` of 0 and 1.

    Raises:
        InputError: The scale is below 1.
    """
    if scale < 1:
        raise InputError(f"The scale of masks must be at least 1, received {scale}.")
    rng = np.random.default_rng(seed)
    kept = int(channels / (scale * (1 - (1 - 1 / scale) ** members)) + 1e-9)
    kept = max(kept, -(-channels // members))
    fewest = max(channels, round(kept * scale))
    # Those that make the expected number of channels the right one come first, then their neighbours.
    for num_positions in sorted(range(channels, 2 * fewest + 2), key=lambda number: abs(number - fewest)):
        for _ in range(_MOST_DRAWS):
            order = rng.random((members, num_positions)).argsort(axis=1)
            masks = order < kept
            used = masks.any(axis=0)
            if used.sum() == channels:
                return masks[:, used].astype(np.float32)
    raise InputError(f"No {members} masks of scale {scale} for {channels} channels were found. Take a smaller scale.")


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class MemberMasks(keras.layers.Layer):
    """Multiply the channels of each member's rows by its mask, in training and in prediction.

    Durasov et al. 2021, https://arxiv.org/abs/2012.08334. Row i of n belongs to member i * members // n: each member
    has a run of rows, equally many if they can be shared out. So a training batch is shared out to the members, and a
    batch that `TileMembers` has repeated is seen by each of them. Kept values are not scaled.

    Args:
        rate: That of the dropout in whose place the masks are: with 0 the layer is the identity and has no masks.
        members: Number of masks.
        scale: How little masks overlap; see `member_masks`.
        seed: Integer seed of the masks; `None` takes one from Keras' global seed.

    Attributes:
        active: Whether there are masks.

    Example:
        >>> layer = MemberMasks(0.5, members=4, scale=2.0)
        >>> layer(TileMembers(4)(tf.ones((2, 64))))  # rows 0 and 1 have the first mask, 2 and 3 the next one
    """

    def __init__(
        self, rate: float, members: int = 4, scale: float = 2.0, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.members = members
        self.scale = scale
        self.seed = seed
        self.active = rate > 0
        self.supports_masking = True

    def build(self, input_shape: tuple[Any, ...]) -> None:
        if self.active:
            seed = keras.initializers.RandomUniform(seed=self.seed).seed  # one of Keras' where there is none
            masks = member_masks(self.members, input_shape[-1], self.scale, seed)
            self.masks = self.add_weight(
                shape=masks.shape,
                initializer=lambda shape, dtype: tf.cast(masks, dtype),
                trainable=False,
                name="masks",
            )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        if not self.active:
            return inputs
        count = tf.shape(inputs)[0] if inputs.shape[0] is None else inputs.shape[0]
        part = replicas.current()
        start, whole = (0, count) if part is None or count != part.size else (part.start, part.batch_size)
        masks = tf.gather(tf.convert_to_tensor(self.masks), (start + tf.range(count)) * self.members // whole)
        return inputs * tf.reshape(masks, [count, *[1] * (len(inputs.shape) - 2), inputs.shape[-1]])

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rate": self.rate,
            "members": self.members,
            "scale": self.scale,
            "seed": self.seed,
        }

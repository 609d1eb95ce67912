"""Initialisers of the fixed random projections behind random Fourier features."""

from __future__ import annotations

import math

from uncertainty_suite import keras, tf


@keras.saving.register_keras_serializable(package="uncertainty_suite")
class OrthogonalRandomFeatures(keras.initializers.Initializer):
    """Draw a matrix `[rows, columns]` whose columns are orthogonal in blocks of `rows`.

        W = stddev * [Q_1 diag(r_1), Q_2 diag(r_2), ...]

    Each Q is a uniformly drawn orthogonal matrix and each r a vector of independent chi variables with `rows` degrees
    of freedom, so that every column is distributed as a normal vector while the features approximate the kernel with
    less variance than independent columns (Yu et al. 2016, https://arxiv.org/abs/1610.09072). Every block is drawn
    afresh; some published implementations repeat one block, which leaves only `rows` distinct directions.

    Args:
        stddev: Standard deviation of an entry.
        random_norm: Whether column norms are chi-distributed; otherwise they all are `stddev * sqrt(rows)`.
        seed: Integer seed; `None` takes one from Keras' global seed.
    """

    def __init__(self, stddev: float = 1.0, random_norm: bool = True, seed: int | None = None):
        self.stddev = stddev
        self.random_norm = random_norm
        self.seed = seed
        self._normal = keras.initializers.RandomNormal(stddev=1.0, seed=seed)

    def __call__(self, shape: tuple[int, int], dtype: str | None = None) -> tf.Tensor:
        rows, columns = shape
        blocks = -(-columns // rows)
        for_directions, for_norms = tf.split(self._normal((blocks, rows, 2 * rows), dtype="float32"), 2, axis=2)
        q, r = tf.linalg.qr(for_directions)
        # QR fixes signs by convention; undoing that makes Q uniform over the orthogonal matrices.
        q *= tf.sign(tf.linalg.diag_part(r))[:, tf.newaxis, :]
        norms = tf.norm(for_norms, axis=1, keepdims=True) if self.random_norm else math.sqrt(rows)
        columns_of_blocks = tf.transpose(q * norms, (1, 0, 2))  # [rows, blocks, rows]
        features = tf.reshape(columns_of_blocks, (rows, blocks * rows))[:, :columns]
        return tf.cast(self.stddev * features, dtype or keras.config.floatx())

    def get_config(self) -> dict:
        return {"stddev": self.stddev, "random_norm": self.random_norm, "seed": self.seed}

"""Whether half precision pays: on a processor without instructions for it, it is emulated, and slower than float32."""

from __future__ import annotations

import time
from pathlib import Path

from absl import logging

from uncertainty_suite import tf
from uncertainty_suite.errors import InputError

# Of x86 and ARM, those that decide how fast matrix products are in one precision or another.
INSTRUCTIONS = (
    *("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile", "avx_vnni", "avx512_vnni"),
    *("asimd", "bf16", "sve"),
)
_BATCH, _SIDE, _CHANNELS, _UNITS = 32, 14, 64, 128  # a layer of a small network: tens of milliseconds in float32
_TRIES = 3


def instructions(cpuinfo: Path = Path("/proc/cpuinfo")) -> list[str] | None:
    """Return which of `INSTRUCTIONS` this processor has, or None where the system does not say."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return None
    has = next((line.split(":", 1)[1].split() for line in lines if line.startswith(("flags", "Features"))), None)
    return None if has is None else [name for name in INSTRUCTIONS if name in has]


def check_devices(precision: str, num_devices: int) -> None:
    """Refuse float16 on several devices, which would have to agree on the loss scale.

    Args:
        precision: Of the configuration.
        num_devices: How many train together.

    Raises:
        InputError: It is float16, and there are several.
    """
    if precision == "mixed_float16" and num_devices > 1:
        raise InputError(
            f"config.precision is mixed_float16, which trains on one device, and there are {num_devices}. Take "
            "--config.precision=mixed_bfloat16, or --strategy=one_device."
        )


def warn_if_slow(precision: str) -> None:
    """Say so, with the factor, where a training in half precision takes longer on this processor than one in float32.

    A convolution, a matrix product and their gradients are timed in both. No result depends on it.

    Args:
        precision: Of the configuration.
    """
    if precision == "float32" or tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("TPU"):
        return
    half = precision.removeprefix("mixed_")
    factor = seconds(half) / seconds("float32")
    if factor > 1:
        logging.warning(
            "config.precision is %s, and a convolution and a matrix product with their gradients take "
            "%.1f x as long in %s as in float32 on this processor (%s), measured just now. The run goes on; "
            "with --config.precision=float32 it is probably faster here.",
            precision,
            factor,
            half,
            "which has " + ", ".join(instructions() or ["no instructions that the system names"]),
        )


def seconds(dtype: str) -> float:
    """Return how long one such step takes, the least of three tries."""
    shapes = (
        (_BATCH, _SIDE, _SIDE, _CHANNELS),
        (3, 3, _CHANNELS, _CHANNELS),
        (_SIDE * _SIDE * _CHANNELS, _UNITS),
    )
    inputs = [tf.ones(shape, dtype) for shape in shapes]

    @tf.function
    def step(images: tf.Tensor, kernel: tf.Tensor, weights: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch((kernel, weights))
            features = tf.nn.relu(tf.nn.conv2d(images, kernel, 1, "SAME"))
            loss = tf.reduce_sum(tf.matmul(tf.reshape(features, [_BATCH, -1]), weights))
        return tape.gradient(loss, (kernel, weights))

    times = []
    for _ in range(_TRIES + 1):  # the first one traces
        began = time.perf_counter()
        for gradient in step(*inputs):
            gradient.numpy()  # waits for it
        times.append(time.perf_counter() - began)
    return min(times[1:])

"""What architectures check of their options and inputs."""

from __future__ import annotations

import numbers
from typing import Any

from uncertainty_suite import keras
from uncertainty_suite.errors import InputError


def require_counts(architecture: str, **options: Any) -> None:
    """Refuse options that are not whole numbers of at least 1; of a tuple every one must be.

    Raises:
        InputError: An option is something else.
    """
    for name, value in options.items():
        for each in value if isinstance(value, (tuple, list)) else [value]:
            if not isinstance(each, numbers.Integral) or isinstance(each, bool) or each < 1:
                raise _wrong(architecture, name, "whole numbers of at least 1", value)


def require_rates(architecture: str, **options: Any) -> None:
    """Refuse options that are not numbers of at least 0 and below 1; of a tuple every one must be.

    Raises:
        InputError: An option is something else.
    """
    for name, value in options.items():
        for each in value if isinstance(value, (tuple, list)) else [value]:
            if not isinstance(each, (int, float)) or not 0 <= each < 1:
                raise _wrong(architecture, name, "numbers of at least 0 and below 1", value)


def require_pairs(architecture: str, **options: Any) -> None:
    """Refuse options that are not tuples of two.

    Raises:
        InputError: An option is something else.
    """
    for name, value in options.items():
        if not isinstance(value, (tuple, list)) or len(value) != 2:
            raise _wrong(architecture, name, "a tuple of two", value)


def _wrong(architecture: str, option: str, expected: str, value: Any) -> InputError:
    return InputError(f"Option {option} of architecture {architecture} takes {expected}, not {value!r}.")


def require_one_input(architecture: str, inputs: Any) -> None:
    """Refuse examples of several parts.

    Raises:
        InputError: `inputs` is not a single tensor.
    """
    if not isinstance(inputs, keras.KerasTensor):
        raise InputError(
            f"Architecture {architecture} takes examples of one part, and this data set has {len(inputs)}: "
            f"{', '.join(sorted(inputs))}. Register one that joins them, by @models.register."
        )


def require_images(architecture: str, inputs: Any, min_size: int) -> None:
    """Refuse examples that a convolutional architecture cannot take.

    Raises:
        InputError: `inputs` are not `[batch, height, width, channels]` with sides of `min_size` pixels at least.
    """
    require_one_input(architecture, inputs)
    shape = inputs.shape[1:]
    if len(shape) != 3 or min(shape[:2]) < min_size:
        raise InputError(
            f"Architecture {architecture} takes images of at least {min_size} x {min_size} pixels, and this data set "
            f"has examples of shape {tuple(shape)}. Choose another --config.model.name, e.g. resnet_mlp."
        )


def require_tokens(architecture: str, inputs: Any) -> None:
    """Refuse examples that are not token ids.

    Raises:
        InputError: `inputs` are not `[batch, length]` with a known length.
    """
    require_one_input(architecture, inputs)
    shape = inputs.shape[1:]
    if len(shape) != 1 or shape[0] is None:
        raise InputError(
            f"Architecture {architecture} takes token ids, a vector of fixed length for each example, and this data "
            f"set has examples of shape {tuple(shape)}. Choose another --config.model.name."
        )


def require_graphs(architecture: str, inputs: Any, num_features: int) -> None:
    """Refuse examples that are not graphs.

    Raises:
        InputError: `inputs` are not `[batch, nodes, num_features + nodes]`.
    """
    require_one_input(architecture, inputs)
    shape = inputs.shape[1:]
    if len(shape) != 2 or shape[1] != shape[0] + num_features:
        raise InputError(
            f"Architecture {architecture} takes graphs, rows of num_features={num_features} ids and an edge to each "
            f"row, and this data set has examples of shape {tuple(shape)}. Choose another --config.model.name, or "
            "data such as herg/graphs."
        )


def require_heads(name: str, num_heads: int, num_hidden: int) -> None:
    """Raise an `InputError` unless the heads of attention share the units evenly."""
    if num_hidden % num_heads:
        raise InputError(f"Architecture {name} takes num_heads that divide num_hidden={num_hidden}, not {num_heads}.")

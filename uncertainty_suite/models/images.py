"""What the convolutional architectures share."""

from uncertainty_suite.errors import InputError


def require_images(name: str, input_shape: tuple[int, ...], min_size: int) -> None:
    """Refuse examples that a convolutional architecture cannot take.

    Raises:
        InputError: `input_shape` is not `[height, width, channels]` with sides of `min_size` pixels at least.
    """
    if len(input_shape) != 3 or min(input_shape[:2]) < min_size:
        raise InputError(
            f"Architecture {name} takes images of at least {min_size} x {min_size} pixels, and this data set has "
            f"examples of shape {tuple(input_shape)}. Choose another --config.model.name, e.g. resnet_mlp."
        )

"""What a layer asks of training for one of its variables."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uncertainty_suite import keras


@dataclasses.dataclass(frozen=True)
class Marks:
    """Hold what training does with a variable.

    Attributes:
        penalized: Whether the l2 penalty counts it.
        gradient_factor: What its gradient is multiplied by. Under plain gradient descent it is a factor on the learning
            rate; Adam, which divides by the size of the gradients, undoes it.
    """

    penalized: bool = True
    gradient_factor: float = 1.0


def mark(variable: keras.Variable, penalized: bool = True, gradient_factor: float = 1.0) -> keras.Variable:
    """Say what training shall do with a variable, and return it; see `Marks`.

    Example:
        >>> self.fast_weight = mark(self.add_weight(shape=(4, 8), name="fast_weight"), penalized=False)
    """
    variable.marks = Marks(penalized, gradient_factor)
    return variable


def marks(variable: keras.Variable) -> Marks:
    """Return what training does with a variable."""
    return getattr(variable, "marks", Marks())

"""What this machine can do at most, and how long a function must take at least: its floor, and its products alone.

The floor is the longest of three times: its floating-point operations at the machine's peak, the bytes that it cannot
help to move at the rate of memory, its random numbers at the rate of the generator. The rates are measured here, so a
time over its floor means the same on every machine. Its products alone are the matrix products and convolutions of its
own graph, gradients included, of the same sizes and in the same order, with nothing between them.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from comparison import compare

from uncertainty_suite import cost, keras, tf
from uncertainty_suite.training import precision

REPEATS = 10
MEGABYTES = {"in caches": 2, "in memory": 256}  # moved to measure how fast; what is less than their mean is the former
BFLOAT16 = {"amx_bf16", "avx512_bf16", "bf16"}  # the instructions for it; without them it is emulated
_LINEAR_ALGEBRA = ("Cholesky", "Matrix")  # what these get must be invertible


@dataclasses.dataclass(frozen=True)
class Work:
    """What has to be done.

    Attributes:
        flops: Floating-point operations, a multiply-add two.
        moved: Bytes read or written.
        drawn: Bytes of random numbers.
    """

    flops: float
    moved: float
    drawn: float

    def __add__(self, other: "Work") -> "Work":
        return Work(self.flops + other.flops, self.moved + other.moved, self.drawn + other.drawn)

    def __mul__(self, times: float) -> "Work":
        return Work(times * self.flops, times * self.moved, times * self.drawn)


@dataclasses.dataclass(frozen=True)
class Limits:
    """The most that this machine was seen to do in a second.

    Attributes:
        flops: Floating-point operations, by precision: of matrix products or convolutions, the faster of both.
        moved: Bytes read or written, by where they are.
        drawn: Bytes of random numbers.
    """

    flops: dict[str, float]
    moved: dict[str, float]
    drawn: float

    def floor(self, work: Work, precision: str = "float32") -> float:
        """Return the seconds that it takes at least."""
        where = "in caches" if work.moved < 1e6 * np.mean(list(MEGABYTES.values())) else "in memory"
        return max(work.flops / self.flops[precision], work.moved / self.moved[where], work.drawn / self.drawn)


def precisions() -> list[str]:
    """Return the precisions that this machine has hardware for."""
    fast = tf.config.list_physical_devices("GPU") or BFLOAT16 & set(precision.instructions() or ())
    return ["float32", "bfloat16"] if fast else ["float32"]


def measure(ask_pytorch: Callable[..., Any] | None = None) -> Limits:
    """Measure this machine, and print what each operation reaches.

    Args:
        ask_pytorch: PyTorch's products count, too, where it is there: `PyTorch.request` of `speed.py`.
    """
    flops = {precision: _measure_products(precision, ask_pytorch) for precision in precisions()}
    shift = tf.function(lambda x: x + 1.0)
    moved = {}
    for where, megabytes in MEGABYTES.items():
        values = tf.zeros([megabytes * 10**6 // 8])  # of four bytes, read once and written once
        moved[where] = _most(1e6 * megabytes, functools.partial(shift, values))
    numbers = tf.function(lambda: tf.random.stateless_uniform([2**22], (0, 0), None, None, tf.uint32, alg="philox"))
    limits = Limits(flops, moved, _most(4 * 2**22, numbers))
    rates = ", ".join(f"{rate / 1e9:.1f} GB/s {where}" for where, rate in moved.items())
    print(f"# {rates}, {limits.drawn / 1e9:.2f} GB/s of random numbers")
    return limits


def _measure_products(precision: str, ask_pytorch: Callable[..., Any] | None) -> float:
    size, shape = 2048, (64, 32, 32, 64)  # of the square matrices and of the images
    matrix, images, kernel = (
        tf.cast(tf.random.stateless_uniform(s, (0, 0)), precision) for s in ((size, size), shape, (3, 3, 64, 64))
    )
    product = tf.function(lambda: tf.matmul(matrix, matrix)[0, 0])
    convolution = tf.function(lambda: tf.nn.conv2d(images, kernel, 1, "SAME")[0, 0, 0, 0])
    reached = []
    for job, flops, function, options in (
        ("matrix product", 2 * size**3, product, {"size": size}),
        ("convolution", 18 * 64 * math.prod(shape), convolution, {"shape": shape}),
    ):
        sides = {"TensorFlow": function}
        if ask_pytorch:
            ask_pytorch(job=job, precision=precision, **options)
            sides["PyTorch"] = ask_pytorch
        for name, side in sides.items():
            reached.append(_most(flops, side))
            print(f"# {job}, {precision}, {name}: {reached[-1] / 1e9:.0f} GFLOP/s")
    return max(reached)


def _most(amount: float, function: Callable[[], Any]) -> float:
    return amount / float(compare({"": function}, REPEATS)[""].min())


class Traced:
    """What a call of a `tf.function` has to do.

    Attributes:
        work: How much.
    """

    def __init__(self, function: Any, *args: Any, written: Iterable[Any] = (), **keywords: Any) -> None:
        """Trace it for some arguments.

        Args:
            function: The function.
            *args: Its arguments, tensors.
            written: The variables that it writes. It reads all that it uses, once at least.
            **keywords: The same, by name.

        Raises:
            cost.UnknownShapeError: The size of a tensor is known only when it runs.
        """
        self._steps = cost.steps_of(function, *args, **keywords)
        read = function.get_concrete_function(*args, **keywords).graph.variables
        tensors = [*read, *written, *keras.tree.flatten([args, keywords])]
        self.work = Work(
            flops=sum(step.flops for step in self._steps),
            moved=sum(math.prod(each.shape) * tf.as_dtype(each.dtype).size for each in tensors),
            drawn=sum(step.drawn for step in self._steps),
        )

    def products_alone(self) -> Callable[[], Any]:
        """Return a function of nothing that computes its products, and returns a number of each of them."""
        given: list[tf.Tensor] = []  # each product has its own arguments: of equal ones, one would be computed
        made: dict[Any, tf.Tensor] = {}  # the memory behind them is the same for each shape
        products: dict[int, range] = {}
        for index, step in enumerate(self._steps):
            if step.flops:
                arguments = [_like(tensor, step.operation, made) for tensor in step.operation.inputs]
                products[index] = range(len(given), len(given) + len(arguments))
                given += arguments

        @tf.function(autograph=False)
        def function(*tensors: tf.Tensor) -> list[tf.Tensor]:
            done: dict[int, list[Any]] = {}  # for each step the products to wait for
            numbers = []
            for index, step in enumerate(self._steps):
                done[index] = list(dict.fromkeys(each for before in step.after for each in done[before]))
                if index in products:
                    output = _again(step.operation, [tensors[argument] for argument in products[index]], done[index])
                    done[index] = [output.op]
                    numbers.append(tf.slice(output, [0] * output.shape.rank, [1] * output.shape.rank))
            return numbers

        return functools.partial(function, *given)


def _like(tensor: Any, operation: Any, made: dict[Any, tf.Tensor]) -> tf.Tensor:
    """Return a tensor of the same shape: ones, or what can be inverted."""
    if not tensor.shape.is_fully_defined():
        raise cost.UnknownShapeError(f"{tensor.name} has the shape {tensor.shape}")
    solves = operation.type.startswith(_LINEAR_ALGEBRA) and tensor.name == operation.inputs[0].name
    key = (tuple(tensor.shape), tensor.dtype, solves)
    if key not in made:
        made[key] = tf.eye(*key[0][-2:], key[0][:-2], tensor.dtype) if solves else tf.ones(*key[:2])
    return made[key]


def _again(operation: Any, tensors: list[tf.Tensor], after: list[Any]) -> tf.Tensor:
    """Return the first output of the same operation on other tensors, once others are done."""
    rest, arguments, counts = list(tensors), {}, set()
    for argument in operation.op_def.input_arg:
        counts.add(argument.number_attr)
        if argument.number_attr:
            arguments[argument.name], rest = rest, []
        elif argument.name in ("input_sizes", "filter_sizes"):  # what a gradient is told, and must be a constant
            arguments[argument.name] = tf.constant(operation.outputs[0].shape.as_list())
            rest.pop(0)
        else:
            arguments[argument.name] = rest.pop(0)
    for attribute in operation.op_def.attr:
        if attribute.type != "type" and attribute.name not in counts:
            value = operation.get_attr(attribute.name)
            arguments[attribute.name] = value.decode() if isinstance(value, bytes) else value
    with tf.control_dependencies(after):
        outputs = getattr(tf.raw_ops, operation.type)(**arguments)
    return outputs if isinstance(outputs, tf.Tensor) else outputs[0]

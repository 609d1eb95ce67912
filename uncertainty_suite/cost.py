"""Floating-point operations of a function, counted from its graph.

TensorFlow's own profiler (`tf.compat.v1.profiler`) does not enter the functions that a graph calls, nor loops and
branches, has no formula for `Einsum`, depthwise gradients and linear algebra, takes the gradient of an unpadded
convolution for that of a padded one, and the inner dimension of a transposed batched product for its outer one.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from uncertainty_suite import tf

# The attribute that says whether the first factor is transposed.
_PRODUCTS = {
    "MatMul": "transpose_a",
    "BatchMatMul": "adj_x",
    "BatchMatMulV2": "adj_x",
    "BatchMatMulV3": "adj_x",
}
# Where the kernel and the output of a convolution are; of a gradient, those of the convolution that it belongs to.
_FORWARD = (("inputs", 1), ("outputs", 0))
_INPUT_GRADIENT = (("inputs", 1), ("inputs", 2))
_KERNEL_GRADIENT = (("outputs", 0), ("inputs", 2))
_CONVOLUTIONS = {
    "Conv2D": _FORWARD,
    "Conv2DBackpropInput": _INPUT_GRADIENT,
    "Conv2DBackpropFilter": _KERNEL_GRADIENT,
    "Conv3D": _FORWARD,
    "Conv3DBackpropInputV2": _INPUT_GRADIENT,
    "Conv3DBackpropFilterV2": _KERNEL_GRADIENT,
    "DepthwiseConv2dNative": _FORWARD,
    "DepthwiseConv2dNativeBackpropInput": _INPUT_GRADIENT,
    "DepthwiseConv2dNativeBackpropFilter": _KERNEL_GRADIENT,
}
# Of an n x n matrix, and of k columns on the right-hand side.
_LINEAR_ALGEBRA: dict[str, Callable[[int, int], float]] = {
    "Cholesky": lambda n, k: n**3 / 3,
    "MatrixInverse": lambda n, k: 2 * n**3,
    "MatrixSolve": lambda n, k: 2 * n**3 / 3 + 2 * n**2 * k,
    "MatrixTriangularSolve": lambda n, k: n**2 * k,
}
# What the names of operations have in them that draw random numbers.
_DRAWS = (
    *("RandomUniform", "RandomNormal", "RandomStandardNormal", "TruncatedNormal"),
    *("StatefulUniform", "StatefulStandardNormal"),
)
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_LOOPS = ("While", "StatelessWhile")
_BRANCHES = ("If", "StatelessIf", "Case", "StatelessCase")


class UnknownShapeError(ValueError):
    """The size of a tensor is known only when the function runs, so that operations on it cannot be counted."""


def count_flops(function: Any, *example_args: Any, **keywords: Any) -> float:
    """Count the floating-point operations of one call of a `tf.function`.

    A multiply-add is two operations. Counted are matrix products, convolutions (plain, grouped, depthwise, transposed,
    2D and 3D) and their gradients, einsums of two tensors, Cholesky factors (n^3 / 3), triangular solves (n^2 for each
    right-hand side), solves (2 n^3 / 3 + 2 n^2 for each) and inverses (2 n^3) of matrices, wherever they stand:
    in functions that are called, in loops as often as these run where that is a constant and else once, in the dearest
    branch. A convolution multiplies by the zeros of its padding, too. Operations whose results nobody uses are not
    counted, as TensorFlow leaves them out. Elementwise operations, reductions, pooling, look-ups, random numbers and
    other decompositions are not counted.

    The function is traced if it was not yet for such arguments, and not run.

    Args:
        function: A `tf.function`.
        *example_args: What it is called with: arrays, tensors or `tf.TensorSpec`s, of fixed shapes.
        **keywords: The same, by name.

    Raises:
        UnknownShapeError: The size of a tensor is known only when the function runs.

    Example:
        >>> count_flops(tf.function(tf.matmul), tf.ones((2, 3)), tf.ones((3, 4)))
        48.0
    """
    graph = function.get_concrete_function(*example_args, **keywords).graph
    return float(_flops(_used(graph, graph.outputs)))


def flops_of(graph: Any, operations: Iterable[Any]) -> float:
    """Count the floating-point operations of a part of a function's graph, as `count_flops` does.

    Args:
        graph: The graph, a `tf.Graph` that was traced to its end.
        operations: Operations of it.
    """
    used = _used(graph, graph.outputs)
    return float(_flops({operation: used[operation] for operation in operations if operation in used}))


@dataclasses.dataclass(frozen=True)
class Step:
    """An operation, one of the times that a call of a function runs it.

    Attributes:
        operation: The operation of the graph.
        flops: Its floating-point operations.
        drawn: Bytes of the random numbers that it draws.
        after: Which of the steps before it have to be done first, by their indices; not those before these.
    """

    operation: Any
    flops: float
    drawn: int
    after: frozenset[int]


def steps_of(function: Any, *example_args: Any, **keywords: Any) -> list[Step]:
    """Return what one call of a `tf.function` computes and draws: what `count_flops` counts, and random numbers.

    What is in a loop is there as often as that runs. As `count_flops`, it traces the function and does not run it.

    Args:
        function: A `tf.function`.
        *example_args: What it is called with: arrays, tensors or `tf.TensorSpec`s, of fixed shapes.
        **keywords: The same, by name.

    Raises:
        UnknownShapeError: The size of a tensor is known only when the function runs.
    """
    graph = function.get_concrete_function(*example_args, **keywords).graph
    steps: list[Step] = []
    _run(graph, range(len(graph.outputs)), [frozenset()] * len(graph.inputs), steps)
    return steps


def _run(
    graph: Any, outputs: Iterable[int], given: Sequence[frozenset[int]], steps: list[Step]
) -> list[frozenset[int]]:
    """Append the steps of a graph whose inputs wait for the given steps; return what its outputs wait for."""
    operations = _used(graph, [graph.outputs[index] for index in outputs])
    after = {tensor.name: each for tensor, each in zip(graph.inputs, given)}
    done: dict[Any, frozenset[int]] = {tensor.op: frozenset() for tensor in graph.inputs}
    for operation in graph.get_operations():  # each comes after those that it needs
        if operation not in operations or operation in done:
            continue
        inputs = [after[tensor.name] for tensor in operation.inputs]
        control: frozenset[int] = frozenset().union(*(done.get(each, frozenset()) for each in operation.control_inputs))
        waits = control.union(*inputs)
        inner = _inner(operation, operations[operation])
        if inner:
            within, used, times = inner
            results = [each | control for each in inputs[len(inputs) - len(within.inputs) :]]  # no branch's number
            for _ in range(times):
                results = _run(within, used, results, steps)
            done[operation] = waits.union(*results)
        else:
            flops, drawn = _flops_of_one(operation, operations[operation]), _drawn(operation)
            if flops or drawn:
                steps.append(Step(operation, flops, drawn, waits))
                waits = frozenset([len(steps) - 1])
            results = [waits] * len(operation.outputs)
            done[operation] = waits
        after.update(zip((tensor.name for tensor in operation.outputs), results))
    return [after.get(tensor.name, frozenset()) for tensor in graph.outputs]  # of those that are not used, nothing


def _used(graph: Any, outputs: Iterable[Any]) -> dict[Any, set[int]]:
    """Return the operations that a function runs for some of its outputs, and which of their outputs are used."""
    used: dict[Any, set[int]] = {}
    tensors = collections.deque(outputs)
    operations = collections.deque(graph.control_outputs)  # what is done for its effect
    while tensors or operations:
        if tensors:
            tensor = tensors.popleft()
            operation, indices = tensor.op, {tensor.value_index}
        else:
            operation, indices = operations.popleft(), set()
        if operation not in used:
            used[operation] = set()
            tensors.extend(operation.inputs)
            operations.extend(operation.control_inputs)
        used[operation] |= indices
    return used


def _flops(operations: dict[Any, set[int]]) -> float:
    return sum(_flops_of_one(operation, used) for operation, used in operations.items())


def _flops_of_one(operation: Any, used: set[int]) -> float:
    kind = operation.type
    if kind in _PRODUCTS:
        inner = -2 if operation.get_attr(_PRODUCTS[kind]) else -1
        return 2 * math.prod(_shape(operation.outputs[0])) * _shape(operation.inputs[0])[inner]
    if kind in _CONVOLUTIONS:
        return _convolution(operation)
    if kind == "Einsum":
        return _einsum(operation)
    if kind in _LINEAR_ALGEBRA:
        *batch, rows, _ = _shape(operation.inputs[0])
        columns = _shape(operation.inputs[1])[-1] if len(operation.inputs) > 1 else 0
        return math.prod(batch) * _LINEAR_ALGEBRA[kind](rows, columns)
    called = _inner(operation, used)
    if called:
        within, outputs, times = called
        return times * _called(within, outputs)
    return 0


def _inner(operation: Any, used: Iterable[int]) -> tuple[Any, Iterable[int], int] | None:
    """Return the graph that an operation runs, which of its outputs are used, and how often: the dearest branch's."""
    kind = operation.type
    if kind in _CALLS:
        return _function(operation, operation.get_attr("f")), used, 1
    if kind in _LOOPS:
        body = _function(operation, operation.get_attr("body"))
        return body, range(len(body.outputs)), int(_trip_count(operation))
    if kind in _BRANCHES:
        names = operation.get_attr("branches") if kind.endswith("Case") else _two_branches(operation)
        return max((_function(operation, name) for name in names), key=lambda graph: _called(graph, used)), used, 1
    return None


def _drawn(operation: Any) -> int:
    if not any(name in operation.type for name in _DRAWS):
        return 0
    return math.prod(_shape(operation.outputs[0])) * operation.outputs[0].dtype.size


def _shape(tensor: Any) -> list[int]:
    if not tensor.shape.is_fully_defined():
        raise UnknownShapeError(f"{tensor.name} has the shape {tensor.shape}")
    return tensor.shape.as_list()


def _convolution(operation: Any) -> float:
    """Multiply every weight of the kernel once at every position of the output, in gradients too."""
    kernel, output = (_shape(getattr(operation, where)[index]) for where, index in _CONVOLUTIONS[operation.type])
    channels = kernel[-2] * kernel[-1] if operation.type.startswith("Depthwise") else kernel[-1]
    return 2 * math.prod(kernel) * (math.prod(output) // channels)


def _einsum(operation: Any) -> float:
    """Multiply each element of two tensors once with each that it meets; what is only in one is summed before."""
    equation = operation.get_attr("equation").decode()
    inputs, _, output = equation.partition("->")
    subscripts = inputs.split(",")
    if len(subscripts) == 1:
        return 0
    sizes: dict[str, int] = {}
    for subscript, tensor in zip(subscripts, operation.inputs):
        shape = _shape(tensor)
        for label, size in zip(_labels(subscript, len(shape)), shape):
            sizes[label] = max(size, sizes.get(label, 1))  # batches of one are broadcast
    first, second = (set(_labels(each, len(_shape(tensor)))) for each, tensor in zip(subscripts, operation.inputs))
    kept = set(_labels(output, len(_shape(operation.outputs[0]))))
    return 2 * math.prod(size for label, size in sizes.items() if label in kept or label in first & second)


def _labels(subscript: str, rank: int) -> list[str]:
    """Return the label of each axis; those of an ellipsis are numbered from the last one."""
    before, ellipsis, after = subscript.partition("...")
    if not ellipsis:
        return list(subscript)
    return [*before, *(str(i) for i in reversed(range(rank - len(before) - len(after)))), *after]


def _function(operation: Any, name: Any) -> Any:
    return operation.graph._get_function(name.name).graph


def _two_branches(operation: Any) -> list[Any]:
    return [operation.get_attr("then_branch"), operation.get_attr("else_branch")]


def _called(graph: Any, used: Iterable[int]) -> float:
    return _flops(_used(graph, [graph.outputs[index] for index in used]))


def _trip_count(loop: Any) -> float:
    """Return how often a loop runs that counts up to a constant, or 1."""
    condition, body = (_function(loop, loop.get_attr(name)) for name in ("cond", "body"))
    counts = [_count(loop, test, condition, body) for test in _tests(condition.outputs[0])]
    return min((count for count in counts if count is not None), default=1)


def _tests(tensor: Any) -> list[Any]:
    """Return the operations that must all be true for a truth value to be."""
    operation = _source(tensor).op
    if operation.type == "LogicalAnd":
        return [test for each in operation.inputs for test in _tests(each)]
    return [operation]


def _count(loop: Any, test: Any, condition: Any, body: Any) -> int | None:
    if test.type != "Less":
        return None
    counter = _argument(test.inputs[0], condition)
    following = None if counter is None else _source(body.outputs[counter]).op
    if following is None or following.type != "AddV2" or _argument(following.inputs[0], body) != counter:
        return None
    start, limit = _static(loop.inputs[counter]), _constant(loop, test.inputs[1], condition)
    step = _constant(loop, following.inputs[1], body)
    if start is None or limit is None or not step:
        return None
    return max(0, math.ceil((limit - start) / step))


def _constant(loop: Any, tensor: Any, function: Any) -> float | None:
    """Return the value of a tensor in a function of a loop, if it is a constant, in it or outside."""
    argument = _argument(tensor, function)
    return _static(tensor if argument is None else loop.inputs[argument])


def _static(tensor: Any) -> float | None:
    source = _source(tensor)
    if source.op.type in _LOOPS and source.value_index == 0:  # its counter: the loop of a gradient runs as often
        return _trip_count(source.op)
    return tf.get_static_value(source)


def _argument(tensor: Any, function: Any) -> int | None:
    name = _source(tensor).name
    return next((index for index, each in enumerate(function.inputs) if each.name == name), None)


def _source(tensor: Any) -> Any:
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    return tensor

import sys

import numpy as np
import pytest

from tests.conftest import ROOT
from uncertainty_suite import cost, tf

sys.path.append(str(ROOT / "benchmarks"))
import limits

LIMITS = limits.Limits({"float32": 100.0}, {"in caches": 20.0, "in memory": 10.0}, 5.0)


@pytest.fixture(scope="module")
def function():
    matrix = tf.Variable(tf.ones([18, 4]))

    @tf.function
    def step(images, kernel):
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            x = tf.nn.relu(tf.nn.conv2d(images, kernel, 1, "VALID"))
            y = tf.reshape(x, [2, -1]) @ matrix
            y *= tf.random.stateless_uniform([2, 4], (0, 0))
            loss = tf.reduce_sum(y)
        return loss, tape.gradient(loss, [kernel, matrix])

    return step


@pytest.fixture(scope="module")
def traced(function):
    return limits.Traced(function, tf.ones([2, 5, 5, 3]), tf.ones([3, 3, 3, 2]))


def test_work_is_counted_in_the_graph(traced):
    convolution, product = 2 * 2 * 9 * (3 * 3 * 3 * 2), 2 * 2 * 18 * 4
    assert traced.work.flops == 2 * convolution + 3 * product  # the images need no gradient
    assert traced.work.drawn == 4 * 2 * 4
    assert traced.work.moved == 4 * (18 * 4 + 2 * 5 * 5 * 3 + 3 * 3 * 3 * 2)


def test_what_is_written_is_moved_too(function):
    variable = tf.Variable(tf.zeros([3, 4]))
    traced = limits.Traced(function, tf.ones([2, 5, 5, 3]), tf.ones([3, 3, 3, 2]), written=[variable])
    assert traced.work.moved == 4 * (18 * 4 + 2 * 5 * 5 * 3 + 3 * 3 * 3 * 2 + 3 * 4)


@pytest.mark.parametrize(
    ("work", "seconds"),
    [
        (limits.Work(1000, 0, 0), 10),
        (limits.Work(1000, 400, 0), 20),
        (limits.Work(1000, 4e9, 0), 4e8),  # more than caches hold
        (limits.Work(1000, 400, 200), 40),
    ],
)
def test_the_floor_is_the_longest_of_three_times(work, seconds):
    assert LIMITS.floor(work) == pytest.approx(seconds)
    assert LIMITS.floor((work + work) * 0.5) == pytest.approx(seconds)


def test_products_alone_are_the_same_products_and_nothing_else(traced):
    alone = traced.products_alone()
    assert [number.shape.num_elements() for number in alone()] == 5 * [1]
    again = limits.Traced(alone.func, *alone.args)
    assert again.work.flops == traced.work.flops
    assert again.work.drawn == 0
    kinds = {node.op for node in alone.func.get_concrete_function(*alone.args).graph.as_graph_def().node}
    assert kinds == {"Placeholder", "Const", "Conv2D", "Conv2DBackpropFilter", "MatMul", "Slice", "Identity"}


def test_products_alone_wait_for_each_other_as_they_do_in_the_function(traced):
    alone = traced.products_alone()
    operations = alone.func.get_concrete_function(*alone.args).graph.get_operations()
    waits = {each.type: {before.type for before in each.control_inputs} for each in operations}
    assert waits["Conv2D"] == set()
    assert waits["Conv2DBackpropFilter"] == {"Conv2D", "MatMul"}
    before = [len(each.control_inputs) for each in operations if each.type == "MatMul"]
    assert before == [1, 0, 1]  # the images; a gradient that waits for random numbers alone; the images again


def test_factors_are_of_what_can_be_factorised():
    function = tf.function(lambda x, y: tf.linalg.triangular_solve(tf.linalg.cholesky(x @ x), y))
    x, y = tf.zeros([2, 3, 3]), tf.zeros([2, 3, 1])
    traced = limits.Traced(function, x, y)
    assert traced.work.flops == 2 * (2 * 27 + 27 / 3 + 9)
    assert all(np.isfinite(number).all() for number in traced.products_alone()())


def test_unknown_sizes_are_refused():
    function = tf.function(lambda x: x @ x)
    with pytest.raises(cost.UnknownShapeError):
        limits.Traced(function, tf.TensorSpec([None, None]))

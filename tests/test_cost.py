"""FLOPs: of functions against closed forms, and of runs."""

import numpy as np
import pytest

from tests.tiny import arrays_of, history_of, load_script, newest_checkpoint, tiny_config, untimed
from uncertainty_suite import cost, keras, tf, training

FLOPS = ("train_flops", "prediction_flops_per_example")


def flops(function, *shapes: tuple[int, ...]) -> float:
    """Count a function of tensors of these shapes."""
    return cost.count_flops(tf.function(function), *(tf.TensorSpec(shape, tf.float32) for shape in shapes))


def conv(*, kernel: tuple[int, ...], strides: int = 1, padding: str = "VALID"):
    """Return a convolution with a kernel of ones."""
    return lambda x: tf.nn.convolution(x, tf.ones(kernel), strides=strides, padding=padding)


@pytest.mark.parametrize(
    ("function", "shapes", "expected"),
    [
        (tf.matmul, [(2, 3), (3, 5)], 2 * 2 * 3 * 5),
        (lambda x, y: tf.matmul(x, y, transpose_a=True), [(3, 2), (3, 5)], 2 * 2 * 3 * 5),
        (lambda x, y: tf.matmul(x, y, transpose_b=True), [(7, 2, 3), (7, 5, 3)], 7 * 2 * 2 * 3 * 5),
        (lambda x, y: tf.matmul(x, y, transpose_a=True), [(7, 3, 2), (1, 3, 5)], 7 * 2 * 2 * 3 * 5),
        (conv(kernel=(3, 3, 4, 6)), [(2, 9, 8, 4)], 2 * 2 * (7 * 6) * (3 * 3 * 4 * 6)),
        (conv(kernel=(3, 3, 4, 6), padding="SAME"), [(2, 9, 8, 4)], 2 * 2 * (9 * 8) * (3 * 3 * 4 * 6)),
        (conv(kernel=(3, 3, 4, 6), padding="SAME", strides=2), [(2, 9, 8, 4)], 2 * 2 * (5 * 4) * (3 * 3 * 4 * 6)),
        (conv(kernel=(3, 3, 2, 6)), [(2, 9, 8, 4)], 2 * 2 * (7 * 6) * (3 * 3 * 2 * 6)),  # two groups
        (conv(kernel=(3, 4, 6)), [(2, 9, 4)], 2 * 2 * 7 * (3 * 4 * 6)),
        (conv(kernel=(3, 3, 3, 4, 6)), [(2, 5, 5, 5, 4)], 2 * 2 * 27 * (27 * 4 * 6)),
        (
            lambda x: tf.nn.depthwise_conv2d(x, tf.ones((3, 3, 4, 2)), [1, 1, 1, 1], "VALID"),
            [(2, 9, 8, 4)],
            2 * 2 * (7 * 6) * (3 * 3 * 4 * 2),
        ),
        (
            lambda x: tf.nn.conv2d_transpose(x, tf.ones((3, 3, 6, 4)), (2, 18, 16, 6), 2),
            [(2, 9, 8, 4)],
            2 * 2 * (9 * 8) * (3 * 3 * 6 * 4),
        ),
        (lambda x, y: tf.einsum("bik,bkj->bij", x, y), [(7, 2, 3), (7, 3, 5)], 2 * 7 * 2 * 3 * 5),
        (lambda x, y: tf.einsum("...ik,kj->...ij", x, y), [(7, 4, 2, 3), (3, 5)], 2 * 28 * 2 * 3 * 5),
        (lambda x, y: tf.einsum("ik,jl->ij", x, y), [(2, 3), (5, 4)], 2 * 2 * 5),  # sums first, then multiplies
        (lambda x: tf.einsum("ij->ji", x), [(2, 3)], 0),
        (tf.linalg.cholesky, [(7, 6, 6)], 7 * 6**3 / 3),
        (tf.linalg.triangular_solve, [(6, 6), (6, 5)], 6**2 * 5),
        (tf.linalg.inv, [(6, 6)], 2 * 6**3),
        (tf.linalg.solve, [(6, 6), (6, 5)], 2 * 6**3 / 3 + 2 * 6**2 * 5),
        (lambda x: tf.nn.softmax(tf.exp(x) + 1), [(2, 3)], 0),
    ],
)
def test_closed_forms(function, shapes, expected):
    assert flops(function, *shapes) == pytest.approx(expected, rel=1e-15)


def gradient(function, of: str):
    """Return the gradients of the sum of squares of a function of inputs and weights."""

    def gradients(x, w):
        with tf.GradientTape() as tape:
            tape.watch([x, w])
            loss = tf.reduce_sum(function(x, w) ** 2)
        return tape.gradient(loss, {"both": [x, w], "weights": [w]}[of])

    return gradients


@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (tf.matmul, [(2, 3), (3, 5)]),
        (lambda x, w: tf.einsum("bik,kj->bij", x, w), [(7, 2, 3), (3, 5)]),
        (lambda x, w: tf.nn.conv2d(x, w, 1, "VALID"), [(2, 9, 8, 4), (3, 3, 4, 6)]),
        (lambda x, w: tf.nn.conv2d(x, w, 2, "SAME"), [(2, 9, 8, 4), (3, 3, 4, 6)]),
        (lambda x, w: tf.nn.conv2d(x, w, 1, "VALID"), [(2, 9, 8, 4), (3, 3, 2, 6)]),
        (lambda x, w: keras.ops.conv(x, w), [(2, 9, 8, 4), (3, 3, 2, 6)]),  # a compiled function within
        (lambda x, w: tf.nn.conv3d(x, w, [1] * 5, "VALID"), [(2, 5, 5, 5, 4), (3, 3, 3, 4, 6)]),
        (lambda x, w: tf.nn.depthwise_conv2d(x, w, [1, 1, 1, 1], "VALID"), [(2, 9, 8, 4), (3, 3, 4, 2)]),
    ],
)
def test_a_gradient_costs_as_much_again_for_the_weights_and_for_the_inputs(function, shapes):
    forward = flops(function, *shapes)
    assert forward > 0
    assert flops(gradient(function, "both"), *shapes) == 3 * forward
    assert flops(gradient(function, "weights"), *shapes) == 2 * forward  # the unused one is not computed


ONE = 2 * 3 * 3 * 3  # a product of two 3 x 3 matrices


def test_functions_within_functions():
    product = tf.function(lambda x: x @ x)
    twice = tf.function(lambda x: product(product(x)))
    assert flops(lambda x: twice(x) + twice(x), (3, 3)) == 4 * ONE
    assert flops(gradient(lambda x, w: product(w) @ x, "weights"), (3, 3), (3, 3)) == (2 + 3) * ONE


def test_what_nobody_uses_is_not_counted():
    def two(x):
        return x @ x, x @ x @ x

    assert flops(lambda x: two(x)[0], (3, 3)) == flops(lambda x: tf.function(two)(x)[0], (3, 3)) == ONE
    variable = tf.Variable(tf.zeros((3, 3)))

    def writes(x):
        variable.assign(x @ x)
        return x

    assert flops(tf.function(writes), (3, 3)) == ONE


def test_loops_count_as_often_as_they_run_where_that_is_a_constant():
    def ranged(x, start=0, limit=7, step=1):
        for _ in tf.range(start, limit, step):
            x = x @ x
        return x

    def until(x):
        while tf.reduce_sum(x) < 10:
            x = x @ x
        return x

    def mapped(x):
        return tf.map_fn(lambda each: each @ x, tf.zeros((5, 3, 3)))

    def limited(x):
        return tf.while_loop(lambda y: tf.reduce_sum(y) < 10, lambda y: [y @ y], [x], maximum_iterations=4)

    assert flops(ranged, (3, 3)) == 7 * ONE
    assert flops(lambda x: ranged(x, 1, 8, 3), (3, 3)) == 3 * ONE
    assert flops(lambda x: ranged(x, 3, 3), (3, 3)) == 0
    assert flops(mapped, (3, 3)) == 5 * ONE
    assert flops(limited, (3, 3)) == 4 * ONE
    assert flops(until, (3, 3)) == ONE
    for loop, times in ((ranged, 7), (limited, 4)):
        assert flops(gradient(lambda x, w, loop=loop: loop(w) @ x, "weights"), (3, 3), (3, 3)) == (3 * times + 2) * ONE


def test_the_dearest_branch_counts():
    def branched(x):
        return tf.cond(tf.reduce_sum(x) > 0, lambda: x @ x @ x, lambda: x @ x)

    def switched(x):
        return tf.switch_case(tf.cast(x[0, 0], tf.int32), [lambda: x, lambda: x @ x, lambda: x])

    assert flops(branched, (3, 3)) == 2 * ONE
    assert flops(switched, (3, 3)) == ONE


def test_sizes_that_are_not_known_are_refused():
    with pytest.raises(cost.UnknownShapeError, match=r"has the shape \(None, 3\)"):
        flops(lambda x: x @ tf.ones((3, 3)), (None, 3))


# Runs. The tiny network on two moons: a frozen projection of 2 to 16, two residual layers of 16 and a head of 2.
BATCH, HIDDEN = 128, 16
FORWARD = 2 * (2 * HIDDEN + 2 * HIDDEN**2 + 2 * HIDDEN)
WEIGHTS = 2 * (2 * HIDDEN**2 + 2 * HIDDEN)
INPUTS = 2 * (HIDDEN**2 + 2 * HIDDEN)  # no gradient goes into the projection


def costs(results: dict) -> tuple[float, float]:
    return tuple(results["metrics"][name] for name in FLOPS)


def test_a_run_has_the_flops_of_training_and_of_prediction(finished):
    folder, results = finished("deterministic")
    single, steps = costs(results), history_of(folder / "history.jsonl")[-1]["step"]
    assert single == (steps * BATCH * (FORWARD + WEIGHTS + INPUTS), FORWARD)
    assert costs(finished("deep_ensemble")[1]) == tuple(2 * each for each in single)  # two members
    # Two samples; the projection and the first layer, before any dropout, are computed once.
    assert costs(finished("mc_dropout")[1]) == (single[0], FORWARD + 2 * (HIDDEN**2 + 2 * HIDDEN))


def test_flops_do_not_depend_on_how_steps_are_taken(finished, stopped_at, two_devices, tmp_path):
    expected = costs(finished("deterministic")[1])
    script, config = load_script("deterministic"), tiny_config("deterministic")
    with stopped_at(8):
        script.main(config, training.Options(output_dir=tmp_path / "run", steps_per_call=3))
    assert costs(script.main(config, training.Options(output_dir=tmp_path / "run"))) == expected  # resumed
    (tmp_path / "run/results.json").unlink()
    assert costs(script.main(config, training.Options(output_dir=tmp_path / "run"))) == expected  # evaluated anew
    options = training.Options(output_dir=tmp_path / "replicas", strategy=two_devices)
    assert costs(script.main(config, options)) == expected


def test_counting_changes_no_bit(finished, tmp_path, monkeypatch):
    folder, results = finished("mc_dropout")

    def refuse(*arguments):
        raise cost.UnknownShapeError("not counted")

    monkeypatch.setattr(cost, "count_flops", refuse)
    monkeypatch.setattr(cost, "flops_of", refuse)
    options = training.Options(output_dir=tmp_path / "run")
    without = load_script("mc_dropout").main(tiny_config("mc_dropout"), options)
    assert untimed(without) == {name: value for name, value in untimed(results).items() if name not in FLOPS}
    for read in (newest_checkpoint, lambda path: arrays_of(path / "predictions/test.npz")):
        for name, array in read(folder).items():
            np.testing.assert_array_equal(read(tmp_path / "run")[name], array)
    assert history_of(tmp_path / "run/history.jsonl") == history_of(folder / "history.jsonl")


def test_steps_are_there_as_often_as_they_run_and_know_what_they_wait_for():
    @tf.function
    def multiply(x, y):
        for _ in tf.range(3):
            x = tf.nn.relu(tf.matmul(x, y))
        noise = tf.random.stateless_normal([2, 5], (0, 0))
        other = tf.matmul(y, y)
        return tf.cond(x[0, 0] > 0, lambda: tf.matmul(x + noise, tf.matmul(other, y)), lambda: tf.matmul(x, y))

    specs = tf.TensorSpec((2, 5)), tf.TensorSpec((5, 5))
    steps = cost.steps_of(multiply, *specs)
    assert sum(step.flops for step in steps) == cost.count_flops(multiply, *specs)
    assert sum(step.drawn for step in steps) == 2 * 5 * 4
    (noise,) = [index for index, step in enumerate(steps) if step.drawn]
    loop = [index for index, step in enumerate(steps) if step.flops == 2 * 2 * 5 * 5][:3]
    assert [steps[index].after for index in loop] == [frozenset(), {loop[0]}, {loop[1]}]
    assert {loop[2], noise} <= steps[-1].after
    (other,) = [index for index, step in enumerate(steps) if step.flops == 2 * 5**3 and not step.after]
    assert any(step.flops == 2 * 5**3 and other in step.after for step in steps)

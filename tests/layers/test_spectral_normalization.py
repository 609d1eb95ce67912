import numpy as np
import pytest

from tests.layers.helpers import Golden, local_values, two_replicas
from uncertainty_suite import keras, tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.layers import SpectralNormalization
from uncertainty_suite.testing import check_layer

DENSE = Golden("spectral_norm_dense")
CONV = Golden("spectral_norm_conv2d")
TOLERANCE = {"float64": {"rtol": 1e-10, "atol": 1e-12}, "float32": {"rtol": 1e-5, "atol": 2e-6}}


def convolution_norm(kernel, image_shape, strides=1, padding="same", dilation_rate=1, groups=1) -> float:
    """Return the largest singular value of a convolution, unrolled to a matrix."""
    size = int(np.prod(image_shape))
    basis = np.eye(size).reshape((size, *image_shape))
    layer = keras.layers.Conv2D(
        kernel.shape[-1],
        kernel.shape[:2],
        strides,
        padding,
        dilation_rate=dilation_rate,
        groups=groups,
        use_bias=False,
        dtype="float64",
    )
    layer.build(basis.shape)
    layer.kernel.assign(kernel)
    return np.linalg.norm(layer(basis).numpy().reshape(size, -1), ord=2)


def set_weights(layer, golden, dtype):
    layer.build(golden["x"].shape)
    layer.layer.kernel.assign(golden["kernel_0"].astype(dtype))
    layer.layer.bias.assign(golden["bias"].astype(dtype))
    layer.u.assign(golden["u_0"].astype(dtype))
    layer.v.assign(golden["v_0"].astype(dtype))


def check_calls(layer, golden, calls, dtype):
    x = golden["x"].astype(dtype)
    call = tf.function(lambda: layer(x, training=True))
    for k in range(1, calls + 1):
        y = call()
        if f"kernel_{k}" in golden:
            for name, value in [("kernel", layer.layer.kernel), ("u", layer.u), ("v", layer.v), ("y", y)]:
                np.testing.assert_allclose(value, golden[f"{name}_{k}"], err_msg=f"{name}_{k}", **TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@DENSE.parametrize("dense_5x7", "dense_64x32")
def test_golden_dense(case, dtype):
    golden, parameters = DENSE[case], DENSE.parameters[case]
    dense = keras.layers.Dense(parameters["shape"][1], dtype=dtype)
    layer = SpectralNormalization(dense, parameters["norm_multiplier"], parameters["iteration"])
    set_weights(layer, golden, dtype)
    check_calls(layer, golden, 5, dtype)
    if "small" in case:
        np.testing.assert_array_equal(dense.kernel, golden["kernel_0"])  # Below the bound: not touched at all.
    assert np.linalg.norm(dense.kernel, ord=2) == pytest.approx(golden["true_sigma_5"], rel=1e-5)
    for training in (False, None):
        y = layer(golden["x"].astype(dtype), training=training)
        np.testing.assert_allclose(y, golden["inference_y_official"], **TOLERANCE[dtype])
        np.testing.assert_allclose(dense.kernel, golden["kernel_5"], **TOLERANCE[dtype])


@DENSE.parametrize("dense_kernel_moved")
def test_golden_dense_kernel_moved_between_calls(case):
    golden = DENSE[case]
    layer = SpectralNormalization(keras.layers.Dense(4, dtype="float64"))
    set_weights(layer, golden, "float64")
    layer(golden["x"], training=True)
    layer.layer.kernel.assign_add(golden["kernel_delta"])
    y = layer(golden["x"], training=False)
    np.testing.assert_allclose(y, golden["official_y_inference_after_move"], rtol=1e-10)
    np.testing.assert_allclose(layer.layer.kernel, golden["official_kernel_after_inference"], rtol=1e-10)
    y = layer(golden["x"], training=True)
    np.testing.assert_allclose(y, golden["official_y_train_2"], rtol=1e-10)
    np.testing.assert_allclose(layer.layer.kernel, golden["official_kernel_after_train_2"], rtol=1e-10)
    np.testing.assert_allclose(layer.u, golden["official_u_after_train_2"], rtol=1e-10)


def golden_convolution(case, dtype):
    parameters = CONV.parameters[case]
    *size, _, filters = parameters["kernel"]
    conv = keras.layers.Conv2D(filters, size, parameters["stride"], parameters["layer_padding"], dtype=dtype)
    return SpectralNormalization(conv, parameters["norm_multiplier"], parameters["iteration"])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@CONV.parametrize("conv_1x1", "conv_2x2", "conv_3x3_s1_bound", "conv_3x3_s2", "conv_5x3")
def test_golden_convolution(case, dtype):
    layer = golden_convolution(case, dtype)
    set_weights(layer, CONV[case], dtype)
    check_calls(layer, CONV[case], 50 if dtype == "float64" and "kernel_50" in CONV[case] else 5, dtype)


@CONV.parametrize("conv_3x3_s1_layer_valid")
def test_golden_valid_convolution_is_bounded_at_its_real_padding(case):
    # The golden kernels are bounded as if the layer padded SAME; the true norm of the layer is the VALID one.
    golden, bound = CONV[case], CONV.parameters[case]["norm_multiplier"]
    layer = golden_convolution(case, "float64")
    layer.build(golden["x"].shape)
    layer.layer.kernel.assign(golden["kernel_0"])
    image_shape = golden["x"].shape[1:]
    before = convolution_norm(golden["kernel_0"], image_shape, padding="valid")
    assert before == pytest.approx(golden["true_operator_norm_0_valid_padding"], rel=1e-10)
    call = tf.function(lambda: layer(golden["x"], training=True))
    for _ in range(200):
        call()
    after = convolution_norm(layer.layer.kernel.numpy(), image_shape, padding="valid")
    assert after == pytest.approx(min(before, bound), rel=1e-3)


@pytest.mark.parametrize(
    ("image_shape", "arguments"),
    [
        ((7, 9, 2), {"strides": 2, "padding": "same"}),
        ((7, 9, 2), {"strides": 2, "padding": "valid"}),
        ((8, 7, 2), {"strides": (1, 2), "padding": "same"}),
        ((8, 7, 2), {"dilation_rate": 2, "padding": "same"}),
        ((9, 8, 2), {"dilation_rate": 2, "padding": "valid"}),
        ((7, 6, 4), {"groups": 2, "padding": "same"}),
        ((7, 6, 2), {"groups": 2, "strides": 2, "padding": "valid"}),
    ],
)
def test_convolution_norm_at_real_stride_padding_dilation_and_groups(image_shape, arguments):
    conv = keras.layers.Conv2D(
        6, 3, kernel_initializer=keras.initializers.RandomNormal(stddev=1.0, seed=1), **arguments
    )
    layer = SpectralNormalization(conv, norm_bound=1.5, iterations=20)
    x = tf.ones((1, *image_shape))
    call = tf.function(lambda: layer(x, training=True))
    for _ in range(20):
        call()
    assert convolution_norm(conv.kernel.numpy(), image_shape, **arguments) == pytest.approx(1.5, rel=1e-3)


@pytest.mark.parametrize("bound", [0.5, 2.0])
def test_dense_norm_reaches_the_bound(bound):
    layer = SpectralNormalization(keras.layers.Dense(9, kernel_initializer="random_normal"), bound, iterations=20)
    layer.build((None, 5))
    layer.layer.kernel.assign(100 * layer.layer.kernel)
    layer(tf.ones((1, 5)), training=True)
    assert np.linalg.norm(layer.layer.kernel, ord=2) == pytest.approx(bound, rel=1e-3)


@pytest.mark.parametrize(("dtype", "scale"), [("float32", 1e20), ("float32", 1e35), ("float64", 1e200)])
@pytest.mark.parametrize("make", [keras.layers.Dense, lambda units, **kwargs: keras.layers.Conv2D(units, 1, **kwargs)])
def test_a_huge_kernel_is_normalised_as_one_of_usual_size(make, dtype, scale):
    kernels = []
    for factor in (1.0, scale):
        layer = SpectralNormalization(make(5, kernel_initializer=keras.initializers.RandomNormal(seed=1), dtype=dtype))
        x = tf.ones((1, 4, 4, 4), dtype)
        layer.build(x.shape)
        layer.layer.kernel.assign(100 * factor * layer.layer.kernel)
        for _ in range(3):
            layer(x, training=True)
        kernels.append(layer.layer.kernel.numpy())
    np.testing.assert_allclose(kernels[1], kernels[0], rtol=1e-5)


def test_a_kernel_that_was_zero_is_normalised_once_it_has_grown():
    layer = SpectralNormalization(keras.layers.Dense(4, kernel_initializer="zeros"), norm_bound=0.5, iterations=20)
    layer(tf.ones((1, 4)), training=True)
    np.testing.assert_array_equal(layer.layer.kernel, np.zeros((4, 4)))
    layer.layer.kernel.assign(np.diag([3.0, 1.0, 1.0, 1.0]))
    layer(tf.ones((1, 4)), training=True)
    assert np.linalg.norm(layer.layer.kernel, ord=2) == pytest.approx(0.5, rel=1e-3)


def test_gradient_treats_the_factor_as_a_constant():
    layer = SpectralNormalization(keras.layers.Dense(3), norm_bound=0.1)
    x = tf.random.stateless_normal((4, 5), seed=(0, 0))
    with tf.GradientTape() as tape:
        y = layer(x, training=True)
        loss = tf.reduce_sum(y**2)
    gradient = tape.gradient(loss, layer.layer.kernel.value)
    np.testing.assert_allclose(gradient, 2 * tf.matmul(x, y, transpose_a=True), rtol=1e-5)


def test_layer_promises_dense(tmp_path):
    check_layer(
        lambda: SpectralNormalization(keras.layers.Dense(128, activation="relu"), norm_bound=0.9),
        (128,),
        [(None, 128)],
        128 * 128 + 128,
        256,  # u and v; six of these layers in the tutorial's network give 1,536.
        tmp_path,
    )


def test_layer_promises_convolution(tmp_path):
    check_layer(
        lambda: SpectralNormalization(keras.layers.Conv2D(4, 3, strides=2, padding="same"), 6.0, iterations=2),
        (9, 8, 3),
        [(None, 5, 4, 4)],
        3 * 3 * 3 * 4 + 4,
        9 * 8 * 3 + 5 * 4 * 4,
        tmp_path,
    )


def test_mixed_precision_normalises_the_float32_kernel():
    # Within a model of half-precision layers, as built under the global policy.
    policy = keras.config.dtype_policy()
    kernels = []
    try:
        for name in ("float32", "mixed_bfloat16"):
            keras.config.set_dtype_policy(name)
            inputs = keras.Input((5,))
            initializer = keras.initializers.RandomNormal(seed=1)
            layer = SpectralNormalization(keras.layers.Dense(6, kernel_initializer=initializer), norm_bound=0.1)
            y = keras.Model(inputs, layer(inputs))(tf.ones((2, 5)), training=True)
            kernels.append(layer.layer.kernel.numpy())
            assert layer.u.dtype == layer.layer.kernel.dtype == "float32"
    finally:
        keras.config.set_dtype_policy(policy)
    assert y.dtype == tf.bfloat16
    np.testing.assert_array_equal(*kernels)


def test_fit():
    inputs = keras.Input((8, 8, 3))
    x = SpectralNormalization(keras.layers.Conv2D(4, 3))(inputs)
    outputs = SpectralNormalization(keras.layers.Dense(1))(keras.layers.Flatten()(x))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    kernel = model.layers[1].layer.kernel.numpy()
    model.fit(np.ones((8, 8, 8, 3)), np.ones((8, 1)), batch_size=4, verbose=0)
    assert np.any(kernel != model.layers[1].layer.kernel)


def test_two_replicas_train_as_one_device():
    x = tf.random.stateless_normal((8, 6, 6, 2), seed=(0, 0))

    def make_model():
        inputs = keras.Input((6, 6, 2))
        conv = keras.layers.Conv2D(3, 3, kernel_initializer=keras.initializers.GlorotUniform(seed=1))
        hidden = keras.layers.Flatten()(SpectralNormalization(conv, 0.5)(inputs))
        dense = keras.layers.Dense(2, kernel_initializer=keras.initializers.GlorotUniform(seed=2))
        return keras.Model(inputs, SpectralNormalization(dense, 0.5)(hidden)), keras.optimizers.SGD(0.1)

    def step(model, optimizer, x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum((model(x, training=True) - 1.0) ** 2) / 8
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)

    model, optimizer = make_model()
    strategy = two_replicas()
    with strategy.scope():
        mirrored, mirrored_optimizer = make_model()
        mirrored_optimizer.build(mirrored.trainable_variables)
    dataset = strategy.experimental_distribute_dataset(tf.data.Dataset.from_tensors(x).unbatch().batch(8).repeat(3))
    mirrored_step = tf.function(lambda x: strategy.run(step, (mirrored, mirrored_optimizer, x)))
    for batch in dataset:
        mirrored_step(batch)
        step(model, optimizer, x)
    for one, two in zip(model.variables, mirrored.variables):
        first, second = local_values(two)
        np.testing.assert_array_equal(first, second, err_msg=two.path)
        np.testing.assert_allclose(first, one, rtol=1e-4, atol=1e-5, err_msg=two.path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SpectralNormalization(keras.layers.ReLU()), "Dense or Conv2D layer, received ReLU"),
        (lambda: SpectralNormalization(keras.layers.Conv1D(2, 3)), "received Conv1D"),
        (lambda: SpectralNormalization(keras.layers.Dense(2), norm_bound=0), "above 0, received 0"),
        (lambda: SpectralNormalization(keras.layers.Dense(2), iterations=0), "at least 1, received 0"),
        (
            lambda: SpectralNormalization(keras.layers.Conv2D(2, 3))(keras.Input((None, None, 3))),
            "needs a fixed image size",
        ),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(InputError, match=message):
        make()

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

from tests.layers.helpers import Golden, local_values, two_replicas
from uncertainty_suite import keras, tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.layers import RandomFeatureGaussianProcess
from uncertainty_suite.testing import check_layer

OFFICIAL = Golden("gp_official")
ED2 = Golden("gp_ed2")
FEATURES = Golden("gp_features")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def built(dimensions, *args, **kwargs):
    layer = RandomFeatureGaussianProcess(*args, **kwargs)
    layer.build((None, dimensions))
    return layer


def assert_close(actual, expected, tolerance, name=""):
    """Compare relative to the largest entry: small entries of these matrices are sums that cancel."""
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.max(np.abs(expected)), err_msg=name)


def golden_layer(golden, case):
    parameters, common = golden.parameters[case], golden["common"]
    normalize = parameters["normalize_input"]
    layer = built(
        6,
        units=parameters["units"],
        num_features=16,
        # The reference ignores the scale of normalised inputs; ours refuses one.
        kernel_scale=1.0 if normalize else parameters["kernel_scale"],
        scale_features=parameters["scale_random_features"],
        normalize_input=normalize,
        ridge_penalty=parameters["ridge"],
        momentum=parameters["momentum"],
        likelihood=parameters["likelihood"],
        output_bias=parameters["output_bias"],
        update_in_training=True,
    )
    layer.feature_kernel.assign(common["W"])
    layer.feature_phase.assign(common["b"])
    layer.kernel.assign(common[f"beta_units{parameters['units']}"])
    return layer, common, 2e-4 if parameters["ridge"] < 0.01 else 2e-6


@OFFICIAL.parametrize("m")
def test_golden_official(case):
    layer, common, tolerance = golden_layer(OFFICIAL, case)
    golden, x_test = OFFICIAL[case], common["x_test"].astype("float32")

    def check(name, value):
        assert_close(value, golden[name], tolerance, name)

    check("precision_0", layer.precision)
    check("test_covariance_before_training", layer.covariance(x_test))
    for k in range(1, 5):
        check(f"train_logits_{k}", layer(common[f"x_train_{k}"], training=True)["outputs"])
        check(f"precision_{k}", layer.precision)
        if k == 2:
            check("test_covariance_after_2_batches", layer.covariance(x_test))
    check("test_random_features", layer.random_features(x_test))
    check("numpy64_test_covariance", layer.covariance(x_test))
    for inverse in (None, layer.inverse_cholesky()):
        said = layer(x_test, inverse_cholesky=inverse)
        check("test_logits", said["outputs"])
        check("test_variance", said["variance"])
        check("test_covariance", layer.covariance(x_test, inverse_cholesky=inverse))
    np.testing.assert_allclose(layer.losses, golden["regularization_losses"], rtol=1e-5)

    layer.reset_precision()
    check("precision_after_reset", layer.precision)
    check("test_covariance_straight_after_reset", layer.covariance(x_test))
    layer.update_precision(common["x_train_after_reset"])
    check("precision_after_reset_and_1_batch", layer.precision)
    check("test_covariance_after_reset_and_1_batch", layer.covariance(x_test))


@ED2.parametrize("m-1")
def test_golden_edward2_in_the_exact_form(case):
    layer, common, tolerance = golden_layer(ED2, case)
    golden, x_test = ED2[case], common["x_test"].astype("float32")
    for k in range(1, 5):
        layer(common[f"x_train_{k}"], training=True)
        if k == 2:
            golden_covariance = golden["test_covariance_after_2_batches"]
            assert_close(layer.covariance(x_test), golden_covariance, tolerance)
    said = layer(x_test)
    assert_close(said["outputs"], golden["test_logits"], tolerance)
    assert_close(said["variance"], golden["test_variance"], tolerance)
    assert_close(layer.covariance(x_test), golden["test_covariance"], tolerance)
    layer.reset_precision()
    layer.update_precision(common["x_train_after_reset"])
    golden_covariance = golden["test_covariance_after_reset_and_1_batch"]
    assert_close(layer.covariance(x_test), golden_covariance, tolerance)


@pytest.mark.parametrize("feature_type", ["orthogonal", "random"])
@FEATURES.parametrize("kernel_limit")
def test_golden_kernel_limit(case, feature_type):
    golden, scale = FEATURES[case], FEATURES.parameters[case]["kernel_scale"]
    kernel = np.exp(-golden["squared_distance"] / (2 * scale))
    np.testing.assert_allclose(golden["official_inner_products"], kernel, atol=0.01)
    products = []
    for seed in range(20):
        layer = built(6, 1, num_features=1000, kernel_scale=scale, feature_type=feature_type, seed=seed)
        x, y = layer.random_features(golden["x"]), layer.random_features(golden["y"])
        products.append(np.sum(x * y, axis=1))
    # A product of two features has a standard deviation of at most 1; there are 20,000 features.
    np.testing.assert_allclose(np.mean(products, axis=0), kernel, atol=4 / np.sqrt(20_000))


@FEATURES.parametrize("library_fourier_features")
def test_golden_library_features_have_the_square_root_as_scale(case):
    golden, scale = FEATURES[case], FEATURES.parameters[case]["kernel_scale"]
    layer = built(6, 2, num_features=16, kernel_scale=scale**2)
    layer.feature_kernel.assign(golden["W"])
    layer.feature_phase.assign(golden["b"])
    layer.kernel.assign(golden["beta"])
    features = layer.random_features(golden["x"])
    # The framework's own Fourier features are not multiplied by sqrt(2 / m) in every configuration.
    ratio = golden["features"] / features
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-4)


def test_agrees_with_exact_gaussian_process():
    length_scale, ridge = 0.7, 0.1
    rng = np.random.default_rng(0)
    x, x_test = rng.uniform(-2, 2, (60, 2)), rng.uniform(-4, 4, (80, 2))
    y = np.sin(2 * x[:, :1]) + 0.3 * x[:, 1:]
    exact = GaussianProcessRegressor(RBF(length_scale), alpha=ridge, optimizer=None).fit(x, y[:, 0])
    mean, stddev = exact.predict(x_test, return_std=True)
    assert np.ptp(stddev**2) > 0.9  # from points beside the data to points far away

    mean_error, variance_error = {}, {}
    for m in (128, 2048):
        layer = built(2, 1, num_features=m, kernel_scale=length_scale**2, ridge_penalty=ridge, seed=0)
        layer.update_precision(x)
        features = layer.random_features(x).numpy().astype("float64")
        layer.kernel.assign(np.linalg.solve(layer.precision.numpy(), features.T @ y))
        said = layer(x_test)
        mean_error[m] = np.sqrt(np.mean((said["outputs"][:, 0] - mean) ** 2))
        variance_error[m] = np.sqrt(np.mean((said["variance"] - stddev**2) ** 2))
    # Kernel values have an error of about 1 / sqrt(m): 0.02 for 2,048 features, and a quarter of that of 128.
    assert variance_error[2048] < 0.03
    assert mean_error[2048] < 0.1
    assert variance_error[2048] < 0.5 * variance_error[128]
    assert mean_error[2048] < 0.5 * mean_error[128]


def test_variance_grows_away_from_the_data_and_the_ridge_cancels_before_it():
    layer = built(2, 3, num_features=512, ridge_penalty=0.01, seed=0)
    near, far = normal(50, 2), 8 + normal(50, 2, seed=1)
    prior = layer(near)["variance"]
    np.testing.assert_allclose(prior, np.sum(layer.random_features(near) ** 2, axis=1), rtol=1e-5)
    layer.update_precision(near)
    assert np.max(layer(near)["variance"]) < 0.1
    assert np.min(layer(far)["variance"]) > 0.8


def test_large_unscaled_sums_stay_accurate():
    # 100 times 2,000 rows of unscaled features, as published image models use: float32 would lose the ridge.
    layer = built(2, 1, num_features=128, scale_features=False, seed=0)
    x, x_test = normal(2000, 2), 3 * normal(20, 2, seed=1)
    for _ in range(100):
        layer.update_precision(x)
    features, test_features = (layer.random_features(a).numpy().astype("float64") for a in (x, x_test))
    precision = np.eye(128) + 100 * features.T @ features
    expected = np.sum(test_features * np.linalg.solve(precision, test_features.T).T, axis=1)
    variance = layer(x_test, inverse_cholesky=layer.inverse_cholesky())["variance"]
    np.testing.assert_allclose(variance, expected, rtol=5e-3)


@pytest.mark.parametrize("ridge_penalty", [1.0, 1e-3])
@pytest.mark.parametrize("scale_features", [True, False])
def test_the_inverse_is_as_accurate_as_solving_with_the_factor(ridge_penalty, scale_features):
    arguments = {"num_features": 256, "scale_features": scale_features, "ridge_penalty": ridge_penalty, "seed": 0}
    layer = built(8, 1, **arguments)
    layer.update_precision(normal(2000, 8))
    x = 2 * normal(50, 8, seed=1)
    features, factor = layer.random_features(x), tf.linalg.cholesky(layer.precision)
    exact = tf.linalg.triangular_solve(factor, tf.transpose(tf.cast(features, tf.float64)))
    solved = tf.linalg.triangular_solve(tf.cast(factor, tf.float32), tf.transpose(features))
    exact, solved = (ridge_penalty * tf.reduce_sum(y**2, axis=0).numpy() for y in (exact, solved))
    variance = layer(x, inverse_cholesky=layer.inverse_cholesky())["variance"]
    error, error_of_solving = (np.max(np.abs(v / exact - 1)) for v in (variance, solved))
    assert error < max(2 * error_of_solving, 1e-6)
    assert error < 1e-3


@pytest.mark.parametrize("momentum", [-1.0, 0.9])
def test_only_wanted_training_calls_update_the_precision(momentum):
    x = normal(8, 4)
    plain = built(4, 2, num_features=16, momentum=momentum)
    before = plain.precision.numpy()
    plain(x, training=True)
    np.testing.assert_array_equal(plain.precision, before)
    updating = built(4, 2, num_features=16, momentum=momentum, update_in_training=True)
    updating(x, training=False)
    updating(x)
    np.testing.assert_array_equal(updating.precision, before)
    updating(x, training=True)
    assert np.any(updating.precision != before)


def test_parts_of_a_batch_give_the_precision_of_the_whole():
    whole, parts = (built(4, 2, num_features=16, seed=0) for _ in range(2))
    x = normal(20, 4)
    whole.update_precision(x)
    for part in (x[:3], x[3:4], x[4:]):
        parts.update_precision(part)
    np.testing.assert_allclose(whole.precision, parts.precision, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("training", [False, True])
def test_unused_variance_costs_nothing(training):
    layer = built(4, 2, num_features=16, update_in_training=True)

    @tf.function
    def logits(x):
        return layer(x, training=training)["outputs"]

    graph = logits.get_concrete_function(tf.TensorSpec((8, 4))).graph
    needed, pending = set(), [tensor.op for tensor in graph.outputs] + list(graph.control_outputs)
    while pending:
        op = pending.pop()
        if op not in needed:
            needed.add(op)
            pending += [tensor.op for tensor in op.inputs] + list(op.control_inputs)
    kinds = {op.type for op in needed}
    assert "Cos" in kinds
    assert not kinds & {"Cholesky", "MatrixTriangularSolve"}
    assert ("AssignVariableOp" in kinds) == training


def test_layer_promises(tmp_path):
    # The count of the tutorial's output layer: [128, 1024] + [1024] + [1024, 2] + [2] + [1024, 1024].
    check_layer(
        lambda: RandomFeatureGaussianProcess(2),
        (128,),
        [(None, 2), (None,)],
        1024 * 2,
        128 * 1024 + 1024 + 2 + 1024**2,
        tmp_path,
    )


def test_layer_promises_with_every_option(tmp_path):
    check_layer(
        lambda: RandomFeatureGaussianProcess(
            1,
            num_features=20,
            feature_type="random",
            feature_stddev=0.5,
            scale_features=False,
            normalize_input=True,
            ridge_penalty=2.0,
            momentum=0.9,
            update_in_training=True,
            likelihood="binary_logistic",
            output_bias=0.5,
            l2=0.1,
            seed=4,
        ),
        (6,),
        [(None, 1), (None,)],
        20 + 2 * 6,
        6 * 20 + 20 + 1 + 20 * 20,
        tmp_path,
    )


@pytest.mark.parametrize(
    "change",
    [
        {"num_features": 24},
        {"kernel_scale": 2.0},
        {"feature_type": "random"},
        {"feature_stddev": 0.5},
        {"scale_features": False},
        {"normalize_input": True},
        {"ridge_penalty": 0.1},
        {"momentum": 0.5},
        {"likelihood": "poisson"},
        {"seed": 2},
    ],
)
def test_the_knobs_turn(change):
    x = normal(8, 4)
    variances = []
    for arguments in ({}, change):
        layer = built(4, 1, **{"num_features": 16, "seed": 1, **arguments})
        layer.update_precision(x)
        variances.append(layer(2 * x)["variance"])
    assert np.any(np.abs(variances[0] - variances[1]) > 1e-4)


def test_output_bias_and_l2():
    plain, changed = built(4, 2, seed=1, l2=0.0), built(4, 2, seed=1, l2=0.5, output_bias=3.0)
    x = normal(8, 4)
    np.testing.assert_allclose(plain(x)["outputs"] + 3.0, changed(x)["outputs"], rtol=1e-5, atol=1e-6)
    assert plain.losses == []
    np.testing.assert_allclose(changed.losses, [0.5 * np.sum(changed.kernel**2)], rtol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_always_float32(policy):
    original = keras.config.dtype_policy()
    outputs = []
    try:
        for name in ("float32", policy):
            keras.config.set_dtype_policy(name)
            inputs = keras.Input((4,), dtype="float32")
            layer = RandomFeatureGaussianProcess(2, num_features=16, seed=1, normalize_input=True)
            model = keras.Model(inputs, layer(inputs))
            outputs.append(model(np.round(8 * normal(8, 4)) / 8))  # Exact in every precision.
    finally:
        keras.config.set_dtype_policy(original)
    for a, b in zip(*[said.values() for said in outputs]):
        assert a.dtype == b.dtype == tf.float32
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"momentum": 0.9}, {"units": 1, "likelihood": "binary_logistic"}, {"normalize_input": True}],
)
def test_two_replicas_gather_the_precision_of_one_device(arguments):
    arguments = {"units": 2, "num_features": 16, "update_in_training": True, "seed": 1, **arguments}
    shards = [tf.constant(normal(5, 4)), tf.constant(normal(3, 4, seed=1))]
    layer = built(4, **arguments)
    strategy = two_replicas()
    with strategy.scope():
        mirrored = built(4, **arguments)
    x = strategy.experimental_distribute_values_from_function(lambda c: shards[c.replica_id_in_sync_group])
    train = tf.function(lambda x: strategy.run(lambda x: mirrored(x, training=True)["outputs"], (x,)))
    update = tf.function(lambda x: strategy.run(mirrored.update_precision, (x,)))
    for _ in range(2):
        train(x)
        layer(tf.concat(shards, axis=0), training=True)
    update(x)
    layer.update_precision(tf.concat(shards, axis=0))
    for copy in local_values(mirrored.precision):
        np.testing.assert_allclose(copy, layer.precision, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(mirrored.inverse_cholesky(), layer.inverse_cholesky(), rtol=1e-4, atol=1e-5)
    mirrored.reset_precision()
    for copy in local_values(mirrored.precision):
        np.testing.assert_array_equal(copy, np.eye(16))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"units": 0}, "units must be a finite number above 0, received 0"),
        ({"num_features": 0}, "num_features must be a finite number above 0"),
        ({"kernel_scale": -1.0}, "kernel_scale must be a finite number above 0, received -1.0"),
        ({"ridge_penalty": 0.0}, "ridge_penalty must be a finite number above 0"),
        ({"ridge_penalty": float("inf")}, "ridge_penalty must be a finite number above 0, received inf"),
        ({"momentum": 1.0}, "momentum must be below 1"),
        ({"l2": -1.0}, "l2 must not be negative"),
        ({"l2": float("nan")}, "l2 must not be negative, received nan"),
        ({"likelihood": "gauss"}, "Unknown likelihood 'gauss'. Did you mean 'gaussian'"),
        ({"feature_type": "orf"}, "Unknown feature type 'orf'.*Known: orthogonal, random"),
        ({"likelihood": "poisson"}, "needs exactly 1 unit, received 2"),
        ({"normalize_input": True, "kernel_scale": 2.0}, "not used with normalize_input"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        RandomFeatureGaussianProcess(**{"units": 2, **arguments})


def test_a_precision_that_cannot_be_factored_is_reported():
    layer = built(4, 2, num_features=16)
    layer.precision.assign(-np.eye(16))
    with pytest.raises(InputError, match="not positive definite"):
        layer.inverse_cholesky()


@pytest.mark.parametrize("momentum", [-1.0, 0.9])
def test_an_empty_batch_changes_nothing(momentum):
    layer = RandomFeatureGaussianProcess(2, 8, momentum=momentum, update_in_training=True, seed=1)
    layer(tf.random.stateless_normal((5, 3), seed=(0, 0)), training=True)
    before = layer.precision.numpy()
    layer(tf.zeros((0, 3)), training=True)
    layer.update_precision(tf.zeros((0, 3)))
    np.testing.assert_array_equal(layer.precision, before)

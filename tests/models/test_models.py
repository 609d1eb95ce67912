"""Every architecture with every layer set, and the parameter counts that others published."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from uncertainty_suite import layers, models
from uncertainty_suite.errors import InputError

# Tiny, but with every part of the architecture.
ARCHITECTURES = {
    "resnet_mlp": ((3,), {"num_layers": 2, "num_hidden": 8}),
    "convnet": ((8, 8, 1), {"num_filters": (3, 4), "num_hidden": 8}),
    "wide_resnet": ((9, 8, 3), {"depth": 10, "width": 1, "dropout_rate": 0.2}),
    "resnet20": ((8, 8, 3), {"dropout_rate": 0.2}),
}
LAYER_SETS = {
    "plain": layers.LayerSet(),
    "mc_dropout": layers.LayerSet(dropout=layers.MonteCarloDropout),
    "filterwise_mc_dropout": layers.LayerSet(dropout=functools.partial(layers.MonteCarloDropout, filterwise=True)),
    "sngp": layers.LayerSet(
        conv=lambda *args, **kwargs: layers.SpectralNormalization(keras.layers.Conv2D(*args, **kwargs), 0.5),
        dense=lambda *args, **kwargs: layers.SpectralNormalization(keras.layers.Dense(*args, **kwargs), 0.5),
        head=lambda units: layers.RandomFeatureGaussianProcess(units, num_features=16, update_in_training=True),
    ),
}
everywhere = pytest.mark.parametrize(
    ("architecture", "layer_set"), [(name, layer_set) for name in ARCHITECTURES for layer_set in LAYER_SETS]
)


def build(architecture: str, layer_set: str) -> keras.Model:
    input_shape, options = ARCHITECTURES[architecture]
    keras.utils.set_random_seed(1)
    return models.get(architecture, input_shape, 5, LAYER_SETS[layer_set], **options)


def features_for(model: keras.Model, batch: int = 4) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(batch, *model.input_shape[1:])).astype(np.float32)


def reseed(model: keras.Model) -> None:
    """Bring the generators of always-on dropout to one state, so that two models draw the same masks."""
    for variable in model.variables:
        if "seed_generator_state" in variable.path:
            variable.assign([1, 2])


def logits_of(model: keras.Model, features: np.ndarray, training: bool = False) -> tf.Tensor:
    return keras.tree.flatten(model(features, training=training))[0]


@everywhere
def test_saves_and_reloads_to_equal_outputs(architecture, layer_set, tmp_path):
    model = build(architecture, layer_set)
    features = features_for(model)
    logits_of(model, features, training=True)  # moves statistics, norms and precision off their initial values
    reseed(model)
    expected = keras.tree.flatten(model(features, training=False))
    assert expected[0].shape == (4, 5)
    model.save(tmp_path / "model.keras")
    reloaded = keras.saving.load_model(tmp_path / "model.keras")
    reseed(reloaded)
    for before, after in zip(expected, keras.tree.flatten(reloaded(features, training=False))):
        np.testing.assert_array_equal(before, after)


@everywhere
def test_trains_a_step_on_two_devices(architecture, layer_set, two_devices):
    strategy = two_devices
    with strategy.scope():
        model = build(architecture, layer_set)
        optimizer = keras.optimizers.SGD(0.1)
        optimizer.build(model.trainable_variables)
    before = [variable.numpy() for variable in model.trainable_variables]
    features = features_for(model, batch=8)
    data = tf.data.Dataset.from_tensors((features, np.arange(8) % 5))

    @tf.function
    def train(iterator):
        def step(features, labels):
            with tf.GradientTape() as tape:
                logits = logits_of(model, features, training=True)
                loss = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
                loss = tf.reduce_mean(loss) / strategy.num_replicas_in_sync
            optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
            return loss

        return strategy.reduce("SUM", strategy.run(step, args=next(iterator)), axis=None)

    loss = train(iter(strategy.experimental_distribute_dataset(data.unbatch().batch(8))))
    assert np.isfinite(loss)
    changed = [np.any(variable.numpy() != old) for variable, old in zip(model.trainable_variables, before)]
    assert np.mean(changed) > 0.9  # a bias behind dead units may stand still
    for variable in model.variables:
        if "moving_" in variable.path or "seed_generator" in variable.path:
            continue  # each replica has its own statistics, averaged when they are read, and its own masks
        replicas = strategy.experimental_local_results(variable.value)
        np.testing.assert_array_equal(*[replica.numpy() for replica in replicas], err_msg=variable.path)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_dropout_of_rate_zero_is_the_deterministic_network(architecture):
    input_shape, options = ARCHITECTURES[architecture]
    option = "dropout_rates" if architecture == "convnet" else "dropout_rate"
    options = options | {option: (0.0, 0.0) if architecture == "convnet" else 0.0}
    networks = []
    for layer_set in ("plain", "mc_dropout"):
        keras.utils.set_random_seed(1)
        networks.append(models.get(architecture, input_shape, 5, LAYER_SETS[layer_set], **options))
    features = features_for(networks[0])
    np.testing.assert_array_equal(*[logits_of(network, features) for network in networks])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_always_on_dropout_gives_another_sample_each_time(architecture):
    model = build(architecture, "mc_dropout")
    features = features_for(model)
    assert np.any(model.predict(features, verbose=0) != model.predict(features, verbose=0))


@pytest.mark.parametrize(
    ("architecture", "input_shape", "num_classes", "options", "total", "trainable"),
    [
        ("resnet_mlp", (2,), 2, {}, 99_714, 99_330),
        ("convnet", (28, 28, 1), 10, {}, 1_199_882, 1_199_882),
        ("wide_resnet", (32, 32, 3), 10, {"depth": 28, "width": 10}, 36_497_146, 36_479_194),
        ("wide_resnet", (32, 32, 3), 100, {"depth": 28, "width": 10}, 36_554_836, 36_536_884),
        ("resnet20", (32, 32, 3), 10, {}, 274_442, 273_066),
    ],
)
def test_parameter_counts(architecture, input_shape, num_classes, options, total, trainable):
    model = models.get(architecture, input_shape, num_classes, **options)
    assert model.count_params() == total
    assert sum(variable.shape.num_elements() for variable in model.trainable_variables) == trainable


def test_parameter_counts_with_spectral_norm_and_gaussian_process():
    layer_set = layers.LayerSet(
        conv=lambda *args, **kwargs: layers.SpectralNormalization(keras.layers.Conv2D(*args, **kwargs)),
        dense=lambda *args, **kwargs: layers.SpectralNormalization(keras.layers.Dense(*args, **kwargs)),
        head=layers.RandomFeatureGaussianProcess,
    )
    assert models.get("resnet_mlp", (2,), 2, layer_set).count_params() == 1_283_714
    # Uncertainty Baselines' 44,385,787 less the covariance matrix and the counter that it keeps beside the precision.
    count = models.get("wide_resnet", (32, 32, 3), 10, layer_set).count_params()
    assert count == 44_385_787 - 1024**2 - 1


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("wide_resnt", (8, 8, 3), 5), {}, "Unknown architecture 'wide_resnt'. Did you mean 'wide_resnet'?"),
        (("resnet20", (8, 8, 3), 5), {"depth": 20}, "Unknown option of architecture resnet20 'depth'."),
        (("wide_resnet", (8, 8, 3), 5), {"depth": 20}, r"depth of 6 n \+ 4"),
        (("convnet", (2,), 5), {}, r"examples of shape \(2,\). Choose another --config.model.name"),
        (("resnet20", (4, 4, 1), 5), {}, "images of at least 8 x 8 pixels"),
    ],
)
def test_refuses(arguments, options, message):
    with pytest.raises(InputError, match=message):
        models.get(*arguments, **options)

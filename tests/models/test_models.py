"""Every architecture with every layer set, and the parameter counts that others published."""

import functools
import subprocess
import sys
import types

import numpy as np
import pytest
from ml_collections import ConfigDict

from uncertainty_suite import keras, layers, models, tf
from uncertainty_suite.errors import InputError

# Tiny, but with every part of the architecture.
ARCHITECTURES = {
    "resnet_mlp": ((3,), {"num_layers": 2, "num_hidden": 8}),
    "mlp": ((3,), {"num_layers": 2, "num_hidden": 8, "dropout_rate": 0.2}),
    "convnet": ((8, 8, 1), {"num_filters": (3, 4), "num_hidden": 8}),
    "wide_resnet": ((9, 8, 3), {"depth": 10, "width": 1, "dropout_rate": 0.2}),
    "resnet20": ((8, 8, 3), {"dropout_rate": 0.2}),
    "resnet50": ((32, 32, 3), {"num_filters": 4, "num_blocks": (1, 2), "dropout_rate": 0.2}),
    "vit": ((8, 12, 3), {"patch_size": 4, "num_layers": 1, "num_hidden": 8, "num_heads": 2, "dropout_rate": 0.2}),
    "bert": ((6,), {"vocabulary_size": 9, "num_layers": 1, "num_hidden": 8, "num_heads": 2}),
    "text_cnn": ((6,), {"vocabulary_size": 9, "num_embedding": 6, "num_filters": 4, "kernel_sizes": (2, 3)}),
    "lstm": ((6,), {"vocabulary_size": 9, "num_embedding": 6, "num_hidden": 8}),
    "transformer": ((6,), {"vocabulary_size": 9, "num_layers": 1, "num_hidden": 8, "num_heads": 2}),
    "message_passing": (
        (5, 7),
        {"num_features": 2, "vocabulary_size": 9, "num_edge_kinds": 2, "num_layers": 1, "num_hidden": 8},
    ),
}
LAYER_SETS = {
    "plain": layers.LayerSet(),
    "mc_dropout": layers.LayerSet(dropout=layers.MonteCarloDropout),
    "filterwise_mc_dropout": layers.LayerSet(dropout=functools.partial(layers.MonteCarloDropout, filterwise=True)),
    "sngp": layers.LayerSet(
        conv=lambda *args, **kwargs: layers.SpectralNormalization(keras.layers.Conv2D(*args, **kwargs), 0.5),
        dense=lambda *args, **kwargs: layers.SpectralNormalization(keras.layers.Dense(*args, **kwargs), 0.5),
        head=functools.partial(
            layers.RandomFeatureGaussianProcess, num_features=16, update_in_training=True, normalize_input=True
        ),
    ),
}
# All layer sets on three architectures, and on the others those that differ most; wide_resnet has what resnet20 has.
QUICK = [
    *((name, layer_set) for name in ("resnet_mlp", "mlp", "convnet") for layer_set in LAYER_SETS),
    *((name, layer_set) for name in ARCHITECTURES if name != "resnet20" for layer_set in ("mc_dropout", "sngp")),
]
# Others take ten seconds where replicas are compiled.
QUICK_ON_TWO_DEVICES = [("resnet_mlp", "sngp"), ("mlp", "plain"), ("convnet", "mc_dropout")]


def everywhere(quick):
    """Run a test with every layer set on every architecture, of which these are not slow."""
    pairs = [(name, layer_set) for name in ARCHITECTURES for layer_set in LAYER_SETS]
    return pytest.mark.parametrize(
        ("architecture", "layer_set"),
        [pytest.param(*pair, marks=[] if pair in quick else pytest.mark.slow) for pair in pairs],
    )


def make(name, input_shape, num_outputs, layer_set=None, **options) -> keras.Model:
    data, likelihood = types.SimpleNamespace(input_shape=input_shape), types.SimpleNamespace(num_outputs=num_outputs)
    return models.build({"name": name, **options}, data, likelihood, layer_set)


def build(architecture: str, layer_set: str) -> keras.Model:
    input_shape, options = ARCHITECTURES[architecture]
    keras.utils.set_random_seed(1)
    return make(architecture, input_shape, 5, LAYER_SETS[layer_set], **options)


def random_graphs(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return graphs of two to five nodes with two ids each, and edges of two kinds."""
    graphs = np.zeros((count, 5, 7), np.int32)
    for i, graph in enumerate(graphs):
        size = 2 + i % 4
        graph[:size, :2] = rng.integers(1, 9, (size, 2))
        edges = np.triu(rng.integers(0, 3, (size, size)), 1)
        graph[:size, 2 : 2 + size] = edges + edges.T
    return graphs


def features_for(model: keras.Model, batch: int = 4) -> np.ndarray:
    rng, shape = np.random.default_rng(0), (batch, *model.input_shape[1:])
    if model.name in ("bert", "lstm", "text_cnn", "transformer"):
        return rng.integers(0, 9, shape).astype(np.float32)
    if model.name == "message_passing":
        return random_graphs(rng, batch).astype(np.float32)
    return rng.normal(size=shape).astype(np.float32)


def reseed(model: keras.Model) -> None:
    """Bring the generators of always-on dropout to one state, so that two models draw the same masks."""
    for variable in model.variables:
        if "seed_generator_state" in variable.path:
            variable.assign([1, 2])


@everywhere(QUICK)
def test_outputs_are_named_and_features_are_what_the_head_saw(architecture, layer_set):
    model = build(architecture, layer_set)
    reseed(model)
    said = model(features_for(model), training=False)
    assert set(said) == {"features", "outputs", "variance"} if layer_set == "sngp" else {"features", "outputs"}
    assert said["outputs"].shape == (4, 5)
    assert len(said["features"].shape) == 2
    again = model.get_layer("head")(said["features"])
    again = again if layer_set == "sngp" else {"outputs": again}
    for name, value in again.items():
        np.testing.assert_allclose(value, said[name], rtol=1e-5, atol=1e-5)


@everywhere(QUICK)
def test_saves_and_reloads_to_equal_outputs(architecture, layer_set, tmp_path):
    model = build(architecture, layer_set)
    features = features_for(model)
    model(features, training=True)  # moves statistics, norms and precision off their initial values
    reseed(model)
    expected = model(features, training=False)
    model.save(tmp_path / "model.keras")
    reloaded = keras.saving.load_model(tmp_path / "model.keras")
    reseed(reloaded)
    said = reloaded(features, training=False)
    assert set(said) == set(expected)
    for name in expected:
        np.testing.assert_array_equal(said[name], expected[name])


@everywhere(QUICK)
def test_names_of_layers_and_variables_do_not_depend_on_what_was_built_before(architecture, layer_set):
    keras.utils.clear_session()
    names = []
    for _ in range(2):
        model = build(architecture, layer_set)
        paths = [variable.path for variable in model.variables]
        assert len(set(paths)) == len(paths)
        names.append([*paths, *(layer.name for layer in model._flatten_layers())])
    assert names[0] == names[1]


@everywhere(QUICK_ON_TWO_DEVICES)
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
                logits = model(features, training=True)["outputs"]
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
    zero = {"dropout_rates": (0.0, 0.0)} if architecture == "convnet" else {"dropout_rate": 0.0}
    networks = []
    for layer_set in ("plain", "mc_dropout"):
        keras.utils.set_random_seed(1)
        networks.append(make(architecture, input_shape, 5, LAYER_SETS[layer_set], **{**options, **zero}))
    features = features_for(networks[0])
    np.testing.assert_array_equal(*[network(features)["outputs"] for network in networks])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_always_on_dropout_gives_another_sample_each_time(architecture):
    model = build(architecture, "mc_dropout")
    features = features_for(model)
    first, second = (model.predict(features, verbose=0)["outputs"] for _ in range(2))
    assert np.any(first != second)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("layer_set", ["plain", "sngp"])
def test_outputs_are_float32_in_every_precision(policy, layer_set):
    original = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy(policy)
        said = build("transformer", layer_set)(np.ones((2, 6)))
    finally:
        keras.config.set_dtype_policy(original)
    assert said["outputs"].dtype == tf.float32


@pytest.mark.parametrize(
    ("architecture", "input_shape", "num_outputs", "options", "total", "trainable"),
    [
        ("resnet_mlp", (2,), 2, {}, 99_714, 99_330),
        ("convnet", (28, 28, 1), 10, {}, 1_199_882, 1_199_882),
        ("wide_resnet", (32, 32, 3), 10, {"depth": 28, "width": 10}, 36_497_146, 36_479_194),
        pytest.param(
            *("wide_resnet", (32, 32, 3), 100, {"depth": 28, "width": 10}, 36_554_836, 36_536_884),
            marks=pytest.mark.slow,
        ),
        ("resnet20", (32, 32, 3), 10, {}, 274_442, 273_066),
        ("resnet50", (224, 224, 3), 1000, {}, 25_610_152, 25_557_032),
        # Published networks, timm's vit_small_patch16_224 and vit_base_patch16_224, less the class token.
        ("vit", (224, 224, 3), 1000, {}, 22_050_664 - 384, 22_050_664 - 384),
        pytest.param(
            *("vit", (224, 224, 3), 1000, {"num_hidden": 768, "num_heads": 12}, 86_567_656 - 768, 86_567_656 - 768),
            marks=pytest.mark.slow,
        ),
        # Uncertainty Baselines' 752, 452 + 50 and 302, with one output and a free noise scale. Here the second of two
        # outputs is the noise scale: 51 parameters in place of one.
        ("mlp", (13,), 2, {}, 752 + 50, 752 + 50),
        ("mlp", (8,), 2, {}, 502 + 50, 502 + 50),
        ("mlp", (4,), 2, {}, 302 + 50, 302 + 50),
    ],
)
def test_parameter_counts(architecture, input_shape, num_outputs, options, total, trainable):
    model = make(architecture, input_shape, num_outputs, **options)
    assert model.count_params() == total
    assert sum(variable.shape.num_elements() for variable in model.trainable_variables) == trainable


def test_parameter_counts_with_spectral_norm_and_gaussian_process():
    layer_set = layers.LayerSet(
        conv=lambda *args, **kwargs: layers.SpectralNormalization(keras.layers.Conv2D(*args, **kwargs)),
        dense=lambda *args, **kwargs: layers.SpectralNormalization(keras.layers.Dense(*args, **kwargs)),
        head=layers.RandomFeatureGaussianProcess,
    )
    assert make("resnet_mlp", (2,), 2, layer_set).count_params() == 1_283_714
    # Uncertainty Baselines' 44,385,787 less the covariance matrix and the counter that it keeps beside the precision.
    count = make("wide_resnet", (32, 32, 3), 10, layer_set).count_params()
    assert count == 44_385_787 - 1024**2 - 1


def test_dropout_of_the_perceptron_is_before_every_dense_layer():
    model = make("mlp", (3,), 2, LAYER_SETS["mc_dropout"], num_layers=2, dropout_rate=0.1)
    kinds = [layer.name.partition("_")[0] for layer in model.layers]
    assert kinds == ["features", "dropout", "dense", "dropout", "dense", "dropout", "head"]


@pytest.mark.parametrize("architecture", ["bert", "lstm", "text_cnn", "transformer"])
def test_padding_does_not_change_what_is_said_of_a_text(architecture):
    keras.utils.set_random_seed(1)
    long, short = make(architecture, (6,), 2), make(architecture, (4,), 2)
    for ours, theirs in zip(short.variables, long.variables):
        ours.assign(theirs[: ours.shape[0]])
    ids = np.array([[3, 1, 2, 5], [4, 4, 0, 0]])
    padded = np.pad(ids, ((0, 0), (0, 2)))
    np.testing.assert_allclose(short(ids)["outputs"], long(padded)["outputs"], rtol=1e-5, atol=1e-6)


def test_the_text_cnn_is_that_of_the_paper():
    """Kim 2014, equations 2 to 4, in NumPy: c_i = relu(w x_{i:i+h-1} + b) and the largest of them; zeros around."""
    model = make("text_cnn", (6,), 2, vocabulary_size=9, num_embedding=3, num_filters=4, kernel_sizes=(3,))
    table, kernel, bias, *_ = (np.asarray(variable) for variable in model.trainable_variables)
    ids = np.array([3, 8, 1, 2])
    x = np.pad(table[ids], ((1, 1), (0, 0)))
    c = [np.maximum(np.tensordot(x[i : i + 3], kernel[0], axes=2) + bias, 0) for i in range(len(ids))]
    said = model(np.pad(ids, (0, 2))[np.newaxis])
    np.testing.assert_allclose(said["features"], [np.max(c, axis=0)], rtol=1e-5, atol=1e-6)


OF_GRAPHS = {"num_features": 2, "vocabulary_size": 9, "num_edge_kinds": 2, "num_hidden": 8}


@pytest.fixture(scope="module")
def of_graphs():
    """A message-passing network of several steps, graphs, and what it says of them."""
    keras.utils.set_random_seed(1)
    model = make("message_passing", (5, 7), 3, **OF_GRAPHS)
    graphs = random_graphs(np.random.default_rng(1), 8)
    return model, graphs, model(graphs)


def test_the_order_of_nodes_does_not_change_what_is_said_of_a_graph(of_graphs):
    model, graphs, said = of_graphs
    order = np.random.default_rng(2).permutation(5)
    in_order = graphs[:, order][:, :, [0, 1, *(2 + order)]]
    assert np.any(in_order != graphs)
    np.testing.assert_allclose(model(in_order)["outputs"], said["outputs"], rtol=1e-5, atol=1e-6)
    # What is joined matters: the same nodes without edges are another graph.
    apart = np.concatenate([graphs[..., :2], np.zeros_like(graphs[..., 2:])], axis=-1)
    assert np.abs(model(apart)["outputs"] - said["outputs"]).max() > 0.01


def test_rows_that_fill_a_graph_up_change_nothing(of_graphs):
    model, graphs, said = of_graphs
    larger = make("message_passing", (9, 11), 3, **OF_GRAPHS)
    larger.set_weights(model.get_weights())
    filled_up = np.pad(graphs, ((0, 0), (0, 4), (0, 4)))
    np.testing.assert_allclose(larger(filled_up)["outputs"], said["outputs"], rtol=1e-5, atol=1e-6)


def test_a_step_passes_the_messages_of_the_paper():
    """x_v + relu(U y_v + sum_w A_e y_w) in NumPy, node by node and edge by edge."""
    keras.utils.set_random_seed(1)
    model = make("message_passing", (5, 7), 3, **OF_GRAPHS, num_layers=1)
    graph = random_graphs(np.random.default_rng(3), 3)[2]  # four nodes, and a row that is none
    weights = {layer.name: [np.asarray(each) for each in layer.weights] for layer in model.layers if layer.weights}

    def norm(x):
        return (x - x.mean()) / np.sqrt(x.var() + 1e-5)  # its scale and offset are 1 and 0 at first

    kernel, bias = weights["nodes"]
    x = [np.maximum(kernel[ids].sum(axis=0) + bias, 0) for ids in graph[:4, :2]]
    y, features = [norm(each) for each in x], []
    for v in range(4):
        added = y[v] @ weights["step1_update"][0] + weights["step1_update"][1]
        for w in range(4):
            if kind := graph[v, 2 + w]:
                added = added + y[w] @ weights[f"step1_message{kind}"][0]
        features.append(norm(x[v] + np.maximum(added, 0)))
    said = model(graph[np.newaxis])["features"]
    np.testing.assert_allclose(said, [np.mean(features, axis=0)], rtol=1e-4, atol=1e-5)


def test_the_transformer_looks_up_every_id_in_every_precision():
    original = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        model = make("transformer", (1,), 2, vocabulary_size=3000)
    finally:
        keras.config.set_dtype_policy(original)
    # Consecutive ids, which bfloat16 does not tell apart.
    said = model(np.arange(2900, 3000)[:, np.newaxis])["features"]
    assert len({row.tobytes() for row in np.asarray(said, np.float32)}) == 100


def test_the_layers_of_a_transformer_are_those_of_the_layer_set():
    used = []

    def recorded(field):
        make_layer = getattr(layers.LayerSet(), field)
        return lambda *args, **kwargs: used.append(field) or make_layer(*args, **kwargs)

    fields = ("embedding", "layer_norm", "attention", "dense", "dropout", "head")
    make("transformer", (6,), 2, layers.LayerSet(**{field: recorded(field) for field in fields}), num_layers=1)
    # Attention makes four dense layers, the second half of a block two.
    expected = {"embedding": 2, "layer_norm": 3, "attention": 1, "dense": 6, "dropout": 3, "head": 1}
    assert {field: used.count(field) for field in fields} == expected


def test_adapters_change_what_goes_in_and_what_comes_out():
    def split_members(said):
        return {**said, "outputs": keras.layers.Reshape((2, 5), name="members")(said["outputs"])}

    layer_set = layers.LayerSet(
        at_input=lambda x: keras.layers.Concatenate(name="twice")([x, x]),
        head=lambda units, **kwargs: keras.layers.Dense(2 * units, **kwargs),
        at_output=split_members,
    )
    model = make("mlp", (3,), 5, layer_set)
    assert model.get_layer("dense_1").kernel.shape == (6, 50)
    assert model(np.ones((4, 3)))["outputs"].shape == (4, 2, 5)


def test_the_weights_of_a_linear_head_give_its_outputs():
    for head in (
        layers.LayerSet().head,
        lambda units, **kwargs: layers.SpectralNormalization(keras.layers.Dense(units, **kwargs)),
        lambda units, **kwargs: keras.layers.Dense(units, use_bias=False, **kwargs),
    ):
        model = make("mlp", (3,), 5, layers.LayerSet(head=head))
        kernel, bias = models.linear_head(model)
        assert (kernel.shape, bias.shape) == ((50, 5), (5,))
        said = model(features_for(model))
        np.testing.assert_allclose(said["features"] @ kernel + bias, said["outputs"], rtol=1e-5, atol=1e-6)


def test_a_head_that_is_not_linear_has_no_such_weights():
    reshape = keras.layers.Reshape((5, 1), name="reshape")
    for layer_set in (
        LAYER_SETS["sngp"],
        layers.LayerSet(head=lambda units, **kwargs: keras.layers.Dense(units, activation="tanh", **kwargs)),
        layers.LayerSet(at_output=lambda said: {**said, "outputs": reshape(said["outputs"])}),
    ):
        assert models.linear_head(make("mlp", (3,), 5, layer_set)) is None


@pytest.fixture
def registered():
    """Architectures of a user; they are forgotten afterwards."""
    known = dict(models.REGISTRY._entries)
    yield
    models.REGISTRY._entries.clear()
    models.REGISTRY._entries.update(known)


def test_an_architecture_of_ones_own(registered):
    @models.register
    def two_parts(inputs, layers, num_hidden=4):
        x = keras.layers.Concatenate(name="both")([inputs["left"], inputs["right"]])
        return layers.dense(num_hidden, name="dense_1")(x)

    assert "two_parts" in models.names()
    assert models.options("two_parts") == {"num_hidden": 4}
    model = make("two_parts", {"left": (2,), "right": (3,)}, 5, num_hidden=6)
    assert model({"left": np.ones((4, 2)), "right": np.ones((4, 3))})["features"].shape == (4, 6)


def test_a_linear_model_has_its_inputs_as_features(registered, tmp_path):
    models.register(linear := lambda inputs, layers: inputs)
    model = make(linear.__name__, (3,), 5)
    np.testing.assert_array_equal(model(np.ones((4, 3)))["features"], np.ones((4, 3)))
    assert models.linear_head(model)[0].shape == (3, 5)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(np.ones((4, 3)))["features"], 1)


def test_a_configuration_and_options_in_the_name():
    config = ConfigDict({"name": "wide_resnet(depth=16)", "width": 1})
    data, likelihood = types.SimpleNamespace(input_shape=(8, 8, 3)), types.SimpleNamespace(num_outputs=5)
    model = models.build(config, data, likelihood)
    assert model.name == "wide_resnet"
    assert model.get_layer("group1_block2_conv2").filters == 16


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_option_changes_the_network(architecture):
    changes = {"dropout_rates": (0.1, 0.9), "dropout_rate": 0.6, "depth": 16, "num_hidden": 16}
    changes |= {"num_filters": (5, 6) if architecture == "convnet" else 5, "num_blocks": (2, 2), "patch_size": 2}
    input_shape, options = ARCHITECTURES[architecture]
    options = {**models.options(architecture), **options}
    layer_set = layers.LayerSet(dropout=lambda rate, **kwargs: layers.MonteCarloDropout(rate, seed=1, **kwargs))

    def said(options):
        keras.utils.set_random_seed(1)
        model = make(architecture, input_shape, 5, layer_set, **options)
        return model.count_params(), np.asarray(model(features_for(model))["outputs"])

    count, outputs = said(options)
    options.pop("pretrained", None)  # tests/models/test_pretrained.py has it
    for option, value in options.items():
        if option == "num_features":  # which the inputs have
            continue
        other_count, others = said({**options, option: changes.get(option, value * 2)})
        assert other_count != count or np.any(others != outputs), option


@pytest.mark.parametrize(
    ("name", "input_shape", "options", "message"),
    [
        ("wide_resnt", (8, 8, 3), {}, "Unknown architecture 'wide_resnt'. Did you mean 'wide_resnet'?"),
        ("resnet20", (8, 8, 3), {"dropout": 0.1}, "Unknown option of architecture 'resnet20' 'dropout'. Did you mean"),
        ("wide_resnet", (8, 8, 3), {"depth": 20}, r"depth of 6 n \+ 4"),
        ("wide_resnet", (8, 8, 3), {"width": 0}, "width of architecture wide_resnet takes whole numbers of at least 1"),
        ("convnet", (2,), {}, r"examples of shape \(2,\). Choose another --config.model.name"),
        ("convnet", (8, 8, 1), {"num_filters": (3, 4, 5)}, "takes a tuple of two, not"),
        ("convnet", (8, 8, 1), {"dropout_rates": (0.25,)}, "takes a tuple of two, not"),
        ("convnet", (8, 8, 1), {"dropout_rates": (0.5, 1.0)}, "at least 0 and below 1, not"),
        ("resnet20", (4, 4, 1), {}, "images of at least 8 x 8 pixels"),
        ("resnet50", (28, 28, 1), {}, "images of at least 32 x 32 pixels"),
        ("resnet50", (32, 32, 3), {"num_blocks": (1, 0)}, "num_blocks of architecture resnet50 takes whole numbers"),
        ("vit", (8, 8, 3), {"num_heads": 5}, "num_heads that divide num_hidden=384, not 5"),
        ("vit", (32, 40, 3), {}, "multiples of patch_size=16, and this data set has 32 x 40 pixels"),
        ("mlp", (3,), {"num_hidden": "50"}, "takes whole numbers of at least 1, not '50'"),
        ("mlp", (3,), {"dropout_rate": -0.1}, "takes numbers of at least 0 and below 1, not -0.1"),
        ("mlp", {"left": (2,), "right": (3,)}, {}, "this data set has 2: left, right"),
        ("bert", (6,), {"num_heads": 5}, "num_heads that divide num_hidden=384, not 5"),
        ("lstm", (8, 8, 1), {}, "Architecture lstm takes token ids"),
        ("lstm", (6,), {"num_hidden": 0}, "num_hidden of architecture lstm takes whole numbers"),
        ("lstm", (6,), {"dropout_rate": 1.0}, "dropout_rate of architecture lstm takes numbers"),
        ("text_cnn", (8, 8, 1), {}, "Architecture text_cnn takes token ids"),
        (
            "text_cnn",
            (6,),
            {"kernel_sizes": (3, 0)},
            "kernel_sizes of architecture text_cnn takes whole numbers",
        ),
        ("message_passing", (6,), {}, r"rows of num_features=6 ids .* examples of shape \(6,\). Choose another"),
        ("message_passing", (5, 7), {"num_features": 3}, r"rows of num_features=3 ids .* examples of shape \(5, 7\)"),
        ("message_passing", (5, 11), {"num_hidden": 0}, "num_hidden of architecture message_passing takes whole"),
        ("transformer", (8, 8, 1), {}, "takes token ids"),
        ("transformer", (6,), {"num_heads": 5}, "num_heads that divide num_hidden=64, not 5"),
    ],
)
def test_refuses(name, input_shape, options, message):
    with pytest.raises(InputError, match=message):
        make(name, input_shape, 5, **options)


def test_refuses_what_is_no_backbone(registered):
    @models.register
    def maps(inputs, layers):
        return layers.conv(2, 3, name="conv_1")(inputs)

    @models.register
    def whole_model(inputs, layers):
        return keras.Model(inputs, keras.layers.Identity()(inputs))

    for name in ("maps", "whole_model"):
        with pytest.raises(InputError, match=r"must return features \[batch, d\]"):
            make(name, (8, 8, 1), 5)
    with pytest.raises(InputError, match="The model has no name"):
        models.build({}, types.SimpleNamespace(input_shape=(3,)), types.SimpleNamespace(num_outputs=2))
    with pytest.raises(InputError, match="both features and outputs"):
        make("mlp", (3,), 5, layers.LayerSet(at_output=lambda said: {"outputs": said["outputs"]}))


def test_refuses_variables_of_the_same_name(registered):
    class Nested(keras.layers.Layer):
        def __init__(self, name):
            super().__init__(name=name)
            self.dropout = layers.MonteCarloDropout(0.5, name="dropout")

        def call(self, inputs):
            return self.dropout(inputs)

    @models.register
    def nested(inputs, layers):
        return Nested("second")(Nested("first")(inputs))

    with pytest.raises(InputError, match="several variables named dropout/seed_generator_state"):
        make("nested", (3,), 5)


def test_names_and_options_need_no_tensorflow():
    code = "import sys; from uncertainty_suite import models; print(models.options('mlp'), 'tensorflow' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "{'num_layers': 1, 'num_hidden': 50, 'dropout_rate': 0.0} False"

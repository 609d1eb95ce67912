"""Methods whose members share a network: what each is when its ingredient is nothing, and what it refuses."""

import types

import numpy as np
import pytest

from tests.models.test_models import ARCHITECTURES, features_for, make
from tests.tiny import arrays_of, load_script, newest_checkpoint, section_of, tiny_config, untimed
from uncertainty_suite import layers, tf, training
from uncertainty_suite.errors import InputError

# The deepest takes as long as all others, and wide_resnet has what it has.
everywhere = pytest.mark.parametrize(
    "architecture",
    [pytest.param(name, marks=[pytest.mark.slow] if name == "resnet20" else []) for name in ARCHITECTURES],
)


def section(method, **overrides):
    """Return a method's hyper-parameters: their defaults, and some of one's own."""
    defaults = {name: one.default for name, one in section_of(load_script(method)).parameters.items()}
    return types.SimpleNamespace(**{**defaults, **overrides})


def copy_weights(model, plain):
    """Give a network the weights that another one has by the same names."""
    values = {tuple(dict.fromkeys(each.path.split("/"))): each for each in plain.variables}
    for variable in model.variables:
        key = tuple(dict.fromkeys(variable.path.split("/")))  # a wrapper and its layer have one name
        if key in values and values[key].shape == variable.shape:
            variable.assign(values[key])


@everywhere
def test_members_with_unit_fast_weights_are_the_plain_network(architecture):
    input_shape, options = ARCHITECTURES[architecture]
    layer_set = load_script("batch_ensemble").get_layer_set(section("batch_ensemble", size=3, random_sign_init=0.0))
    model = make(architecture, input_shape, 5, layer_set, **options)
    plain = make(architecture, input_shape, 5, **options)
    copy_weights(model, plain)
    said, expected = (each(features_for(plain), training=False) for each in (model, plain))
    assert said["outputs"].shape == (4, 3, 5)
    for member in range(3):
        np.testing.assert_allclose(said["outputs"][:, member], expected["outputs"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(said["features"], expected["features"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("method", "total", "trainable"),
    [
        ("batch_ensemble", 36_575_500, 36_557_548),
        pytest.param("mimo", 36_510_830, 36_492_878, marks=pytest.mark.slow),
        pytest.param("rank1_bnn", 36_653_824, 36_635_872, marks=pytest.mark.slow),
    ],
)
def test_parameter_counts_of_uncertainty_baselines(method, total, trainable):
    layer_set = load_script(method).get_layer_set(section(method))
    model = make("wide_resnet", (32, 32, 3), 10, layer_set)
    assert model.count_params() == total
    assert sum(variable.shape.num_elements() for variable in model.trainable_variables) == trainable


def test_a_network_of_one_input_and_one_head_is_the_deterministic_one(finished):
    alone = {"mimo__size": 1, "mimo__batch_repetitions": 1, "model__dropout_rate": 0.0}
    folder, _ = finished("mimo", **alone)
    baseline, _ = finished("deterministic", model__dropout_rate=0.0)
    mine, theirs = (arrays_of(each / "predictions/test.npz") for each in (folder, baseline))
    # Examples come in another order within a batch, so sums are rounded otherwise.
    np.testing.assert_allclose(mine["log_probs"], theirs["log_probs"], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("alike", [0.0, 0.25, 1.0])
def test_every_member_sees_every_example_of_a_batch_as_often(alike):
    config = section("mimo", size=3, batch_repetitions=4, input_repetition_probability=alike)
    rows, others = (load_script("mimo").member_rows(config, 10, tf.constant([seed, 0])) for seed in (0, 1))
    members = rows.numpy().reshape(3, 40)
    for member in members:
        np.testing.assert_array_equal(np.bincount(member), [4] * 10)
    common = np.all(members == members[0], axis=0)
    assert common[40 - round(40 * alike) :].all()
    assert common.mean() < alike + 0.1  # of the others a hundredth is alike by chance
    assert np.any(others != rows)
    np.testing.assert_array_equal(load_script("mimo").member_rows(config, tf.constant(10), tf.constant([0, 0])), rows)


def test_a_shallow_ensemble_of_one_head_is_the_deterministic_network(finished):
    _, results = finished("shallow_ensemble", shallow_ensemble__size=1)
    _, baseline = finished("deterministic")
    assert untimed(results) == untimed(baseline)


@everywhere
def test_members_with_full_masks_are_the_network_without_dropout(architecture):
    input_shape, options = ARCHITECTURES[architecture]
    layer_set = layers.LayerSet(dropout=lambda rate, **kwargs: layers.MemberMasks(rate, 3, scale=1.0, **kwargs))
    model = make(architecture, input_shape, 5, layer_set, **options)
    plain = make(architecture, input_shape, 5, **options)
    copy_weights(model, plain)
    features = features_for(plain)
    trunk, rest = layers.split_at(model, lambda layer: isinstance(layer, layers.MemberMasks))
    said = rest(layers.TileMembers(3)(trunk(features)))
    for name, expected in plain(features).items():
        np.testing.assert_allclose(said[name], np.concatenate([expected] * 3), rtol=1e-5, atol=1e-6)


def test_masks_without_a_place_are_refused(tmp_path):
    config = tiny_config("masksembles", model__dropout_rate=0.0)
    with pytest.raises(InputError, match="Masksembles has nothing to do in 'resnet_mlp' without dropout"):
        load_script("masksembles").main(config, training.Options(output_dir=tmp_path / "run"))
    assert not list(tmp_path.rglob("checkpoints"))


def test_a_packed_network_of_one_member_is_the_deterministic_one(finished):
    whole = {"packed_ensemble__size": 1, "packed_ensemble__alpha": 1.0}
    _, results = finished("packed_ensemble", **whole)
    _, baseline = finished("deterministic")
    assert untimed(results) == untimed(baseline)


@everywhere
def test_members_of_full_width_are_networks_apart(architecture):
    input_shape, options = ARCHITECTURES[architecture]
    layer_set = load_script("packed_ensemble").get_layer_set(section("packed_ensemble", size=2, alpha=2.0))
    model = make(architecture, input_shape, 5, layer_set, **options)
    plain = make(architecture, input_shape, 5, **options)
    features = features_for(plain)
    outputs = model(features)["outputs"]
    for member in range(2):
        values = {variable.path.replace(f"/part_{member}/", "/"): variable for variable in model.variables}
        for variable in plain.variables:
            if "seed_generator" not in variable.path:
                variable.assign(values[variable.path])
        np.testing.assert_allclose(outputs[:, member], plain(features)["outputs"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("architecture", ["mlp", "convnet", "text_cnn", "transformer"])
def test_groups_divide_the_kernels_within_a_member(architecture):
    input_shape, options = ARCHITECTURES[architecture]

    def count(**overrides):
        layer_set = load_script("packed_ensemble").get_layer_set(section("packed_ensemble", size=2, **overrides))
        model = make(architecture, input_shape, 5, layer_set, **options)
        assert model(features_for(model))["outputs"].shape == (4, 2, 5)
        return sum(variable.shape.num_elements() for variable in model.trainable_variables)

    assert count(alpha=2.0, gamma=2) < count(alpha=2.0, gamma=1)
    assert count(alpha=1.0) < count(alpha=2.0)


def test_a_snapshot_ensemble_of_one_is_the_deterministic_network(finished):
    folder, _ = finished("snapshot_ensemble", snapshot_ensemble__size=1)
    baseline, _ = finished("deterministic")
    mine, theirs = (arrays_of(each / "predictions/test.npz") for each in (folder, baseline))
    np.testing.assert_allclose(mine["log_probs"], theirs["log_probs"], rtol=1e-5, atol=1e-6)


def test_a_snapshot_is_the_network_at_the_end_of_its_cycle(finished):
    # A constant learning rate has no cycles, so the first member is the network of half the training.
    folder, _ = finished("snapshot_ensemble")
    saved = newest_checkpoint(folder)
    kept = {name.removeprefix("state/bank/"): each for name, each in saved.items() if name.startswith("state/")}
    assert kept
    for member, epochs in enumerate((1, 2)):
        baseline, _ = finished("deterministic", epochs=epochs)
        expected = newest_checkpoint(baseline)
        for name, values in kept.items():
            np.testing.assert_array_equal(values[member], expected[f"model/{name}"])


def test_cycles_that_do_not_fill_the_training_are_refused(tmp_path):
    config = tiny_config("snapshot_ensemble", epochs=3)
    with pytest.raises(InputError, match=r"config\.epochs is 3, and .* goes through its schedule 2 times"):
        load_script("snapshot_ensemble").main(config, training.Options(output_dir=tmp_path / "run"))


@everywhere
def test_members_without_scales_are_those_with_fast_weights(architecture):
    input_shape, options = ARCHITECTURES[architecture]
    points, posteriors = (
        make(architecture, input_shape, 5, load_script(method).get_layer_set(section(method, size=2)), **options)
        for method in ("batch_ensemble", "rank1_bnn")
    )
    copy_weights(points, posteriors)
    features = features_for(points)
    drawn = posteriors(features)["outputs"]
    for variable in posteriors.variables:
        if variable.path.endswith("_rho"):
            variable.assign(tf.fill(variable.shape, -50.0))
    expected = points(features)["outputs"]
    np.testing.assert_allclose(posteriors(features)["outputs"], expected, rtol=1e-4, atol=1e-5)
    assert np.abs(drawn - expected).max() > 0.01 * np.abs(expected).max()
    assert layers.has_stochastic(posteriors)


@pytest.mark.slow
def test_the_parameters_of_self_tuned_networks_are_those_of_uncertainty_baselines():
    """Its README has 73.1M, with 6 factors for groups of layers in place of one for each of 29 layers."""
    layer_set = load_script("hyper_batch_ensemble").get_layer_set(section("hyper_batch_ensemble"), 6)
    model = make("wide_resnet", (32, 32, 3), 10, layer_set)
    assert sum(isinstance(layer, layers.SelfTuned) for layer in model.layers) == 29
    # That of BatchEnsemble, a second set of kernels and biases, and the sensitivities of each output channel.
    kernels, channels = 36_479_194 - 17_952 - 10, 16 + 9 * (160 + 320 + 640) + 2 * 10
    trainable = 36_557_548 + kernels + 4 * 10 + 6 * channels
    assert sum(variable.shape.num_elements() for variable in model.trainable_variables) == trainable
    not_trained = 17_952 + 2 * 4 * 6  # statistics, and bounds of the factors
    assert model.count_params() == trainable + not_trained
    assert round(model.count_params() / 1e6, 1) == 73.1


def test_l2_factors_are_tuned_within_their_range(finished):
    widths = []
    for tau in (0.0, 1.0):
        overrides = {"hyper_batch_ensemble__tau": tau, "hyper_batch_ensemble__lr_tuning": 0.1}
        saved = newest_checkpoint(finished("hyper_batch_ensemble", **overrides)[0])
        lower, upper = (saved[f"model/l2_factors/log_{bound}"] for bound in ("lower", "upper"))
        assert lower.shape == (2, 2 + 1)  # of two residual layers and the head; the projection is not trained
        assert np.all((lower >= np.log(2e-6) - 1e-6) & (lower < upper) & (upper <= np.log(2e-3) + 1e-6))
        assert len(np.unique(lower)) == lower.size  # each was tuned by itself
        widths.append(np.mean(upper - lower))
    assert widths[1] > widths[0]


def test_factors_are_tuned_on_validation_data(tmp_path):
    without = {"dataset__validation_percent": 0.0, "evaluation__splits": ("test",)}
    for field in ("ood_validation", "posthoc"):  # which need the split, too
        without[f"evaluation__{field}"] = ()
    config = tiny_config("hyper_batch_ensemble", **without)
    with pytest.raises(InputError, match="Split 'validation' of data set 'two_moons' is empty"):
        load_script("hyper_batch_ensemble").main(config, training.Options(output_dir=tmp_path / "run"))
    assert not list(tmp_path.rglob("checkpoints"))

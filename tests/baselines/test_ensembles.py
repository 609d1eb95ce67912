"""Methods whose members share a network: what each is when its ingredient is nothing, and what it refuses."""

import types

import numpy as np
import pytest

from tests.models.test_models import ARCHITECTURES, features_for, make
from tests.tiny import load_script, section_of


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


@pytest.mark.parametrize("architecture", ARCHITECTURES)
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
    [("batch_ensemble", 36_575_500, 36_557_548)],
)
def test_parameter_counts_of_uncertainty_baselines(method, total, trainable):
    layer_set = load_script(method).get_layer_set(section(method))
    model = make("wide_resnet", (32, 32, 3), 10, layer_set)
    assert model.count_params() == total
    assert sum(variable.shape.num_elements() for variable in model.trainable_variables) == trainable

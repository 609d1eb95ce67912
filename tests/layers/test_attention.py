import numpy as np
import pytest

from uncertainty_suite import keras, tf
from uncertainty_suite.errors import InputError
from uncertainty_suite.layers import DotProductAttention, SpectralNormalization, self_attention

LENGTH, DIMENSIONS, HEADS = 5, 8, 2


def make_model(dense=keras.layers.Dense, **arguments) -> keras.Model:
    inputs, is_token = keras.Input((LENGTH, DIMENSIONS)), keras.Input((LENGTH,), dtype="bool")
    attend = self_attention(**{"num_heads": HEADS, "dense": dense, "name": "attention", **arguments})
    return keras.Model([inputs, is_token], attend(inputs, is_token))


def inputs_of(batch: int = 3) -> tuple[tf.Tensor, tf.Tensor]:
    x = tf.random.stateless_normal((batch, LENGTH, DIMENSIONS), seed=(0, 0))
    return x, tf.range(LENGTH)[tf.newaxis] < tf.constant([[LENGTH], [2], [3]])[:batch]


def test_equals_the_layer_of_keras_with_the_same_weights():
    model = make_model()
    x, is_token = inputs_of()
    plain = keras.layers.MultiHeadAttention(HEADS, DIMENSIONS // HEADS)
    plain.build(x.shape, x.shape)
    rng = np.random.default_rng(0)
    weights = []
    for part in ("query", "key", "value", "output"):
        layer = model.get_layer(f"attention_{part}")
        layer.set_weights([rng.normal(size=weight.shape) for weight in layer.weights])
        weights += layer.get_weights()
    plain.set_weights([ours.reshape(theirs.shape) for ours, theirs in zip(weights, plain.get_weights())])
    expected = plain(x, x, attention_mask=is_token[:, tf.newaxis, :])
    np.testing.assert_allclose(model([x, is_token]), expected, rtol=1e-4, atol=1e-4)


def test_padding_changes_nothing_for_the_tokens():
    model = make_model()
    x, is_token = inputs_of()
    other = tf.where(is_token[:, :, tf.newaxis], x, 100.0)
    outputs, others = model([x, is_token]), model([other, is_token])
    np.testing.assert_allclose(outputs[is_token], others[is_token], rtol=1e-5)
    assert np.any(outputs[~is_token] != others[~is_token])


def test_projections_are_those_of_the_layer_set():
    def dense(*args, **kwargs):
        return SpectralNormalization(keras.layers.Dense(*args, **kwargs), norm_bound=0.1, iterations=20)

    keras.utils.set_random_seed(0)
    model = make_model(dense)
    for _ in range(5):  # each takes 20 steps towards the bound
        model(inputs_of(), training=True)
    kernels = [variable for variable in model.trainable_variables if variable.name == "kernel"]
    assert len(kernels) == 4
    for kernel in kernels:
        assert np.linalg.norm(kernel, ord=2) == pytest.approx(0.1, rel=0.01)


def test_saves_and_loads_at_any_batch_size(tmp_path):
    model = make_model()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for batch in (1, 3):
        np.testing.assert_array_equal(loaded(inputs_of(batch)), model(inputs_of(batch)))
    assert model.output.shape == (None, LENGTH, DIMENSIONS)


def test_the_core_is_made_again_by_its_configuration():
    assert DotProductAttention.from_config(DotProductAttention(4).get_config()).num_heads == 4


def test_heads_must_divide_the_dimension():
    with pytest.raises(InputError, match="3 heads, which must divide the dimension 8"):
        make_model(num_heads=3)

"""A BERT of keras-hub: our network with its weights against its own, its tokenizer, and what does not fit."""

import dataclasses
import re
import sys
import types

import numpy as np
import pytest
from ml_collections import ConfigDict

from tests.tiny import load_script, section_of
from uncertainty_suite import layers, models
from uncertainty_suite.errors import InputError
from uncertainty_suite.models import keras_hub_presets

IDS = np.array([[2, 7, 9, 13, 3, 0, 0, 0], [2, 8, 30, 12, 11, 10, 9, 3]])


def build(preset, layer_set=None, length=8, **options):
    data, likelihood = types.SimpleNamespace(input_shape=(length,)), types.SimpleNamespace(num_outputs=3)
    config = {"name": "keras_hub_bert", "preset": str(preset), "vocabulary_size": 40, **options}
    return models.build(config, data, likelihood, layer_set)


@pytest.fixture(scope="module")
def ours(bert_preset):
    return build(bert_preset)


def test_it_is_the_network_of_keras_hub(ours, bert_preset):
    import keras_hub

    theirs = keras_hub.models.BertBackbone.from_preset(str(bert_preset))
    inputs = {"token_ids": IDS, "padding_mask": IDS > 0, "segment_ids": np.zeros_like(IDS)}
    expected = theirs(inputs, training=False)["pooled_output"]
    np.testing.assert_allclose(ours(IDS)["features"], expected, atol=1e-5)
    assert np.abs(expected).max() > 0.1
    # All weights of theirs but those of positions beyond the length and of segments; and the head.
    count = sum(np.prod(variable.shape) for variable in ours.trainable_variables)
    assert count == theirs.count_params() - (16 - 8) * 8 - 2 * 8 + 3 * (8 + 1)


def test_sngp_bounds_the_pooled_layer_and_dropout_is_of_the_layer_set(ours, bert_preset):
    script = load_script("sngp")
    defaults = {name: one.default for name, one in section_of(script).parameters.items()}
    layer_set = script.get_layer_set(ConfigDict({**defaults, "num_features": 16}))
    model = build(bert_preset, dataclasses.replace(layer_set, dropout=layers.MonteCarloDropout))
    bounded = [layer.name for layer in model.layers if isinstance(layer, layers.SpectralNormalization)]
    assert bounded == ["pooled_dense"]
    kernel = model.get_layer("pooled_dense").layer.kernel
    np.testing.assert_array_equal(kernel, ours.get_layer("pooled_dense").kernel)
    assert isinstance(model.get_layer("head"), layers.RandomFeatureGaussianProcess)
    dropouts = [layer for layer in model.layers if "dropout" in layer.name]
    assert {type(layer) for layer in dropouts} == {layers.MonteCarloDropout}
    assert len(dropouts) == 1 + 2 * 2 + 1  # on the embeddings, in two blocks, and on the features


def test_token_ids_are_those_of_keras_hub(bert_preset):
    import keras_hub

    texts = ["The quick café, isn't it?", "", "transfer transfer transfer transfer transfer transfer"]
    ids = keras_hub_presets.tokens(str(bert_preset), 40, 8)(texts)
    assert (ids.shape, ids.dtype) == ((3, 8), np.int32)
    tokenizer = keras_hub.tokenizers.BertTokenizer.from_preset(str(bert_preset))
    start, end = tokenizer.start_token_id, tokenizer.end_token_id
    for row, text in zip(ids, texts):
        expected = [start, *np.asarray(tokenizer(text))[: 8 - 2], end]
        np.testing.assert_array_equal(row, expected + [0] * (8 - len(expected)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"length": 17},
            "The preset '{preset}' takes texts of at most 16 tokens, and those of this data set have 17: set "
            "--config.dataset.length=16.",
        ),
        (
            {"vocabulary_size": 30},
            "The preset '{preset}' has 40 token ids, and vocabulary_size is 30: set --config.model.vocabulary_size=40 "
            "and --config.dataset.vocabulary_size=40.",
        ),
    ],
)
def test_what_does_not_fit_is_refused(bert_preset, options, message):
    with pytest.raises(InputError, match=f"^{re.escape(message.format(preset=bert_preset))}$"):
        build(bert_preset, **options)


@pytest.mark.parametrize("preset", ["", "bert_that_nobody_made"])
def test_a_preset_that_is_not_there_is_refused(preset, bert_preset):
    message = (
        f"There is no preset '{preset}': name a folder that keras-hub's save_to_preset has written, or one of "
        "keras-hub's, e.g. bert_tiny_en_uncased, by --config=configs/clinc_oos.py:keras_hub=<preset>."
    )
    for use in (build, lambda preset: keras_hub_presets.tokens(preset, 40, 8)):
        with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
            use(preset)


def test_a_folder_without_a_preset_is_refused(bert_preset, tmp_path):
    for use in (build, lambda preset: keras_hub_presets.tokens(str(preset), 40, 8)):
        with pytest.raises(InputError) as error:
            use(tmp_path)
        assert str(error.value).startswith(f"The preset '{tmp_path}' cannot be read as a BERT of keras-hub (Preset ")
        assert "\n" not in str(error.value)


def test_without_keras_hub_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    message = 'A BERT of keras-hub needs that library: pip install "uncertainty-suite[keras-hub]".'
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        build("anything")

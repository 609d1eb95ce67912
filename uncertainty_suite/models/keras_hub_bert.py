"""A trained BERT of keras-hub (Devlin et al. 2019, arXiv:1810.04805), as in the tutorial SNGP-BERT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uncertainty_suite import keras
from uncertainty_suite.errors import InputError
from uncertainty_suite.models import checks, keras_hub_presets, pretrained
from uncertainty_suite.models.encoder import encode_norm_after

if TYPE_CHECKING:
    from uncertainty_suite.layers import LayerSet


def keras_hub_bert(
    inputs: keras.KerasTensor,
    layers: LayerSet,
    preset: str = "",
    vocabulary_size: int = 30_522,
    dropout_rate: float = 0.1,
) -> keras.KerasTensor:
    """Build the network of a preset with its weights, up to its pooled output: a dense layer on the first token.

    Of the layers of the method the encoder has dropout and normalisation, and the pooled dense layer is of them: as in
    the tutorial SNGP-BERT (tensorflow.org/text/tutorials/uncertainty_quantification_with_sngp_bert), whose encoder is
    plain, and whose pooled output is spectrally normalised and goes into the Gaussian process. There is no dropout on
    attention weights.

    Args:
        inputs: Token ids `[batch, length]`, by the preset's tokenizer, see `keras_hub_presets`; 0 is padding.
        layers: Layer set.
        preset: A folder, or a name that keras-hub knows.
        vocabulary_size: Number of ids, that of the preset.
        dropout_rate: Rate on the embeddings, on what each half of a block adds, and on the features.

    Returns:
        Features `[batch, d]`, the pooled output, where d is the preset's.

    Raises:
        InputError: There is no such preset, it is of another vocabulary or of shorter texts, the examples are not token
            ids, an option is outside its range, or keras-hub is not installed.
    """
    # Imported here, so that the options of architectures are known without TensorFlow.
    from uncertainty_suite.layers import IsToken, Positions

    checks.require_tokens("keras_hub_bert", inputs)
    checks.require_rates("keras_hub_bert", dropout_rate=dropout_rate)
    theirs, length = keras_hub_presets.backbone(preset), inputs.shape[1]
    keras_hub_presets.check_vocabulary(preset, theirs.vocabulary_size, vocabulary_size)
    if length > theirs.max_sequence_length:
        raise InputError(
            f"The preset '{preset}' takes texts of at most {theirs.max_sequence_length} tokens, and those of this data "
            f"set have {length}: set --config.dataset.length={theirs.max_sequence_length}."
        )
    block = theirs.transformer_layers[0]
    is_token = IsToken(name="is_token")(inputs)
    x = layers.embedding(vocabulary_size, theirs.hidden_dim, name="token_embedding")(inputs)
    positions = Positions(name="positions")(inputs)
    positions = layers.embedding(length, theirs.hidden_dim, name="position_embedding")(positions)
    x = keras.layers.Add(name="embedding_add")([x, positions])
    x = layers.layer_norm(epsilon=block.layer_norm_epsilon, name="embedding_norm")(x)
    x = layers.dropout(dropout_rate, name="embedding_dropout")(x)
    x = encode_norm_after(
        x,
        layers,
        keras.layers.Dense,
        num_layers=theirs.num_layers,
        num_hidden=theirs.hidden_dim,
        num_heads=theirs.num_heads,
        num_between=theirs.intermediate_dim,
        dropout_rate=dropout_rate,
        is_token=is_token,
        epsilon=block.layer_norm_epsilon,
        activation=block.activation,
    )
    x = keras.layers.Cropping1D((0, length - 1), name="first_token")(x)
    x = keras.layers.Flatten(name="first_token_features")(x)
    x = layers.dense(theirs.hidden_dim, activation="tanh", name="pooled_dense")(x)
    pretrained.assign(keras.Model(inputs, x), keras_hub_presets.weights(theirs), preset)
    return layers.dropout(dropout_rate, name="pooled_dropout")(x)

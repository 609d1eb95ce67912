"""Trained weights: MiniLM-L6 against the same network in NumPy, and what does not fit."""

import types

import numpy as np
import pytest
import scipy.special
from ml_collections import ConfigDict
from sklearn.linear_model import LogisticRegression

from tests.tiny import load_script, section_of
from uncertainty_suite import datasets, models
from uncertainty_suite.errors import InputError
from uncertainty_suite.models import pretrained

SIZES = {"vocabulary_size": 9, "num_layers": 2, "num_hidden": 4, "num_heads": 2}


def tensors(rng):
    """The weights of a tiny BERT, by Hugging Face's names."""
    made = {f"embeddings.{part}_embeddings.weight": (n, 4) for part, n in (("word", 9), ("position", 8))}
    made |= {"embeddings.token_type_embeddings.weight": (2, 4)}
    norms = ["embeddings.LayerNorm"]
    for i in range(2):
        block = f"encoder.layer.{i}"
        dense = dict.fromkeys(("attention.self.query", "attention.self.key", "attention.self.value"), (4, 4))
        dense |= {"attention.output.dense": (4, 4), "intermediate.dense": (16, 4), "output.dense": (4, 16)}
        for part, shape in dense.items():
            made |= {f"{block}.{part}.weight": shape, f"{block}.{part}.bias": shape[:1]}
        norms += [f"{block}.attention.output.LayerNorm", f"{block}.output.LayerNorm"]
    for norm in norms:
        made |= {f"{norm}.weight": (4,), f"{norm}.bias": (4,)}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in made.items()}


def forward(tensors, ids, num_layers, num_heads):
    """The mean over tokens of the last hidden states of one text, by the equations of the papers."""

    def dense(x, name):
        return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]

    def norm(x, name):
        x = (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-12)
        return x * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]

    word, position, kind = (tensors[f"embeddings.{n}_embeddings.weight"] for n in ("word", "position", "token_type"))
    x = norm(word[ids].astype(float) + position[: len(ids)] + kind[0], "embeddings.LayerNorm")
    for i in range(num_layers):
        block = f"encoder.layer.{i}"
        q, k, v = (dense(x, f"{block}.attention.self.{part}") for part in ("query", "key", "value"))
        heads = []
        for columns in np.split(np.arange(x.shape[1]), num_heads):
            scores = q[:, columns] @ k[:, columns].T / np.sqrt(len(columns))
            heads.append(scipy.special.softmax(scores, axis=-1) @ v[:, columns])
        y = dense(np.concatenate(heads, axis=1), f"{block}.attention.output.dense")
        x = norm(x + y, f"{block}.attention.output.LayerNorm")
        y = dense(x, f"{block}.intermediate.dense")
        y = dense(y * (1 + scipy.special.erf(y / np.sqrt(2))) / 2, f"{block}.output.dense")
        x = norm(x + y, f"{block}.output.LayerNorm")
    return x.mean(axis=0)


def build(folder, layer_set=None, length=6, **options):
    data, likelihood = types.SimpleNamespace(input_shape=(length,)), types.SimpleNamespace(num_outputs=3)
    config = {"name": "bert", "pretrained": str(folder), **options}
    return models.build(config, data, likelihood, layer_set)


@pytest.fixture
def weights(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    made = tensors(np.random.default_rng(0))
    safetensors.save_file(made, tmp_path / "model.safetensors")
    return made, tmp_path


def test_a_network_with_loaded_weights_is_that_of_the_papers(weights):
    made, folder = weights
    model = build(folder, **SIZES)
    ids = np.array([[1, 5, 3, 8, 0, 0], [2, 2, 7, 4, 6, 1]])
    expected = [forward(made, row[row > 0], num_layers=2, num_heads=2) for row in ids]
    np.testing.assert_allclose(model(ids)["features"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", ["sngp", "batch_ensemble", "variational_inference"])
def test_every_layer_set_begins_with_the_weights(weights, method):
    made, folder = weights
    script = load_script(method)
    defaults = {name: one.default for name, one in section_of(script).parameters.items()}
    model = build(folder, script.get_layer_set(ConfigDict(defaults)), **SIZES)
    layer = model.get_layer("block2_dense1")
    while hasattr(layer, "layer"):
        layer = layer.layer
    np.testing.assert_array_equal(layer.kernel, made["encoder.layer.1.intermediate.dense.weight"].T)
    (bias,) = (each for each in model.get_layer("block2_dense1").variables if each.name == "bias")
    expected = np.broadcast_to(made["encoder.layer.1.intermediate.dense.bias"], bias.shape)  # of each member
    np.testing.assert_array_equal(bias, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({**SIZES, "num_layers": 1}, "are of 2 blocks: set --config.model.num_layers=2."),
        ({**SIZES, "num_hidden": 8}, r"do not fit: token_embedding has the shape \(9, 8\), and they have \(9, 4\)"),
        ({**SIZES, "length": 10}, r"do not fit: position_embedding has the shape \(10, 4\), and they have \(8, 4\)"),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights, options, message):
    with pytest.raises(InputError, match=message):
        build(weights[1], **options)


def test_weights_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"^There is no .*model.safetensors: name 'minilm' or a folder with one\.$"):
        build(tmp_path, **SIZES)


@pytest.fixture(scope="module")
def minilm():
    """The trained encoder of sentences, for texts of 48 tokens."""
    try:
        pretrained.folder("minilm")
    except InputError as error:
        pytest.skip(str(error))
    return build("minilm", length=48)


def embed(model, data, rows):
    """The sentence embeddings of some texts, of length 1."""
    features = np.concatenate([model(part)["features"] for part in np.array_split(data.features[rows], 10)])
    return features / np.linalg.norm(features, axis=1, keepdims=True)


@pytest.mark.slow
def test_minilm_is_the_network_that_it_is_in_numpy(minilm, data_dir):
    from safetensors.numpy import load_file

    made = load_file(pretrained.folder("minilm") / "model.safetensors")
    features = datasets.get("minilm/banking77", "test", data_dir).features[:4]
    expected = [forward(made, row[row > 0], num_layers=6, num_heads=12) for row in features]
    np.testing.assert_allclose(minilm(features)["features"], expected, atol=2e-5)
    assert [row[0] for row in features] == [101] * 4  # [CLS]
    assert [row[row > 0][-1] for row in features] == [102] * 4  # [SEP]


@pytest.mark.slow
def test_minilm_knows_intents_from_ten_examples_each(minilm, data_dir):
    train, test = (datasets.get("minilm/banking77", split, data_dir) for split in ("train", "test"))
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.choice(np.flatnonzero(train.labels == k), 10, replace=False) for k in range(77)])
    tested = rng.choice(test.num_examples, 300, replace=False)
    classifier = LogisticRegression(C=10, max_iter=500).fit(embed(minilm, train, rows), train.labels[rows])
    accuracy = classifier.score(embed(minilm, test, tested), test.labels[tested])
    assert accuracy == pytest.approx(0.80, abs=0.08)  # 3 standard errors of 300 examples

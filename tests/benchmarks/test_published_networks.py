import dataclasses
import sys

import numpy as np
import pytest

from tests.conftest import ROOT

sys.path.append(str(ROOT / "benchmarks"))
import published_networks

from uncertainty_suite import datasets, launch
from uncertainty_suite.datasets.folders import places
from uncertainty_suite.errors import InputError


@pytest.fixture(scope="module", params=published_networks.ACCURACY)
def network(request, data_dir):
    """The name, the weights and the model of a published network."""
    name = f"models/cifar10_{request.param}.npz"
    if not any(place.is_file() for place in places(name, data_dir)):
        pytest.skip(f"There is no {name} in {data_dir} or beside it.")
    weights = published_networks.read_weights(request.param, data_dir)
    return request.param, weights, published_networks.build(weights, datasets.get("cifar10", "test").form)


def forward(weights, images):
    """The network in NumPy, from images in [0, 1] to logits."""

    def convolve(x, conv, norm, strides=1):
        padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))[:, ::strides, ::strides]
        x = np.tensordot(windows, weights[f"{conv}/kernel"], axes=[(3, 4, 5), (2, 0, 1)])
        mean, variance, gamma, beta = (weights[f"{norm}/{part}"] for part in ("mean", "variance", "gamma", "beta"))
        return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta

    x = (images - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    x = np.maximum(convolve(x, "conv1", "bn1"), 0)
    blocks = [name.removesuffix("_conv1/kernel") for name in weights if name.endswith("_conv1/kernel")]
    for name in blocks:
        strides = 2 if name in ("layer2_0", "layer3_0") else 1
        y = np.maximum(convolve(x, f"{name}_conv1", f"{name}_bn1", strides), 0)
        y = convolve(y, f"{name}_conv2", f"{name}_bn2")
        if strides == 2:
            zeros = np.zeros((*y.shape[:3], y.shape[3] // 4))
            x = np.concatenate([zeros, x[:, ::2, ::2], zeros], axis=3)
        x = np.maximum(x + y, 0)
    return x.mean(axis=(1, 2)) @ weights["linear/kernel"] + weights["linear/bias"]


def test_the_network_is_the_published_one(network, data_dir):
    name, weights, model = network
    data = datasets.get("cifar10", "test", data_dir)
    (batch,) = data.load(500, max_examples=500)
    logits = model(batch["features"]).numpy()
    np.testing.assert_allclose(logits[:5], forward(weights, data.features[:5] / 255), atol=2e-4)
    standard_error = np.sqrt(published_networks.ACCURACY[name] * (1 - published_networks.ACCURACY[name]) / 500)
    accuracy = np.mean(logits.argmax(axis=1) == data.labels[:500])
    assert accuracy == pytest.approx(published_networks.ACCURACY[name], abs=2 * standard_error)


@pytest.mark.parametrize("network", ["resnet20"], indirect=True)
def test_every_split_that_needs_no_validation_is_predicted(network, data_dir):
    _, _, model = network
    config = launch.get_config(ROOT / "configs/cifar10.py", None, "published")
    (test,), others = published_networks.splits_of(config)
    assert {split.role for split in others} == {"shift", "far_ood"}
    assert sum(split.role == "shift" for split in others) == 5 * len(config.evaluation.corruptions)
    some = [test, *(split for split in others if split.key in ("ood/mnist", "shift/fog_5"))]
    some = [dataclasses.replace(split, max_examples=20) for split in some]
    arrays = published_networks.predict(model, some, config.dataset, data_dir)
    assert arrays.keys() == {f"{split.key}/{array}" for split in some for array in ("logits", "element_id")}
    for split in some:
        assert arrays[f"{split.key}/logits"].shape == (20, 10)
        np.testing.assert_array_equal(arrays[f"{split.key}/element_id"], np.arange(20))
    assert np.abs(arrays["shift/fog_5/logits"] - arrays["test/logits"]).max() > 1


def test_weights_that_are_not_there_are_one_line(tmp_path):
    with pytest.raises(InputError, match=r"^There are no weights of resnet20: looked for .*\. Name the folder by"):
        published_networks.read_weights("resnet20", tmp_path)

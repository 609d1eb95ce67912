"""Score published CIFAR-10 networks on the suite's own task: real networks of known accuracy, trained by others.

    python benchmarks/published_networks.py
    python -m uncertainty_suite.leaderboard add runs/published

The weights are those of ResNet-20 and ResNet-56 of akamaster/pytorch_resnet_cifar10 (BSD 2-clause; He et al. 2016,
arXiv:1512.03385, shortcuts without weights), in Keras' layout: `models/cifar10_resnet20.npz` and
`models/cifar10_resnet56.npz` below the folder of prepared data sets or beside it. Nothing is trained.

Each predicts, in float32, the test images, the shifted sets and the OOD sets of configs/cifar10.py. `--output_dir` then
has its predictions, `resnet20.npz`, as `python -m uncertainty_suite.score` takes them, and the run folder that `score`
makes of them, `resnet20`. If the test accuracy is not the published one, it stops after the test images. A network that
is finished is not repeated, so the command can be given again. With `--test_only` the test images are all that is
predicted, in minutes, into `runs/published_test`.

The networks were trained on all 50,000 training images. So there are no examples that could be held out for validation:
no temperature is fitted, and no option of an OOD score is chosen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from uncertainty_suite import keras, launch, tasks, tf
from uncertainty_suite.datasets.folders import looked, places
from uncertainty_suite.datasets.forms import Images
from uncertainty_suite.errors import InputError
from uncertainty_suite.layers import LayerSet
from uncertainty_suite.runs import RunFolder
from uncertainty_suite.score import score
from uncertainty_suite.tasks import Split
from uncertainty_suite.training.run import data_of

ROOT = Path(__file__).parent.parent
METHOD = "published"
ACCURACY = {"resnet20": 0.9173, "resnet56": 0.9339}  # as published, on the test images
BATCH_SIZE = 100

# Of the pixels that the networks were trained on; the suite standardises by other numbers.
MEANS, STDDEVS = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, help="default: runs/published, or runs/published_test")
    parser.add_argument("--test_only", action="store_true", help="predict no shifted sets and no OOD sets")
    parser.add_argument("--data_dir", type=Path, help="prepared TFDS data sets; models/ is in it or beside it")
    arguments = parser.parse_args()
    output_dir = arguments.output_dir or ROOT / ("runs/published_test" if arguments.test_only else "runs/published")
    try:
        for name in ACCURACY:
            print(run(name, output_dir, arguments.data_dir, arguments.test_only).path, flush=True)
    except InputError as error:
        sys.exit(f"benchmarks/published_networks.py: {error}")


def run(name: str, output_dir: Path, data_dir: Path | None, test_only: bool = False) -> RunFolder:
    """Predict everything, or the test images alone, by one network, and score it; return its run."""
    folder = RunFolder(output_dir / name)
    if folder.results:
        return folder
    config = launch.get_config(ROOT / "configs/cifar10.py", None, METHOD)
    data = data_of(config.dataset, "test", data_dir)
    network = tf.function(build(read_weights(name, data_dir), data.form), autograph=False)
    (test,), others = splits_of(config)
    arrays = predict(network, [test], config.dataset, data_dir)
    accuracy = np.mean(arrays["test/logits"].argmax(axis=-1) == data.labels)
    if round(accuracy, 4) != ACCURACY[name]:
        raise InputError(f"{name} has the test accuracy {accuracy:.4f}, and the published one is {ACCURACY[name]}.")
    others = [] if test_only else others
    arrays |= predict(network, tqdm(others, name, unit="split", disable=None), config.dataset, data_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    file = output_dir / f"{name}.npz"
    np.savez(file, **arrays)
    return score(file, "cifar10", METHOD, model=name, output_dir=folder.path, data_dir=data_dir)


def read_weights(name: str, data_dir: Path | None) -> dict[str, np.ndarray]:
    """Return the weights of a network by name, `layer1_0_conv1/kernel`."""
    tried = places(f"models/cifar10_{name}.npz", data_dir)
    path = next((place for place in tried if place.is_file()), None)
    if path is None:
        raise InputError(f"There are no weights of {name}: {looked(tried)}. Name the folder by --data_dir.")
    with np.load(path) as weights:
        return dict(weights)


def build(weights: Mapping[str, np.ndarray], form: Images) -> keras.Model:
    """Build a network, from images `[batch, 32, 32, 3]` in the form of the task to logits `[batch, 10]`.

    It is not the suite's `resnet20`, whose convolutions have biases and whose shortcuts have weights.

    Args:
        weights: Of every layer. They say how many blocks there are.
        form: How the task standardises its images, which the first layer undoes.
    """
    layers = LayerSet()
    relu = keras.ops.relu

    def convolve(x: keras.KerasTensor, conv: str, norm: str, strides: int = 1) -> keras.KerasTensor:
        if strides == 2:  # "same" would pad below and to the right alone
            x = keras.ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
        padding = "same" if strides == 1 else "valid"
        filters = weights[f"{conv}/kernel"].shape[-1]
        x = layers.conv(filters, 3, strides=strides, padding=padding, use_bias=False, name=conv)(x)
        return layers.norm(name=norm)(x)

    inputs = keras.Input(form.input_shape)
    scale, offset = np.array(form.stddevs) / STDDEVS, (np.array(form.means) - MEANS) / STDDEVS
    x = keras.layers.Rescaling(scale.tolist(), offset.tolist(), name="pixels")(inputs)
    x = relu(convolve(x, "conv1", "bn1"))
    for stage in (1, 2, 3):
        num_blocks = sum(name.startswith(f"layer{stage}_") and name.endswith("conv1/kernel") for name in weights)
        for block in range(num_blocks):
            strides = 2 if stage > 1 and block == 0 else 1
            name = f"layer{stage}_{block}"
            y = relu(convolve(x, f"{name}_conv1", f"{name}_bn1", strides))
            y = convolve(y, f"{name}_conv2", f"{name}_bn2")
            if strides == 2:  # every second pixel, and channels of zeros on both sides
                more = y.shape[-1] // 4
                x = keras.ops.pad(x[:, ::2, ::2], [[0, 0], [0, 0], [0, 0], [more, more]])
            x = relu(x + y)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(inputs, layers.head(weights["linear/bias"].size, name="linear")(x))
    parts = {"moving_mean": "mean", "moving_variance": "variance"}
    for layer in model.layers:
        layer.set_weights([weights[f"{layer.name}/{parts.get(each.name, each.name)}"] for each in layer.weights])
    return model


def splits_of(config: Mapping[str, Any]) -> tuple[list[Split], list[Split]]:
    """Return the test split, and the other splits of a task that need no validation split."""
    splits = [split for split in tasks.plan(config, fit=False) if split.role not in ("validation", "ood_validation")]
    return [split for split in splits if split.role == "test"], [split for split in splits if split.role != "test"]


def predict(
    network: Callable[[Any], Any], splits: Iterable[Split], config: Mapping[str, Any], data_dir: Path | None
) -> dict[str, np.ndarray]:
    """Return the arrays of a file for `score`.

    Args:
        network: From images in the form of the task to logits `[batch, 10]`.
        splits: The splits to predict.
        config: The configuration's part `dataset`.
        data_dir: Folder of prepared data sets.
    """
    arrays = {}
    for split in splits:
        batches = data_of(config, split, data_dir).load(BATCH_SIZE, max_examples=split.max_examples)
        said = [(network(batch["features"]).numpy(), batch["element_id"].numpy()) for batch in batches]
        for name, parts in zip(("logits", "element_id"), zip(*said)):
            arrays[f"{split.key}/{name}"] = np.concatenate(parts)
    return arrays


if __name__ == "__main__":
    main()

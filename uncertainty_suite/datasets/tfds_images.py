"""The classic small image sets, each through its stock `tensorflow_datasets` builder.

`mnist` (LeCun et al., 1998), `fashion_mnist` (Xiao et al., 2017), `cifar10` and `cifar100` (Krizhevsky, 2009),
`svhn_cropped` (Netzer et al., 2011). Examples are in the order in which TFDS reads them.

`cifar10_corrupted` (CIFAR-10-C, Hendrycks and Dietterich, 2019) and `mnist_corrupted` (MNIST-C, Mu and Gilmer, 2019)
are the published corrupted test images. TFDS has a configuration for each corruption, and what is a configuration there
is a split here: `get("cifar10_corrupted", split="gaussian_noise_3")`, `get("mnist_corrupted", split="zigzag")`.

`cifar10` has the option `labels`: with `aggregate`, `random1`, `random2`, `random3` or `worst` the labels that are
trained on are those that people gave (CIFAR-10N, Wei et al., 2022, https://arxiv.org/abs/2110.12088), of which 9, 17,
18, 18 and 40 % are wrong; those of validation and test stay the right ones. `cifar10n/worst` and so on are the same
data under a name of their own, so that their results are a board of their own.

For out-of-distribution examples there are two sets without a stock builder, which have to be there as prepared
folders: `omniglot28`, characters of the two small background sets of Omniglot (Lake et al., 2015) as white ink on
black, with the splits `small1` and `small2`, which share 50 characters; `dtd32`, the first 10 of the 47 categories of
DTD (Cimpoi et al., 2014), with the split `test`. Both have labels of their own classes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from uncertainty_suite import tf
from uncertainty_suite.datasets import augmentation, cifar10h, label_noise, streams
from uncertainty_suite.datasets.folders import DATA_DIR_VARIABLE
from uncertainty_suite.datasets.forms import Form, Images
from uncertainty_suite.datasets.sources import Source
from uncertainty_suite.datasets.trees import leaves
from uncertainty_suite.errors import InputError, unknown_name

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

_TIMEOUT_SECONDS = 10

_GRAY = Images(28, 28, 1)
# Statistics of CIFAR-10's training images; used for all three sets, so that they differ in content only.
_COLOUR = Images(32, 32, 3, means=(0.4914, 0.4822, 0.4465), stddevs=(0.2470, 0.2435, 0.2616))


def _prepare(builder: tfds.core.DatasetBuilder) -> str:
    """Download and prepare the data set unless it is there; return why that failed, or an empty string."""
    import requests

    if builder.is_prepared():
        return ""
    try:
        # Where there is no network, TFDS would retry for minutes. Any answer to this shows that somebody is there.
        for url in builder.url_infos:
            requests.head(url, timeout=_TIMEOUT_SECONDS)
        builder.download_and_prepare()
    except requests.exceptions.RequestException as error:
        return f"{error.request.url!s} cannot be reached" if error.request else _one_line(error)
    except Exception as error:  # TFDS, the file system and archives raise anything
        return _one_line(error)
    return ""


def _builder(name: str, data_dir: str | os.PathLike | None) -> tfds.core.DatasetBuilder:
    """Return the builder of a data set, prepared or not.

    Raises:
        InputError: There is none and no prepared folder, or that may not be read or contradicts it.
    """
    import tensorflow_datasets as tfds

    data_dir, where = data_dir or os.environ.get(DATA_DIR_VARIABLE), _where(data_dir)
    for folder in (data_dir, os.path.join(data_dir, name)) if data_dir else ():
        if os.path.exists(folder) and not os.access(folder, os.R_OK | os.X_OK):  # TFDS would find nothing prepared
            raise InputError(f"No permission to read {folder}, which should hold data set '{name}'.")
    try:
        with _quiet():
            builder = tfds.builder(name, data_dir=data_dir)
            _check_features(builder)
    except tfds.core.DatasetNotFoundError as error:
        raise InputError(
            f"Data set '{name}' is not prepared in {where}, and TFDS has no builder that could make it. Name a folder "
            f"that holds it by --data_dir or {DATA_DIR_VARIABLE}."
        ) from error
    return builder


def read_features(name: str, data_dir: str | os.PathLike | None) -> dict[str, tfds.features.FeatureConnector]:
    """Return what the examples of a data set have, by name: `label`, and of a column of columns `features/age`.

    Raises:
        InputError: There is no such data set, or what describes it cannot be read.
    """
    import tensorflow_datasets as tfds

    def flat(features: Any, path: str = "") -> Iterator[tuple[str, Any]]:
        for key, one in features.items():
            if isinstance(one, tfds.features.FeaturesDict):
                yield from flat(one, f"{path}{key}/")
            else:
                yield f"{path}{key}", one

    try:
        return dict(flat(_builder(name, data_dir).info.features))
    except InputError:
        raise
    except Exception as error:  # TFDS raises anything
        raise InputError(f"Cannot read data set '{name}' in {_where(data_dir)} ({_one_line(error)}).") from error


def read_columns(
    name: str, split: str, data_dir: str | os.PathLike | None, columns: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """Read a split into memory: what the examples have under each name, `[n, ...]`.

    Args:
        name: Of the data set.
        split: A stored split.
        data_dir: Where prepared data sets lie.
        columns: Names as `read_features` has them, some of which the data set may lack; None: all that are arrays.

    Raises:
        InputError: If the data set is neither prepared nor downloadable, or cannot be read.
    """
    import tensorflow_datasets as tfds

    where, why_not_prepared = _where(data_dir), ""

    def chosen(example: Any) -> dict[str, Any]:
        flat = {path.removeprefix("/"): one for path, one in leaves(example)}
        return flat if columns is None else {key: flat[key] for key in columns if key in flat}

    try:
        builder = _builder(name, data_dir)
        with _quiet():
            why_not_prepared = _prepare(builder)
            # Tried even so: this also serves `tfds.testing.mock_data`, and raises where there is nothing to read.
            examples = builder.as_dataset(split=split, shuffle_files=False)
            batches = list(tfds.as_numpy(examples.map(chosen).batch(1000)))
    except InputError:
        raise
    except Exception as error:  # from AssertionError to DataLossError
        if why_not_prepared:
            command = f"import tensorflow_datasets as tfds; tfds.load('{name}', data_dir='DIR')"
            raise InputError(
                f"Data set '{name}' is not prepared in {where} and cannot be downloaded ({why_not_prepared}). "
                f"Name a folder that holds it by --data_dir or {DATA_DIR_VARIABLE}; to make one, run on a connected "
                f'machine: python -c "{command}"'
            ) from error
        if re.search("Cannot (batch tensors|add tensor to the batch)", str(error)):
            raise InputError(
                f"Split '{split}' of data set '{name}' has examples of several shapes, and in memory all have one. Set "
                "streamed=True, by which images are resized, or name other columns."
            ) from error
        raise InputError(
            f"Cannot read split '{split}' of data set '{name}' in {where} ({_one_line(error)}). If its files are "
            f"damaged, delete the folder '{name}' there and run again to prepare it anew."
        ) from error
    arrays = [key for key, first in batches[0].items() if isinstance(first, np.ndarray)]
    return {key: np.concatenate([batch[key] for batch in batches]) for key in arrays}


def read_images(
    name: str, split: str, data_dir: str | os.PathLike | None, image: str = "image", label: str = "label"
) -> tuple[np.ndarray, ...]:
    """Read a split of images into memory.

    Returns:
        Images, uint8 `[n, height, width, channels]`, and labels, int64 `[n]`; where examples have an `id` with a
        number in its split, as "test_00042", these numbers too, int64 `[n]`.

    Raises:
        InputError: If the data set is neither prepared nor downloadable, or cannot be read, or has no images or labels.
    """
    columns = read_columns(name, split, data_dir, (image, label, "id"))
    if image not in columns or label not in columns:
        check_there(name, (image, label), read_features(name, data_dir))
    return columns[image], columns[label], *own_numbers(columns)


def check_there(name: str, wanted: Sequence[str], known: Iterable[str]) -> None:
    """Raise an `InputError` unless a data set has some columns."""
    if lacking := [key for key in wanted if key not in known]:
        raise InputError(
            f"Data set '{name}' of TFDS has {', '.join(sorted(known))}, and no '{lacking[0]}'. Name what its examples "
            "are made of by features=... and label=..., or give its arrays to from_arrays."
        )


def own_numbers(columns: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Return the numbers in the column `id` where each has one, int64 `[n]`, in a list; else an empty list."""
    ids = columns.get("id")
    numbers = numbers_in(ids) if ids is not None and ids.dtype == object else None
    return [] if numbers is None else [numbers]


def numbers_in(ids: Sequence[bytes] | np.ndarray) -> np.ndarray | None:
    """Return the numbers of ids such as "test_00042" or "42", int64 `[n]`; None if one is not so."""
    numbers = [re.fullmatch(rb"([a-z]+_)?(\d+)", text) for text in ids]
    if not all(numbers):
        return None
    return np.array([int(number[2]) for number in numbers if number])


def _check_features(builder: tfds.core.DatasetBuilder) -> None:
    """Refuse a folder whose `features.json` says other features than the builder has: it was damaged, or is another's.

    TFDS looks at that file where it has no builder of its own, and else reads over it.

    Raises:
        InputError: It does, or it cannot be read.
    """
    import tensorflow_datasets as tfds

    path = Path(builder.data_path, "features.json")
    if not path.is_file():
        return
    mend = f"Delete the folder {path.parent}, and prepare the data set anew."
    try:
        stored = described(tfds.features.FeatureConnector.from_config(str(path.parent)))
    except Exception as error:  # TFDS raises anything
        raise InputError(f"{path} is damaged ({_one_line(error)}). {mend}") from error
    expected = described(builder.info.features)
    wrong = sorted(name for name in stored.keys() | expected.keys() if stored.get(name) != expected.get(name))
    if wrong:
        said = " and ".join(f"'{each.get(wrong[0], 'nothing')}'" for each in (stored, expected))
        raise InputError(f"{path} and TFDS differ in the feature '{wrong[0]}', {said}. {mend}")


def described(features: Any) -> dict[str, str]:
    """Return what a feature of each name holds: its type, shape, and number of classes where it has one."""
    return {
        name: " ".join(
            str(each)
            for each in (
                getattr(one.np_dtype, "__name__", one.np_dtype),
                list(one.shape) if isinstance(one.shape, tuple) else one.shape,
                getattr(one, "num_classes", ""),
            )
        ).strip()
        for name, one in features.items()
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep TFDS from warning about what is said in one line, or is nobody's concern."""
    from absl import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def _one_line(error: Exception, max_length: int = 200) -> str:
    text = re.sub(r"\{\{.*?\}\}", "", str(error))  # the names of TensorFlow's graph nodes
    text = " ".join(f"{type(error).__name__}: {text}".split())
    return text if len(text) <= max_length else text[:max_length] + "..."


def stream_images(
    name: str,
    form: Images,
    split: str,
    data_dir: str | os.PathLike | None,
    crops: bool = False,
    image: str = "image",
    label: str = "label",
    name_key: str = "",
) -> tuple[streams.Shards, np.ndarray]:
    """Return the files of a split of a TFDS set and its labels, as `streams.index`.

    Args:
        name: Its name in TFDS.
        form: What a model receives.
        split: A stored split.
        data_dir: Where prepared data sets lie.
        crops: As in `from_tfds`.
        image: The column of the images.
        label: The column of the labels.
        name_key: The column of what images are called; empty where that is not needed.

    Raises:
        InputError: If the data set is neither prepared nor downloadable, or its files cannot be read or streamed.
    """
    import tensorflow_datasets as tfds

    where = f"data set '{name}' in {_where(data_dir)}"
    try:
        with _quiet():
            builder = tfds.builder(name, data_dir=data_dir or os.environ.get(DATA_DIR_VARIABLE))
            _check_features(builder)
            why_not_prepared = _prepare(builder)
        if why_not_prepared:
            raise InputError(
                f"Cannot stream {where}: it is not prepared and cannot be downloaded ({why_not_prepared})."
            )
        info = builder.info.splits[split]
        if builder.info.file_format != tfds.core.FileFormat.TFRECORD:
            raise InputError(f"Cannot stream {where}: its files are no TFRecords. Set streamed to False.")
        features, size = builder.info.features, (form.height, form.width)

        def decode(record: tf.Tensor) -> tf.Tensor:
            pixels = features.deserialize_example(record)[image]
            if crops:
                return augmentation.central_part(pixels, size)
            return pixels if tuple(pixels.shape) == form.input_shape else augmentation.resize(pixels, size)

        def decode_augmented(record: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
            return augmentation.random_part(features.deserialize_example(record)[image], size, seed)

        in_turns = not builder.info.disable_shuffling
        paths = [str(path) for path in info.filepaths]
        shards, labels = streams.index(paths, info.shard_lengths, decode, label, in_turns, name_key)
        return dataclasses.replace(shards, decode_augmented=decode_augmented if crops else None), labels
    except InputError:
        raise
    except Exception as error:  # from KeyError to DataLossError
        raise InputError(f"Cannot stream split '{split}' of {where} ({_one_line(error)}).") from error


def _where(data_dir: str | os.PathLike | None) -> str:
    data_dir = data_dir or os.environ.get(DATA_DIR_VARIABLE)
    return f"data_dir '{data_dir}'" if data_dir else "the default folder of TFDS"


def _source(
    name: str, num_classes: int, form: Form, splits: tuple[str, ...] = ("train", "test"), **fields: Any
) -> Source:
    read = functools.partial(read_images, name)
    return Source(name, splits, form, read, num_classes=num_classes, maximum=255, **fields)


def _cifar10(labels: str = "clean") -> Source:
    if labels != "clean" and labels not in label_noise.CIFAR10N:
        raise unknown_name("labels of data set 'cifar10'", labels, ("clean", *label_noise.CIFAR10N))
    given = None if labels == "clean" else functools.partial(label_noise.cifar10n, labels)
    human = {"test": cifar10h.find}
    return _source("cifar10", 10, _COLOUR, augmented=True, training_labels=given, human_labels=human)


_cifar10.__name__ = "cifar10"
_CIFAR10N = [dataclasses.replace(_cifar10(labels), name=f"cifar10n/{labels}") for labels in label_noise.CIFAR10N]


def _corrupted(name: str, form: Form, configs: tuple[str, ...]) -> Source:
    return Source(
        name=name,
        splits=configs,
        num_classes=10,
        form=form,
        maximum=255,
        read=lambda config, data_dir: read_images(f"{name}/{config}", "test", data_dir),
    )


_CIFAR10_CORRUPTIONS = (
    *("brightness", "contrast", "defocus_blur", "elastic", "fog", "frost", "frosted_glass_blur", "gaussian_blur"),
    *("gaussian_noise", "impulse_noise", "jpeg_compression", "motion_blur", "pixelate", "saturate", "shot_noise"),
    *("snow", "spatter", "speckle_noise", "zoom_blur"),
)
_MNIST_CORRUPTIONS = (
    *("identity", "shot_noise", "impulse_noise", "glass_blur", "motion_blur", "shear", "scale", "rotate"),
    *("brightness", "translate", "stripe", "fog", "spatter", "dotted_line", "zigzag", "canny_edges"),
)

SOURCES: list[Source | Callable[..., Source]] = [
    _source("mnist", 10, _GRAY),
    _source("fashion_mnist", 10, _GRAY),
    _cifar10,
    *_CIFAR10N,
    _source("cifar100", 100, _COLOUR, augmented=True),
    # Not augmented: a flipped digit is another shape.
    _source("svhn_cropped", 10, _COLOUR),
    _corrupted("cifar10_corrupted", _COLOUR, tuple(f"{c}_{s}" for c in _CIFAR10_CORRUPTIONS for s in range(1, 6))),
    _corrupted("mnist_corrupted", _GRAY, _MNIST_CORRUPTIONS),
    _source("omniglot28", 242, _GRAY, splits=("small1", "small2")),
    _source("dtd32", 10, _COLOUR, splits=("test",)),
]

"""Large images, streamed from the files of their TFDS sets: ImageNet, its shifts, OOD sets, and diabetic retinopathy.

`imagenet` has the training images of `imagenet2012` (Russakovsky et al., 2015) and its validation images, which are the
split `test`; a share of train is cut off for validation. Shifted are `v2`, new images that were chosen like the old
ones (Recht et al., 2019), `a`, that were chosen because a ResNet-50 fails on them (Hendrycks et al., 2021), and `r`,
drawings, sculptures and the like (Hendrycks et al., 2021). The last two have 200 of the 1,000 classes. Shifted, too,
are the published files of ImageNet-C (Hendrycks and Dietterich, 2019), as `imagenet2012_corrupted` of TFDS has them:
`c_fog_3` and so on, of 19 corruptions in five severities. The people's labels of test are those of ReaL
(`datasets.imagenet_real`): which of the classes are in an image, 1 or 0.

`dtd` (textures, Cimpoi et al., 2014) and `places365_small` (scenes, Zhou et al., 2018) are OOD sets of it.

`diabetic_retinopathy/country` has photographs of the retina from the USA (EyePACS), in the sizes and colours of the
winner of its competition (`diabetic_retinopathy_detection/btgraham-300`), and two classes: whether one should see a
doctor (grades 2, 3 and 4 of 0 to 4) or not. Its split `aptos` has photographs from India (APTOS 2019), for which TFDS
has no builder: prepare them yourself as a TFDS set `aptos2019` with a split `test` of `image` and `label`, the grade.
`diabetic_retinopathy/severity` has the grades 0, 1 and 2 of EyePACS alone; the others of test are its split `severe`.
Both are tasks of Band et al., 2021 (https://arxiv.org/abs/2211.12717).
"""

from __future__ import annotations

import functools
import os
from typing import Any

import numpy as np

from uncertainty_suite.datasets import imagenet_real, streams
from uncertainty_suite.datasets.forms import Images
from uncertainty_suite.datasets.sources import Source
from uncertainty_suite.datasets.tfds_builders import from_tfds
from uncertainty_suite.datasets.tfds_images import stream_images
from uncertainty_suite.errors import InputError

# Statistics of ImageNet's training images, as they are used everywhere.
_PHOTOS = Images(224, 224, 3, means=(0.485, 0.456, 0.406), stddevs=(0.229, 0.224, 0.225))
_RETINAS = Images(512, 512, 3)

# TFDS's name and split of each split of ours.
_CORRUPTIONS = (
    *("gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    *("snow", "frost", "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression"),
    *("gaussian_blur", "saturate", "spatter", "speckle_noise"),  # beside the 15 of the benchmark
)
_IMAGENET_C = {
    f"c_{corruption}_{severity}": (f"imagenet2012_corrupted/{corruption}_{severity}", "validation")
    for corruption in _CORRUPTIONS
    for severity in range(1, 6)
}
_IMAGENET = {
    "train": ("imagenet2012", "train"),
    "test": ("imagenet2012", "validation"),
    "v2": ("imagenet_v2/matched-frequency", "test"),
    "a": ("imagenet_a", "test"),
    "r": ("imagenet_r", "test"),
    **_IMAGENET_C,
}
_EYEPACS = {split: ("diabetic_retinopathy_detection/btgraham-300", split) for split in ("train", "validation", "test")}
_COUNTRY = {**_EYEPACS, "aptos": ("aptos2019", "test")}
_SEVERITY = {**_EYEPACS, "severe": _EYEPACS["test"]}

_TO_A_DOCTOR, _SEVERE = 2, 3  # the lowest grade


def _imagenet(split: str, data_dir: str | os.PathLike | None) -> tuple[Any, ...]:
    name, stored = _IMAGENET[split]
    # Those of ImageNet-C are central parts already, and ReaL knows those of test by the number in their names.
    crops, name_key = split not in _IMAGENET_C, "file_name" if split == "test" else ""
    shards, labels = stream_images(name, _PHOTOS, stored, data_dir, crops, name_key=name_key)
    called: list[bytes] = [] if shards.names is None else shards.names.tolist()
    numbers = [each.removeprefix(b"ILSVRC2012_val_").removesuffix(b".JPEG") for each in called]
    if not numbers or not all(number.isdigit() for number in numbers):
        return shards, labels
    return shards, labels, np.array(numbers).astype(np.int64)


def _retinopathy(
    places: dict[str, tuple[str, str]], split: str, data_dir: str | os.PathLike | None
) -> tuple[streams.Shards, np.ndarray]:
    name, stored = places[split]
    shards, grades = stream_images(name, _RETINAS, stored, data_dir)
    if places is _SEVERITY:
        shards, grades = streams.keep(shards, grades, (grades >= _SEVERE) == (split == "severe"))
    return shards, (grades >= _TO_A_DOCTOR).astype(np.int64)


def _not_read(split: str, data_dir: str | os.PathLike | None) -> tuple[np.ndarray, ...]:
    raise InputError(f"Large images are streamed, and what needs all of '{split}' in memory is not for them.")


def _source(name: str, splits: dict[str, tuple[str, str]], form: Images, num_classes: int, **fields: Any) -> Source:
    return Source(name, tuple(splits), form, _not_read, num_classes=num_classes, maximum=255, **fields)


SOURCES = [
    _source(
        "imagenet",
        _IMAGENET,
        _PHOTOS,
        1000,
        stream=_imagenet,
        augmented=True,
        human_labels={"test": imagenet_real.find},
    ),
    from_tfds("dtd", _PHOTOS, 47, ("train", "validation", "test"), streamed=True, crops=True),
    from_tfds("places365_small", _PHOTOS, 365, ("train", "validation", "test"), streamed=True, crops=True),
    _source("diabetic_retinopathy/country", _COUNTRY, _RETINAS, 2, stream=functools.partial(_retinopathy, _COUNTRY)),
    _source("diabetic_retinopathy/severity", _SEVERITY, _RETINAS, 2, stream=functools.partial(_retinopathy, _SEVERITY)),
]

"""Data sets made of folders of images: what becomes of their modes and sizes, and what is refused how."""

import numpy as np
import pytest
from PIL import Image

from uncertainty_suite import datasets
from uncertainty_suite.datasets import Dataset
from uncertainty_suite.errors import InputError

GREEN, RED = (10, 200, 30), (220, 20, 40)


def save(path, color=GREEN, size=(12, 9), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", size, color)
    (image.quantize(2) if mode == "P" else image.convert(mode)).save(path)
    return path


@pytest.fixture
def pets(tmp_path):
    """Ten images of each of two classes, whose names are no simple ones, and files that systems leave behind."""
    folder = tmp_path / "my pets"
    for i in range(10):
        save(folder / "grüne Vögel" / f"bird {i}.png", GREEN)
        save(folder / "cats (red)" / f"{i}.JPG", RED, (9 + i, 14))
    for name in (".DS_Store", "cats (red)/Thumbs.db", "README.txt", ".cache/x.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"nothing")
    return folder


def make(folders, size=8, **options):
    return datasets.from_images("pets", folders, size, **options)


def make_all(folder):
    return {"train": folder, "test": folder}


def refused(*args, **options):
    with pytest.raises(InputError) as error:
        source = make(*args, **options)
        for split in source.splits:
            _ = Dataset(source, split).features
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_folder_for_each_class(pets):
    source = make(pets)
    train, test = (Dataset(source, split) for split in ("train", "test"))
    assert (source.num_classes, train.input_shape, train.features.dtype) == (2, (8, 8, 3), np.uint8)
    assert np.bincount(train.labels).tolist() == [8, 8]
    assert np.bincount(test.labels).tolist() == [2, 2]
    assert sorted([*train.element_ids, *test.element_ids]) == list(range(20))
    assert (test.labels == (test.element_ids >= 10)).all()  # in the order of the names: cats, then birds
    red, green = (test.features[test.labels == label].reshape(-1, 3) for label in (0, 1))
    np.testing.assert_allclose(red, np.broadcast_to(RED, red.shape), atol=6)  # JPEG
    assert (green == GREEN).all()
    batch = next(iter(test.load(4).as_numpy_iterator()))
    np.testing.assert_allclose(batch["features"], test.features / 255, rtol=1e-6)
    assert Dataset(make(pets), "test").fingerprint() == test.fingerprint()
    assert Dataset(make(pets, seed=1), "test").fingerprint() != test.fingerprint()


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "LA", "RGBA", "I;16"])
def test_every_mode_becomes_that_of_the_model(tmp_path, mode):
    color = (255, 255, 255) if mode == "1" else (128, 128, 128)
    for name in ("a", "b"):
        for i in range(2):
            save(tmp_path / name / f"{i}.png", color, mode="L" if mode == "I;16" else mode)
            if mode == "I;16":
                Image.fromarray(np.full((9, 12), 128 * 257, np.uint16)).save(tmp_path / name / f"{i}.png")
    for channels in (1, 3):
        features = Dataset(make(tmp_path, channels=channels, test_percent=0.5), "train").features
        assert features.shape == (2, 8, 8, channels)
        assert (features == color[0]).all()


def test_transparent_parts_are_white(tmp_path):
    for name in ("a", "b"):
        for i in range(2):
            path = save(tmp_path / name / f"{i}.png")
            image = Image.open(path).convert("RGBA")
            image.putalpha(0)
            image.save(path)
    assert (Dataset(make(tmp_path, test_percent=0.5), "train").features == 255).all()


def test_images_are_turned_and_cut_around_the_centre(tmp_path):
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = 100  # the middle square
    pixels[:10, 20:40, 0] = 200
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "0.png")
        Image.fromarray(pixels[::-1, ::-1]).save(tmp_path / name / "1.png", exif=exif)
    source = make({"train": tmp_path, "test": tmp_path}, size=(20, 20))
    for image in Dataset(source, "train").features:
        np.testing.assert_array_equal(image, pixels[:, 20:40])


def test_folders_of_splits_and_of_ood_sets(pets, tmp_path):
    save(tmp_path / "other/deep/0.png")
    save(tmp_path / "other/1.png")
    save(tmp_path / "night/cats (red)/0.png")
    source = make({"train": pets, "test": pets, "night": tmp_path / "night"}, ood={"other": tmp_path / "other"})
    assert source.splits == ("train", "test", "night", "other")
    assert Dataset(source, "night").labels.tolist() == [0]
    assert Dataset(source, "other").labels.tolist() == [-1, -1]
    assert Dataset(source, "train").num_examples == 20


def test_lists_name_the_images_of_a_split(pets, tmp_path):
    (tmp_path / "train.txt").write_bytes("\ufeffgrüne Vögel/bird 3.png\r\n\r\ncats (red)/1.JPG\r\n".encode())
    (tmp_path / "test.txt").write_text("./cats (red)/2.JPG\ncats (red)\\0.JPG")
    source = make(pets, lists={"train": tmp_path / "train.txt", "test": tmp_path / "test.txt"})
    train, test = (Dataset(source, split) for split in ("train", "test"))
    assert (train.labels.tolist(), train.element_ids.tolist()) == ([0, 1], [1, 13])
    assert (test.labels.tolist(), test.element_ids.tolist()) == ([0, 0], [0, 2])
    lists = {"train": tmp_path / "train.txt", "test": tmp_path / "wrong.txt"}
    lists["test"].write_text("cats (red)/2.JPG\ncats (red)/20.JPG\n")
    assert refused(pets, lists=lists) == (
        f"Data set 'pets': line 2 of {lists['test']}: there is no image {pets / 'cats (red)/20.JPG'}. Write a path "
        "below that folder on each line, and nothing else."
    )
    lists["test"].write_text("cats (red)/1.JPG\n")
    assert refused(pets, lists=lists) == (
        f"Data set 'pets': line 1 of {lists['test']}: cats (red)/1.JPG is in the split 'train' already. An image is in "
        "one split, once."
    )
    lists["test"].write_text("")
    assert refused(pets, lists=lists) == f"Data set 'pets': {lists['test']} is empty."


def test_unreadable_images(pets):
    whole = (pets / "cats (red)/3.JPG").read_bytes()
    (pets / "cats (red)/3.JPG").write_bytes(whole[: len(whole) // 2])
    cut = pets / "cats (red)/3.JPG"
    assert refused(pets).startswith(f"Data set 'pets': {cut} is no image that can be read (")
    assert refused(pets).endswith("). Remove it.")
    for i in range(10):
        (pets / f"grüne Vögel/bird {i}.png").write_bytes(b"no image")
    said = refused(make_all(pets))
    assert said.startswith(f"Data set 'pets': {cut} is no image that can be read (")
    assert said.endswith("), and 10 more such files. Remove it.")


def test_what_systems_leave_behind_is_no_class(pets):
    for name in ("__MACOSX", ".cache"):
        (pets / name).mkdir(exist_ok=True)
        (pets / name / "._1.png").write_bytes(b"")
    assert make(pets).num_classes == 2


def test_a_list_may_spell_accents_otherwise(tmp_path):
    for place in ("bla\u0308tter/1.png", "bla\u0308tter/2.png", "gras/1.png"):
        save(tmp_path / "pets" / place)
    lists = {}
    for split, text in (("train", "bl\u00e4tter/1.png\ngras/1.png\n"), ("test", "bl\u00e4tter/2.png\n")):
        lists[split] = tmp_path / f"{split}.txt"
        lists[split].write_text(text, encoding="utf-8")
    assert Dataset(make(tmp_path / "pets", lists=lists), "test").num_examples == 1


def test_what_is_no_folder_of_classes(pets, tmp_path):
    assert refused(tmp_path / "no") == (
        f"Data set 'pets': there is no folder {tmp_path / 'no'} (looked for {tmp_path / 'no'})."
    )
    (pets / "dogs").mkdir()
    assert refused(pets) == f"Data set 'pets': there are no images in {pets / 'dogs'}. Remove it, or fill it."
    (pets / "dogs/notes.txt").write_text("none")
    assert refused(pets).startswith(f"Data set 'pets': {pets / 'dogs/notes.txt'} does not end as an image does (.png, ")
    (pets / "dogs/notes.txt").unlink()
    (pets / "dogs").rmdir()
    save(pets / "alone.png")
    assert refused(pets) == f"Data set 'pets': {pets / 'alone.png'} lies in no folder of a class. Move it into one."
    (tmp_path / "empty").mkdir()
    assert refused(tmp_path / "empty") == f"Data set 'pets': there are no images in {tmp_path / 'empty'}."
    save(tmp_path / "single/cats/0.png")
    assert refused(make_all(tmp_path / "single")) == (
        "Data set 'pets' has only the class 'cats' in its training examples; expected two or more."
    )


def test_a_class_only_in_test(pets, tmp_path):
    path = save(tmp_path / "test/dogs/0.png")
    assert refused({"train": pets, "test": tmp_path / "test"}) == (
        f"Data set 'pets': {path} is of the class 'dogs', and no training example is; these have 'cats (red)', "
        "'grüne Vögel'. Mend it, leave it out, or give examples of no known class as ood=..."
    )


def test_sizes_that_make_no_sense(pets):
    for size in (0, "16", 16.0, (8, 0), (8, 8, 3)):
        assert refused(pets, size=size) == (
            f"Data set 'pets' has the size {size!r}; expected a number of pixels, or (height, width)."
        )
    assert refused(pets, size=(8, 8), channels=4) == "Data set 'pets' has 4 channels; expected 1 or 3."

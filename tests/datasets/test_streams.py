"""A set that is streamed from several shards has the examples and ids of the same set in memory."""

import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds

from uncertainty_suite import datasets, testing, tf
from uncertainty_suite.datasets import streams
from uncertainty_suite.datasets.forms import Images
from uncertainty_suite.errors import InputError
from uncertainty_suite.replicas import share_out

FORM = Images(8, 8, 3)
SIZES = {"train": 203, "test": 61}
SHARDS = 7


def make_split(split: str) -> tf.data.Dataset:
    rng = np.random.default_rng(len(split))
    images = rng.integers(0, 256, (SIZES[split], 8, 8, 3), np.uint8)
    labels = rng.integers(0, 3, SIZES[split])
    return tf.data.Dataset.from_tensor_slices({"image": images, "label": labels})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a TFDS set of several shards."""
    folder = tmp_path_factory.mktemp("tfds")
    builder = tfds.dataset_builders.TfDataBuilder(
        name="many_shards",
        version="1.0.0",
        data_dir=folder,
        split_datasets={split: make_split(split) for split in SIZES},
        features=tfds.features.FeaturesDict(
            {"image": tfds.features.Image(shape=(8, 8, 3)), "label": tfds.features.ClassLabel(num_classes=3)}
        ),
    )
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(num_shards=SHARDS))
    assert builder.info.splits["train"].num_shards == SHARDS
    return folder


@pytest.fixture
def get(folder, monkeypatch):
    """A function that returns the set, streamed with blocks of two or three shards, or in memory."""

    def get(split: str, streamed: bool = True, **fields) -> datasets.Dataset:
        source = datasets.from_tfds("many_shards", FORM, 3, streamed=streamed, augmented=True, **fields)
        return datasets.Dataset(source, split, folder)

    size = sum(path.stat().st_size for path in folder.rglob("*train.tfrecord*"))
    monkeypatch.setattr(streams, "_BLOCK_BYTES", size * 5 // (2 * SHARDS))
    return get


def batches_of(dataset: tf.data.Dataset, count: int = -1) -> list[dict[str, np.ndarray]]:
    return list(dataset.take(count).as_numpy_iterator())


def assert_same_batches(mine, theirs) -> None:
    assert len(mine) == len(theirs)
    for one, other in zip(mine, theirs):
        for name in other:
            np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize(
    ("split", "view"),
    [
        ("train", lambda data: data.holding_out(0.1).with_label_noise(0.3)),
        ("train", lambda data: data.classes((2, 0)).imbalanced(4).corrupted("contrast", 3).subset(20)),
        ("validation", lambda data: data.holding_out(0.2)),
        ("test", lambda data: data),
    ],
    ids=["noisy", "long tail", "validation", "test"],
)
def test_the_ordered_pass_is_that_of_the_set_in_memory(split, view, get):
    mine, theirs = (view(get(split, streamed)) for streamed in (True, False))
    np.testing.assert_array_equal(mine.element_ids, theirs.element_ids)
    np.testing.assert_array_equal(mine.labels, theirs.labels)
    assert_same_batches(batches_of(mine.load(16)), batches_of(theirs.load(16)))


def test_the_ordered_pass_ends_after_so_many_examples(get):
    expected = batches_of(get("train", False).load(7, max_examples=10))
    assert_same_batches(batches_of(get("train").load(7, max_examples=10)), expected)
    assert_same_batches(list(get("train").batches(7, max_examples=10)), expected)


def by_id(batches) -> dict[int, tuple[np.ndarray, int]]:
    return {
        int(number): (features, int(label))
        for batch in batches
        for number, features, label in zip(batch["element_id"], batch["features"], batch["labels"])
    }


def test_an_epoch_has_each_example_as_in_memory_in_an_order_of_its_own(get):
    mine, theirs = (get("train", streamed).holding_out(0.1).seeded(5) for streamed in (True, False))
    steps = mine.steps_per_epoch(16)
    assert steps == 12  # and 183 examples: the last batch is filled up
    streamed, memory = (batches_of(data.load(16, training=True), 2 * steps) for data in (mine, theirs))
    orders = []
    for epoch in (slice(0, steps), slice(steps, 2 * steps)):
        order = np.concatenate([batch["element_id"] for batch in streamed[epoch]])
        assert sorted(order[:183]) == sorted(mine.element_ids)
        np.testing.assert_array_equal(order[183:], order[: 12 * 16 - 183])
        orders.append(order)
        expected = by_id(memory[epoch])
        for number, (features, label) in by_id(streamed[epoch]).items():
            np.testing.assert_array_equal(features, expected[number][0])
            assert label == expected[number][1]
    assert not np.array_equal(*orders)
    other = batches_of(mine.seeded(6).load(16, training=True), 1)
    assert not np.array_equal(other[0]["element_id"], streamed[0]["element_id"])


def test_examples_of_several_shards_are_mixed_and_a_block_is_not_the_whole_set(get):
    data = get("train").augmented(False)
    order = np.concatenate([batch["element_id"] for batch in batches_of(data.load(1, training=True), 203)])
    shard_of = np.repeat(np.arange(SHARDS), data._stored.shards.lengths)[np.argsort(data._stored.shards.rows)]
    first = set(shard_of[order[:40]])
    assert 2 <= len(first) <= 3


def test_goes_on_in_the_middle_of_an_epoch(get):
    data = get("train").holding_out(0.1).seeded(5)
    whole = batches_of(data.load(16, training=True), 30)
    for start_step in (5, 20):
        mine = batches_of(data.load(16, training=True, start_step=start_step), 3)
        assert_same_batches(mine, whole[start_step : start_step + 3])


def test_going_on_reads_no_shard_of_the_blocks_before(get, folder, tmp_path):
    shutil.copytree(folder / "many_shards", tmp_path / "many_shards")
    data = datasets.Dataset(get("train").source, "train", tmp_path).augmented(False).seeded(5)
    whole = batches_of(data.load(29, training=True), 7)  # an epoch
    shards = data._stored.shards
    shard_of = np.repeat(np.arange(SHARDS), shards.lengths)[np.argsort(shards.rows)]
    first, last = (set(shard_of[whole[step]["element_id"]]) for step in (0, 6))
    assert first - last
    for shard in first - last:
        (tmp_path / "many_shards/1.0.0" / shards.paths[shard].rpartition("/")[2]).unlink()
    assert_same_batches(batches_of(data.load(29, training=True, start_step=6), 1), whole[6:])


@pytest.mark.parametrize(("batch_size", "num_replicas", "hosts", "streamed"), [(17, 4, 2, True), (17, 4, 2, False)])
def test_hosts_have_parts_of_each_batch_without_gaps_or_repeats(batch_size, num_replicas, hosts, streamed, get):
    data = get("train", streamed).holding_out(0.1).seeded(5)
    whole = batches_of(data.load(batch_size, training=True, start_step=7), 6)
    parts, here = share_out(batch_size, num_replicas), num_replicas // hosts
    shared = []
    for host in range(hosts):
        mine = parts[host * here : (host + 1) * here]
        shared.append(batches_of(data.load(batch_size, training=True, start_step=7, parts=mine), 6 * here))
    for step, batch in enumerate(whole):
        in_order = [part for host in shared for part in host[step * here : (step + 1) * here]]
        assert [len(part["labels"]) for part in in_order] == [part.stop - part.start for part in parts]
        for name, values in batch.items():
            np.testing.assert_array_equal(np.concatenate([part[name] for part in in_order]), values)


def test_the_fingerprint_is_of_the_examples_and_labels(get, folder, tmp_path):
    data = get("train")
    assert data.fingerprint() == get("train").fingerprint()
    assert data.fingerprint() != data.holding_out(0.1).fingerprint()
    assert data.fingerprint() != data.with_label_noise(0.1).fingerprint()


@pytest.mark.slow
def test_keeps_the_promises_of_a_data_set(get, folder):
    testing.check_dataset(get("train"), folder)


def test_features_are_not_in_memory(get):
    with pytest.raises(InputError, match=r"'many_shards' is streamed, so its features are not in memory: use load\(\)"):
        _ = get("train").features


def test_what_cannot_be_streamed_is_said_in_one_line(folder, tmp_path):
    for make, message in (
        (lambda path: None, "Cannot stream .*'many_shards'"),
        (
            lambda path: damage(shutil.copytree(folder / "many_shards", path / "many_shards")),
            "Cannot stream split 'train'",
        ),
    ):
        source = datasets.from_tfds("many_shards", FORM, 3, streamed=True)
        path = tmp_path / str(len(list(tmp_path.iterdir())))
        path.mkdir()
        make(path)
        with pytest.raises(InputError, match=message):
            _ = datasets.Dataset(source, "train", path).labels
    wrong = datasets.from_tfds("many_shards", FORM, 2, streamed=True)
    with pytest.raises(InputError, match="has the label 2"):
        _ = datasets.Dataset(wrong, "train", folder).labels


def test_mixed_examples_and_outliers_are_refused(get):
    data = get("train")
    for changed in (data.mixed("mixup"), data.with_outliers(datasets.get("noise", "uniform").like(data))):
        with pytest.raises(InputError, match="is streamed, and mixed examples and outliers are for sets in memory"):
            changed.load(8, training=True)


def damage(folder) -> None:
    path = next(folder.rglob("*train.tfrecord-00003*"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_images_of_another_size_are_resized(folder):
    source = datasets.from_tfds("many_shards", Images(6, 4, 3), 3, streamed=True)
    batch = next(iter(datasets.Dataset(source, "test", folder).load(5)))
    assert batch["features"].shape == (5, 6, 4, 3)
    assert 0 <= batch["features"].numpy().min() < batch["features"].numpy().max() <= 1

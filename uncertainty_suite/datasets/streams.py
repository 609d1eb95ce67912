"""Sets that do not fit in memory: read shard by shard, in an order that is a function of (seed, epoch).

Only labels and a checksum of each example are kept. An epoch takes the shards of a TFDS set in random order, as many at
a time as fit in a block of memory, and shuffles the examples of each block as they are stored, before they are decoded.
Shards and blocks are shuffled by (seed, epoch), so that the order of an epoch is known before anything is read, and a
resumed run leaves out whole blocks. Examples of one block follow each other: since TFDS has shuffled the set when it
wrote it, each block is a random sample. Rows and element ids are those of the same set read into memory.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence

import numpy as np

from uncertainty_suite import tf
from uncertainty_suite.datasets import augmentation
from uncertainty_suite.datasets.pipeline import finished, in_parts
from uncertainty_suite.datasets.trees import Tree

_BLOCK_BYTES = 64 * 2**20  # of stored examples that are shuffled together, but one shard at least
_INDEXED_AT_ONCE = 512  # examples
# TFDS reads so many files in turns, so many examples of each one.
TURNS, TURN_LENGTH = 16, 16


@dataclasses.dataclass(frozen=True, eq=False)
class Shards:
    """The files of a stored split.

    Attributes:
        paths: TFRecord files, in their order.
        lengths: How many examples each one holds.
        rows: int64 `[n]`: the place in the split of each example, in the order of the files.
        turns: How many files are read in turns in the order of the rows.
        checksums: uint64 `[n]`: a fingerprint of each example as it is stored, by row.
        num_bytes: Size of all files.
        names: What each example is called, bytes by row; None where that was not asked for.
        decode: From a stored example, a string, to its features.
        decode_augmented: From a stored example and a seed, int64 `[2]`, to its features as augmented; None if they are
            augmented as those in memory are, after decoding.
    """

    paths: tuple[str, ...]
    lengths: tuple[int, ...]
    rows: np.ndarray
    turns: int
    checksums: np.ndarray
    num_bytes: int
    decode: Callable[[tf.Tensor], tf.Tensor]
    decode_augmented: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None
    names: np.ndarray | None = None

    @property
    def starts(self) -> np.ndarray:
        """int64 `[shards + 1]`: the number of the first example of each file, and of all examples."""
        return np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int64)


def index(
    paths: Sequence[str],
    lengths: Sequence[int],
    decode: Callable[[tf.Tensor], tf.Tensor],
    key: str,
    in_turns: bool,
    name_key: str = "",
) -> tuple[Shards, np.ndarray]:
    """Read all files once, decoding nothing.

    Args:
        paths: TFRecord files.
        lengths: How many examples each one holds.
        decode: From a stored example, a string, to its features.
        key: Of the labels, integers.
        in_turns: Whether the order of the split is that of files read in turns, or of one after the other.
        name_key: Of what examples are called, texts, which they may lack; empty where that is not needed.

    Returns:
        The shards, and the labels, int64 `[n]`, by row.

    Raises:
        ValueError: There are more or fewer examples than `lengths` says.
        tf.errors.OpError: A file is damaged or cannot be read.
    """

    def look(records: tf.Tensor) -> tuple[tf.Tensor, ...]:
        features = {key: tf.io.FixedLenFeature([], tf.int64)}
        if name_key:
            features[name_key] = tf.io.FixedLenFeature([], tf.string, "")
        parsed = tf.io.parse_example(records, features)
        return parsed[key], tf.fingerprint(records), *([parsed[name_key]] if name_key else [])

    starts = np.concatenate([[0], np.cumsum(lengths)])
    ranges = tf.data.Dataset.from_tensor_slices((starts[:-1], starts[1:]))
    turns = TURNS if in_turns else 1
    numbers = ranges.interleave(tf.data.Dataset.range, turns, TURN_LENGTH).batch(starts[-1])
    by_row = next(numbers.as_numpy_iterator())
    records = tf.data.TFRecordDataset(list(paths)).batch(_INDEXED_AT_ONCE)
    parts = list(records.map(look, tf.data.AUTOTUNE).as_numpy_iterator())
    labels, checksums, *names = (np.concatenate(each) for each in zip(*parts))
    if len(labels) != starts[-1]:
        raise ValueError(f"it has {len(labels)} examples, where its description says {starts[-1]}")
    num_bytes = sum(os.path.getsize(path) for path in paths)
    checksums = checksums.view(np.uint64)[:, 0][by_row]
    shards = Shards(tuple(paths), tuple(lengths), np.argsort(by_row), turns, checksums, num_bytes, decode)
    if names:
        shards = dataclasses.replace(shards, names=names[0][by_row])
    return shards, labels[by_row]


def keep(shards: Shards, labels: np.ndarray, kept: np.ndarray) -> tuple[Shards, np.ndarray]:
    """Return a split with some of the rows alone, numbered anew in their order.

    Args:
        shards: The files of the whole split.
        labels: `[n]`.
        kept: Booleans `[n]`.

    Returns:
        The same files, and the labels of the rows that are kept.
    """
    order = np.concatenate([np.flatnonzero(kept), np.flatnonzero(~kept)])  # the others come last, and are skipped
    rows = np.argsort(order)[shards.rows]
    names = None if shards.names is None else shards.names[order]
    return dataclasses.replace(shards, rows=rows, checksums=shards.checksums[order], names=names), labels[kept]


@dataclasses.dataclass(frozen=True)
class Streamed:
    """Examples of some rows of a stored split, and how they are delivered; the others are skipped as they are read.

    Attributes:
        shards: The files of the split.
        labels: `[n]`.
        element_ids: int64 `[n]`.
        rows: int64 `[n]`, ascending.
        bring: Brings a batch of features, given their element ids, into the form that the model receives.
    """

    shards: Shards
    labels: np.ndarray
    element_ids: np.ndarray
    rows: np.ndarray
    bring: Callable[[Tree, tf.Tensor], Tree]

    def ordered(self, batch_size: int, num_examples: int) -> tf.data.Dataset:
        """Return one pass over the first so many examples in their order; the last batch may be smaller."""
        # Files are read in turns, as TFDS reads them, which is what the order of the rows is; a list of these is short.
        files = tf.data.Dataset.from_tensor_slices(self._files())
        places = self._tables["place"]
        stored = files.interleave(self._read, self.shards.turns, TURN_LENGTH, tf.data.AUTOTUNE)
        examples = stored.filter(lambda example: tf.gather(places, example["row"]) >= 0).take(num_examples)
        return finished(self._batches(examples, batch_size, drop_remainder=False), in_memory=False)

    def endless(
        self, batch_size: int, start_step: int, seed: int, augment: bool, parts: Sequence[slice] | None = None
    ) -> tf.data.Dataset:
        """Return the shuffled stream of training from a step on, as `pipeline.endless`."""
        num_examples = len(self.labels)
        steps = -(-num_examples // batch_size)
        first_epoch, steps_into_epoch = divmod(start_step, steps)
        parts = parts or [slice(0, batch_size)]
        first, last = parts[0].start, parts[-1].stop

        @tf.autograph.experimental.do_not_convert
        def get_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
            epoch_seed = tf.stack([tf.constant(seed, tf.int64), epoch])
            start = tf.where(epoch == first_epoch, tf.constant(steps_into_epoch * batch_size, tf.int64), 0)
            examples = self._epoch(epoch_seed, start, steps * batch_size)
            if last - first < batch_size:  # what other hosts get is read and not decoded
                places = tf.data.Dataset.range(start, steps * batch_size)
                both = tf.data.Dataset.zip(places, examples)
                examples = both.filter(lambda place, _: (place % batch_size >= first) & (place % batch_size < last))
                examples = examples.map(lambda _, example: example)
            if not augment:
                return examples
            if self.shards.decode_augmented is not None:
                of_augmentation = tf.random.fold_in(epoch_seed, 1)
                return examples.map(
                    lambda example: {**example, "seed": tf.random.fold_in(of_augmentation, example["row"])}
                )
            draws = augmentation.draw_crops_and_flips(len(self.shards.rows), tf.random.fold_in(epoch_seed, 1))
            return examples.map(lambda example: {**example, "draws": draws[example["row"]]})

        examples = tf.data.Dataset.range(first_epoch, tf.int64.max).flat_map(get_epoch)
        batches = self._batches(examples, last - first, drop_remainder=True)
        if len(parts) > 1:
            batches = batches.flat_map(functools.partial(in_parts, parts=parts))
        endless_batches = batches.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
        return finished(endless_batches, in_memory=False)

    def _epoch(self, epoch_seed: tf.Tensor, start: tf.Tensor, stop: int) -> tf.data.Dataset:
        """Return the stored examples of an epoch from a place of its order on; at the end come the first ones again."""
        starts = self.shards.starts
        before = np.concatenate([[0], np.cumsum(np.isin(self.shards.rows, self.rows))])
        per_shard = before[starts[1:]] - before[starts[:-1]]
        num_shards = len(per_shard)
        block_size = max(1, _BLOCK_BYTES * num_shards // max(self.shards.num_bytes, 1))
        num_blocks = -(-num_shards // block_size)
        most = int(np.sort(self.shards.lengths)[-block_size:].sum())  # examples of a block
        order = tf.random.experimental.stateless_shuffle(tf.range(num_shards), epoch_seed)
        sizes = tf.math.unsorted_segment_sum(
            tf.gather(tf.constant(per_shard, tf.int64), order), tf.range(num_shards) // block_size, num_blocks
        )
        ends = tf.cumsum(sizes)
        tables, files = self._tables, self._files()

        def get_block(block: tf.Tensor) -> tf.data.Dataset:
            chosen = order[block * block_size : (block + 1) * block_size]
            first, stop = (tf.gather(files[name], chosen) for name in ("start", "stop"))
            rows = tf.gather(tables["row"], tf.ragged.range(first, stop).values)
            block_seed = tf.random.fold_in(tf.random.fold_in(epoch_seed, 2), block)

            def shuffle(records: tf.Tensor) -> dict[str, tf.Tensor]:
                wanted = tf.where(tf.gather(tables["place"], rows) >= 0)[:, 0]
                places = tf.random.experimental.stateless_shuffle(tf.range(tf.size(wanted)), block_seed)
                wanted = tf.gather(wanted, places)
                return {"row": tf.gather(rows, wanted), "record": tf.gather(records, wanted)}

            # All at once, since what is done for each example takes longer than reading it.
            return tf.data.TFRecordDataset(tf.gather(files["path"], chosen)).batch(most).map(shuffle)

        def from_block(block: tf.Tensor) -> tf.data.Dataset:
            blocks = tf.data.Dataset.range(block, num_blocks).flat_map(get_block).prefetch(1)
            return blocks.flat_map(tf.data.Dataset.from_tensor_slices)

        start_block = tf.searchsorted(ends, [start], side="right")[0]
        begins = tf.where(start_block > 0, tf.gather(ends, tf.maximum(start_block - 1, 0)), 0)
        rest = from_block(tf.cast(start_block, tf.int64)).skip(start - begins)
        return rest.concatenate(from_block(tf.constant(0, tf.int64)).take(stop - len(self.labels)))

    @functools.cached_property
    def _tables(self) -> dict[str, tf.Tensor]:
        """What is looked up: the row of each stored example; its place among these or -1; their labels and ids."""
        places = np.full(len(self.shards.rows), -1, np.int64)
        places[self.rows] = np.arange(len(self.rows))
        tables = {"row": self.shards.rows, "place": places, "label": self.labels, "element_id": self.element_ids}
        # Made outside of the functions that use them, which would else hold copies; a GPU's memory is for the model.
        with tf.init_scope(), tf.device("CPU:0"):
            return {name: tf.constant(table) for name, table in tables.items()}

    def _files(self) -> dict[str, np.ndarray]:
        starts = self.shards.starts
        return {"path": np.array(self.shards.paths), "start": starts[:-1], "stop": starts[1:]}

    def _read(self, file: dict[str, tf.Tensor]) -> tf.data.Dataset:
        """Return the stored examples of a file, each with its row."""
        rows = self._tables["row"]
        records = tf.data.TFRecordDataset(file["path"]).enumerate(file["start"])
        return records.map(lambda number, record: {"row": tf.gather(rows, number), "record": record})

    def _batches(self, examples: tf.data.Dataset, size: int, drop_remainder: bool) -> tf.data.Dataset:
        tables = self._tables

        def decode(example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            record, seed = example.pop("record"), example.pop("seed", None)
            if seed is not None and self.shards.decode_augmented is not None:
                return {**example, "features": self.shards.decode_augmented(record, seed)}
            return {**example, "features": self.shards.decode(record)}

        @tf.autograph.experimental.do_not_convert  # nothing to convert, and looking takes longer than tracing
        def get_batch(chosen: dict[str, tf.Tensor]) -> dict[str, Tree]:
            features, place = chosen["features"], tf.gather(tables["place"], chosen["row"])
            if "draws" in chosen:
                features = augmentation.crop_and_flip(features, chosen["draws"])
            ids = tf.gather(tables["element_id"], place)
            labels = tf.gather(tables["label"], place)
            return {"features": self.bring(features, ids), "labels": labels, "element_id": ids}

        decoded = examples.map(decode, tf.data.AUTOTUNE)
        return decoded.batch(size, drop_remainder=drop_remainder).map(get_batch, tf.data.AUTOTUNE)

"""The input pipeline: batches of examples that are in memory, as a `tf.data.Dataset`."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from uncertainty_suite import tf
from uncertainty_suite.datasets import augmentation, augmix, mixing
from uncertainty_suite.datasets.trees import Tree, map_leaves

_EPOCH_BYTES = 16 * 2**20  # of features: an epoch of so many is made at once, which is cheaper than batch by batch


@dataclasses.dataclass(frozen=True)
class Examples:
    """Examples and how they are delivered.

    Attributes:
        features: As stored, `[n, ...]` or a tree of such arrays.
        labels: `[n]`.
        element_ids: int64 `[n]`.
        rows: int64 `[n]`: each example's place in the stored split, which decides its augmentation.
        num_stored: Size of the stored split.
        bring: Brings a batch of features, given their element ids, into the form that the model receives; and changes
            images, while they are in [0, 1], by a function that may be given.
        bytes_per_example: Size of one example in that form.
        mixing: How training examples are mixed, `mixing.MIXUP` or `mixing.CUTMIX`; None for not at all.
        alpha: Of their shares.
        num_classes: Number of classes, None where labels are no classes.
        augmix: Severity of AugMix of training images; 0 for none.
        image_size: Height and width of images as the model receives them, for AugMix.
    """

    features: Tree
    labels: np.ndarray
    element_ids: np.ndarray
    rows: np.ndarray
    num_stored: int
    bring: Callable[[Tree, tf.Tensor, Callable[[tf.Tensor], tf.Tensor] | None], Tree]
    bytes_per_example: int
    mixing: str | None = None
    alpha: float = 0.0
    num_classes: int | None = None
    augmix: float = 0.0
    image_size: tuple[int, int] = (0, 0)

    def get_batches(self) -> Callable[[dict[str, tf.Tensor]], dict[str, Tree]]:
        """Return the function from what is chosen for a batch, its `"index"` and perhaps more, to the batch."""
        with tf.device("CPU:0"):  # where the input pipeline runs; a GPU's memory is for the model
            features = map_leaves(tf.constant, self.features)
            labels, element_ids = tf.constant(self.labels), tf.constant(self.element_ids)

        @tf.autograph.experimental.do_not_convert  # nothing to convert, and looking takes longer than tracing
        def get_batch(chosen: dict[str, tf.Tensor]) -> dict[str, Tree]:
            index = chosen["index"]
            batch = map_leaves(lambda array: tf.gather(array, index), features)
            if "draws" in chosen:
                batch = augmentation.crop_and_flip(batch, chosen["draws"])
            ids = tf.gather(element_ids, index)
            change = functools.partial(augmix.mix, draws=chosen["augmix"]) if "augmix" in chosen else None
            batch = {"features": self.bring(batch, ids, change), "labels": tf.gather(labels, index), "element_id": ids}
            if self.mixing is None or "partner_index" not in chosen:
                return batch
            of_partner = "partner_"
            partners = {
                name.removeprefix(of_partner): each for name, each in chosen.items() if name.startswith(of_partner)
            }
            others = get_batch(partners)
            mixed, share = mixing.mix(
                self.mixing, batch["features"], others["features"], chosen["share"], chosen["centre"]
            )
            soft = mixing.mix_labels(batch["labels"], others["labels"], share, self.num_classes)
            return {"features": mixed, "labels": soft, "element_id": ids}

        return get_batch


def ordered(examples: Examples, batch_size: int, num_examples: int) -> tf.data.Dataset:
    """Return one pass over the first so many examples in their order; the last batch may be smaller."""
    index = tf.data.Dataset.range(num_examples).batch(batch_size)
    get_batch = examples.get_batches()
    batches = index.map(lambda index: get_batch({"index": index}), tf.data.AUTOTUNE)
    return finished(batches)


def at_once(examples: Examples, batch_size: int, num_examples: int) -> Iterator[dict[str, Tree]]:
    """Yield the batches of `ordered`, bit for bit, each made when it is asked for and without a pipeline."""
    for start in range(0, num_examples, batch_size):
        chosen = slice(start, min(start + batch_size, num_examples))
        with tf.device("CPU:0"):
            features = map_leaves(lambda array, chosen=chosen: tf.constant(array[chosen]), examples.features)
            labels, ids = tf.constant(examples.labels[chosen]), tf.constant(examples.element_ids[chosen])
            batch = {"features": examples.bring(features, ids, None), "labels": labels, "element_id": ids}
        yield batch


def endless(
    examples: Examples,
    batch_size: int,
    start_step: int,
    seed: int,
    augment: bool,
    parts: Sequence[slice] | None = None,
) -> tf.data.Dataset:
    """Return the shuffled stream of training from a step on; every batch is full.

    The order of an epoch depends on (seed, epoch), the augmentation of an example on (seed, epoch, place in the stored
    split) alone. With `parts`, adjacent ones, each batch comes in these, one after the other; no more of it is made.
    """
    get_batch = examples.get_batches()

    def get_epoch(chosen: dict[str, tf.Tensor]) -> tf.data.Dataset:
        batch = get_batch({name: tf.reshape(x, [-1, *x.shape[2:]]) for name, x in chosen.items()})
        return tf.data.Dataset.from_tensor_slices(
            map_leaves(lambda x: tf.reshape(x, [-1, batch_size, *x.shape[1:]]), batch)
        )

    num_examples = len(examples.labels)
    steps = -(-num_examples // batch_size)
    epochs, steps_into_epoch = _epochs(examples, batch_size, start_step, steps, seed, augment)
    if parts is None and examples.bytes_per_example * num_examples <= _EPOCH_BYTES:
        batches = epochs.flat_map(get_epoch).skip(steps_into_epoch)
    else:
        chosen = epochs.flat_map(tf.data.Dataset.from_tensor_slices).skip(steps_into_epoch)
        if parts is not None:
            chosen = chosen.map(lambda chosen: map_leaves(lambda x: x[parts[0].start : parts[-1].stop], chosen))
        batches = chosen.map(get_batch, tf.data.AUTOTUNE)
    if parts is not None:
        batches = batches.flat_map(functools.partial(in_parts, parts=parts))
    # Known to be endless, a strategy need not ask in every step whether there is a batch left.
    return finished(batches.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)))


def in_parts(batch: Tree, parts: Sequence[slice]) -> tf.data.Dataset:
    """Return the parts of a batch that begins with the first one."""
    datasets = [
        tf.data.Dataset.from_tensors(
            map_leaves(lambda x, part=part: x[part.start - parts[0].start : part.stop - parts[0].start], batch)
        )
        for part in parts
    ]
    return functools.reduce(lambda before, after: before.concatenate(after), datasets)


def with_outliers(batches: tf.data.Dataset, others: tf.data.Dataset) -> tf.data.Dataset:
    """Return batches each of which is followed by one of others, whose labels become -1."""

    def join(batch: dict[str, Tree], other: dict[str, Tree]) -> dict[str, Tree]:
        other = {**other, "labels": tf.fill(tf.shape(other["labels"]), tf.constant(-1, batch["labels"].dtype))}
        return map_leaves(lambda mine, theirs: tf.concat([mine, theirs], axis=0), batch, other)

    joined = tf.data.Dataset.zip(batches, others).map(join, tf.data.AUTOTUNE)
    return finished(joined.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)))


def _epochs(
    examples: Examples, batch_size: int, start_step: int, steps: int, seed: int, augment: bool
) -> tuple[tf.data.Dataset, int]:
    """Return the endless stream of epochs from that of a step on, and the steps of it before that step.

    An epoch is `{"index": int32 [steps, batch]}`, with `"draws"` `[steps, batch, 3]` if augmented, `"augmix"` `[steps,
    batch, 94]` if so, and with what `mixing.draw` returns if mixed, the partner's being `"partner_index"` and so on.
    """
    num_examples = len(examples.labels)
    with tf.device("CPU:0"):
        rows = tf.constant(examples.rows)

    def get_choice(epoch: tf.Tensor) -> dict[str, tf.Tensor]:
        epoch_seed = tf.stack([tf.constant(seed, tf.int64), epoch])
        # Not index_shuffle: it repeats after 256 seeds, and small data sets have more epochs than that.
        order = tf.random.experimental.stateless_shuffle(tf.range(num_examples), epoch_seed)
        order = tf.concat([order, order[: steps * batch_size - num_examples]], axis=0)
        chosen = {"index": tf.reshape(order, [steps, batch_size])}
        of_rows = {}
        if augment:
            of_rows["draws"] = augmentation.draw_crops_and_flips(examples.num_stored, tf.random.fold_in(epoch_seed, 1))
        if examples.augmix:
            seed_of_augmix = tf.random.fold_in(epoch_seed, 3)
            of_rows["augmix"] = augmix.draw(examples.num_stored, examples.augmix, examples.image_size, seed_of_augmix)
        chosen |= {name: tf.gather(each, tf.gather(rows, chosen["index"])) for name, each in of_rows.items()}
        if examples.mixing is not None:
            mixed = mixing.draw(num_examples, examples.alpha, tf.random.fold_in(epoch_seed, 2))
            chosen |= {name: tf.gather(each, chosen["index"]) for name, each in mixed.items()}
            partner = tf.gather(rows, chosen["partner_index"])
            chosen |= {f"partner_{name}": tf.gather(each, partner) for name, each in of_rows.items()}
        return chosen

    first_epoch, steps_into_epoch = divmod(start_step, steps)
    return tf.data.Dataset.range(first_epoch, tf.int64.max).map(get_choice), steps_into_epoch


def finished(batches: tf.data.Dataset, in_memory: bool = True) -> tf.data.Dataset:
    """Return batches made in their order, some ahead."""
    options = tf.data.Options()
    options.deterministic = True
    # Of examples in memory the autotuner has nothing to choose, and the end of an iterator waits for it: on a busy
    # machine for minutes.
    options.autotune.enabled = not in_memory
    # Workers of a cluster share the examples of each batch; there are no files to be shared out instead.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return batches.with_options(options).prefetch(2 if in_memory else tf.data.AUTOTUNE)

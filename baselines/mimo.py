"""Train one network that maps several inputs to as many outputs, and ask it the same input several times: MIMO.

    minimised: sum_m mean -log p_m(y_m | x_1, ..., x_M),    p(y | x) = 1/M sum_m p_m(y | x, ..., x)

Havasi et al. 2021 (arXiv:2010.06610). The network f(x_1, ..., x_M) -> y_1, ..., y_M has an input and a head for each of
M members, and all between is shared. In training each member has examples of its own, so that the members become
independent; in prediction all get the same one, and their mixture is predicted. The loss is the sum over members of the
mean over a batch. Differs from `deterministic.py` in the layer set (inputs are joined along their channels), in the
batch of the train step and in `predict`.

Each batch is repeated `batch_repetitions` times, shuffled, and then shuffled anew for each member, but for a share of
`input_repetition_probability`, which is the same for all. So a step costs as much as one of so many batches. The texts
of all members become one long text. A network that is small for its task has no room for several members; the paper's
are wide. With one member and one repetition it is the deterministic network, whose batches come in another order.

Use it where a prediction may cost one pass and the network is wider than its task needs. Training takes
`batch_repetitions` times as long.

    python baselines/mimo.py --config=configs/two_moons.py --config.mimo.size=3

takes less than a minute on two CPU cores. Every value of the configuration can be overridden in that way. A run that
was stopped goes on, bit for bit, when the same command is given again. Expected results stand at the top of each
configuration.
"""

import functools

from uncertainty_suite import evaluation, keras, launch, layers, models, replicas, tf, training
from uncertainty_suite.configuration import Parameter, Section
from uncertainty_suite.datasets.forms import Graphs
from uncertainty_suite.errors import InputError

CONFIG = Section(
    "mimo",
    samples="size",
    size=Parameter(3, "members, each with an input and a head", at_least=1),
    batch_repetitions=Parameter(4, "how often a step sees each example of its batch", at_least=1),
    input_repetition_probability=Parameter(
        0.0,
        "share of a batch in which all members have the same example",
        at_least=0,
        at_most=1,
        search=(0.0, 0.6, "linear"),
    ),
)


def get_layer_set(config):
    """Return layers from member-major rows `[members * batch, ...]` to outputs `[batch, members, units]`."""
    return layers.LayerSet(
        at_input=layers.MergeMembers(config.size, name="merge_members"),
        head=functools.partial(layers.MemberHead, members=config.size),
    )


def member_rows(config, batch_size, seed):
    """Return which examples of a batch each member has, as indices: member-major rows of all repetitions."""

    def shuffled(seed, *shape):
        return tf.argsort(tf.random.stateless_uniform(shape, seed))

    count = batch_size * config.batch_repetitions
    num_apart = count - count * round(1e4 * config.input_repetition_probability) // 10_000  # of a tensor, too
    for_all, for_each = tf.unstack(tf.random.split(seed, 2))
    common = shuffled(for_all, count) % batch_size
    apart = tf.gather(common[:num_apart], shuffled(for_each, config.size, num_apart))
    alike = tf.broadcast_to(common[num_apart:], [config.size, count - num_apart])
    return tf.reshape(tf.concat([apart, alike], axis=1), [config.size * count])


def main(config, options=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`."""
    run = training.Run(config, __file__, options, CONFIG)
    if run.results:
        return run.results
    config, data, likelihood = run.config, run.get_data("train"), run.task.likelihood
    size = config.mimo.size
    if any(isinstance(form, Graphs) for form in keras.tree.flatten(data.form)):
        raise InputError(
            "MIMO joins the inputs of its members along their last axis, where graphs have their edges. Take another "
            f"method for '{config.dataset.name}'."
        )
    layer_set = get_layer_set(config.mimo)

    # Model. [shared]
    with run.scope():
        model = models.build(config.model, data, likelihood, layer_set)
        optimizer = training.get_optimizer(config, model, data)

    # Train step. Not shared: members have examples of their own, and their losses are added.
    def draw_rows(shape, seed):
        return tf.reshape(member_rows(config.mimo, shape[1] // config.mimo.batch_repetitions, seed), shape)

    def train_step(batch):
        seed = tf.stack([config.seed, tf.cast(tf.convert_to_tensor(optimizer.iterations), tf.int32)])
        count = (batch["labels"].shape[0] or tf.shape(batch["labels"])[0]) * config.mimo.batch_repetitions
        # Of several replicas each has its share of the rows, and these are of examples from the whole batch.
        rows = tf.reshape(layers.draw_for_rows(draw_rows, [size, count], count, seed, axis=1), [size * count])
        whole = replicas.whole_batch((batch["features"], batch["labels"]))
        features, labels = tf.nest.map_structure(lambda x: tf.gather(x, rows), whole)
        with tf.GradientTape() as tape:
            outputs = model(features, training=True)["outputs"]
            outputs = tf.reshape(tf.transpose(outputs, [1, 0, 2]), [-1, outputs.shape[-1]])  # of each label
            loss = size * tf.reduce_mean(likelihood.loss(outputs, labels))
            objective = loss + training.penalty(model, config.optimizer.l2)
        norm = training.update(model, optimizer, tape, objective)
        return {"loss": loss, "gradient_norm": norm, **likelihood.progress(outputs, labels)}

    # Training. [shared]
    loop = training.Loop(run, data, model, optimizer, train_step)
    for steps in loop:
        loop.take(steps)

    # Prediction.
    tile = layers.TileMembers(size)

    @tf.function
    def predict(inputs):
        said = model(tile(inputs), training=False)
        outputs = tf.transpose(said["outputs"], [1, 0, 2])  # [members, batch, units]
        return likelihood.predict(outputs, said["features"])

    return run.finish(evaluation.evaluate(predict, run), model, loop)


if __name__ == "__main__":
    launch.run(main, CONFIG)

"""Train several small networks side by side in one: Packed-Ensembles.

    p(y | x) = 1/M sum_m p(y | x, w_m),    w_m of layers alpha / M times as wide as those of one network

Laurent et al. 2023 (arXiv:2210.09184). Each of M members has every layer `alpha / M` times as wide as the architecture
has it, with weights of its own, in which `gamma` groups of channels are apart as well. All members see every example,
and their losses are averaged. Differs from `deterministic.py` in the layer set and in `predict`. With `alpha` M and
`gamma` 1 it is a deep ensemble on one order of the examples; with one member, `alpha` and `gamma` 1 it is the
deterministic network.

The paper has the members' channels side by side, in grouped convolutions; here their rows lie one after another in the
batch. The networks are the same, and whatever comes between layers (flattening, pooling, attention, normalisation)
keeps members apart by itself. A group is a convolution of its own, as TensorFlow has no gradient of grouped ones on
CPUs. Widths are rounded up to multiples of `gamma`; the first convolution or dense layer and the head have no groups.
Networks that are narrow already lose by it. The features of an example, which OOD scores take, are the mean of the
members'.

Use it where a network is wide and an ensemble has to have about its size. Narrow networks lose by it.

    python baselines/packed_ensemble.py --config=configs/two_moons.py --config.packed_ensemble.alpha=2.0

takes less than a minute on two CPU cores. Every value of the configuration can be overridden in that way. A run that
was stopped goes on, bit for bit, when the same command is given again. Expected results stand at the top of each
configuration.
"""

import functools
import math

from uncertainty_suite import evaluation, keras, launch, layers, models, tf, training
from uncertainty_suite.configuration import Parameter, Section

CONFIG = Section(
    "packed_ensemble",
    samples="size",
    size=Parameter(4, "members", at_least=1),
    alpha=Parameter(2.0, "width of all members together, as a multiple of the architecture's", above=0),
    gamma=Parameter(1, "groups of channels within a member that are apart", at_least=1),
)


def get_layer_set(config):
    """Return narrow layers of which each member has its own."""
    plain = layers.LayerSet()
    first = True  # whether the next layer is the first one

    def width(channels):
        return config.gamma * math.ceil(channels * config.alpha / (config.size * config.gamma))

    def copies(make, count, axis, name):
        return layers.SideBySide([make(name=f"part_{i}") for i in range(count)], axis, name=name)

    def of_members(make):
        """Return a constructor that makes a layer for each member."""
        return lambda *args, name, **kwargs: copies(functools.partial(make, *args, **kwargs), config.size, 0, name)

    def in_groups(make):
        """Return a constructor of layers of the right width, with groups but for the first one."""

        def constructor(channels, *args, name, **kwargs):
            nonlocal first
            groups, first = 1 if first else config.gamma, False
            part = functools.partial(make, width(channels) // groups, *args, **kwargs)
            of_member = part if groups == 1 else lambda name: copies(part, groups, -1, name)
            return copies(of_member, config.size, 0, name)

        return constructor

    def attention(num_heads, dense, name):
        return plain.attention(num_heads, of_members(keras.layers.Dense), name)  # its inputs have the right width

    def lstm(units, dense, name):
        return plain.lstm(width(units), of_members(keras.layers.Dense), name)

    def embedding(size, channels, **kwargs):
        return of_members(plain.embedding)(size, width(channels), **kwargs)

    return layers.LayerSet(
        conv=in_groups(plain.conv),
        dense=in_groups(plain.dense),
        projection=lambda units, **kwargs: of_members(plain.projection)(width(units), **kwargs),
        norm=of_members(plain.norm),
        layer_norm=of_members(plain.layer_norm),
        attention=attention,
        lstm=lstm,
        embedding=embedding,
        head=of_members(plain.head),
        at_input=layers.TileMembers(config.size, name="tile_members"),
        at_output=functools.partial(layers.split_members, members=config.size),
    )


def main(config, options=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`."""
    run = training.Run(config, __file__, options, CONFIG)
    if run.results:
        return run.results
    config, data, likelihood = run.config, run.get_data("train"), run.task.likelihood
    layer_set = get_layer_set(config.packed_ensemble)

    # Model. [shared]
    with run.scope():
        model = models.build(config.model, data, likelihood, layer_set)
        optimizer = training.get_optimizer(config, model, data)

    # Train step. [shared]
    def train_step(batch):
        with tf.GradientTape() as tape:
            outputs = model(batch["features"], training=True)["outputs"]
            loss = tf.reduce_mean(likelihood.loss(outputs, batch["labels"]))
            objective = loss + training.penalty(model, config.optimizer.l2)
        norm = training.update(model, optimizer, tape, objective)
        return {"loss": loss, "gradient_norm": norm, **likelihood.progress(outputs, batch["labels"])}

    # Training. [shared]
    loop = training.Loop(run, data, model, optimizer, train_step)
    for steps in loop:
        loop.take(steps)

    # Prediction.
    @tf.function
    def predict(inputs):
        said = model(inputs, training=False)
        outputs = tf.transpose(said["outputs"], [1, 0, 2])  # [members, batch, units]
        return likelihood.predict(outputs, said["features"])

    return run.finish(evaluation.evaluate(predict, run), model, loop)


if __name__ == "__main__":
    launch.run(main, CONFIG)

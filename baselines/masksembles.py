"""Train members that use fixed parts of one network, which overlap as much as one chooses: Masksembles.

    p(y | x) = 1/M sum_m p(y | x, w, masks_m),    masks_m fixed, in place of each dropout

Durasov et al. 2021 (arXiv:2012.08334). Wherever the architecture has dropout, member m multiplies the channels by a
mask of its own, which never changes: a low `scale` makes the members alike, a high one makes them separate networks. In
training the examples of a batch are shared out to the members, as many to each; in prediction every example is seen by
all, and what comes before the first mask is computed once. Differs from `deterministic.py` in the layer set and in
`predict`.

The rate of a dropout only says whether masks take its place: not where it is 0. Masks are drawn from the seed, each
layer has its own. The features of an example, which OOD scores take, are the mean of the members'. With scale 1 all
masks are full, and all members are the network without dropout.

Use it in place of MC dropout where predictions shall be few, and the same each time. Members share channels, so that a
narrow network loses accuracy by it.

    python baselines/masksembles.py --config=configs/two_moons.py --config.masksembles.scale=2.0

takes less than a minute on two CPU cores. Every value of the configuration can be overridden in that way. A run that
was stopped goes on, bit for bit, when the same command is given again. Expected results stand at the top of each
configuration.
"""

import functools

from uncertainty_suite import evaluation, launch, layers, models, tf, training
from uncertainty_suite.configuration import Parameter, Section
from uncertainty_suite.errors import InputError

CONFIG = Section(
    "masksembles",
    samples="size",
    size=Parameter(4, "members, each with its masks", at_least=1),
    scale=Parameter(
        2.0,
        "how little masks overlap: two have 1 / scale of their channels in common",
        at_least=1,
        search=(1.5, 2.0, 3.0),
    ),
)


def main(config, options=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`."""
    run = training.Run(config, __file__, options, CONFIG)
    if run.results:
        return run.results
    config, data, likelihood = run.config, run.get_data("train"), run.task.likelihood
    size = config.masksembles.size
    layer_set = layers.LayerSet(
        dropout=functools.partial(layers.MemberMasks, members=size, scale=config.masksembles.scale)
    )

    # Model. [shared]
    with run.scope():
        model = models.build(config.model, data, likelihood, layer_set)
        optimizer = training.get_optimizer(config, model, data)

    def has_masks(layer):
        return isinstance(layer, layers.MemberMasks) and layer.active

    if not any(map(has_masks, model.layers)):
        raise InputError(
            f"Masksembles has nothing to do in '{config.model.name}' without dropout, whose place masks take. Give a "
            "rate above 0, e.g. --config.model.dropout_rate=0.1, or take the deterministic baseline."
        )

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
    trunk, rest = layers.split_at(model, has_masks)
    tile = layers.TileMembers(size)

    @tf.function
    def predict(inputs):
        said = rest(tile(trunk(inputs, training=False)), training=False)  # rows of member 0, then of member 1, ...
        outputs, features = (layers.by_member(said[name], size) for name in ("outputs", "features"))
        return likelihood.predict(outputs, tf.reduce_mean(features, axis=0))

    return run.finish(evaluation.evaluate(predict, run), model, loop)


if __name__ == "__main__":
    launch.run(main, CONFIG)

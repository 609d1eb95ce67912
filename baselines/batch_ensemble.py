"""Train members that share their kernels and differ by a rank-one factor of each, all in one network: BatchEnsemble.

Wen et al. 2020 (arXiv:2002.06715). In member m a layer computes

    y = activation(((x * r_m) W) * s_m + b_m),

that is, with the kernel W * (r_m s_m^T): the members' own "fast weights" r, s and biases b are few. Differs from
`deterministic.py` in the layer set, which repeats each example for every member and puts fast weights around every
convolution and dense layer, those of attention and the head included, and in `predict`, which mixes the members.

Embeddings and normalisations are shared, and batch statistics are those of all members together, as in Uncertainty
Baselines. Differs from the paper in that all members see every example of a batch, where it shares the batch out to
them: a step costs as much as those of all members. The features of an example, which OOD scores take, are the mean of
the members'. `fast_weight_factor` is a learning rate under plain gradient descent; Adam undoes it. The paper trains
longer than a single network needs, by half.

Use it where an ensemble does not fit into memory or on a device: it has the parameters of one network, and takes the
time of M in training and in prediction.

    python baselines/batch_ensemble.py --config=configs/two_moons.py --config.batch_ensemble.size=4

takes a minute on two CPU cores. Every value of the configuration can be overridden in that way. A run that was stopped
goes on, bit for bit, when the same command is given again. Expected results stand at the top of each configuration.
"""

import functools

from uncertainty_suite import evaluation, keras, launch, layers, models, tf, training
from uncertainty_suite.configuration import Parameter, Section

CONFIG = Section(
    "batch_ensemble",
    samples="size",
    size=Parameter(4, "members", at_least=1),
    random_sign_init=Parameter(
        -0.5,
        "how fast weights begin: above 0 as 1 with that probability and else -1, else as normals around 1 with its "
        "negative as standard deviation",
        at_most=1,
        search=(-0.5, 0.5),
    ),
    fast_weight_factor=Parameter(0.5, "what the gradients of fast weights are multiplied by", at_least=0),
)


def get_layer_set(config):
    """Return layers with fast weights, which see every example once for each member."""

    def with_fast_weights(layer, activation=None, use_bias=True, **kwargs):
        return layers.FastWeights(
            layer, config.size, activation, use_bias, config.random_sign_init, config.fast_weight_factor, **kwargs
        )

    def conv(*args, activation=None, use_bias=True, **kwargs):
        return with_fast_weights(keras.layers.Conv2D(*args, use_bias=False, **kwargs), activation, use_bias)

    def dense(*args, activation=None, use_bias=True, **kwargs):
        return with_fast_weights(keras.layers.Dense(*args, use_bias=False, **kwargs), activation, use_bias)

    def head(units, **kwargs):
        return with_fast_weights(keras.layers.Dense(units, use_bias=False, dtype="float32", **kwargs), dtype="float32")

    return layers.LayerSet(
        conv=conv,
        dense=dense,
        head=head,
        at_input=layers.TileMembers(config.size, name="tile_members"),
        at_output=functools.partial(layers.split_members, members=config.size),
    )


def main(config, options=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`."""
    run = training.Run(config, __file__, options, CONFIG)
    if run.results:
        return run.results
    config, data, likelihood = run.config, run.get_data("train"), run.task.likelihood
    layer_set = get_layer_set(config.batch_ensemble)

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

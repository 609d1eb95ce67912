"""Train members whose rank-one factors have a distribution, on kernels that are points: a rank-1 Bayesian network.

Dusenberry et al. 2020 (arXiv:2005.07186). In member m a layer computes

    y = activation(((x * r) W) * s + b_m),    r, s ~ q_m,

with r and s drawn from the member's posteriors for each example anew, by reparameterisation. The objective is the mean
negative log-likelihood over members and examples, plus the l2 penalty of kernels, biases and normalisations, plus the
divergences of all posteriors from a prior around 1, divided by the number of training examples, which comes in over the
first steps. Differs from `deterministic.py` in the layer set, in the objective and in `predict`.

As in Uncertainty Baselines, the divergences of members are added up while their likelihoods are averaged, all members
see every example of a batch, embeddings and normalisations are shared, and draws are clipped to [-10, 10]. Posteriors
begin at random signs, of which the prior knows one only; with `random_sign_init` 1 all begin at the prior's mean. With
scales of zero it is BatchEnsemble. `cauchy` is the Cauchy distribution for posterior and prior, in place of the normal
one: the paper's for classifiers with batch normalisation. A draw from its tails, up to 10, goes through a network
without normalisation undamped, and a Gaussian's squared error has no limit: on toy_regression it ruins the training.

Use it where `batch_ensemble.py` fits and members shall be uncertain themselves. It has a prior to choose, and its
divergence comes in over most of the training.

    python baselines/rank1_bnn.py --config=configs/two_moons.py --config.rank1_bnn.prior_scale=0.05

takes a minute on two CPU cores. Every value of the configuration can be overridden in that way. A run that was stopped
goes on, bit for bit, when the same command is given again. Expected results stand at the top of each configuration.
"""

import functools

from uncertainty_suite import evaluation, keras, launch, layers, models, tf, training
from uncertainty_suite.configuration import Parameter, Section

CONFIG = Section(
    "rank1_bnn",
    samples="size",
    size=Parameter(4, "members", at_least=1),
    num_samples=Parameter(1, "draws of each member in a prediction", at_least=1),
    distribution=Parameter("normal", "kind of posterior and prior", choices=("normal", "cauchy")),
    random_sign_init=Parameter(
        0.5,
        "how locations begin: above 0 as 1 with that probability and else -1, else as normals around 1 with its "
        "negative as standard deviation",
        at_most=1,
    ),
    initial_scale=Parameter(0.0316, "about which value the posteriors' scales begin", above=0),
    prior_scale=Parameter(0.1, "scale of the prior", above=0, search=(0.03, 0.3, "log")),
    annealing=Parameter(0.8, "share of the training over which the divergence comes in", at_least=0, at_most=1),
)


def get_layer_set(config):
    """Return layers with stochastic fast weights, which see every example once for each member."""
    wrap = functools.partial(
        layers.StochasticFastWeights,
        members=config.size,
        random_sign_init=config.random_sign_init,
        distribution=config.distribution,
        initial_scale=config.initial_scale,
        prior_scale=config.prior_scale,
    )

    def conv(*args, activation=None, use_bias=True, **kwargs):
        layer = keras.layers.Conv2D(*args, use_bias=False, **kwargs)
        return wrap(layer, activation=activation, use_bias=use_bias)

    def dense(*args, activation=None, use_bias=True, **kwargs):
        layer = keras.layers.Dense(*args, use_bias=False, **kwargs)
        return wrap(layer, activation=activation, use_bias=use_bias)

    def head(units, **kwargs):
        return wrap(keras.layers.Dense(units, use_bias=False, dtype="float32", **kwargs), dtype="float32")

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
    layer_set = get_layer_set(config.rank1_bnn)

    # Model. [shared]
    with run.scope():
        model = models.build(config.model, data, likelihood, layer_set)
        optimizer = training.get_optimizer(config, model, data)

    # Train step. Not shared: the posteriors' divergence from the prior.
    annealing_steps = round(config.rank1_bnn.annealing * config.epochs * data.steps_per_epoch(config.batch_size))

    def train_step(batch):
        with tf.GradientTape() as tape:
            outputs = model(batch["features"], training=True)["outputs"]
            loss = tf.reduce_mean(likelihood.loss(outputs, batch["labels"]))
            divergence = layers.kl_divergence(model) / data.num_examples
            objective = loss + training.penalty(model, config.optimizer.l2)
            objective += training.annealed(optimizer, annealing_steps) * divergence
        norm = training.update(model, optimizer, tape, objective)
        shown = likelihood.progress(outputs, batch["labels"])
        return {"loss": loss, "divergence": divergence, "gradient_norm": norm, **shown}

    # Training. [shared]
    loop = training.Loop(run, data, model, optimizer, train_step)
    for steps in loop:
        loop.take(steps)

    # Prediction.
    @tf.function
    def predict(inputs):
        said = layers.draw_samples(model, inputs, config.rank1_bnn.num_samples)  # [draws, batch, members, units]
        outputs = tf.transpose(said["outputs"], [0, 2, 1, 3])
        outputs = tf.reshape(outputs, [-1, *outputs.shape[2:]])  # [draws * members, batch, units]
        return likelihood.predict(outputs, tf.reduce_mean(said["features"], axis=0))

    return run.finish(evaluation.evaluate(predict, run), model, loop)


if __name__ == "__main__":
    launch.run(main, CONFIG)

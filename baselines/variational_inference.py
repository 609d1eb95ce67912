"""Train a Gaussian over the weights of a network by variational inference, and average over draws from it.

Every kernel has a mean and a standard deviation for each weight, and what is minimised is the evidence lower bound,

    E_q[negative log-likelihood] + kl_weight / N * KL(q(weights) || N(0, prior_stddev^2)),

in nats an example, N being the number of training examples; the first term by one draw a step, the second exactly.
Blundell et al. 2015 (arXiv:1505.05424), Graves 2011; Flipout, Wen et al. 2018 (arXiv:1803.04386). Differs from
`deterministic.py` in the layer set, in the term that is added, and in `predict`, which draws the weights anew for each
sample. Biases and normalisations are plain parameters, which the l2 penalty still counts; that of the kernels is the
divergence. Differs from Blundell et al. in that the prior is one Gaussian, not a mixture of two; that the divergence
comes in over `annealing_epochs`, as in Uncertainty Baselines; and that its share of a batch is the same for all.

Use it where a posterior over all weights is wanted with a stated prior, for small networks. It doubles the parameters,
and its gradients are noisier than those of one network.

    python baselines/variational_inference.py --config=configs/two_moons.py --config.variational_inference.num_samples=5

takes a minute on two CPU cores. Every value of the configuration can be overridden in that way. A run that was stopped
goes on, bit for bit, when the same command is given again. Expected results stand at the top of each configuration.
"""

from uncertainty_suite import evaluation, keras, launch, layers, models, tf, training
from uncertainty_suite.configuration import Parameter, Section

CONFIG = Section(
    "variational_inference",
    samples="num_samples",
    num_samples=Parameter(10, "draws of the weights for a prediction", at_least=1),
    estimator=Parameter(
        "flipout", "how the examples of a batch share a draw in training", choices=("flipout", "reparameterization")
    ),
    prior_stddev=Parameter(0.1, "standard deviation of a weight's prior", above=0),
    initial_stddev=Parameter(0.001, "standard deviation that a weight's posterior starts from", above=0),
    kl_weight=Parameter(
        1.0,
        "factor on the divergence: 1 for the evidence lower bound, less for a cold posterior",
        above=0,
        search=(0.01, 1.0, "log"),
    ),
    annealing_epochs=Parameter(0.0, "epochs over which the divergence comes in", at_least=0),
)


def get_layer_set(config):
    """Return layers whose kernels have a distribution."""

    def variational(layer):
        return layers.Variational(layer, config.prior_stddev, config.initial_stddev, estimator=config.estimator)

    return layers.LayerSet(
        conv=lambda *args, **kwargs: variational(keras.layers.Conv2D(*args, **kwargs)),
        dense=lambda *args, **kwargs: variational(keras.layers.Dense(*args, **kwargs)),
        embedding=lambda *args, **kwargs: variational(keras.layers.Embedding(*args, **kwargs)),
        head=lambda units, **kwargs: variational(keras.layers.Dense(units, dtype="float32", **kwargs)),
    )


def main(config, options=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`."""
    run = training.Run(config, __file__, options, CONFIG)
    if run.results:
        return run.results
    config, data, likelihood = run.config, run.get_data("train"), run.task.likelihood
    layer_set = get_layer_set(config.variational_inference)

    # Model. [shared]
    with run.scope():
        model = models.build(config.model, data, likelihood, layer_set)
        optimizer = training.get_optimizer(config, model, data)

    annealing_steps = round(config.variational_inference.annealing_epochs * data.steps_per_epoch(config.batch_size))

    # Train step. Not shared: the divergence.
    def train_step(batch):
        with tf.GradientTape() as tape:
            outputs = model(batch["features"], training=True)["outputs"]
            loss = tf.reduce_mean(likelihood.loss(outputs, batch["labels"]))
            divergence = layers.kl_divergence(model)
            weight = config.variational_inference.kl_weight * training.annealed(optimizer, annealing_steps)
            objective = loss + training.penalty(model, config.optimizer.l2) + weight * divergence / data.num_examples
        norm = training.update(model, optimizer, tape, objective)
        scalars = {"loss": loss, "kl_divergence": divergence, "gradient_norm": norm}
        return {**scalars, **likelihood.progress(outputs, batch["labels"])}

    # Training. [shared]
    loop = training.Loop(run, data, model, optimizer, train_step)
    for steps in loop:
        loop.take(steps)

    # Prediction.
    trunk, rest = layers.split_at_stochastic(model)

    @tf.function
    def predict(inputs):
        hidden = trunk(inputs, training=False)  # the same in every draw
        said = layers.draw_samples(rest, hidden, config.variational_inference.num_samples)  # [samples, batch, ...] each
        return likelihood.predict(said["outputs"], tf.reduce_mean(said["features"], axis=0))

    return run.finish(evaluation.evaluate(predict, run), model, loop)


if __name__ == "__main__":
    launch.run(main, CONFIG)

"""Train a network whose evidence for a class is the density of that class at its features: a posterior network.

    alpha_c = 1 + N_c p(z(x) | c),    loss = E_{p ~ Dir(alpha)}[-log p_y] - entropy_regularization H(Dir(alpha))

Charpentier et al. 2020 (arXiv:2006.09239). The class probabilities have a Dirichlet distribution; what a class of N_c
training examples adds to its concentration is its density, by a normalising flow on a latent vector, so that there is
no evidence far from the data. Differs from `deterministic.py` in the head and in the likelihood. How little density
there is, `negative_log_density`, and what a Dirichlet distribution says of itself are uncertainties of the prediction.
For classification. Differs from the paper in that evidence is at most e^30, for what is computed of it to be exact.

Use it where one pass has to tell unknown inputs from known ones that are hard. The flow needs a latent space
of few dimensions.

    python baselines/posterior_network.py --config=configs/two_moons.py --config.posterior_network.depth=8

takes seconds on two CPU cores. Every value of the configuration can be overridden in that way. A run that was stopped
goes on, bit for bit, when the same command is given again. Expected results stand at the top of each configuration.
"""

import numpy as np

from uncertainty_suite import evaluation, launch, layers, likelihoods, models, tf, training
from uncertainty_suite.configuration import Parameter, Section

CONFIG = Section(
    "posterior_network",
    uncertainties=("negative_log_density",),
    likelihoods=("categorical",),
    own_loss=True,
    latent_size=Parameter(6, "dimensions of the latent vector", at_least=1),
    depth=Parameter(6, "radial flows in a row, for each class", at_least=1),
    entropy_regularization=Parameter(
        1e-5, "factor on the entropy of the Dirichlet distribution", at_least=0, search=(1e-6, 1e-2, "log")
    ),
)


def main(config, options=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`."""
    run = training.Run(config, __file__, options, CONFIG)
    if run.results:
        return run.results
    config, data = run.config, run.get_data("train")
    likelihood = likelihoods.Dirichlet(**run.task.likelihood.parameters, loss="cross_entropy", evidence="exp")
    class_counts = np.bincount(data.labels, minlength=data.num_classes)
    layer_set = layers.LayerSet(
        head=lambda units, **kwargs: layers.FlowDensities(
            units, class_counts, config.posterior_network.latent_size, config.posterior_network.depth, **kwargs
        )
    )

    # Model. [shared]
    with run.scope():
        model = models.build(config.model, data, likelihood, layer_set)
        optimizer = training.get_optimizer(config, model, data)

    # Train step. Not shared: the entropy.
    def train_step(batch):
        with tf.GradientTape() as tape:
            outputs = model(batch["features"], training=True)["outputs"]
            loss = tf.reduce_mean(likelihood.loss(outputs, batch["labels"]))
            entropy = tf.reduce_mean(likelihood.entropy(outputs))
            objective = loss - config.posterior_network.entropy_regularization * entropy
            objective += training.penalty(model, config.optimizer.l2)
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
        density = -tf.reduce_logsumexp(said["outputs"], axis=1)  # up to a constant: evidence, and not its share
        uncertainty = {"negative_log_density": density}
        return likelihood.predict(said["outputs"][tf.newaxis], said["features"], uncertainty=uncertainty)

    return run.finish(evaluation.evaluate(predict, run), model, loop)


if __name__ == "__main__":
    launch.run(main, CONFIG)

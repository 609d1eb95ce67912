"""Train a spectrally normalised network and fit a Gaussian to the features of each class: DDU.

    epistemic: -log sum_c pi_c N(f(x); mu_c, S_c),    aleatoric: the entropy of softmax(W f(x) + b)

Mukhoti et al. 2023 (arXiv:2102.11582), deep deterministic uncertainty. Differs from `deterministic.py` in the layer set
(spectral normalisation of the residual branches, so that what is far in the input stays far in the features) and in one
pass over the training data after training, which gives mean and covariance of the features of each class, in float64.
The probabilities are the softmax; the negative log-density of the features is among the uncertainties. For
classification. Differs from the paper in the ridge, `shrinkage`, in place of the least jitter that a Cholesky
decomposition accepts. The density alone, for any method, is the OOD score `gaussian_density`.

Use it where one pass has to do and unknown inputs are what matters: its probabilities are those of one network. Each
class needs enough examples for a covariance of its features.

    python baselines/ddu.py --config=configs/two_moons.py --config.ddu.spec_norm_bound=0.9

takes seconds on two CPU cores. Every value of the configuration can be overridden in that way. A run that was stopped
goes on, bit for bit, when the same command is given again. Expected results stand at the top of each configuration.
"""

import numpy as np

from uncertainty_suite import evaluation, keras, launch, layers, models, ood_scores, tf, training
from uncertainty_suite.configuration import Parameter, Section

CONFIG = Section(
    "ddu",
    uncertainties=("negative_log_density",),
    likelihoods=("categorical",),
    spec_norm_bound=Parameter(3.0, "greatest spectral norm of a layer", above=0, search=(0.5, 10.0, "log")),
    spec_norm_iterations=Parameter(1, "power iterations a training step", at_least=1),
    shrinkage=Parameter(1e-6, "added to the diagonal of covariances, times their mean eigenvalue", above=0),
)


def get_layer_set(config):
    """Return spectrally normalised layers with a plain head."""

    def normalized(layer):
        return layers.SpectralNormalization(layer, config.spec_norm_bound, config.spec_norm_iterations)

    return layers.LayerSet(
        conv=lambda *args, **kwargs: normalized(keras.layers.Conv2D(*args, **kwargs)),
        dense=lambda *args, **kwargs: normalized(keras.layers.Dense(*args, **kwargs)),
    )


def main(config, options=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`."""
    run = training.Run(config, __file__, options, CONFIG)
    if run.results:
        return run.results
    config, data, likelihood = run.config, run.get_data("train"), run.task.likelihood
    layer_set = get_layer_set(config.ddu)

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

    # Training. Not shared: the Gaussians are in the checkpoint.
    classes, dimensions = likelihood.num_outputs, model.output["features"].shape[-1]
    with run.scope():
        means = tf.Variable(tf.zeros([classes, dimensions], tf.float64), trainable=False)
        whitening = tf.Variable(tf.zeros([classes, dimensions, dimensions], tf.float64), trainable=False)
        offsets = tf.Variable(tf.zeros([classes], tf.float64), trainable=False)
    state = {"means": means, "whitening": whitening, "offsets": offsets}
    loop = training.Loop(run, data, model, optimizer, train_step, state=state)
    for steps in loop:
        loop.take(steps)

    # Gaussians of the classes.
    backbone = keras.Model(model.input, model.output["features"])

    @tf.function(reduce_retracing=True)
    def features_of(inputs):
        return backbone(inputs, training=False)

    def fit_gaussians():
        said = [(features_of(batch["features"]), batch["labels"]) for batch in data.load(config.batch_size)]
        features, labels = (np.concatenate(each) for each in zip(*said))
        gaussians = ood_scores.ClassGaussians(features, labels)
        for variable, value in zip(state.values(), gaussians.parameters(config.ddu.shrinkage)):
            variable.assign(value)

    loop.once(fit_gaussians)

    # Prediction.
    @tf.function
    def predict(inputs):
        said = model(inputs, training=False)
        centred = tf.cast(said["features"], tf.float64)[:, tf.newaxis] - means  # [batch, classes, dimensions]
        distance = tf.reduce_sum(tf.einsum("bcd,cde->bce", centred, whitening) ** 2, axis=-1)
        density = {"negative_log_density": -tf.reduce_logsumexp(offsets - 0.5 * distance, axis=-1)}
        return likelihood.predict(said["outputs"][tf.newaxis], said["features"], uncertainty=density)

    evaluated = evaluation.evaluate(predict, run, models.linear_head(model))
    return run.finish(evaluated, model, loop)


if __name__ == "__main__":
    launch.run(main, CONFIG)

"""Train a network to be uncertain at inputs that are near its training data, but not among them.

    minimised: E[negative log-likelihood at x] + weight * KL(N(y, prior_stddev^2) || N(m, v) at x + noise)

Hafner et al. 2018 (arXiv:1807.09289), noise contrastive priors, for targets. The last layer has a Gaussian over its
weights, so that the mean of the target is itself N(m, v) at an input, and both terms are in closed form. Differs from
`vbll.py` in that each example has a copy with noise on its inputs, at which the mean shall be as uncertain as a prior
in the space of targets says; that takes the place of the divergence from a prior over weights. Differs from the paper
in that the expectation over the weights is exact, not by a draw. Standard deviations are in units of inputs as the
network receives them, and of the standardised target.

Use it where a regression is asked outside of its data, as in active learning, and inputs are few and on one scale: what
counts as near is its noise.

    python baselines/noise_contrastive_prior.py --config=configs/toy_regression.py --config.epochs=50

takes seconds on two CPU cores. Every value of the configuration can be overridden in that way. A run that was stopped
goes on, bit for bit, when the same command is given again. Expected results stand at the top of each configuration.
"""

from uncertainty_suite import evaluation, keras, launch, layers, models, tf, training
from uncertainty_suite.configuration import Parameter, Section
from uncertainty_suite.errors import InputError

CONFIG = Section(
    "noise_contrastive_prior",
    uncertainties=("variance",),
    likelihoods=("gaussian",),
    own_loss=True,
    input_stddev=Parameter(0.5, "standard deviation of the noise on inputs", above=0, search=(0.1, 2.0, "log")),
    prior_stddev=Parameter(1.0, "standard deviation of the mean there", above=0),
    weight=Parameter(0.1, "factor on the divergence", at_least=0, search=(0.01, 1.0, "log")),
)


def divergence_from_normal(target, stddev, mean, variance):
    """Return KL(N(target, stddev^2) || N(mean, variance)) in nats, of each example."""
    return 0.5 * ((stddev**2 + (target - mean) ** 2) / variance - 1.0 + tf.math.log(variance / stddev**2))


def main(config, options=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`."""
    run = training.Run(config, __file__, options, CONFIG)
    if run.results:
        return run.results
    config, data, likelihood = run.config, run.get_data("train"), run.task.likelihood
    if any(form.holds_ids for form in keras.tree.flatten(data.form)):
        raise InputError(
            f"A noise contrastive prior has noise on real-valued inputs, and '{config.dataset.name}' has ids. "
            "Take another method, e.g. vbll."
        )
    settings = config.noise_contrastive_prior
    layer_set = layers.LayerSet(  # all are made in the scope below, whose seed is the run's
        at_input=lambda inputs: layers.PerturbedCopy(settings.input_stddev, name="perturbed_copy")(inputs),
        head=lambda units, **kwargs: layers.VariationalLastLayer(
            units, likelihood.num_latents, covariance="diagonal", **kwargs
        ),
    )

    # Model. [shared]
    with run.scope():
        model = models.build(config.model, data, likelihood, layer_set)
        optimizer = training.get_optimizer(config, model, data)

    # Train step. Not shared: the expected loss, and the divergence at the perturbed inputs.
    def train_step(batch):
        with tf.GradientTape() as tape:
            said = model(batch["features"], training=True)
            outputs, perturbed = tf.split(said["outputs"], 2)
            variance, perturbed_variance = tf.split(said["output_variance"], 2)
            loss = tf.reduce_mean(likelihood.expected_loss(outputs, variance, batch["labels"]))
            target = tf.cast((batch["labels"] - likelihood.mean) / likelihood.stddev, tf.float32)
            divergence = tf.reduce_mean(
                divergence_from_normal(target, settings.prior_stddev, perturbed[:, 0], perturbed_variance[:, 0])
            )
            objective = loss + settings.weight * divergence + training.penalty(model, config.optimizer.l2)
        norm = training.update(model, optimizer, tape, objective)
        scalars = {"loss": loss, "divergence": divergence, "gradient_norm": norm}
        return {**scalars, **likelihood.progress(outputs, batch["labels"])}

    # Training. [shared]
    loop = training.Loop(run, data, model, optimizer, train_step)
    for steps in loop:
        loop.take(steps)

    # Prediction.
    @tf.function
    def predict(inputs):
        said = model(inputs, training=False)
        variance = said["output_variance"]
        uncertainty = {"variance": tf.reduce_mean(variance, axis=-1)}
        outputs = said["outputs"][tf.newaxis]  # one sample
        return likelihood.predict(outputs, said["features"], uncertainty=uncertainty, output_variance=variance)

    return run.finish(evaluation.evaluate(predict, run), model, loop)


if __name__ == "__main__":
    launch.run(main, CONFIG)

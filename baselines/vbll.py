"""Train a network whose last layer has a Gaussian over its weights, by a bound without draws: a variational last layer.

    weights of output k ~ N(mean_k, S_k),    minimised: E[negative log-likelihood] + KL(posterior || prior) / N

Harrison, Willes and Snoek 2024 (arXiv:2404.11599). The expectation over the weights is in closed form: for classes it
is bounded by Jensen's inequality, logsumexp(mu + v / 2) - mu_label with the logits' means mu and variances v; for a
Gaussian it is exact. Differs from `deterministic.py` in the head, in these two terms, and in `predict`, where the
variance makes a prediction less certain: a logit becomes mu / sqrt(1 + pi / 8 v), in regression v is added to the
variance of the noise. Differs from the paper in that the noise of a regression is an output of the network, as in every
method here, not one number with a prior; that predicted classes are by the probit approximation, not by draws; and that
a prior variance is `prior_scale` divided by the number of features for classes, too.

Use it where a posterior over the last layer shall be trained with the features, in one pass, without draws;
`laplace.py` has one after the training. A covariance for each of many classes is large.

    python baselines/vbll.py --config=configs/two_moons.py --config.vbll.covariance=diagonal

takes seconds on two CPU cores. Every value of the configuration can be overridden in that way. A run that was stopped
goes on, bit for bit, when the same command is given again. Expected results stand at the top of each configuration.
"""

from uncertainty_suite import evaluation, launch, layers, models, tf, training
from uncertainty_suite.configuration import Parameter, Section

CONFIG = Section(
    "vbll",
    uncertainties=("variance",),
    own_loss=True,
    covariance=Parameter(
        "dense", "of the weights of one output; a dense one has d^2 numbers", choices=("dense", "diagonal", "low_rank")
    ),
    prior_scale=Parameter(
        1.0, "prior variance of a weight times the number of features", above=0, search=(0.1, 10.0, "log")
    ),
)


def main(config, options=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`."""
    run = training.Run(config, __file__, options, CONFIG)
    if run.results:
        return run.results
    config, data, likelihood = run.config, run.get_data("train"), run.task.likelihood
    layer_set = layers.LayerSet(
        head=lambda units, **kwargs: layers.VariationalLastLayer(
            units,
            likelihood.num_latents,
            covariance=config.vbll.covariance,
            prior_scale=config.vbll.prior_scale,
            **kwargs,
        )
    )

    # Model. [shared]
    with run.scope():
        model = models.build(config.model, data, likelihood, layer_set)
        optimizer = training.get_optimizer(config, model, data)

    head = model.get_layer("head")

    # Train step. Not shared: the expected loss, and the divergence.
    def train_step(batch):
        with tf.GradientTape() as tape:
            said = model(batch["features"], training=True)
            outputs = said["outputs"]
            loss = tf.reduce_mean(likelihood.expected_loss(outputs, said["output_variance"], batch["labels"]))
            divergence = layers.kl_divergence(model)
            bound = loss + (divergence + head.noise_penalty()) / data.num_examples
            objective = bound + training.penalty(model, config.optimizer.l2)
        norm = training.update(model, optimizer, tape, objective)
        scalars = {"loss": loss, "kl_divergence": divergence, "gradient_norm": norm}
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

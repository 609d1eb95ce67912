"""Train one network by maximum likelihood, then give its last layer a Gaussian: the last-layer Laplace approximation.

After training, one pass over the training data gathers the Hessian H of the loss in the last layer's weights, and

    weights ~ N(trained weights, (H + prior_precision * I)^-1),    H = sum over examples of L (x) phi phi^T,

with features phi and the Fisher information L of the outputs. The variance that an output so has makes its prediction
less certain: a logit f of variance v becomes f / sqrt(1 + pi / 8 v), the probit approximation; in regression v is added
to the variance of the noise, which is exact. There only the weights of the mean have a distribution; those of the
noise's scale stay as they are trained. Daxberger et al. 2021 (arXiv:2106.14806), Ritter et al. 2018, MacKay 1992.
Differs from `deterministic.py`, whose network it trains to the bit, in what follows the training. Differs from the
papers in that the prior precision is chosen on the validation split; `--config.laplace.chosen_by=marginal_likelihood`
chooses as they do. With `num_samples` above 1 predictions are averaged over draws of the weights instead.

Use it where a network is there already: it needs no other training and one pass to predict. Only the last layer is
uncertain, so features that map unknown inputs onto known ones hide them.

    python baselines/laplace.py --config=configs/two_moons.py --config.laplace.structure=kronecker

takes seconds on two CPU cores. With `--trained=RUN`, a finished run of `deterministic.py` of the same settings, nothing
is trained. Every value of the configuration can be overridden in that way. A run that was stopped goes on, bit for bit,
when the same command is given again. Expected results stand at the top of each configuration.
"""

from uncertainty_suite import evaluation, launch, layers, models, tf, training
from uncertainty_suite.configuration import Parameter, Section

CONFIG = Section(
    "laplace",
    uncertainties=("variance",),
    samples="num_samples",
    tuned=("prior_precision",),
    trains_as="deterministic",
    structure=Parameter("full", "how much of the Hessian is kept", choices=("full", "kronecker")),
    prior_precision=Parameter(
        (0.01, 0.1, 1.0, 10.0, 100.0, 1e3, 1e4), "of the weights; of several the best is chosen", above=0, of=float
    ),
    chosen_by=Parameter(
        "validation", "what the prior precision is chosen by", choices=("validation", "marginal_likelihood")
    ),
    num_samples=Parameter(1, "draws of the weights for a prediction; with 1 it is in closed form", at_least=1),
)


def main(config, options=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`."""
    run = training.Run(config, __file__, options, CONFIG)
    if run.results:
        return run.results
    config, data, likelihood = run.config, run.get_data("train"), run.task.likelihood
    layer_set = layers.LayerSet()

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

    num_features = model.output["features"].shape[-1]
    laplace = layers.LastLayerLaplace(num_features, likelihood.num_latents, config.laplace.structure)

    # Training. Not shared: the Hessian is a part of the checkpoint.
    loop = training.Loop(run, data, model, optimizer, train_step, state=laplace.variables)
    for steps in loop:
        loop.take(steps)

    # Posterior of the last layer.
    @tf.function(reduce_retracing=True)
    def add(batch):
        said = model(batch["features"], training=False)
        outputs = tf.cast(said["outputs"], tf.float64)
        log_likelihood = -likelihood.loss(outputs, batch["labels"])
        laplace.add(said["features"], likelihood.fisher_information(outputs), log_likelihood)

    def fit():
        laplace.reset()
        for batch in data.load(config.batch_size):
            add(batch)

    loop.once(fit)
    posterior = laplace.posterior(*models.linear_head(model))
    noise_shape = [config.laplace.num_samples, likelihood.num_latents, num_features + 1]
    noise = tf.random.stateless_normal(noise_shape, [config.seed, 0])  # the same draws of the weights for all examples

    # Prediction.
    @tf.function
    def predict_with(inputs, prior_precision):
        said = model(inputs, training=False)
        features, outputs = said["features"], said["outputs"]
        variance = posterior.variance(features, prior_precision)
        uncertainty = {"variance": tf.reduce_mean(variance, axis=-1)}
        if config.laplace.num_samples > 1:
            drawn = posterior.draw(features, outputs, prior_precision, noise)
            return likelihood.predict(drawn, features, uncertainty=uncertainty)
        return likelihood.predict(
            outputs[tf.newaxis], features, uncertainty=uncertainty, output_variance=variance
        )  # one sample

    evidence = posterior.log_marginal_likelihood if config.laplace.chosen_by == "marginal_likelihood" else None
    predict = evaluation.tune(predict_with, run, "laplace.prior_precision", evidence)
    return run.finish(evaluation.evaluate(predict, run), model, loop)


if __name__ == "__main__":
    launch.run(main, CONFIG)

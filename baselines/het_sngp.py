"""Train an SNGP whose head also learns how noisy the labels of each input are: HetSNGP.

    utilities = location(x) + V(x) r + d(x) * z + sqrt(variance(x)) * e,    r, z, e ~ N(0, I),
    p = E softmax(utilities / temperature)

Fortuin et al. 2022 (arXiv:2110.02609). It is `sngp.py` with the head of `heteroscedastic.py`: the location, the scale d
and the factors V of the noise are outputs of one Gaussian process in random features, whose posterior variance is
added to that of the utilities in prediction. As in `sngp.py`, the precision matrix is the exact sum over the training
data for the final weights, and spectral normalisation bounds each residual branch. Differs from the paper in that the
variance may be multiplied by a factor chosen on the validation split, as SNGP's is, and that the scale and the factors
are not drawn from their posterior, as in the code of its authors. For classification, as the paper.

Use it where labels are noisy and unknown inputs come too, as in web-scale classification. Where labels are clean,
`sngp.py` is cheaper.

    python baselines/het_sngp.py --config=configs/two_moons.py --config.het_sngp.temperature=1.5

takes about a minute on two CPU cores. Every value of the configuration can be overridden in that way. A run that was
stopped goes on, bit for bit, when the same command is given again. Expected results stand at the top of each
configuration.
"""

from uncertainty_suite import evaluation, keras, launch, layers, models, tf, training
from uncertainty_suite.configuration import Parameter, Section

CONFIG = Section(
    "het_sngp",
    uncertainties=("variance",),
    tuned=("variance_factor",),
    likelihoods=("categorical",),
    num_factors=Parameter(6, "columns of V; 0 for noise that is independent between classes", at_least=0),
    temperature=Parameter(
        1.0, "divides the utilities; the paper tunes it on validation", above=0, search=(0.15, 3.0, "log")
    ),
    num_mc_samples=Parameter(1000, "draws of the utilities", at_least=1),
    spec_norm_bound=Parameter(6.0, "greatest spectral norm of a layer", above=0, search=(0.5, 10.0, "log")),
    spec_norm_iterations=Parameter(1, "power iterations a training step", at_least=1),
    num_features=Parameter(1024, "random features of the Gaussian process", at_least=1),
    kernel_scale=Parameter(1.0, "squared length scale of its kernel", above=0),
    feature_type=Parameter("orthogonal", "how the random features are drawn", choices=("orthogonal", "random")),
    feature_stddev=Parameter(0.05, "standard deviation of their directions", above=0),
    scale_features=Parameter(False, "multiply them by sqrt(2 / num_features)"),
    normalize_input=Parameter(True, "layer normalisation before them, in place of the kernel scale"),
    ridge_penalty=Parameter(1.0, "prior precision of the output weights", above=0),
    variance_factor=Parameter(
        (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
        "how much the variance counts in a prediction, 0 for not at all; of several the best on validation",
        at_least=0,
        of=float,
    ),
)
# The hyper-parameters that the Gaussian process takes as they are.
GAUSSIAN_PROCESS = (
    *("num_features", "kernel_scale", "feature_type", "feature_stddev"),
    *("scale_features", "normalize_input", "ridge_penalty"),
)


def get_layer_set(config):
    """Return spectrally normalised layers with a Gaussian process that gives the parameters of the utilities."""

    def normalized(layer):
        return layers.SpectralNormalization(layer, config.spec_norm_bound, config.spec_norm_iterations)

    def at_output(said):
        softmax = layers.FactorAnalysisSoftmax(
            config.num_factors, config.num_mc_samples, config.temperature, name="softmax"
        )
        return {**said, "outputs": softmax(said["outputs"])}

    return layers.LayerSet(
        conv=lambda *args, **kwargs: normalized(keras.layers.Conv2D(*args, **kwargs)),
        dense=lambda *args, **kwargs: normalized(keras.layers.Dense(*args, **kwargs)),
        head=lambda units, **kwargs: layers.RandomFeatureGaussianProcess(
            units * (2 + config.num_factors), **{name: config[name] for name in GAUSSIAN_PROCESS}, **kwargs
        ),
        at_output=at_output,
    )


def main(config, options=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`."""
    run = training.Run(config, __file__, options, CONFIG)
    if run.results:
        return run.results
    config, data, likelihood = run.config, run.get_data("train"), run.task.likelihood
    layer_set = get_layer_set(config.het_sngp)

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

    # Posterior covariance.
    head, softmax = model.get_layer("head"), model.get_layer("softmax")
    backbone = keras.Model(model.input, model.output["features"])

    @tf.function(reduce_retracing=True)
    def update_precision(inputs):
        head.update_precision(backbone(inputs, training=False))

    def fit_precision():
        head.reset_precision()
        for batch in data.load(config.batch_size):
            update_precision(batch["features"])

    loop.once(fit_precision)
    inverse_cholesky = head.inverse_cholesky()  # once, not in every call of predict

    # Prediction.
    @tf.function
    def predict_with(inputs, variance_factor):
        features = backbone(inputs, training=False)
        said = head(features, inverse_cholesky=inverse_cholesky)
        outputs = softmax(said["outputs"], latent_variance=variance_factor * said["variance"])
        return likelihood.predict(outputs[tf.newaxis], features, uncertainty={"variance": said["variance"]})

    predict = evaluation.tune(predict_with, run, "het_sngp.variance_factor")
    return run.finish(evaluation.evaluate(predict, run), model, loop)


if __name__ == "__main__":
    launch.run(main, CONFIG)

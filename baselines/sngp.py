"""Train a spectral-normalised neural Gaussian process: one network that knows how far an input is from its data.

    phi = cos(W h(x) + b),    v = ridge phi^T (ridge I + sum_i phi_i phi_i^T)^-1 phi,
    p = softmax(beta phi / sqrt(1 + mean_field_factor v))

Liu et al. 2020 (arXiv:2006.10108), Liu et al. 2022 (arXiv:2205.00403). Differs from `deterministic.py` in the layer set
(spectral normalisation bounds each residual branch, so that distances survive; a Gaussian process in random features is
the head), in one pass over the training data after training, which gives the posterior covariance, and in `predict`,
where the variance makes predictions less certain: of classes by the mean-field approximation, which pulls logits of
large variance to zero, of targets by a wider Gaussian.

Differs from the paper and the tutorial (tensorflow.org/tutorials/understanding/sngp) in that the precision matrix is
computed for the final weights, exactly, after training: they accumulate it in every step of the last epoch, while the
weights still move. `--config.sngp.precision=every_step` does as they do.

Use it where one network and one pass have to know what is unlike the training data. It has a spectral
normalisation in training, and a matrix of `num_features` squared.

    python baselines/sngp.py --config=configs/two_moons.py --config.sngp.spec_norm_bound=0.5

takes seconds on two CPU cores. Every value of the configuration can be overridden in that way. A run that was stopped
goes on, bit for bit, when the same command is given again. Expected results stand at the top of each configuration.
"""

from uncertainty_suite import evaluation, keras, launch, layers, models, tf, training
from uncertainty_suite.configuration import Parameter, Section
from uncertainty_suite.errors import InputError

CONFIG = Section(
    "sngp",
    uncertainties=("variance",),
    tuned=("mean_field_factor",),
    spec_norm_bound=Parameter(6.0, "greatest spectral norm of a layer", above=0, search=(0.5, 10.0, "log")),
    spec_norm_iterations=Parameter(1, "power iterations a training step", at_least=1),
    num_features=Parameter(1024, "random features of the Gaussian process", at_least=1),
    kernel_scale=Parameter(1.0, "squared length scale of its kernel", above=0),
    feature_type=Parameter("orthogonal", "how the random features are drawn", choices=("orthogonal", "random")),
    feature_stddev=Parameter(0.05, "standard deviation of their directions", above=0),
    scale_features=Parameter(False, "multiply them by sqrt(2 / num_features)"),
    normalize_input=Parameter(True, "layer normalisation before them, in place of the kernel scale"),
    ridge_penalty=Parameter(1.0, "prior precision of the output weights", above=0, search=(0.1, 10.0, "log")),
    momentum=Parameter(-1.0, "of a moving average of the precision; at or below 0 for the exact sum", below=1),
    precision=Parameter(
        "after_training", "when the precision matrix is computed", choices=("after_training", "every_step")
    ),
    mean_field_factor=Parameter(
        (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
        "how much the variance counts in a prediction, 0 for not at all; of several the best on validation",
        at_least=0,
        of=float,
    ),
)
# The hyper-parameters that the head takes as they are.
GAUSSIAN_PROCESS = (
    *("num_features", "kernel_scale", "feature_type", "feature_stddev"),
    *("scale_features", "normalize_input", "ridge_penalty", "momentum"),
)


def get_layer_set(config):
    """Return spectrally normalised layers with a Gaussian-process head."""

    def normalized(layer):
        return layers.SpectralNormalization(layer, config.spec_norm_bound, config.spec_norm_iterations)

    return layers.LayerSet(
        conv=lambda *args, **kwargs: normalized(keras.layers.Conv2D(*args, **kwargs)),
        dense=lambda *args, **kwargs: normalized(keras.layers.Dense(*args, **kwargs)),
        head=lambda units, **kwargs: layers.RandomFeatureGaussianProcess(
            units,
            **{name: config[name] for name in GAUSSIAN_PROCESS},
            update_in_training=config.precision == "every_step",
            **kwargs,
        ),
    )


def main(config, options=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`."""
    run = training.Run(config, __file__, options, CONFIG)
    if run.results:
        return run.results
    config, data, likelihood = run.config, run.get_data("train"), run.task.likelihood
    every_step = config.sngp.precision == "every_step"
    if config.sngp.momentum > 0 and not every_step:
        raise InputError(
            "config.sngp.momentum is of a moving average over training steps, and config.sngp.precision is "
            "'after_training', an exact sum. Give --config.sngp.precision=every_step too, or leave momentum out."
        )
    if every_step and config.dataset.get("outliers"):
        raise InputError(
            "config.sngp.precision is 'every_step', which counts all examples of a step, and config.dataset.outliers "
            "are no data to be certain of. Leave one of them out."
        )
    layer_set = get_layer_set(config.sngp)

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

    # Training. Not shared: the exact sum begins anew with every epoch.
    head = model.get_layer("head")
    loop = training.Loop(run, data, model, optimizer, train_step)
    for steps in loop:
        if loop.starts_epoch and every_step and config.sngp.momentum <= 0:
            head.reset_precision()
        loop.take(steps)

    # Posterior covariance.
    backbone = keras.Model(model.input, model.output["features"])

    @tf.function(reduce_retracing=True)
    def update_precision(inputs):
        head.update_precision(backbone(inputs, training=False))

    def fit_precision():
        head.reset_precision()
        for batch in data.load(config.batch_size):
            update_precision(batch["features"])

    if not every_step:
        loop.once(fit_precision)
    inverse_cholesky = head.inverse_cholesky()  # once, not in every call of predict

    # Prediction.
    @tf.function
    def predict_with(inputs, mean_field_factor):
        features = backbone(inputs, training=False)
        said = head(features, inverse_cholesky=inverse_cholesky)
        latent_variance = mean_field_factor * said["variance"]
        outputs, uncertainty = said["outputs"][tf.newaxis], {"variance": said["variance"]}  # one sample
        return likelihood.predict(outputs, features, latent_variance, uncertainty)

    predict = evaluation.tune(predict_with, run, "sngp.mean_field_factor")
    return run.finish(evaluation.evaluate(predict, run), model, loop)


if __name__ == "__main__":
    launch.run(main, CONFIG)

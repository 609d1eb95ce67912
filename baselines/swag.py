"""Average the weights of the end of a training, and draw networks from a Gaussian around the average: SWAG.

Maddox et al. 2019 (arXiv:1902.02476), on the averaged weights (SWA) of Izmailov et al. 2018 (arXiv:1803.05407). After a
share of the epochs the learning rate is constant. Its weights then, and after each epoch from there on, have a mean m,
variances s^2 and deviations D from the running mean, of which the last K are kept; a sample is

    w = m + sqrt(scale) (s * z1 + D z2 / sqrt(K - 1)),  z1, z2 standard normal,

which at the paper's scale of 1/2 has half the diagonal covariance and half the low-rank one. The prediction is the
mixture of the samples'. Batch normalisation gets new statistics for each of them, by a pass over the training data.
Differs from `deterministic.py` in the learning rate, in what is kept and drawn, and in `predict`. Differs from the
paper in that the scale is chosen on validation, where several are given; and that the samples are drawn once, after
training. With `--config.swag.scale="(0.0,)" --config.swag.num_samples=1` it is SWA; several runs of it,
`python -m uncertainty_suite.combine RUN RUN --predict --output_dir DIR`, are MultiSWAG (Wilson and Izmailov 2020,
arXiv:2002.08791).

Use it where one training is affordable, with a constant learning rate at its end. Each sample is a network with batch
statistics of its own, and a pass of a prediction.

    python baselines/swag.py --config=configs/two_moons.py --config.swag.rank=10

takes seconds on two CPU cores. Memory and checkpoints hold `rank` + `num_samples` times the number of scales networks.
A run that was stopped goes on, bit for bit, when the same command is given again.
"""

from uncertainty_suite import evaluation, launch, layers, models, tf, training
from uncertainty_suite.configuration import Parameter, Section
from uncertainty_suite.errors import InputError

CONFIG = Section(
    "swag",
    samples="num_samples",
    tuned=("scale",),
    num_samples=Parameter(30, "networks drawn for a prediction", at_least=1),
    start=Parameter(0.75, "share of the epochs after which weights are collected", above=0, below=1),
    learning_rate_factor=Parameter(
        0.5, "the constant rate over config.optimizer.learning_rate", above=0, search=(0.1, 2.0, "log")
    ),
    rank=Parameter(20, "deviations kept, the rank of the covariance beside its diagonal", at_least=2),
    scale=Parameter(
        (0.25, 0.5, 1.0), "factor on the covariance; of several the best on validation", at_least=0, of=float
    ),
)


def main(config, options=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`."""
    run = training.Run(config, __file__, options, CONFIG)
    if run.results:
        return run.results
    config, data, likelihood = run.config, run.get_data("train"), run.task.likelihood
    layer_set = layers.LayerSet()
    scales, num_samples = config.swag.scale, config.swag.num_samples
    start = max(1, int(config.swag.start * config.epochs))
    if start >= config.epochs:
        raise InputError(
            f"The weights of one time have no covariance, and config.epochs={config.epochs} has no more after "
            "config.swag.start. Train for 2 epochs at least."
        )

    # Model. Not shared: the learning rate is constant from some epoch on.
    with run.scope():
        model = models.build(config.model, data, likelihood, layer_set)
        factor = config.swag.learning_rate_factor
        optimizer = training.get_optimizer(config, model, data, constant_from=start, constant_factor=factor)
        posterior = training.LowRankGaussian(model, config.swag.rank)
        bank = training.Bank(model, num_samples * len(scales))

    # Train step. [shared]
    def train_step(batch):
        with tf.GradientTape() as tape:
            outputs = model(batch["features"], training=True)["outputs"]
            loss = tf.reduce_mean(likelihood.loss(outputs, batch["labels"]))
            objective = loss + training.penalty(model, config.optimizer.l2)
        norm = training.update(model, optimizer, tape, objective)
        return {"loss": loss, "gradient_norm": norm, **likelihood.progress(outputs, batch["labels"])}

    # Training. Not shared: weights are collected.
    loop = training.Loop(run, data, model, optimizer, train_step, {**posterior.state, **bank.state})
    for steps in loop:
        loop.take(steps)
        if loop.starts_epoch and loop.epoch >= start:
            posterior.collect()

    # Posterior samples: the same noise with each scale.
    def draw_samples():
        for i, scale in enumerate(scales):
            for sample in range(num_samples):
                with training.with_weights(model, posterior.draw(scale, config.seed, sample)):
                    bank.put(num_samples * i + sample)
        bank.refresh_batch_norm(data, config.batch_size)

    loop.once(draw_samples)

    # Prediction.
    @tf.function
    def predict_with(inputs, scale):
        first = num_samples * tf.argmin(tf.abs(scale - scales), output_type=tf.int32)
        said = bank.predict(inputs, first, num_samples)  # [samples, batch, ...] each
        return likelihood.predict(said["outputs"], tf.reduce_mean(said["features"], axis=0))

    predict = evaluation.tune(predict_with, run, "swag.scale")
    return run.finish(evaluation.evaluate(predict, run), model, loop)


if __name__ == "__main__":
    launch.run(main, CONFIG)

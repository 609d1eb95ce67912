"""Train a network whose outputs are quantiles of the target: quantile regression.

    loss = 2 mean_i max(t_i (y - q_i), (t_i - 1) (y - q_i)),    t_i = (i - 1/2) / num_quantiles,    q_1 < q_2 < ...

Koenker and Bassett 1978 (Econometrica 46), with a network for all levels at once, whose quantiles do not cross because
their distances go through softplus. For targets. Differs from `deterministic.py` in the likelihood alone. So that it
can be compared by the metrics of all other methods, a prediction is a mixture of one Gaussian at each quantile, as wide
as the mean distance to its neighbours. Its NLL says little: the loss does not ask for a density, and what lies beyond
the outer quantiles is the tail of one Gaussian. Its CRPS, coverage and calibration of quantiles are its own.

Use it where intervals are asked for and the noise is neither Gaussian nor symmetric. For densities take
`mixture_density.py`.

    python baselines/quantile_regression.py --config=configs/toy_regression.py \
        --config.quantile_regression.num_quantiles=9

takes seconds on two CPU cores. Every value of the configuration can be overridden in that way. A run that was stopped
goes on, bit for bit, when the same command is given again. Expected results stand at the top of each configuration.
"""

from uncertainty_suite import evaluation, launch, layers, likelihoods, models, tf, training
from uncertainty_suite.configuration import Parameter, Section

CONFIG = Section(
    "quantile_regression",
    likelihoods=("gaussian",),
    samples="num_quantiles",
    num_quantiles=Parameter(20, "quantiles, at equally spaced levels", at_least=2),
)


def main(config, options=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`."""
    run = training.Run(config, __file__, options, CONFIG)
    if run.results:
        return run.results
    config, data, layer_set = run.config, run.get_data("train"), layers.LayerSet()
    likelihood = likelihoods.Quantiles(**run.task.likelihood.parameters, **config.quantile_regression)

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

    # Prediction.
    @tf.function
    def predict(inputs):
        said = model(inputs, training=False)
        return likelihood.predict(said["outputs"][tf.newaxis], said["features"])

    return run.finish(evaluation.evaluate(predict, run), model, loop)


if __name__ == "__main__":
    launch.run(main, CONFIG)

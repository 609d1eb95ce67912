"""Train a network whose outputs are a mixture of Gaussians over the target: a mixture density network.

    p(y | x) = sum_k w_k(x) N(y; mean_k(x), stddev_k(x)^2)

Bishop 1994 (Mixture Density Networks, Aston University). For targets. Differs from `deterministic.py` in the likelihood
alone, and with one component is the same. A prediction is `num_samples` Gaussians of equal weight: each component
stands for as many as its weight says, rounded; `--config.mixture_density.num_samples=1000` rounds less. How far the
means of the components lie apart counts as the epistemic part, as in Choi et al. 2018 (arXiv:1709.02249).

Use it where a target can be one of several values, as in inverse problems, or has heavy tails. For a target with one
peak a Gaussian is as good, and easier to train.

    python baselines/mixture_density.py --config=configs/toy_regression.py --config.mixture_density.num_components=3

takes seconds on two CPU cores. Every value of the configuration can be overridden in that way. A run that was stopped
goes on, bit for bit, when the same command is given again. Expected results stand at the top of each configuration.
"""

from uncertainty_suite import evaluation, launch, layers, likelihoods, models, tf, training
from uncertainty_suite.configuration import Parameter, Section

CONFIG = Section(
    "mixture_density",
    likelihoods=("gaussian",),
    samples="num_samples",
    num_components=Parameter(5, "Gaussians of the mixture", at_least=1, search=(2, 5, 10)),
    num_samples=Parameter(100, "Gaussians of equal weight that a prediction is made of", at_least=1),
)


def main(config, options=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`."""
    run = training.Run(config, __file__, options, CONFIG)
    if run.results:
        return run.results
    config, data, layer_set = run.config, run.get_data("train"), layers.LayerSet()
    likelihood = likelihoods.GaussianMixture(**run.task.likelihood.parameters, **config.mixture_density)

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

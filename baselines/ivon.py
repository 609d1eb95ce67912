"""Train a Gaussian posterior at the cost of Adam, by the improved variational online Newton method: IVON.

Shen et al. 2024 (arXiv:2402.17641). The optimizer fits

    q(w) = N(m, 1 / (N (h + d))),

h being an estimate of the curvature, N the number of training examples and d its `weight_decay`, so that the prior is
N(0, 1 / (N d)): each step takes the gradient at weights drawn from q. `training.samplers.IVON` has the equations. The
prediction is the mixture of those of `num_samples` networks drawn from q. Differs from `deterministic.py` in the
optimizer, in that draw, and in `predict`. Differs from the paper in that the networks for predictions are drawn once,
after training. Batch normalisation has the statistics of training, which are averages over draws.

Use it where a posterior over all weights may cost one training. A prediction takes `num_samples` passes.

    python baselines/ivon.py --config=configs/two_moons.py --config.optimizer.hess_init=0.1

takes seconds on two CPU cores. The learning rate is that of gradient descent on the mean loss, about 0.1, which is
larger than Adam's. A run that was stopped goes on, bit for bit, when the same command is given again.
"""

from uncertainty_suite import evaluation, launch, layers, models, tf, training
from uncertainty_suite.configuration import Parameter, Section

CONFIG = Section(
    "ivon",
    samples="num_samples",
    optimizers=("ivon",),
    num_samples=Parameter(32, "networks drawn for a prediction", at_least=1),
)


def main(config, options=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`."""
    run = training.Run(config, __file__, options, CONFIG)
    if run.results:
        return run.results
    config, data, likelihood = run.config, run.get_data("train"), run.task.likelihood
    layer_set = layers.LayerSet()

    # Model. Not shared: a place for what is drawn.
    with run.scope():
        model = models.build(config.model, data, likelihood, layer_set)
        optimizer = training.get_optimizer(config, model, data)
        bank = training.Bank(model, config.ivon.num_samples)

    # Train step. Not shared: the loss is that of weights drawn from the posterior.
    def train_step(batch):
        with tf.GradientTape() as tape, training.with_weights(model, optimizer.draw()):
            outputs = model(batch["features"], training=True)["outputs"]
            loss = tf.reduce_mean(likelihood.loss(outputs, batch["labels"]))
            objective = loss + training.penalty(model, config.optimizer.l2)
        norm = training.update(model, optimizer, tape, objective)
        return {"loss": loss, "gradient_norm": norm, **likelihood.progress(outputs, batch["labels"])}

    # Training. Not shared: the samples are kept, too.
    loop = training.Loop(run, data, model, optimizer, train_step, bank.state)
    for steps in loop:
        loop.take(steps)

    # Posterior samples.
    def draw_samples():
        for sample in range(config.ivon.num_samples):
            with training.with_weights(model, optimizer.draw(sample)):
                bank.put(sample)

    loop.once(draw_samples)

    # Prediction.
    @tf.function
    def predict(inputs):
        said = bank.predict(inputs)  # [samples, batch, ...] each
        return likelihood.predict(said["outputs"], tf.reduce_mean(said["features"], axis=0))

    return run.finish(evaluation.evaluate(predict, run), model, loop)


if __name__ == "__main__":
    launch.run(main, CONFIG)

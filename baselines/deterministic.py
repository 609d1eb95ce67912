"""Train one network by maximum likelihood: the baseline that every other method is compared with.

    minimised: mean_i -log p(y_i | f(x_i; w)) + l2 |w|^2,    predicted: p(y | f(x; w))

Its uncertainty is that of its likelihood: the softmax of its logits (Hendrycks and Gimpel 2017, arXiv:1610.02136), or a
Gaussian whose mean and standard deviation are its outputs (Nix and Weigend 1994). To add a method, copy this file: most
methods change the layer set, the loss or `predict`, and leave the rest as it stands. Blocks marked [shared] are the
same in every script; `make sync-check` compares them.

Use it where cost is all, with a calibration after it; and beside every other method, which has to be worth its cost.

    python baselines/deterministic.py --config=configs/two_moons.py --config.seed=1

takes seconds on two CPU cores. Every value of the configuration can be overridden in that way. A run that was stopped
goes on, bit for bit, when the same command is given again. Expected results stand at the top of each configuration.
"""

from uncertainty_suite import evaluation, launch, layers, models, tf, training


def main(config, options=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`."""
    run = training.Run(config, __file__, options)
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

    # Training. [shared]
    loop = training.Loop(run, data, model, optimizer, train_step)
    for steps in loop:
        loop.take(steps)

    # Prediction.
    @tf.function
    def predict(inputs):
        said = model(inputs, training=False)
        return likelihood.predict(said["outputs"][tf.newaxis], said["features"])  # one sample

    evaluated = evaluation.evaluate(predict, run, models.linear_head(model))
    return run.finish(evaluated, model, loop)


if __name__ == "__main__":
    launch.run(main)

"""Train several heads on one backbone, and mix their predictions: a shallow ensemble, or a network of many heads.

    minimised: mean_m -log p(y | W_m f(x)),    p(y | x) = 1/M sum_m p(y | W_m f(x))

Lee et al. 2015 (arXiv:1511.06314), as trees that share all but the last layer; Kellner and Ceriotti 2024
(arXiv:2402.16621). Heads m = 1, ..., M see the same features and examples, and differ in how they begin; the loss is
the mean of theirs. Differs from `deterministic.py` in the head and in `predict`. It costs hardly more than one network,
and its members are as much more alike. Differs from Kellner and Ceriotti in that each head has a likelihood of its own,
where they train the mean and the spread of all heads by one. With one head it is the deterministic network, bit for
bit.

Use it where the backbone is expensive: heads cost next to nothing. What the features do not see, no head sees.

    python baselines/shallow_ensemble.py --config=configs/two_moons.py --config.shallow_ensemble.size=16

takes less than a minute on two CPU cores. Every value of the configuration can be overridden in that way. A run that
was stopped goes on, bit for bit, when the same command is given again. Expected results stand at the top of each
configuration.
"""

import functools

from uncertainty_suite import evaluation, launch, layers, models, tf, training
from uncertainty_suite.configuration import Parameter, Section

CONFIG = Section("shallow_ensemble", samples="size", size=Parameter(16, "heads", at_least=1))


def main(config, options=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`."""
    run = training.Run(config, __file__, options, CONFIG)
    if run.results:
        return run.results
    config, data, likelihood = run.config, run.get_data("train"), run.task.likelihood
    layer_set = layers.LayerSet(head=functools.partial(layers.MemberHead, members=config.shallow_ensemble.size))

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
        outputs = tf.transpose(said["outputs"], [1, 0, 2])  # [members, batch, units]
        return likelihood.predict(outputs, said["features"])

    return run.finish(evaluation.evaluate(predict, run), model, loop)


if __name__ == "__main__":
    launch.run(main, CONFIG)

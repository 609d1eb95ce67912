"""Train a network with dropout and keep the dropout on when predicting: Monte Carlo dropout.

    p(y | x) = 1/S sum_s p(y | x, w, masks_s),    masks_s ~ Bernoulli(1 - rate) / (1 - rate), drawn in each pass

Gal and Ghahramani 2016 (arXiv:1506.02142). Each of `config.mc_dropout.num_samples` forward passes draws masks of its
own, for every example; the prediction is the mixture of theirs. Differs from `deterministic.py` in the layer set (a
dropout layer that is always on, which leaves batch normalisation alone) and in `predict`. Differs from the paper in
that dropout sits where the architecture puts it, not before every layer; that the weight decay is the configuration's,
not tied to a prior length scale; and that in regression the noise is an output of the network, not one precision.

Use it where the network has dropout already: it needs no other training. A prediction takes as many passes as it has
samples, from the first dropout on.

    python baselines/mc_dropout.py --config=configs/two_moons.py --config.mc_dropout.num_samples=10

takes seconds on two CPU cores. Every value of the configuration can be overridden in that way. A run that was stopped
goes on, bit for bit, when the same command is given again. Expected results stand at the top of each configuration.
"""

import functools

from uncertainty_suite import evaluation, launch, layers, models, tf, training
from uncertainty_suite.configuration import Parameter, Section
from uncertainty_suite.errors import InputError

CONFIG = Section(
    "mc_dropout",
    samples="num_samples",
    num_samples=Parameter(50, "forward passes of a prediction", at_least=1),
    filterwise=Parameter(False, "drop whole channels of an example"),
    shared_masks=Parameter(
        False, "a pass of prediction draws one mask for a batch: faster, but its examples depend on each other"
    ),
)


def main(config, options=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`."""
    run = training.Run(config, __file__, options, CONFIG)
    if run.results:
        return run.results
    config, data, likelihood = run.config, run.get_data("train"), run.task.likelihood
    layer_set = layers.LayerSet(
        dropout=functools.partial(
            layers.MonteCarloDropout,
            filterwise=config.mc_dropout.filterwise,
            shared_masks=config.mc_dropout.shared_masks,
        )
    )

    # Model. [shared]
    with run.scope():
        model = models.build(config.model, data, likelihood, layer_set)
        optimizer = training.get_optimizer(config, model, data)

    if not layers.has_stochastic(model):
        raise InputError(
            f"MC dropout has nothing to do in '{config.model.name}' without dropout. Give a rate above 0, e.g. "
            "--config.model.dropout_rate=0.1, or take the deterministic baseline."
        )

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
    trunk, rest = layers.split_at_stochastic(model)

    @tf.function
    def predict(inputs):
        hidden = trunk(inputs, training=False)  # the same in every pass
        said = layers.draw_samples(rest, hidden, config.mc_dropout.num_samples)  # [samples, batch, ...] each
        return likelihood.predict(said["outputs"], tf.reduce_mean(said["features"], axis=0))

    evaluated = evaluation.evaluate(predict, run, models.linear_head(model))
    return run.finish(evaluated, model, loop)


if __name__ == "__main__":
    launch.run(main, CONFIG)

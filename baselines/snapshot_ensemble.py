"""Keep what one network is at several times of its training, and mix their predictions: snapshots, or checkpoints.

    p(y | x) = 1/M sum_m p(y | x, w_m),    w_m the weights at the end of cycle m of one training

Huang et al. 2017 (arXiv:1704.00109). The learning rate goes through its schedule `size` times, and at the end of each
cycle the weights become a member. Differs from `deterministic.py` in the cycles, in what is kept beside the weights
(each member's, statistics of batch normalisation included) and in `predict`. All members together cost one training of
`config.epochs`, of which each has a share: what a member learns in a cycle it begins where the last one ended.

Snapshots need a schedule that falls within each cycle, as the paper's: `--config.optimizer.schedule=cosine`. With the
schedule `constant` there are no cycles, and this is a checkpoint ensemble (Chen et al. 2017, arXiv:1710.03282): the
network at equal distances on its way. With one member it is the deterministic network.

Use it where an ensemble has to cost one training. Its members are less trained than those of `deep_ensemble.py`, and
more alike; a prediction costs as much.

    python baselines/snapshot_ensemble.py --config=configs/two_moons.py --config.optimizer.schedule=cosine

takes less than a minute on two CPU cores. Every value of the configuration can be overridden in that way. A run that
was stopped goes on, bit for bit, when the same command is given again. Expected results stand at the top of each
configuration.
"""

from uncertainty_suite import evaluation, launch, layers, models, tf, training
from uncertainty_suite.configuration import Parameter, Section

CONFIG = Section(
    "snapshot_ensemble",
    samples="size",
    size=Parameter(5, "members, each at the end of a cycle of as many epochs", at_least=1),
)


def main(config, options=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`."""
    run = training.Run(config, __file__, options, CONFIG)
    if run.results:
        return run.results
    config, data, likelihood = run.config, run.get_data("train"), run.task.likelihood
    size = config.snapshot_ensemble.size

    # Model. Not shared: the learning rate has a cycle for each member, whose weights are kept.
    with run.scope():
        model = models.build(config.model, data, likelihood, layers.LayerSet())
        optimizer = training.get_optimizer(config, model, data, cycles=size)
        members = training.Bank(model, size)

    # Train step. [shared]
    def train_step(batch):
        with tf.GradientTape() as tape:
            outputs = model(batch["features"], training=True)["outputs"]
            loss = tf.reduce_mean(likelihood.loss(outputs, batch["labels"]))
            objective = loss + training.penalty(model, config.optimizer.l2)
        norm = training.update(model, optimizer, tape, objective)
        return {"loss": loss, "gradient_norm": norm, **likelihood.progress(outputs, batch["labels"])}

    # Training. Not shared: a member at the end of each cycle.
    steps_per_cycle = config.epochs // size * data.steps_per_epoch(config.batch_size)
    loop = training.Loop(run, data, model, optimizer, train_step, members.state)
    for steps in loop:
        loop.take(steps)
        if loop.step % steps_per_cycle == 0:
            members.put(loop.step // steps_per_cycle - 1)

    # Prediction.
    @tf.function
    def predict(inputs):
        said = members.predict(inputs)  # [members, batch, ...] each
        return likelihood.predict(said["outputs"], tf.reduce_mean(said["features"], axis=0))

    return run.finish(evaluation.evaluate(predict, run), model, loop)


if __name__ == "__main__":
    launch.run(main, CONFIG)

"""Draw networks from the posterior by a Markov chain of minibatch gradients: SGLD, SGHMC and cyclical SG-MCMC.

The potential is U(w) = N loss(w) + |w|^2 / (2 prior_stddev^2), N the number of training examples. With `sghmc`, the
optimizer (Chen et al. 2014, arXiv:1402.4102),

    v <- (1 - a) v - l grad U / N + sqrt(2 a l T / N) noise,    w <- w + v;

`--config.optimizer.name=sgld` has a = 1 (Welling and Teh 2011). Several cycles of the learning rate are cyclical
SG-MCMC (Zhang et al. 2020, arXiv:1902.03932): each begins without noise, goes to another mode, and keeps the weights of
its last epochs. The prediction is the mixture of those of all weights kept. Differs from `deterministic.py` in the
optimizer, in what is kept, and in `predict`. Differs from the papers in that batch normalisation gets new statistics
for each sample, by a pass over the training data. With augmentation or dropout the loss is not that of N examples, and
the posterior not that of a likelihood.

Use it where samples of the posterior itself are wanted, and one training in cycles is affordable. All networks kept are
stored, and each is a pass of a prediction.

    python baselines/sg_mcmc.py --config=configs/two_moons.py --config.optimizer.temperature=0.1

takes seconds on two CPU cores. The learning rate is that of gradient descent on the mean loss, which is larger than
Adam's; `--config.optimizer.schedule=cosine` is that of cycles, and `samples_per_cycle` of at least `num_samples` makes
one chain. A run that was stopped goes on, bit for bit, when the same command is given again.
"""

from uncertainty_suite import evaluation, launch, layers, models, tf, training
from uncertainty_suite.configuration import Parameter, Section
from uncertainty_suite.errors import InputError

CONFIG = Section(
    "sg_mcmc",
    samples="num_samples",
    optimizers=("sghmc", "sgld"),
    num_samples=Parameter(12, "networks kept for a prediction, from all cycles", at_least=1),
    samples_per_cycle=Parameter(3, "how many of them a cycle gives: its last epochs, at most all", at_least=1),
    exploration=Parameter(0.8, "share of a cycle without noise, less where samples begin before", at_least=0, below=1),
)


def main(config, options=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`."""
    run = training.Run(config, __file__, options, CONFIG)
    if run.results:
        return run.results
    config, data, likelihood = run.config, run.get_data("train"), run.task.likelihood
    layer_set = layers.LayerSet()
    num_samples = config.sg_mcmc.num_samples
    per_cycle = min(num_samples, config.sg_mcmc.samples_per_cycle)
    cycles = num_samples // per_cycle
    cycle_epochs = config.epochs // cycles
    if cycles * per_cycle != num_samples or cycle_epochs < per_cycle:
        raise InputError(
            f"config.sg_mcmc.num_samples is {num_samples}, {per_cycle} from each cycle, one an epoch, of "
            f"config.epochs={config.epochs}: make it a multiple of config.sg_mcmc.samples_per_cycle, and epochs enough "
            "for it."
        )
    noise_from = min(int(config.sg_mcmc.exploration * cycle_epochs), cycle_epochs - per_cycle)

    # Model. Not shared: the learning rate goes in cycles.
    with run.scope():
        model = models.build(config.model, data, likelihood, layer_set)
        optimizer = training.get_optimizer(config, model, data, cycles)
        bank = training.Bank(model, num_samples)

    # Train step. [shared]
    def train_step(batch):
        with tf.GradientTape() as tape:
            outputs = model(batch["features"], training=True)["outputs"]
            loss = tf.reduce_mean(likelihood.loss(outputs, batch["labels"]))
            objective = loss + training.penalty(model, config.optimizer.l2)
        norm = training.update(model, optimizer, tape, objective)
        return {"loss": loss, "gradient_norm": norm, **likelihood.progress(outputs, batch["labels"])}

    # Training. Not shared: a cycle begins without noise, and ends with samples.
    loop = training.Loop(run, data, model, optimizer, train_step, bank.state)
    for steps in loop:
        cycle, epoch = divmod(loop.epoch, cycle_epochs)
        optimizer.temperature.assign(config.optimizer.temperature if epoch >= noise_from else 0.0)
        loop.take(steps)
        if loop.starts_epoch and epoch >= cycle_epochs - per_cycle:
            bank.put(cycle * per_cycle + epoch - (cycle_epochs - per_cycle))
    loop.once(lambda: bank.refresh_batch_norm(data, config.batch_size))

    # Prediction.
    @tf.function
    def predict(inputs):
        said = bank.predict(inputs)  # [samples, batch, ...] each
        return likelihood.predict(said["outputs"], tf.reduce_mean(said["features"], axis=0))

    return run.finish(evaluation.evaluate(predict, run), model, loop)


if __name__ == "__main__":
    launch.run(main, CONFIG)

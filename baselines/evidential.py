"""Train a network that gives evidence: a distribution over the parameters of its likelihood, in one pass.

    alpha = 1 + evidence,    E[loss] + lambda KL(Dir(alpha~) || Dir(1))                              of classes
    (gamma, nu, alpha, beta),    -log Student-t(y) + lambda |y - gamma| (2 nu + alpha)               of targets

Sensoy et al. 2018 (arXiv:1806.01768) for classes, whose probabilities have a Dirichlet distribution; Amini et al. 2020
(arXiv:1910.02600) for targets, whose mean and variance have a normal-inverse-gamma one. Differs from `deterministic.py`
in the likelihood and in the loss: the expected squared error of the probabilities, or the negative log-likelihood of a
Student t, and a regulariser that takes evidence away from what is wrong. Its factor lambda rises from 0 to 0.1 for
classes and 0.01 for targets. The lack of evidence, `vacuity`, and the epistemic part are uncertainties of predictions.

Differs from the papers in that lambda is not 1 for classes, which keeps evidence from networks that are slow to learn
(one of `configs/digits.py` came to a test accuracy of 0.77 with 1, 0.97 with 0.1); that evidence is a softplus of
outputs for classes too (a ReLU, theirs, has no gradient where there is none); that lambda rises in regression as well;
and that a Student t is reported by its mean and variance. `--config.evidential.regularization=10` has their 1.

Use it where one pass has to say how little it knows. What it says depends on the regulariser, not on the data alone:
choose that on validation data, and read vacuity as a score, not as a probability.

    python baselines/evidential.py --config=configs/two_moons.py --config.evidential.regularization=10

takes seconds on two CPU cores. Every value of the configuration can be overridden in that way. A run that was stopped
goes on, bit for bit, when the same command is given again. Expected results stand at the top of each configuration.
"""

from uncertainty_suite import evaluation, launch, layers, likelihoods, models, tf, training
from uncertainty_suite.configuration import Parameter, Section

CONFIG = Section(
    "evidential",
    uncertainties=("epistemic_stddev",),
    own_loss=True,
    regularization=Parameter(1.0, "factor on lambda", at_least=0, search=(0.01, 1.0, "log")),
    annealing_epochs=Parameter(10, "epochs in which lambda rises from 0", at_least=0),
)


def main(config, options=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`."""
    run = training.Run(config, __file__, options, CONFIG)
    if run.results:
        return run.results
    config, data, likelihood = run.config, run.get_data("train"), likelihoods.conjugate(run.task.likelihood)
    layer_set = layers.LayerSet()

    # Model. [shared]
    with run.scope():
        model = models.build(config.model, data, likelihood, layer_set)
        optimizer = training.get_optimizer(config, model, data)

    # Train step. Not shared: the regulariser, whose factor rises.
    factor = likelihood.regularization * config.evidential.regularization
    annealing_steps = config.evidential.annealing_epochs * data.steps_per_epoch(config.batch_size)

    def train_step(batch):
        annealing = tf.minimum(1.0, tf.cast(optimizer.iterations + 1, tf.float32) / max(annealing_steps, 1))
        with tf.GradientTape() as tape:
            outputs = model(batch["features"], training=True)["outputs"]
            loss = tf.reduce_mean(likelihood.loss(outputs, batch["labels"]))
            regularizer = tf.reduce_mean(likelihood.regularizer(outputs, batch["labels"]))
            objective = loss + factor * annealing * regularizer + training.penalty(model, config.optimizer.l2)
        norm = training.update(model, optimizer, tape, objective)
        progress = likelihood.progress(outputs, batch["labels"])
        return {"loss": loss, "regularizer": regularizer, "gradient_norm": norm, **progress}

    # Training. [shared]
    loop = training.Loop(run, data, model, optimizer, train_step)
    for steps in loop:
        loop.take(steps)

    # Prediction.
    @tf.function
    def predict(inputs):
        said = model(inputs, training=False)
        return likelihood.predict(said["outputs"][tf.newaxis], said["features"])  # one sample

    return run.finish(evaluation.evaluate(predict, run), model, loop)


if __name__ == "__main__":
    launch.run(main, CONFIG)

"""Train a network that learns how noisy the labels of each input are, and which classes are mixed up: heteroscedastic.

    utilities = location(x) + V(x) r + d(x) * z,    r, z ~ N(0, I),    p = E softmax(utilities / temperature)

Collier et al. 2021 (arXiv:2105.10305). The head gives a location, a scale d and factors V for each class; the
expectation is a mean over `num_mc_samples` draws, in training and in prediction. Its noise is that of labels, so a
prediction has one sample. Differs from `deterministic.py` in the layer set alone. For classification, as the paper.
Differs from the paper in that all of the head is one dense layer (theirs has three, of the same parameters), and that
two classes have two utilities (theirs have one logit). `--config.heteroscedastic.num_factors=0` is its diagonal form.

Use it where the labels of some inputs are noisier than those of others, and classes are mixed up. It says nothing of
unknown inputs.

    python baselines/heteroscedastic.py --config=configs/two_moons.py --config.heteroscedastic.temperature=1.5

takes about a minute on two CPU cores. Every value of the configuration can be overridden in that way. A run that was
stopped goes on, bit for bit, when the same command is given again. Expected results stand at the top of each
configuration.
"""

from uncertainty_suite import evaluation, keras, launch, layers, models, tf, training
from uncertainty_suite.configuration import Parameter, Section

CONFIG = Section(
    "heteroscedastic",
    likelihoods=("categorical",),
    num_factors=Parameter(6, "columns of V; 0 for noise that is independent between classes", at_least=0),
    temperature=Parameter(
        1.3, "divides the utilities; the paper tunes it on validation", above=0, search=(0.15, 3.0, "log")
    ),
    num_mc_samples=Parameter(1000, "draws of the utilities; the paper has 10,000 on CIFAR", at_least=1),
)


def get_layer_set(config):
    """Return plain layers with a head that gives the parameters of the utilities, and the mean of their softmax."""

    def at_output(said):
        softmax = layers.FactorAnalysisSoftmax(
            config.num_factors, config.num_mc_samples, config.temperature, name="softmax"
        )
        return {**said, "outputs": softmax(said["outputs"])}

    return layers.LayerSet(
        head=lambda units, **kwargs: keras.layers.Dense(units * (2 + config.num_factors), dtype="float32", **kwargs),
        at_output=at_output,
    )


def main(config, options=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`."""
    run = training.Run(config, __file__, options, CONFIG)
    if run.results:
        return run.results
    config, data, likelihood = run.config, run.get_data("train"), run.task.likelihood
    layer_set = get_layer_set(config.heteroscedastic)

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

    return run.finish(evaluation.evaluate(predict, run), model, loop)


if __name__ == "__main__":
    launch.run(main, CONFIG)

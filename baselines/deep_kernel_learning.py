"""Train a network and a Gaussian process on its features together: deep kernel learning, with inducing points.

    minimise E_q[-log p(y | f)] + KL(q || prior) / n,    f_u ~ GP on features of a spectrally normalised network

Wilson et al. 2016 (arXiv:1511.02222); in the form of Van Amersfoort et al. 2021 (arXiv:2102.11409, DUE), with spectral
normalisation, few inducing points, which start at the centres of clusters of features, and one softmax or Gaussian on
top. Differs from `deterministic.py` in the layer set (the head draws `num_samples` values of f, in training and in
prediction), in the divergence that is added to the loss, and in the start of the inducing points. The prediction is the
mixture over the draws. Differs from DUE in that outputs share inducing points and length scale, and that in regression
the noise is an output of its own, as in all methods here, and not one number.

Use it where distance from the data should count and be trained for, with the noise of its draws in the loss. Time grows
with the cube of the inducing points.

    python baselines/deep_kernel_learning.py --config=configs/two_moons.py --config.deep_kernel_learning.num_inducing=10

takes seconds on two CPU cores. Every value of the configuration can be overridden in that way. A run that was stopped
goes on, bit for bit, when the same command is given again. Expected results stand at the top of each configuration.
"""

import numpy as np

from uncertainty_suite import evaluation, keras, launch, layers, models, tf, training
from uncertainty_suite.configuration import Parameter, Section

CONFIG = Section(
    "deep_kernel_learning",
    samples="num_samples",
    num_samples=Parameter(32, "draws of the function, in training and in prediction", at_least=1),
    num_inducing=Parameter(20, "inducing points; DUE has 10 on CIFAR-10, 20 in regression", at_least=1),
    spec_norm_bound=Parameter(3.0, "greatest spectral norm of a layer", above=0, search=(0.5, 10.0, "log")),
    spec_norm_iterations=Parameter(1, "power iterations a training step", at_least=1),
)
FIRST_EXAMPLES = 1000  # whose features decide where the inducing points start


def get_layer_set(config):
    """Return spectrally normalised layers with a Gaussian process as head, and draws of it as outputs."""

    def normalized(layer):
        return layers.SpectralNormalization(layer, config.spec_norm_bound, config.spec_norm_iterations)

    def at_output(said):
        samples = layers.GaussianSamples(config.num_samples, name="samples")
        return {**said, "outputs": samples(said["outputs"], said["variance"])}

    return layers.LayerSet(
        conv=lambda *args, **kwargs: normalized(keras.layers.Conv2D(*args, **kwargs)),
        dense=lambda *args, **kwargs: normalized(keras.layers.Dense(*args, **kwargs)),
        head=lambda units, **kwargs: layers.InducingPointGaussianProcess(units, config.num_inducing, **kwargs),
        at_output=at_output,
    )


def main(config, options=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`."""
    run = training.Run(config, __file__, options, CONFIG)
    if run.results:
        return run.results
    config, data, likelihood = run.config, run.get_data("train"), run.task.likelihood
    layer_set = get_layer_set(config.deep_kernel_learning)

    # Model. [shared]
    with run.scope():
        model = models.build(config.model, data, likelihood, layer_set)
        optimizer = training.get_optimizer(config, model, data)

    # Train step. Not shared: the divergence of the Gaussian process.
    head = model.get_layer("head")

    def train_step(batch):
        with tf.GradientTape() as tape:
            outputs = model(batch["features"], training=True)["outputs"]  # [batch, samples, units]
            loss = tf.reduce_mean(likelihood.loss(outputs, batch["labels"]))
            divergence = head.kl_divergence() / data.num_examples
            objective = loss + divergence + training.penalty(model, config.optimizer.l2)
        norm = training.update(model, optimizer, tape, objective)
        progress = likelihood.progress(outputs, batch["labels"])
        return {"loss": loss, "divergence": divergence, "gradient_norm": norm, **progress}

    # Training. Not shared: the inducing points start where the features are, which the checkpoint remembers.
    backbone = keras.Model(model.input, model.output["features"])
    with run.scope():
        started = tf.Variable(False, trainable=False)
    loop = training.Loop(run, data, model, optimizer, train_step, state={"started": started})
    if not tf.convert_to_tensor(started):  # which on several replicas is no truth value itself
        # As in training, since normalisation by moving averages means nothing yet.
        steps = min(-(-FIRST_EXAMPLES // config.batch_size), data.steps_per_epoch(config.batch_size))
        batches = data.load(config.batch_size, training=True).take(steps)
        features = [backbone(batch["features"], training=True) for batch in batches]
        head.initialize(np.concatenate(features), config.seed)
        started.assign(True)
    for steps in loop:
        loop.take(steps)

    # Prediction.
    @tf.function
    def predict(inputs):
        said = model(inputs, training=False)
        return likelihood.predict(tf.transpose(said["outputs"], [1, 0, 2]), said["features"])

    return run.finish(evaluation.evaluate(predict, run), model, loop)


if __name__ == "__main__":
    launch.run(main, CONFIG)

"""Train a network to map each class near a centroid, and be uncertain far from all of them: DUQ.

    K_c(x) = exp(-mean((W_c f(x) - e_c)^2) / (2 length_scale^2)),    y = argmax_c K_c,    uncertainty -log max_c K_c
    loss = mean_c BCE(K_c, [y = c]) + gradient_penalty (|grad_x sum_c K_c| - 1)^2

Van Amersfoort et al. 2020 (arXiv:2003.02037), deterministic uncertainty quantification. The centroids e_c are moving
averages of the embeddings of their class, updated after each step; the two-sided penalty on the input gradient keeps
features sensitive to the input. Differs from `deterministic.py` in the head, the loss and the update of centroids. The
probabilities are K_c divided by their sum, of which the paper has no need; the distance to the nearest centroid is
among the uncertainties as `distance`. As in the authors' code, the penalty is on the norm and not on its square, which
the paper's equation has. For classification. BCE is computed from log K, so that it stays finite.

Use it where unknown inputs have to be told in one pass. Each class has weights of its own, and the penalty a second
backward pass: it is for few classes.

    python baselines/duq.py --config=configs/two_moons.py --config.duq.gradient_penalty=1.0

takes seconds on two CPU cores. Every value of the configuration can be overridden in that way. A run that was stopped
goes on, bit for bit, when the same command is given again. Expected results stand at the top of each configuration.
"""

from uncertainty_suite import evaluation, keras, launch, layers, models, tf, training
from uncertainty_suite.configuration import Parameter, Section
from uncertainty_suite.errors import InputError

CONFIG = Section(
    "duq",
    uncertainties=("distance",),
    likelihoods=("categorical",),
    own_loss=True,
    embedding_size=Parameter(256, "dimensions of an embedding; the paper has 256 on Fashion-MNIST", at_least=1),
    length_scale=Parameter(0.1, "length scale of the kernel", above=0, search=(0.05, 1.0, "log")),
    momentum=Parameter(0.999, "of the moving averages that the centroids are", at_least=0, below=1),
    gradient_penalty=Parameter(
        0.5, "factor on the penalty; the paper has 0.05 on Fashion-MNIST", at_least=0, search=(0.01, 1.0, "log")
    ),
)
LEAST_DISTANCE = 1e-6  # for log(1 - K), which is infinite at a centroid


def input_gradient_norm(tape, values, inputs):
    """Return the norm of the gradient of each example's value by its inputs, `[batch]`."""
    gradients = keras.tree.flatten(tape.gradient(values, inputs))
    squares = tf.add_n([tf.reduce_sum(tf.reshape(each, [tf.shape(each)[0], -1]) ** 2, axis=1) for each in gradients])
    return tf.sqrt(squares + 1e-12)  # whose gradient at 0 is not infinite


def main(config, options=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`."""
    run = training.Run(config, __file__, options, CONFIG)
    if run.results:
        return run.results
    config, data, likelihood = run.config, run.get_data("train"), run.task.likelihood
    ids = any(form.holds_ids for form in keras.tree.flatten(data.form))
    if config.duq.gradient_penalty and ids:
        raise InputError(
            f"The gradient penalty is on real-valued inputs, and '{config.dataset.name}' has ids. Leave it out: "
            "--config.duq.gradient_penalty=0."
        )
    layer_set = layers.LayerSet(
        head=lambda units, **kwargs: layers.CentroidKernel(
            units, config.duq.embedding_size, config.duq.length_scale, config.duq.momentum, **kwargs
        )
    )

    # Model. [shared]
    with run.scope():
        model = models.build(config.model, data, likelihood, layer_set)
        optimizer = training.get_optimizer(config, model, data)

    # Train step. Not shared: another loss, the gradient penalty, and the centroids.
    head, backbone = model.get_layer("head"), keras.Model(model.input, model.output["features"])

    def train_step(batch):
        penalty = 0.0
        with tf.GradientTape() as tape:
            with tf.GradientTape() as input_tape:
                input_tape.watch(batch["features"])
                outputs = model(batch["features"], training=True)["outputs"]  # log K
                total = tf.reduce_sum(tf.exp(outputs), axis=1)
            if config.duq.gradient_penalty:
                norm = input_gradient_norm(input_tape, total, batch["features"])
                penalty = config.duq.gradient_penalty * tf.reduce_mean((norm - 1) ** 2)
            label = tf.one_hot(batch["labels"], likelihood.num_outputs)
            log_other = tf.math.log(-tf.math.expm1(tf.minimum(outputs, -LEAST_DISTANCE)))  # log(1 - K)
            loss = -tf.reduce_mean(label * outputs + (1 - label) * log_other)
            objective = loss + penalty + training.penalty(model, config.optimizer.l2)
        norm = training.update(model, optimizer, tape, objective)
        head.update_centroids(backbone(batch["features"], training=False), batch["labels"])
        return {"loss": loss, "gradient_norm": norm, **likelihood.progress(outputs, batch["labels"])}

    # Training. [shared]
    loop = training.Loop(run, data, model, optimizer, train_step)
    for steps in loop:
        loop.take(steps)

    # Prediction.
    @tf.function
    def predict(inputs):
        said = model(inputs, training=False)
        distance = -tf.reduce_max(said["outputs"], axis=1)
        return likelihood.predict(said["outputs"][tf.newaxis], said["features"], uncertainty={"distance": distance})

    return run.finish(evaluation.evaluate(predict, run), model, loop)


if __name__ == "__main__":
    launch.run(main, CONFIG)

"""Train a spectral-normalised neural Gaussian process: one network that knows how far an input is from its data.

Liu et al. 2020 (arXiv:2006.10108), Liu et al. 2022 (arXiv:2205.00403). Differs from `deterministic.py` in the layer set
(spectral normalisation bounds each residual branch, so that distances survive; a Gaussian process in random features is
the head), in one pass over the training data after training, which gives the posterior covariance, and in `predict`,
where the mean-field approximation pulls logits of large variance to zero.

Differs from the paper and the tutorial (tensorflow.org/tutorials/understanding/sngp) in that the precision matrix is
computed for the final weights, exactly, after training: they accumulate it in every step of the last epoch, while the
weights still move. `--config.sngp.precision=every_step` does as they do.

    python baselines/sngp.py --config=configs/two_moons/sngp.py --config.sngp.spec_norm_bound=0.9

takes seconds on two CPU cores. Every value of the configuration can be overridden in that way. A run that was stopped
goes on, bit for bit, when the same command is given again. Expected results stand in the README.
"""

import keras
import tensorflow as tf

from uncertainty_suite import evaluation, launch, layers, models, training
from uncertainty_suite.predictions import Predictions


def get_layer_set(config):
    """Return spectrally normalised layers with a Gaussian-process head."""

    def normalized(layer):
        return layers.SpectralNormalization(layer, config.spec_norm_bound, config.spec_norm_iterations)

    return layers.LayerSet(
        conv=lambda *args, **kwargs: normalized(keras.layers.Conv2D(*args, **kwargs)),
        dense=lambda *args, **kwargs: normalized(keras.layers.Dense(*args, **kwargs)),
        head=lambda units: layers.RandomFeatureGaussianProcess(
            units,
            num_features=config.num_features,
            kernel_scale=config.kernel_scale,
            feature_type=config.feature_type,
            feature_stddev=config.feature_stddev,
            scale_features=config.scale_features,
            normalize_input=config.normalize_input,
            ridge_penalty=config.ridge_penalty,
            momentum=config.momentum,
            update_in_training=config.precision == "every_step",
        ),
    )


def main(config, output_dir=None, data_dir=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`."""
    run = training.Run(config, __file__, output_dir, data_dir)
    if run.results:
        return run.results
    config = run.config
    train_data = run.get_data("train")
    steps_per_epoch = train_data.steps_per_epoch(config.batch_size)

    # Model.
    strategy = training.get_strategy()
    with strategy.scope():
        keras.utils.set_random_seed(config.seed)
        keras.config.set_dtype_policy(config.precision)
        model = models.from_config(config.model, train_data, get_layer_set(config.sngp))
        head = model.layers[-1]
        backbone = keras.Model(model.input, head.input)
        optimizer = training.get_optimizer(config.optimizer, model.trainable_variables, steps_per_epoch, config.epochs)

    # Training.
    def train_step(batch):
        with tf.GradientTape() as tape:
            logits, _ = model(batch["features"], training=True)
            loss = keras.losses.sparse_categorical_crossentropy(batch["labels"], logits, from_logits=True)
            loss = tf.reduce_mean(loss)
            penalty = training.l2_penalty(model.trainable_variables, config.optimizer.l2) + sum(model.losses)
            objective = (loss + penalty) / strategy.num_replicas_in_sync
        gradients = tape.gradient(objective, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        accuracy = keras.metrics.sparse_categorical_accuracy(batch["labels"], logits)
        norm = tf.linalg.global_norm(gradients)
        return {"loss": loss, "accuracy": tf.reduce_mean(accuracy), "gradient_norm": norm}

    train_steps = training.compile_steps(train_step, strategy)
    loop = training.Loop(run, model, optimizer, steps_per_epoch)
    batches = train_data.load(config.batch_size, training=True, start_step=loop.step)
    batches = iter(strategy.experimental_distribute_dataset(batches))
    for num_steps in loop:
        if loop.starts_epoch and config.sngp.precision == "every_step" and config.sngp.momentum <= 0:
            head.reset_precision()
        loop.update(train_steps(batches, num_steps))

    # Posterior covariance.
    @tf.function(reduce_retracing=True)
    def update_precision(inputs):
        head.update_precision(backbone(inputs, training=False))

    if config.sngp.precision == "after_training":
        head.reset_precision()
        for batch in train_data.load(config.batch_size):
            update_precision(batch["features"])
    inverse_cholesky = head.inverse_cholesky()  # once, not in every call of predict

    # Prediction.
    @tf.function
    def predict(inputs):
        features = backbone(inputs, training=False)
        logits, variance = head(features, inverse_cholesky=inverse_cholesky)
        logits = layers.mean_field_logits(logits, variance, config.sngp.mean_field_factor)[tf.newaxis]
        return Predictions(tf.nn.softmax(logits), logits, features, uncertainty={"variance": variance})

    metrics = evaluation.evaluate(predict, run)
    return run.finish(metrics, num_parameters=model.count_params(), train_seconds=loop.seconds)


if __name__ == "__main__":
    launch.run(main)

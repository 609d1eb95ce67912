"""Train a network with dropout and keep the dropout on when predicting: Monte Carlo dropout.

Gal and Ghahramani 2016 (arXiv:1506.02142). Each of `config.mc_dropout.num_samples` forward passes draws masks of its
own, for every example; the prediction is the mean of their softmaxes. Differs from `deterministic.py` in the layer set
(a dropout layer that is always on, which leaves batch normalisation alone) and in `predict`. Differs from the paper in
that dropout sits where the architecture puts it, not before every layer, and that the weight decay is the
configuration's, not tied to a prior length scale. With `--config.mc_dropout.shared_masks=True` a pass of prediction
draws one mask for all examples of a batch: faster, and each example's samples are distributed as before, but the
examples of a batch then depend on each other. Training draws independent masks in any case.

    python baselines/mc_dropout.py --config=configs/two_moons/mc_dropout.py --config.mc_dropout.num_samples=50

takes seconds on two CPU cores. Every value of the configuration can be overridden in that way. A run that was stopped
goes on, bit for bit, when the same command is given again. Expected results stand in the README.
"""

import functools

import keras
import tensorflow as tf

from uncertainty_suite import evaluation, launch, layers, models, training
from uncertainty_suite.predictions import Predictions


def main(config, output_dir=None, data_dir=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`."""
    run = training.Run(config, __file__, output_dir, data_dir)
    if run.results:
        return run.results
    config = run.config
    train_data = run.get_data("train")
    steps_per_epoch = train_data.steps_per_epoch(config.batch_size)

    # Model.
    layer_set = layers.LayerSet(
        dropout=functools.partial(
            layers.MonteCarloDropout,
            filterwise=config.mc_dropout.filterwise,
            shared_masks=config.mc_dropout.shared_masks,
        )
    )
    strategy = training.get_strategy()
    with strategy.scope():
        keras.utils.set_random_seed(config.seed)
        keras.config.set_dtype_policy(config.precision)
        model = models.from_config(config.model, train_data, layer_set)
        optimizer = training.get_optimizer(config.optimizer, model.trainable_variables, steps_per_epoch, config.epochs)

    # Training.
    def train_step(batch):
        with tf.GradientTape() as tape:
            logits = model(batch["features"], training=True)
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
        loop.update(train_steps(batches, num_steps))

    # Prediction.
    network = keras.Model(model.input, (model.layers[-1].input, model.output))
    trunk, rest = layers.split_at_dropout(network)

    @tf.function
    def predict(inputs):
        hidden = trunk(inputs, training=False)  # the same in every pass
        features, logits = layers.draw_samples(rest, hidden, config.mc_dropout.num_samples)
        # [samples, batch, dimensions], [samples, batch, classes]
        return Predictions(probs=tf.nn.softmax(logits), logits=logits, features=tf.reduce_mean(features, axis=0))

    metrics = evaluation.evaluate(predict, run)
    return run.finish(metrics, num_parameters=model.count_params(), train_seconds=loop.seconds)


if __name__ == "__main__":
    launch.run(main)

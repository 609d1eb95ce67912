"""Train one network by maximum likelihood: the baseline that every other method is compared with.

Its uncertainty is the softmax of its logits (Hendrycks and Gimpel 2017, arXiv:1610.02136). To add a method, copy this
file: most methods change the layer set, the loss or `predict`, and leave the rest as it stands.

    python baselines/deterministic.py --config=configs/two_moons/deterministic.py --config.seed=1

takes seconds on two CPU cores. Every value of the configuration can be overridden in that way. A run that was stopped
goes on, bit for bit, when the same command is given again. Expected results stand in the README.
"""

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
    strategy = training.get_strategy()
    with strategy.scope():
        keras.utils.set_random_seed(config.seed)
        keras.config.set_dtype_policy(config.precision)
        model = models.from_config(config.model, train_data, layers.LayerSet())
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

    @tf.function
    def predict(inputs):
        features, logits = network(inputs, training=False)
        logits = logits[tf.newaxis]  # [samples=1, batch, classes]
        return Predictions(probs=tf.nn.softmax(logits), logits=logits, features=features)

    metrics = evaluation.evaluate(predict, run)
    return run.finish(metrics, num_parameters=model.count_params(), train_seconds=loop.seconds)


if __name__ == "__main__":
    launch.run(main)

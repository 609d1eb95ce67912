"""Train several networks that differ in their seed alone, and average their predictions: a deep ensemble.

Lakshminarayanan et al. 2017 (arXiv:1612.01474). Member i of seed s is exactly the network that `deterministic.py`
trains with `--config.seed` set to `member_seed(s, i)`. Differs from the paper in that no adversarial examples are used.

    python baselines/deep_ensemble.py --config=configs/two_moons/deep_ensemble.py --config.deep_ensemble.size=10

takes seconds on two CPU cores. About two members for each CPU core are trained at the same time, on GPUs one after
another; `--members_at_once=1` has it otherwise, e.g. where memory is short, and changes no bit of the results.
`--members=0 --members=1` trains only these, so that they can be spread over machines that share the run folder (or
whose `members/` folders are brought together); the command without that flag trains those that are missing, and
evaluates. Every value of the configuration can be overridden as above. A run that was stopped goes on, bit for bit,
when the same command is given again. Expected results stand in the README.
"""

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from uncertainty_suite import evaluation, launch, layers, models, training
from uncertainty_suite.errors import InputError
from uncertainty_suite.predictions import Predictions


def member_seed(seed, member):
    """Return the seed of a member: another one for each seed and member, spread over 31 bits."""
    return int(np.random.SeedSequence([seed, member]).generate_state(1)[0] >> 1)


def train_member(run, member):
    """Train a member, or restore it if it is trained already; return it and the seconds that its training took.

    A generator for `training.run_together`, which takes the steps that it yields.
    """
    config = run.config
    seed = member_seed(config.seed, member)
    train_data = run.get_data("train", seed=seed)
    steps_per_epoch = train_data.steps_per_epoch(config.batch_size)

    # Model.
    strategy = training.get_strategy()
    with strategy.scope():
        keras.utils.set_random_seed(seed)
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

    loop = training.Loop(run, model, optimizer, steps_per_epoch, name=f"members/{member}")
    batches = train_data.load(config.batch_size, training=True, start_step=loop.step)
    batches = iter(strategy.experimental_distribute_dataset(batches))
    for num_steps in loop:
        loop.update((yield train_step, batches, num_steps))
    return model, loop.seconds


def main(config, output_dir=None, data_dir=None, members=None, members_at_once=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`.

    With `members`, only these are trained, nothing is evaluated, and None is returned. How many are trained at the same
    time, `members_at_once`, changes no result.
    """
    run = training.Run(config, __file__, output_dir, data_dir, shared=bool(members))
    if run.results:
        return run.results
    config = run.config
    size = config.deep_ensemble.size
    if not set(members or ()) <= set(range(size)):
        raise InputError(f"--members must be among 0 to {size - 1}, the members of this ensemble, not {members}.")
    trainings = [train_member(run, member) for member in sorted(set(members or range(size)))]
    trained = training.run_together(trainings, members_at_once)
    if members:
        return None
    ensemble, seconds = zip(*trained)

    # Prediction.
    networks = [keras.Model(model.input, (model.layers[-1].input, model.output)) for model in ensemble]

    @tf.function
    def predict(inputs):
        features, logits = zip(*[network(inputs, training=False) for network in networks])
        logits = tf.stack(logits)  # [samples, batch, classes]
        return Predictions(probs=tf.nn.softmax(logits), logits=logits, features=tf.add_n(features) / len(features))

    metrics = evaluation.evaluate(predict, run)
    return run.finish(
        metrics, num_parameters=sum(model.count_params() for model in ensemble), train_seconds=sum(seconds)
    )


if __name__ == "__main__":
    launch.run(
        main,
        members=flags.DEFINE_multi_integer("members", None, "Train only this member; can be repeated."),
        members_at_once=flags.DEFINE_integer(
            "members_at_once", None, "By default about two a CPU core, with GPUs 1.", 1
        ),
    )

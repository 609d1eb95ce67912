"""Train several networks that differ in their seed alone, and average their predictions: a deep ensemble.

    p(y | x) = 1/M sum_m p(y | x, w_m),    w_m trained from the seed of member m

Lakshminarayanan et al. 2017 (arXiv:1612.01474). Member i of seed s is exactly the network that `deterministic.py`
trains with `--config.seed` set to `member_seed(s, i)`. The prediction is the mixture of the members'. Differs from the
paper in that no adversarial examples are used.

Use it first where M times the cost is affordable: it changes no network, has nothing to tune, and its members can be
trained apart.

    python baselines/deep_ensemble.py --config=configs/two_moons.py --config.deep_ensemble.size=10

takes a minute on two CPU cores. About two members for each CPU core are trained at the same time, on GPUs one after
another; `--members_at_once=1` has it otherwise, e.g. where memory is short, and changes no bit of the results.
`--members=0 --members=1` trains only these, so that they can be spread over machines that share the run folder (or
whose `members/` folders are brought together); the command without that flag trains those that are missing, and
evaluates. Every value of the configuration can be overridden as above. A run that was stopped goes on, bit for bit,
when the same command is given again. Expected results stand at the top of each configuration.
"""

import numpy as np
from absl import flags

from uncertainty_suite import evaluation, launch, layers, models, tf, training
from uncertainty_suite.configuration import Parameter, Section
from uncertainty_suite.errors import InputError

CONFIG = Section("deep_ensemble", samples="size", size=Parameter(4, "members", at_least=1))


def member_seed(seed, member):
    """Return the seed of a member: another one for each seed and member, spread over 31 bits."""
    return int(np.random.SeedSequence([seed, member]).generate_state(1)[0] >> 1)


def get_member(run, member):
    """Return a member's model and its training loop, which has restored what was trained already."""
    config, likelihood = run.config, run.task.likelihood
    seed = member_seed(config.seed, member)
    data = run.get_data("train", seed=seed)

    # Model. Not shared: each member has a seed of its own.
    with run.scope(seed):
        model = models.build(config.model, data, likelihood, layers.LayerSet())
        optimizer = training.get_optimizer(config, model, data)

    # Train step. [shared]
    def train_step(batch):
        with tf.GradientTape() as tape:
            outputs = model(batch["features"], training=True)["outputs"]
            loss = tf.reduce_mean(likelihood.loss(outputs, batch["labels"]))
            objective = loss + training.penalty(model, config.optimizer.l2)
        norm = training.update(model, optimizer, tape, objective)
        return {"loss": loss, "gradient_norm": norm, **likelihood.progress(outputs, batch["labels"])}

    return model, training.Loop(run, data, model, optimizer, train_step, name=f"members/{member}")


def main(config, options=None, members=None, members_at_once=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`.

    With `members` given, only these are trained, and None is returned. How many are trained at the same time,
    `members_at_once`, changes no result.
    """
    run = training.Run(config, __file__, options, CONFIG, shared=bool(members))
    if run.results:
        return run.results
    size, likelihood = run.config.deep_ensemble.size, run.task.likelihood
    if not set(members or ()) <= set(range(size)):
        raise InputError(f"--members must be among 0 to {size - 1}, the members of this ensemble, not {members}.")

    # Training. Not shared: several members at once.
    ensemble, loops = [], []
    for group in training.shared_out(run, sorted(set(members or range(size))), members_at_once):
        built = [get_member(run, member) for member in group]
        training.train_together(run, [loop for _, loop in built])
        ensemble += [model for model, _ in built]
        loops += [loop for _, loop in built]
    if members:
        return None

    # Prediction.
    @tf.function
    def predict(inputs):
        said = [model(inputs, training=False) for model in ensemble]
        features = tf.add_n([each["features"] for each in said]) / size
        return likelihood.predict(tf.stack([each["outputs"] for each in said]), features)

    return run.finish(evaluation.evaluate(predict, run), ensemble, loops)


if __name__ == "__main__":
    launch.run(
        main,
        CONFIG,
        members=flags.DEFINE_multi_integer("members", None, "Train only this member; can be repeated."),
        members_at_once=flags.DEFINE_integer(
            "members_at_once", None, "By default about two a CPU core, with GPUs 1.", 1
        ),
    )

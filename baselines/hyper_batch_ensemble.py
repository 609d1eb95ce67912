"""Train members that share their kernels, know how weights depend on l2 factors, and tune these: Hyper-BatchEnsemble.

    y = activation(((x * r_m) (W + V diag(z E))) * s_m + b_m + a_m * z D),    z the logarithms of the l2 factors

Wenzel et al. 2020 (arXiv:2006.13570): BatchEnsemble (`batch_ensemble.py`) of self-tuning networks (MacKay et al. 2019,
arXiv:1903.03088). Every convolution and dense layer has an l2 factor, and its weights depend on the factors of all
layers (`layers.SelfTuned`). A member has log-uniform distributions of its own over the factors. A training step draws
factors for each row of a batch, and minimises the members' loss with the penalty that they stand for. A tuning step
moves the distributions: it minimises the loss of the members' mixture on a validation batch, less `tau` times their
entropy. A prediction has the factors' means.

Differs from the paper, and is like Uncertainty Baselines, in that the second kernel of a layer has the fast weights of
the first, which are not penalised. Differs from both in that kernel and bias of a layer share a factor, where they put
layers into groups; in the range, which is in units of `config.optimizer.l2` (theirs, 0.1 to 100, is divided by 47,500
examples); and in that tuning steps come at the end of each epoch, one for `train_steps` training steps. They count in
the training's time, but not in its FLOPs. `config.optimizer.l2` is for all else: normalisations, embeddings, LSTMs.

Use it where members shall differ in their regularisation too, and a search for it is too expensive. It has more to set
than `batch_ensemble.py`, and needs validation data in training.

    python baselines/hyper_batch_ensemble.py --config=configs/two_moons.py --config.hyper_batch_ensemble.tau=0.01

takes a minute on two CPU cores. Every value of the configuration can be overridden in that way. A run that was stopped
goes on, bit for bit, when the same command is given again. Expected results stand at the top of each configuration.
"""

import functools
import itertools
import math

from uncertainty_suite import evaluation, keras, launch, layers, models, tf, training
from uncertainty_suite.configuration import Parameter, Section

CONFIG = Section(
    "hyper_batch_ensemble",
    samples="size",
    size=Parameter(4, "members", at_least=1),
    random_sign_init=Parameter(-0.75, "how fast weights begin, as in batch_ensemble", at_most=1, search=(-0.75, 0.5)),
    fast_weight_factor=Parameter(0.5, "what the gradients of fast weights are multiplied by", at_least=0),
    least_l2=Parameter(2e-6, "lower end of the range of factors", above=0),
    most_l2=Parameter(2e-3, "upper end of the range of factors", above=0),
    lr_tuning=Parameter(1e-3, "learning rate of the distributions, by Adam", above=0, search=(1e-3, 0.1, "log")),
    tau=Parameter(1e-3, "factor on the entropy of the distributions", at_least=0, search=(1e-4, 0.1, "log")),
    train_steps=Parameter(3, "training steps for each tuning step", at_least=1),
)


def get_layer_set(config, count):
    """Return self-tuned layers for `count` l2 factors, which see every example once for each member."""
    settings, number = {}, itertools.count()
    fast = (config.random_sign_init, config.fast_weight_factor)

    def self_tuned(kind, *args, activation=None, use_bias=True, dtype=None, **kwargs):
        linear = kind(*args, use_bias=False, dtype=dtype, **kwargs)
        layer = layers.SelfTuned(linear, config.size, next(number), activation, use_bias, *fast, dtype=dtype)
        return lambda inputs: layer(inputs, settings["of_rows"])

    def recurrent(*args, use_bias=True, **kwargs):
        linear = keras.layers.Dense(*args, use_bias=False, **kwargs)
        return layers.FastWeights(linear, config.size, None, use_bias, *fast)

    def at_input(inputs):
        rows = layers.TileMembers(config.size, name="tile_members")(inputs)
        distribution = layers.LogUniform(config.size, count, config.least_l2, config.most_l2, name="l2_factors")
        settings["of_rows"] = distribution(rows)
        return rows

    return layers.LayerSet(
        conv=functools.partial(self_tuned, keras.layers.Conv2D),
        dense=functools.partial(self_tuned, keras.layers.Dense),
        head=functools.partial(self_tuned, keras.layers.Dense, dtype="float32"),
        lstm=lambda units, dense, name: layers.lstm(units, recurrent, name),
        at_input=at_input,
        at_output=functools.partial(layers.split_members, members=config.size),
    )


def main(config, options=None):
    """Train and evaluate; return the results, which are also in the run folder's `results.json`."""
    run = training.Run(config, __file__, options, CONFIG)
    if run.results:
        return run.results
    config, data, likelihood = run.config, run.get_data("train"), run.task.likelihood
    settings, validation = config.hyper_batch_ensemble, run.get_data("validation").augmented(False)

    # Model. Not shared: it is built twice, as weights depend on the factors of all layers, which have to be counted.
    with run.scope():
        built = models.build(config.model, data, likelihood, get_layer_set(settings, 1))
        count = sum(isinstance(layer, layers.SelfTuned) for layer in built.layers)
        model = models.build(config.model, data, likelihood, get_layer_set(settings, count))
        optimizer = training.get_optimizer(config, model, data)
        distribution = model.get_layer("l2_factors")
        bounds = [distribution.log_lower, distribution.log_upper]
        tuner = keras.optimizers.Adam(settings.lr_tuning, name="tuner")
        tuner.build(bounds)
    network = keras.Model([model.input, distribution.output], model.output)  # with settings that are given
    self_tuned = [layer for layer in model.layers if isinstance(layer, layers.SelfTuned)]

    # Train step. Not shared: drawn factors and their penalty.
    def train_step(batch):
        drawn = distribution.sample(batch["labels"].shape[0] or tf.shape(batch["labels"])[0])
        factors = distribution.values(drawn)
        with tf.GradientTape() as tape:
            outputs = network([batch["features"], drawn], training=True)["outputs"]
            loss = tf.reduce_mean(likelihood.loss(outputs, batch["labels"]))
            penalty = tf.add_n([layer.penalty(drawn, factors) for layer in self_tuned])
            objective = loss + penalty + training.penalty(model, config.optimizer.l2)
        norm = training.update(model, optimizer, tape, objective)
        scalars = {"loss": loss, "l2_factor": tf.reduce_mean(factors), "gradient_norm": norm}
        return {**scalars, **likelihood.progress(outputs, batch["labels"])}

    @tf.function(reduce_retracing=True)
    def tuning_step(batch):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([bound.value for bound in bounds])
            drawn = distribution.sample(tf.shape(batch["labels"])[0])
            losses = likelihood.loss(network([batch["features"], drawn], training=False)["outputs"], batch["labels"])
            mixture = math.log(settings.size) - tf.reduce_logsumexp(-losses, axis=1)
            objective = tf.reduce_mean(mixture) - settings.tau * distribution.entropy()
        tuner.apply(tape.gradient(objective, [bound.value for bound in bounds]), bounds)
        distribution.clip()

    # Training. Not shared: the distributions are tuned at the end of each epoch.
    state = {variable.path: variable for variable in tuner.variables}
    loop = training.Loop(run, data, model, optimizer, train_step, state)
    tuning_steps = -(-data.steps_per_epoch(config.batch_size) // settings.train_steps)
    for steps in loop:
        loop.take(steps)
        if loop.starts_epoch:
            start, batch_size = (loop.epoch - 1) * tuning_steps, min(config.batch_size, validation.num_examples)
            for batch in validation.load(batch_size, training=True, start_step=start).take(tuning_steps):
                tuning_step(batch)

    # Prediction.
    @tf.function
    def predict(inputs):
        said = model(inputs, training=False)
        outputs = tf.transpose(said["outputs"], [1, 0, 2])  # [members, batch, units]
        return likelihood.predict(outputs, said["features"])

    return run.finish(evaluation.evaluate(predict, run), model, loop)


if __name__ == "__main__":
    launch.run(main, CONFIG)

"""Keras' side of `peers.py`: `fit`, `predict`, and around them what its guides have one write oneself.

That is: MC dropout is a loop over `model(x, training=True)`, an ensemble one `fit` after another.
"""

import keras
import numpy as np
from peer_job import Job, answer, brier_and_ece

PREDICTION_BATCH_SIZE = 500


def fit(job: Job) -> keras.Model:
    """Return the network of `uncertainty_suite.models.convnet`, trained."""
    (x, y), validation = job.arrays("train"), job.arrays("validation")
    model = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Dropout(job.dropout_rates[0]),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dropout(job.dropout_rates[1]),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(job.learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(x, y, batch_size=job.batch_size, epochs=job.epochs, validation_data=validation, verbose=0)
    return model


def measure(probs: np.ndarray, labels: np.ndarray, models: list[keras.Model]) -> dict[str, float]:
    """Return the metrics of probabilities `[n, classes]`."""
    return {
        "accuracy": keras.metrics.SparseCategoricalAccuracy()(labels, probs),
        "nll": keras.metrics.SparseCategoricalCrossentropy()(labels, probs),
        **brier_and_ece(probs, labels),
        "parameters": sum(model.count_params() for model in models),
    }


def predict(job: Job, models: list[keras.Model]) -> dict[str, float]:
    """Measure the mean of what networks predict."""
    x, labels = job.arrays("test")
    probs = [model.predict(x, batch_size=PREDICTION_BATCH_SIZE, verbose=0) for model in models]
    return measure(np.mean(probs, axis=0), labels, models)


def deterministic(job: Job) -> dict[str, float]:
    """Train and predict by one network."""
    return predict(job, [fit(job)])


def deep_ensemble(job: Job) -> dict[str, float]:
    """Train and predict by several."""
    return predict(job, [fit(job) for _ in range(job.size)])


def mc_dropout(job: Job) -> dict[str, float]:
    """Train one network, and predict by it with dropout several times."""
    model = fit(job)
    x, labels = job.arrays("test")
    batches = [x[start : start + PREDICTION_BATCH_SIZE] for start in range(0, len(x), PREDICTION_BATCH_SIZE)]
    passes = [
        np.concatenate([model(batch, training=True).numpy() for batch in batches]) for _ in range(job.num_samples)
    ]
    return measure(np.mean(passes, axis=0), labels, [model])


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    answer({"deterministic": deterministic, "mc_dropout": mc_dropout, "deep_ensemble": deep_ensemble})

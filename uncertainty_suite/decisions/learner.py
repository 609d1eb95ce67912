"""Any method's script as something that learns from the examples that decisions have revealed so far."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from uncertainty_suite import configuration, datasets, keras, launch, shipped, training
from uncertainty_suite.evaluation.prediction import Predictor
from uncertainty_suite.predictions import Predictions
from uncertainty_suite.training.run import data_of


class Learner:
    """A method on a task, trained from scratch on the examples that it is given.

    From scratch, since a network that goes on from where it was fits the new examples and generalises worse (Ash and
    Adams 2020, https://arxiv.org/abs/1910.08475). So what it learns is a function of the examples and the seed alone,
    and a sequence of decisions can be taken up again at any of them.

    Attributes:
        method: Its name.
        config: The configuration that its script gets, but for seed and examples.

    Example:
        >>> learner = Learner("mc_dropout", "configs/mnist.py", ["--config.epochs=50"])
        >>> predictor = learner.learn([12, 7, 43001], seed=0)
        >>> said = ask(predictor, learner.data("test"))
    """

    def __init__(
        self, method: str, config_file: str, overrides: Sequence[str] = (), data_dir: str | Path | None = None
    ) -> None:
        """Find the script, and make its configuration.

        Args:
            method: A script of `baselines/`, without its ending; or the path of one.
            config_file: A configuration file, with `:<variant>` after it where it has variants.
            overrides: `--config.<field>=<value>` each, as on the command line of the script.
            data_dir: Folder of prepared data sets.

        Raises:
            InputError: There is no such script, or the configuration is not allowed.
        """
        path = Path(method) if method.endswith(".py") else shipped.script(method)
        self.method = path.stem
        self._script: Any = configuration.load_module(path)
        section = getattr(self._script, "CONFIG", None)
        given = launch.get_config(config_file, section, self.method, overrides)
        self.config, _ = training.run.check(given, self.method, section, data_dir)
        self._data_dir = data_dir

    def data(self, split: str) -> datasets.Dataset:
        """Return a split of the task's data set: `train`, all that could be learnt from, or another."""
        return data_of(self.config.dataset, split, self._data_dir)

    def learn(
        self,
        element_ids: Sequence[int] | np.ndarray,
        seed: int,
        folder: str | Path | None = None,
        start_from: str | Path | None = None,
    ) -> Predictor:
        """Train on some examples of `train`; return the predict function.

        Args:
            element_ids: Of the examples.
            seed: Decides all that is random in it.
            folder: Where the training is kept, and taken up where it is there already; nowhere if None.
            start_from: The folder of an earlier training, with whose networks this one begins; at random if None.
        """
        config = ConfigDict(self.config.to_dict())
        config.dataset.train_ids = tuple(sorted(int(each) for each in element_ids))
        config.seed = seed
        keras.backend.clear_session()  # or the graphs of all trainings before would stay
        with tempfile.TemporaryDirectory() as nowhere:
            options = training.Options(
                output_dir=folder or Path(nowhere, "run"),
                data_dir=self._data_dir,
                train_only=True,
                start_from=start_from,
            )
            try:
                self._script.main(config, options)
            except training.Restored as trained:
                return Predictor(trained.predict, trained.run)
        raise AssertionError(f"{self.method} did not evaluate, so it handed over no predict function.")


def ask(predictor: Predictor, data: datasets.Dataset, key: str = "") -> Predictions:
    """Return what a method says about all examples of some data, every sample of it.

    Each batch begins with the same draws. So where a stochastic method draws once for a batch (MC dropout with
    `shared_masks`), a sample is one function for all examples.

    Args:
        predictor: What `Learner.learn` returned.
        data: The examples.
        key: Decides what is drawn; that of the in-distribution split if empty.
    """
    said = []
    for batch in data.batches(predictor.batch_size):
        predictor.begin(key)
        said.append(predictor(batch["features"]))
    parts = {name: [getattr(each, name) for each in said] for name in ("probs", "logits", "mean", "stddev")}
    joined = {name: None if values[0] is None else np.concatenate(values, 1) for name, values in parts.items()}
    uncertainty = {name: np.concatenate([each.uncertainty[name] for each in said]) for name in said[0].uncertainty}
    return Predictions(**joined, uncertainty=uncertainty)

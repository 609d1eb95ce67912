"""Hyper-parameters by a search with a fair budget: every method has as many trials, judged on the validation split.

A trial trains on train and predicts validation alone; test, shifted and OOD data are not read. The best trial is that
of the least NLL.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from uncertainty_suite import configuration, datasets, figures, launch, likelihoods
from uncertainty_suite.errors import InputError
from uncertainty_suite.files import read_json, write_atomic, write_json
from uncertainty_suite.runs import PROTOCOL_VERSION, RunFolder
from uncertainty_suite.sweep import search
from uncertainty_suite.sweep.plan import Method, Place, Planned, check_folders, replicates
from uncertainty_suite.training.schema import search_ranges

SPLIT = "validation"
FOLDER = "trials"
REDUCTION = 3  # of the trials that go on, and of the epochs before, where trials are stopped early
# Of a task's evaluation, what a trial does without.
_LEFT_OUT = {
    **dict.fromkeys(
        ("corruptions", "ood_near", "ood_far", "ood_validation", "ood_scores", "predict_only", "posthoc"), ()
    ),
    "ensemble_curve": False,
    "save": (),
}


class Study:
    """The trials of a method on a task.

    Attributes:
        task: The task's folder.
        method: The method.
        runs: A run for each trial.
        rungs: For each trial the runs of fewer epochs that come before it where trials are stopped early, and itself.
    """

    def __init__(
        self,
        task: str,
        file: str,
        method: Method,
        setting: Mapping[str, str],
        folds: Sequence[int],
        place: Place,
        number: int,
        seed: int,
        stopped_early: bool = False,
    ) -> None:
        """Draw the values to try, and check the configuration of each trial.

        Args:
            task: The task's folder.
            file: The configuration file, with its variant.
            method: The script.
            setting: Values of fields, the same in all trials; these are not searched.
            folds: Of a data set with folds; the trials are of the first one.
            place: Where runs lie.
            number: How many trials.
            seed: Decides what is drawn, and is the seed of the trials.
            stopped_early: Whether `rungs` are wanted.

        Raises:
            InputError: There is nothing to search, no validation split, or a range holds what is not allowed.
        """
        self.task = task
        self.method = method
        self._file = file
        self._seed = seed
        what = f"{task}/{method.name}"
        path, _, variant = file.partition(":")
        ranges = search_ranges(configuration.load(path, *[variant] if variant else []), method.section, method.name)
        self._ranges = {field: values for field, values in ranges.items() if field not in setting}
        if not self._ranges:
            raise InputError(
                f"{what}: there is nothing to search. Give a range in the script, Parameter(..., search=(low, high, "
                f"'log')), or in the table `search` of {path}."
            )
        given = [f"--config.{field}={text}" for field, text in setting.items()]
        config = launch.get_config(file, method.section, method.name, given, {})
        data = datasets.get(config.dataset.name)
        if config.dataset.validation_percent == 0 and SPLIT not in data.source.splits:
            raise InputError(
                f"{what}: hyper-parameters are chosen on the validation split, and there is none: give "
                "--set dataset.validation_percent=0.1."
            )
        likelihood = likelihoods.info(data.likelihood)
        self._criterion = likelihood.criterion
        only_validation = {
            "splits": (SPLIT,),
            "in_distribution": SPLIT,
            "metrics": tuple(dict.fromkeys([*likelihood.headline, likelihood.criterion])),
            **_LEFT_OUT,
        }
        fixed = {
            **setting,
            **replicates(file, method, [seed], folds)[0],
            **{f"evaluation.{field}": value for field, value in only_validation.items()},
        }
        drawn = search.draw(self._ranges, configuration.flatten(config.to_dict()), number, seed)
        early = sorted({max(1, config.epochs // REDUCTION**power) for power in (1, 2)} - {config.epochs})
        self.runs: list[Planned] = []
        self.rungs: list[list[Planned]] = []
        for trial, values in enumerate(drawn):
            name = f"{FOLDER}/{what}/{trial:03}"
            self.runs.append(place.run(name, file, method, {**fixed, **values}, {}))
            before = [
                place.run(f"{name}/epochs_{epochs}", file, method, {**fixed, **values, "epochs": epochs}, {})
                for epochs in (early if stopped_early else ())
            ]
            self.rungs.append([*before, self.runs[-1]])
        check_folders([run for rung in self.rungs for run in rung])

    def score(self, run: Planned) -> float | None:
        """Return the NLL of a trial on validation, or None where it is not finished.

        A trial that has been evaluated on more splits since then keeps its score.
        """
        if not (run.folder / "results.json").exists():
            return None
        results = RunFolder(run.folder).results
        return None if results is None else results["metrics"].get(f"{SPLIT}/{self._criterion}")

    def choose(self) -> dict[str, dict[str, Any]]:
        """Return what the trials chose, by field, as records have it: the values of the trial with the least NLL.

        A trial without a score, whose numbers stopped being finite or which was stopped early, counts as a trial and is
        not chosen.

        Raises:
            InputError: No trial has a score.
        """
        scores = [self.score(run) for run in self.runs]
        if all(score is None for score in scores):
            raise InputError(f"{self.task}/{self.method.name}: all {len(scores)} trials failed, so nothing is chosen.")
        best = int(np.argmin([np.inf if score is None else score for score in scores]))
        values = [configuration.flatten(run.config) for run in self.runs]
        # Of trials that were stopped early, how far each came.
        came = [[run.config["epochs"] for run in rung if self.score(run) is not None] for rung in self.rungs]
        several = any(len(rung) > 1 for rung in self.rungs)
        epochs = {"epochs": [max(each, default=0) for each in came]} if several else {}
        return {
            field: {
                "values": [of_trial[field] for of_trial in values],
                "chosen": values[best][field],
                "scores": scores,
                "criterion": self._criterion,
                "split": SPLIT,
                "range": json.loads(json.dumps(ends)),  # as it reads back
                **epochs,
            }
            for field, ends in self._ranges.items()
        }

    def write(self, tuned: Mapping[str, Mapping[str, Any]], place: Place, folder: Path | None) -> list[Path]:
        """Write what was chosen, and a table and a figure of the trials; return the files.

        Args:
            tuned: What was chosen.
            place: Where runs lie; table and figure lie among the trials.
            folder: Where the file lies that holds what was chosen; by default beside the configuration file, from where
                later runs read it.

        Raises:
            InputError: A file cannot be written, or is damaged.
        """
        path = configuration.tuned_path(self._file)
        path = folder / path.name if folder else path
        content = read_json(path) if path.exists() else {}
        content[self.method.name] = {"tuned": tuned, "seed": self._seed, "protocol_version": PROTOCOL_VERSION}
        write_json(path, content)
        below = place.output_dir / FOLDER / self.task
        table = below / f"{self.method.name}.md"
        write_atomic(table, lambda file: file.write(table_of(tuned).encode()))
        figure = figures.parallel_coordinates(tuned)
        drawn = [figures.save(figure, below / f"{self.method.name}{suffix}") for suffix in (".png", ".svg")]
        return [path, table, *drawn]


def get_studies(
    tasks: Mapping[str, str],
    methods: Sequence[Method],
    setting: Mapping[str, str],
    folds: Sequence[int],
    place: Place,
    number: int,
    seed: int,
    stopped_early: bool = False,
) -> list[Study]:
    """Return the trials of every method on every task; arguments as of `Study`."""
    return [
        Study(task, file, method, setting, folds, place, number, seed, stopped_early)
        for (task, file), method in itertools.product(tasks.items(), methods)
    ]


def table_of(tuned: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a Markdown table of trials, the best one first."""
    first = next(iter(tuned.values()))
    criterion = f"{first['split']}/{first['criterion']}"
    rows = [["trial", *tuned, criterion], ["---:"] * (len(tuned) + 2)]
    scores = [np.inf if score is None else score for score in first["scores"]]
    for trial in np.argsort(scores, kind="stable"):
        values = [str(configuration.with_tuples(said["values"][trial])) for said in tuned.values()]
        without = f"stopped after {first['epochs'][trial]} epochs" if "epochs" in first else "not finite"
        rows.append([str(trial), *values, f"{scores[trial]:.6g}" if np.isfinite(scores[trial]) else without])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)

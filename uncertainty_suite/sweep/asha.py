"""Trials that are stopped early where others are better: ASHA (Li et al. 2020, arXiv:1810.05934), by Ray Tune.

A trial is trained for a ninth of the epochs, for a third, and for all of them, each time anew with its whole learning
rate schedule, and goes on only while it is among the best third of those that came as far. That favours methods that
are fast at the start; which trials come far depends on which end first, so it is not the same each time.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from uncertainty_suite.sweep import engines
from uncertainty_suite.sweep.display import Display
from uncertainty_suite.sweep.tuning import REDUCTION, Study


def run_trials(studies: Sequence[Study], folder: Path, cpus: float, gpus: float) -> dict[str, engines.Outcome]:
    """Make the trials of studies on the Ray cluster that this process is connected to, and return how each ended.

    Args:
        studies: The studies.
        folder: Where Ray Tune keeps its files.
        cpus: CPU cores of a trial.
        gpus: GPUs of a trial.
    """
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler

    outcomes: dict[str, engines.Outcome] = {}
    with Display(len(studies)) as display:
        for study in studies:
            name = f"{study.task}/{study.method.name}"
            display.begin(name)
            epochs = [run.config["epochs"] for run in study.rungs[0]]
            scheduler = ASHAScheduler("epochs", max_t=epochs[-1], grace_period=epochs[0], reduction_factor=REDUCTION)
            tuner = tune.Tuner(
                tune.with_resources(tune.with_parameters(_trial, study=study), {"cpu": cpus, "gpu": gpus}),
                param_space={"trial": tune.grid_search(list(range(len(study.runs))))},
                tune_config=tune.TuneConfig(metric="score", mode="min", scheduler=scheduler),
                run_config=tune.RunConfig(name=name.replace("/", "_"), storage_path=os.path.abspath(folder), verbose=0),
            )
            for result in tuner.fit():
                run = study.runs[result.config["trial"]]
                error = str(result.error or "").strip().splitlines()
                outcomes[run.name] = engines.Outcome(0.0, error[-1] if error else "")
            finished = sum(study.score(run) is not None for run in study.runs)
            display.end(name, f"{finished} of {len(study.runs)} trials went to the end")
    return outcomes


def _trial(config: dict[str, Any], study: Study) -> None:
    """Train a trial for more and more epochs, until Ray Tune stops it."""
    from ray import tune

    for run in study.rungs[config["trial"]]:
        if study.score(run) is None:
            outcome = engines.execute(run)
            if outcome.error and not outcome.diverged:
                raise RuntimeError(f"{outcome.error} Its log: {run.log}")
        score = study.score(run)
        tune.report({"score": math.inf if score is None else score, "epochs": run.config["epochs"]})

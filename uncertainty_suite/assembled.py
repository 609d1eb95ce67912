"""Run folders that are made from predictions, without a training: of another framework, or of other runs together."""

from __future__ import annotations

import dataclasses
import datetime
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from uncertainty_suite import configuration, evaluation, ood_scores
from uncertainty_suite.errors import InputError
from uncertainty_suite.files import remove_partial, write_json
from uncertainty_suite.leaderboard.records import safe
from uncertainty_suite.likelihoods import Saved
from uncertainty_suite.runs import PROTOCOL_VERSION, SCHEMA_VERSION, RunFolder
from uncertainty_suite.tasks import Split, Task
from uncertainty_suite.training import lock
from uncertainty_suite.training.run import origin


@dataclasses.dataclass(frozen=True)
class Assembled:
    """What a run folder says besides its predictions.

    Attributes:
        config: The configuration, as JSON has it: at least `method`, `seed`, `dataset`, `model.name` and `evaluation`.
        task: The task, with the splits that there are.
        fingerprints: The data's, by split.
        provenance: What made the run beside this process: `made_from`, which tells its predictions from others;
            `trained_here`, whether all that predicts was trained by a script of the suite; `config_file`.
        costs: Metrics that predictions do not tell, e.g. `num_parameters`.
        batch_size: Global batch size of the training, 0 where it is unknown.
        tuned: What was chosen on held-out data, as records have it.
    """

    config: dict[str, Any]
    task: Task
    fingerprints: Mapping[str, str]
    provenance: Mapping[str, Any]
    costs: Mapping[str, float]
    batch_size: int = 0
    tuned: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def default_path(config: Mapping[str, Any]) -> Path:
    """Return `runs/<data set>/<method>-<hash>/seed<seed>`, as a training has it."""
    experiment = f"{safe(config['method'])}-{configuration.config_hash(dict(config))[:8]}"
    return Path("runs", config["dataset"]["name"], experiment, configuration.replicate_name(dict(config)))


def evaluation_of(evaluation: Mapping[str, Any], save: Iterable[str], arrays: Iterable[str]) -> dict[str, Any]:
    """Return a configuration's part `evaluation` without what cannot be computed of predictions alone.

    It goes on to name all splits, so that means over some of them are not taken for means over all; and what is fitted
    on the validation split, so that a record without that split says why it lacks it.

    Args:
        evaluation: Of a task or a run.
        save: Arrays that are saved beside what every run saves.
        arrays: All that are saved. OOD scores that need others, or training examples, are left out.
    """
    scores = {text: ood_scores.info(text) for text in evaluation["ood_scores"]}
    arrays = set(arrays)
    return {
        **evaluation,
        "ood_scores": [text for text, one in scores.items() if not one.fit_needs and set(one.needs) <= arrays],
        "ensemble_curve": False,
        "save": list(save),
    }


def write_run(path: Path, what: Assembled, predictions: Iterable[tuple[Split, Saved]]) -> RunFolder:
    """Write a finished run: the predictions of one split after the other, and the metrics of all.

    Args:
        path: Its folder. The same again is written anew.
        what: All but the predictions.
        predictions: Each split with what a run saves of it. Of these one at a time is held in memory.

    Raises:
        InputError: The folder holds something else or is in use, or a metric is not finite.
    """
    _check_folder(path, what)
    try:
        held = lock.hold(path)
    except OSError as error:
        raise InputError(f"Cannot use {path} as a run folder ({error}). Choose another --output_dir.") from error
    try:
        return _write(path, what, predictions)
    finally:
        held.release()


def _write(path: Path, what: Assembled, predictions: Iterable[tuple[Split, Saved]]) -> RunFolder:
    provenance = {**origin(), **what.provenance}
    remove_partial(path)
    (path / "results.json").unlink(missing_ok=True)
    task = what.task.to_json()
    for name, content in (("config.json", what.config), ("task.json", task), ("provenance.json", provenance)):
        write_json(path / name, content)
    run = RunFolder(path)
    names = what.config["evaluation"]["metrics"]
    known = {}
    for split, saved in predictions:
        run.save_predictions(split.key, saved)
        if split.labelled:
            known[split.key] = evaluation.split_metrics(saved, names, what.task.likelihood)
    measured = evaluation.compute(run, known=known)
    metrics = {name: float(value) for name, value in {**measured.metrics, **what.costs}.items()}
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise InputError(f"The metric {name} is {value}, so {path}/results.json is not written.")
    results = {
        **measured._asdict(),  # with what had no value, and why
        "tuned": {**what.tuned, **measured.tuned},
        **{("task" if name == "name" else name): value for name, value in task.items()},
        "schema_version": SCHEMA_VERSION,
        "protocol_version": PROTOCOL_VERSION,
        "method": what.config["method"],
        "model": what.config["model"]["name"],
        "seed": what.config["seed"],
        "config": what.config,
        "config_hash": configuration.config_hash(what.config),
        "batch_size_global": what.batch_size,
        "data_fingerprint": dict(what.fingerprints),
        "metrics": metrics,
        "provenance": {
            **provenance,
            "finished_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        },
    }
    write_json(path / "results.json", results)
    return RunFolder(path)


def _check_folder(path: Path, what: Assembled) -> None:
    """Refuse a folder that holds anything but an earlier run of the same predictions."""
    if not path.exists():
        return
    if not path.is_dir():
        raise InputError(f"{path} is no folder. Choose another --output_dir.")
    if not (path / "config.json").exists():
        if any(not each.name.startswith(".") for each in path.iterdir()):
            raise InputError(f"{path} is not empty and no run folder. Choose another --output_dir.")
        return
    run = RunFolder(path)
    if run.config != what.config:
        differences = "; ".join(configuration.differences(run.config, what.config))
        raise InputError(f"{path} belongs to another run ({differences}). Choose another --output_dir.")
    # Without one it was killed while it was made.
    if run.provenance is not None and run.provenance.get("made_from") != what.provenance["made_from"]:
        raise InputError(f"{path} was made from other predictions. Delete it, or choose another --output_dir.")

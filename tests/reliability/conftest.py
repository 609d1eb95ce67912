"""Commands of runs that take a second; and what is the same in two run folders."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.processes import Ended
from tests.tiny import flags_of, load_script, section_of, small_values, untimed

TINY = {
    "epochs": 2,
    "batch_size": 250,
    "optimizer.learning_rate": 0.01,
    "model.num_layers": 1,
    "model.num_hidden": 8,
    "evaluation.ood_scores": "('energy','knn')",
}


def arguments(method: str, folder: Path, *more: str, **overrides: Any) -> list[str]:
    """Return the command line of a run that takes a second: on two moons, or of a regression where it has to be one."""
    section = section_of(load_script(method))
    of_classes = not section or not section.likelihoods or "categorical" in section.likelihoods
    if of_classes:
        return _command(method, "configs/two_moons.py", {**TINY, **overrides}, folder, more)
    values = {**TINY, "evaluation.ood_scores": "('knn',)", **overrides}  # energy is of logits
    return _command(method, "configs/toy_regression.py", values, folder, more)


def diverging_arguments(method: str, folder: Path, *more: str) -> list[str]:
    """Return that of a run which is rolled back twice."""
    values = {name: value for name, value in TINY.items() if name not in ("batch_size", "optimizer.learning_rate")}
    return _command(method, "tests/reliability/diverging.py", values, folder, ("--on_nan=rollback", *more))


def _command(method: str, file: str, values: dict[str, Any], folder: Path, more: Iterable[str]) -> list[str]:
    return [
        str(ROOT / "baselines" / f"{method}.py"),
        f"--config={ROOT}/{file}",
        *flags_of({**small_values(section_of(load_script(method))), **values}),
        f"--output_dir={folder}",
        *more,
    ]


@pytest.fixture(scope="session")
def uninterrupted(scripts, tmp_path_factory):
    """Return a method's run folder and how its process ended, made once for all tests."""
    runs: dict[str, tuple[Path, Ended]] = {}

    def run(method: str) -> tuple[Path, Ended]:
        if method not in runs:
            folder = tmp_path_factory.mktemp("uninterrupted") / method
            ended = scripts.run(arguments(method, folder, "--checkpoint_every=1steps"), folder=str(folder))
            assert ended.status == 0, ended.log
            runs[method] = folder, ended
        return runs[method]

    return run


def content(folder: Path) -> dict[str, Any]:
    """Return all that a run folder holds, times and provenance aside, by file; TensorBoard's files are left out."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.parent.name != "tensorboard"]
    return {str(path.relative_to(folder)): _content(path) for path in files}


def _content(path: Path) -> Any:
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        state = json.loads(arrays.pop("state.json").tobytes()) if "state.json" in arrays else {}
        lines = [{**line, "seconds": 0} for line in state.get("history", [])]
        return {
            **{name: (str(array.dtype), array.shape, array.tobytes()) for name, array in arrays.items()},
            "state": {**state, "seconds": 0, "history": lines},
        }
    if path.name == "history.jsonl":
        return [{**json.loads(line), "seconds": 0} for line in path.read_text().splitlines()]
    if path.name == "results.json":
        results = json.loads(path.read_text())
        return {**results, "provenance": None, "metrics": untimed(results)}
    return None if path.name == "provenance.json" else path.read_bytes()


def rollbacks(folder: Path) -> list[dict[str, Any]]:
    """Return the rollbacks that a run's results record."""
    return json.loads((folder / "results.json").read_text())["provenance"].get("rollbacks", [])


def assert_same(folder: Path, other: Path) -> None:
    """Assert that two run folders hold the same files with the same content, bit for bit."""
    mine, theirs = content(folder), content(other)
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if mine[name] != theirs[name]] == []

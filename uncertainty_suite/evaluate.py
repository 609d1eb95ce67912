"""Evaluate finished runs anew.

    python -m uncertainty_suite.evaluate runs/digits/*/seed*/
    python -m uncertainty_suite.evaluate RUN --metrics mce sce --ood_scores energy --posthoc temperature_scaling raps
    python -m uncertainty_suite.evaluate RUN --ood noise/uniform --corruptions fog --save logits
    python -m uncertainty_suite.evaluate runs/sweep/trials/digits/sngp/*/seed0 --config configs/digits.py

Metrics, scores and calibrations are computed from the saved predictions, without the model and without TensorFlow.
Metrics that were not asked for when the run was made are added to its `results.json`; those that were come out as they
were recorded, or the command says which do not.

Other splits and arrays (`--ood`, `--ood_near`, `--corruptions`, `--save`) are predicted from the trained network,
without training: the run is then what its command would have made with them in its configuration. `--config` evaluates
as a configuration file says, whatever the run's own said: so the trials of a search, of which only the validation split
was predicted, can be members of an ensemble.

A run that cannot be evaluated is named on stderr, the others are evaluated, and the exit status is 1.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from uncertainty_suite import configuration, evaluation, launch, program, trained, training
from uncertainty_suite.errors import InputError, one_line
from uncertainty_suite.files import write_json
from uncertainty_suite.program import Parser
from uncertainty_suite.runs import RunFolder
from uncertainty_suite.training import lock

_PATIENCE = 60.0  # seconds that one command waits for another to write its results
_MOST_PRINTED = 10  # values of metrics that are new
_MEASURED = ("metrics", "ood_scores", "posthoc")
_PREDICTED = {
    "ood": "ood_far",
    "ood_near": "ood_near",
    "ood_validation": "ood_validation",
    "corruptions": "corruptions",
    "save": "save",
}


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = Parser(
        prog="python -m uncertainty_suite.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a finished run's folder")
    parser.add_argument("--metrics", nargs="+", default=[], help="metrics to add")
    parser.add_argument("--ood_scores", nargs="+", default=[], help="OOD scores to add")
    parser.add_argument("--posthoc", nargs="+", default=[], help="calibrations and conformal predictors to add")
    parser.add_argument("--ood", nargs="+", default=[], metavar="SET", help="far OOD sets to add, <data set>/<split>")
    parser.add_argument("--ood_near", nargs="+", default=[], metavar="SET", help="near OOD sets to add")
    parser.add_argument("--ood_validation", nargs="+", default=[], metavar="SET", help="OOD sets to choose on to add")
    parser.add_argument("--corruptions", nargs="+", default=[], help="corruptions to add")
    parser.add_argument("--save", nargs="+", default=[], help="arrays to save: samples, logits, features")
    parser.add_argument("--config", metavar="FILE", help="evaluate as this configuration file says")
    parser.add_argument("--predict", action="store_true", help="predict anew, as metrics that compare samples need")
    parser.add_argument("--data_dir", help="prepared data sets")
    try:
        arguments = parser.parse_args(argv)
    except InputError as error:
        print(f"evaluate: {one_line(error)}", file=sys.stderr)
        return 1
    predict = arguments.predict or arguments.config is not None or any(getattr(arguments, name) for name in _PREDICTED)
    failed = False
    for folder in arguments.runs:
        run = RunFolder(folder)
        try:
            if predict:
                report = predict_anew(run, vars(arguments))
            else:
                report = measure_anew(run, *(getattr(arguments, name) for name in _MEASURED))
            print(one_line(f"{folder}: {report}"))
        except InputError as error:
            print(one_line(f"evaluate: {folder}: {error}"), file=sys.stderr)
            failed = True
    return int(failed)


def measure_anew(run: RunFolder, metrics: Sequence[str], ood_scores: Sequence[str], posthoc: Sequence[str]) -> str:
    """Compute a run's metrics anew, write `results.json` if something is new or changed, and say what."""
    results = run.results
    if results is None:
        raise InputError(
            f"{run.path} is no finished run: it has no results of its configuration. Give its command again or, where "
            "an evaluation failed, this one with --predict."
        )
    trained.read_config_file(run)
    recorded = results["metrics"]
    computed, left_out, tuned = evaluation.compute(run, metrics, ood_scores, posthoc)
    changed = [name for name, value in computed.items() if name in recorded and recorded[name] != value]
    added = [name for name in computed if name not in recorded]
    left_out = {name: reason for name, reason in left_out.items() if name not in recorded}
    before = results.get("left_out", {}), results.get("tuned", {})
    tuned = {**before[1], **tuned}
    if changed or added or (left_out, tuned) != before:
        _add(run, results, computed, left_out, tuned)
    report = f"{len(computed)} metrics, {len(added)} added, {len(changed)} changed"
    report += f" ({', '.join(changed)})" if changed else ""
    report += "".join(f"; {name} {computed[name]:.6g}" for name in added[:_MOST_PRINTED])
    report += f"; and {len(added) - _MOST_PRINTED} more in results.json" if len(added) > _MOST_PRINTED else ""
    return report + "".join(f"; no {name}: {reason}" for name, reason in left_out.items())


def _add(
    run: RunFolder,
    results: dict[str, Any],
    computed: dict[str, float],
    left_out: dict[str, str],
    tuned: dict[str, dict[str, Any]],
) -> None:
    """Write what was computed into `results.json`, beside what others have written there since `results` was read."""
    held = lock.hold(run.path, patience=_PATIENCE)
    try:
        now = RunFolder(run.path).results
        if now is None:
            raise InputError(f"{run.path} has no results any more: it is being evaluated in another way.")
        metrics = {**now["metrics"], **computed}
        before = results.get("left_out", {})
        theirs = {name: reason for name, reason in now.get("left_out", {}).items() if name not in before}
        left_out = {name: reason for name, reason in {**theirs, **left_out}.items() if name not in metrics}
        new = {**now, "metrics": metrics, "left_out": left_out, "tuned": {**now.get("tuned", {}), **tuned}}
        write_json(run.path / "results.json", new)
    finally:
        held.release()


def predict_anew(run: RunFolder, more: dict[str, Any]) -> str:
    """Predict from a run's trained network with more in its configuration's `evaluation`, measure, and say what."""
    script = trained.script_of(run)
    config = configuration.from_json(run.config)
    before = configuration.to_json(config)
    if more.get("config") is not None:
        section = getattr(script, "CONFIG", None)
        given = launch.get_config(more["config"], section, Path(script.__file__).stem)
        if given.dataset.name != config.dataset.name:
            raise InputError(
                f"--config={more['config']} is for the data set '{given.dataset.name}', and this run was trained on "
                f"'{config.dataset.name}'. Give a configuration file of that one."
            )
        config.evaluation = given.evaluation
    for name, field in {**dict(zip(_MEASURED, _MEASURED)), **_PREDICTED}.items():
        config.evaluation[field] = tuple(dict.fromkeys([*config.evaluation[field], *more[name]]))
    if configuration.to_json(config) == before and run.results is not None:
        return "has all of that already"
    tuned = (run.results or {}).get("tuned", {})
    results = script.main(config, training.Options(output_dir=run.path, data_dir=more["data_dir"], tuned=tuned))
    return f"predicted anew, {len(results['metrics'])} metrics"


if __name__ == "__main__":
    program.run("evaluate", main)

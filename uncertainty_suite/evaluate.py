"""Compute the metrics of finished runs anew from their saved predictions, without the models and without TensorFlow.

    python -m uncertainty_suite.evaluate runs/digits/*/seed*
    python -m uncertainty_suite.evaluate RUN --metrics mce sce --ood_scores energy --posthoc temperature_scaling raps

Metrics that were not asked for when the run was made are added to its `results.json`; those that were come out as they
were recorded, or the command says which do not.
"""

import argparse
import json
import sys
from pathlib import Path

from uncertainty_suite import evaluation
from uncertainty_suite.errors import InputError
from uncertainty_suite.files import write_json


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m uncertainty_suite.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a finished run's folder")
    parser.add_argument("--metrics", nargs="+", default=[], help="metrics to add")
    parser.add_argument("--ood_scores", nargs="+", default=[], help="OOD scores to add")
    parser.add_argument("--posthoc", nargs="+", default=[], help="calibrations and conformal predictors to add")
    arguments = parser.parse_args(argv)
    try:
        for folder in arguments.runs:
            print(f"{folder}: {reevaluate(folder, arguments.metrics, arguments.ood_scores, arguments.posthoc)}")
    except InputError as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 1
    return 0


def reevaluate(folder: Path, metrics: list[str], ood_scores: list[str], posthoc: list[str]) -> str:
    """Compute a run's metrics anew, write `results.json` if something is new or changed, and say what."""
    path = folder / "results.json"
    try:
        results = json.loads(path.read_text())
        recorded = results["metrics"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder} is no finished run: its results.json cannot be read ({error}).") from error
    computed = evaluation.compute(folder, metrics, ood_scores, posthoc)
    changed = [name for name, value in computed.items() if name in recorded and recorded[name] != value]
    added = [name for name in computed if name not in recorded]
    if changed or added:
        write_json(path, {**results, "metrics": {**recorded, **computed}})
    report = f"{len(computed)} metrics, {len(added)} added, {len(changed)} changed"
    return f"{report} ({', '.join(changed)})" if changed else report


if __name__ == "__main__":
    sys.exit(main())

"""Predict with the trained network of a run.

    python -m uncertainty_suite.predict RUN --inputs x.npy --output y.npz

Inputs are features as the network takes them, `[n, ...]`: what `datasets.get(...).load(...)` gives for a data set. The
output holds what a run saves of predictions (`log_probs`, or `mean` and `stddev`; uncertainties) and `features`.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from uncertainty_suite import program
from uncertainty_suite.errors import InputError, one_line
from uncertainty_suite.files import read_array, write_arrays
from uncertainty_suite.program import Parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = Parser(
        prog="python -m uncertainty_suite.predict",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a finished training")
    parser.add_argument("--inputs", required=True, type=Path, metavar="FILE", help="features [n, ...], .npy")
    parser.add_argument("--output", required=True, type=Path, metavar="FILE", help="the predictions, .npz")
    parser.add_argument("--data_dir", help="prepared data sets, for a script that looks at its training data")
    try:
        arguments = parser.parse_args(argv)
        features = _read(arguments.inputs)
        from uncertainty_suite import trained

        predictor = trained.load(arguments.run, arguments.data_dir)
        shape = predictor.input_shape
        if features.shape[1:] != shape:
            given = f"{arguments.inputs} holds examples of shape {features.shape[1:]}"
            raise InputError(f"{given}, and {arguments.run} takes {shape}.")
        arrays = predictor.arrays(features)
        write_arrays(arguments.output, arrays)
        print(f"{arguments.output}: {', '.join(f'{name} {list(each.shape)}' for name, each in arrays.items())}")
    except InputError as error:
        print(f"predict: {one_line(error)}", file=sys.stderr)
        return 1
    return 0


def _read(path: Path) -> np.ndarray:
    try:
        features = read_array(path)
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read features from {path} ({error}).") from error
    if features.ndim < 2 or not len(features):
        raise InputError(f"{path} must hold one array of features [n, ...] with some examples.")
    return features


if __name__ == "__main__":
    program.run("predict", main)

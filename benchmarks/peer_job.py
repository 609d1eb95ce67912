"""What the sides of `peers.py` are told and what they answer, for processes that have NumPy and libraries of their own.

`python peer_<libraries>.py WHAT FOLDER` does what it is asked with the job in a folder, and its last line on stdout is
what came of it, as JSON.
"""

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np


@dataclasses.dataclass(frozen=True)
class Job:
    """What all sides do.

    Attributes:
        folder: Where `job.json` lies, and `data.npz` with the images, uint8, and labels of all splits.
        epochs: Passes over the training data.
        batch_size: Of training.
        learning_rate: Of Adam, constant.
        dropout_rates: Behind the pooling and the dense layer of the network.
        num_samples: Passes of MC dropout, and networks that SWAG draws.
        size: Members of an ensemble.
    """

    folder: Path
    epochs: int
    batch_size: int = 128
    learning_rate: float = 1e-3
    dropout_rates: tuple[float, float] = (0.25, 0.5)
    num_samples: int = 10
    size: int = 4

    @property
    def swag_start(self) -> int:
        """Epochs after which SWAG collects weights for the first time, by our default; then it does after each."""
        return max(1, int(0.75 * self.epochs))

    def write(self) -> None:
        """Write it into its folder."""
        (self.folder / "job.json").write_text(json.dumps({**dataclasses.asdict(self), "folder": str(self.folder)}))

    @classmethod
    def read(cls, folder: str | Path) -> "Job":
        """Return the job of a folder."""
        values = json.loads(Path(folder, "job.json").read_text())
        return cls(**{**values, "folder": Path(folder), "dropout_rates": tuple(values["dropout_rates"])})

    def arrays(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Return images, float32 `[n, height, width, 1]` from 0 to 1, and labels, int64 `[n]`, of a split."""
        with np.load(self.folder / "data.npz") as file:
            return file[f"x_{split}"].astype(np.float32) / 255, file[f"y_{split}"].astype(np.int64)


def answer(functions: dict[str, Callable[[Job], dict[str, float]]]) -> None:
    """Do what the command line asks for, and print what came of it."""
    _, what, folder = sys.argv
    print(json.dumps({name: float(value) for name, value in functions[what](Job.read(folder)).items()}))


def brier_and_ece(probs: np.ndarray, labels: np.ndarray, num_bins: int = 15) -> dict[str, float]:
    """Return the Brier score and the expected calibration error, for sides whose libraries have none."""
    hits, confidence = probs.argmax(axis=1) == labels, probs.max(axis=1)
    bins = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    gaps = np.bincount(bins, hits - confidence, num_bins)
    return {
        "brier": float(((probs - np.eye(probs.shape[1])[labels]) ** 2).sum(axis=1).mean()),
        "ece": float(np.abs(gaps).sum() / len(labels)),
    }

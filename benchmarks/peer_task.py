"""The job of `peers.py` as a task of the suite: `--config=benchmarks/peer_task.py:FOLDER`, a folder with a job."""

import json
from pathlib import Path

from ml_collections import ConfigDict

from uncertainty_suite import datasets

# What torch-uncertainty measures, too: of predictions, and of the samples behind them.
METRICS = (
    *("accuracy", "nll", "brier", "ece", "gce(binning='split')", "entropy"),
    *("aurc", "augrc", "coverage_at_risk", "risk_at_coverage"),
)
OF_SAMPLES = ("disagreement", "mutual_information", "expected_entropy")


def get_config(folder):
    job = ConfigDict(json.loads(Path(folder, "job.json").read_text()))
    datasets.register(datasets.from_npz("peers", Path(folder, "data.npz")))

    config = ConfigDict()
    config.batch_size = job.batch_size
    config.epochs = job.epochs
    config.dataset = ConfigDict({"name": "peers"})
    config.model = ConfigDict({"name": "convnet", "num_hidden": 128, "dropout_rates": tuple(job.dropout_rates)})
    config.optimizer = ConfigDict({"name": "adam", "learning_rate": job.learning_rate, "schedule": "constant"})
    config.evaluation = ConfigDict({"metrics": METRICS})

    of_samples = {"evaluation": {"metrics": (*METRICS, *OF_SAMPLES)}}
    swag = {"num_samples": job.num_samples, "learning_rate_factor": 1.0, "scale": (0.5,)}
    config.methods = ConfigDict(
        {
            "mc_dropout": {"mc_dropout": {"num_samples": job.num_samples}, **of_samples},
            "deep_ensemble": {"deep_ensemble": {"size": job.size}, **of_samples},
            "batch_ensemble": {"batch_ensemble": {"size": job.size}, **of_samples},
            "swag": {"swag": swag, **of_samples},
        }
    )
    return config

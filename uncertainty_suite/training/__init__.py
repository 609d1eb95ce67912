"""The machinery that all training scripts share: the run, the loop, checkpoints, optimizers, devices."""

from uncertainty_suite.program import Interrupted
from uncertainty_suite.runs import PROTOCOL_VERSION
from uncertainty_suite.training.checkpoint import Checkpoint
from uncertainty_suite.training.loop import Loop, RolledBack
from uncertainty_suite.training.optimizers import annealed, get_optimizer, penalty, update
from uncertainty_suite.training.options import Options
from uncertainty_suite.training.parallel import shared_out, train_together
from uncertainty_suite.training.run import Restored, Run
from uncertainty_suite.training.schema import complete, validate
from uncertainty_suite.training.strategy import compile_steps, get_strategy
from uncertainty_suite.training.weights import Bank, LowRankGaussian, refresh_batch_norm, with_weights

__all__ = [
    "PROTOCOL_VERSION",
    "Bank",
    "Checkpoint",
    "Interrupted",
    "Loop",
    "LowRankGaussian",
    "Options",
    "Restored",
    "RolledBack",
    "Run",
    "annealed",
    "compile_steps",
    "complete",
    "get_optimizer",
    "get_strategy",
    "penalty",
    "refresh_batch_norm",
    "shared_out",
    "train_together",
    "update",
    "validate",
    "with_weights",
]

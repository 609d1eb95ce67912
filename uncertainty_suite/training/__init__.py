"""The machinery that all training scripts share: the run folder, the loop, checkpoints, optimizers, devices."""

from uncertainty_suite.training.checkpoint import Checkpoint
from uncertainty_suite.training.interruption import Interrupted
from uncertainty_suite.training.loop import Loop, RolledBack, set_checkpoint_interval, set_on_nan, set_steps_per_call
from uncertainty_suite.training.optimizers import WarmupStepDecay, get_optimizer, l2_penalty
from uncertainty_suite.training.parallel import run_together
from uncertainty_suite.training.run import PROTOCOL_VERSION, Run
from uncertainty_suite.training.strategy import compile_steps, get_strategy

__all__ = [
    "PROTOCOL_VERSION",
    "Checkpoint",
    "Interrupted",
    "Loop",
    "RolledBack",
    "Run",
    "WarmupStepDecay",
    "compile_steps",
    "get_optimizer",
    "get_strategy",
    "l2_penalty",
    "run_together",
    "set_checkpoint_interval",
    "set_on_nan",
    "set_steps_per_call",
]

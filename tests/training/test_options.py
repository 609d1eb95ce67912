import numpy as np
import pytest

from uncertainty_suite.errors import InputError
from uncertainty_suite.launch import Options


@pytest.mark.parametrize(
    ("interval", "seconds", "steps"),
    [
        ("30s", 30, np.inf),
        ("1min", 60, np.inf),
        ("1.5h", 5400, np.inf),
        ("1step", np.inf, 1),
        ("500 steps", np.inf, 500),
    ],
)
def test_checkpoint_interval(interval, seconds, steps):
    options = Options(checkpoint_every=interval)
    assert (options.seconds_per_checkpoint, options.steps_per_checkpoint) == (seconds, steps)


@pytest.mark.parametrize("interval", ["", "5", "0s", "-5s", "1.5steps", "1e3s", "fivemin", "5min "])
def test_unreadable_checkpoint_interval(interval):
    with pytest.raises(InputError, match=f"say; received '{interval}'"):
        Options(checkpoint_every=interval)


def test_other_values_that_are_not_allowed():
    with pytest.raises(InputError, match=r"Unknown value of --on_nan 'rolback'. Did you mean 'rollback'\?"):
        Options(on_nan="rolback")
    with pytest.raises(InputError, match=r"--output_dir is empty. Name a folder, or leave the flag out\."):
        Options(output_dir="")
    with pytest.raises(InputError, match=r"--steps_per_call must be at least 1, received 0\."):
        Options(steps_per_call=0)


DRAW = """
import sys
from uncertainty_suite import configuration, launch, tf, training
config = configuration.load("configs/two_moons.py")
options = launch.Options(output_dir=sys.argv[1], deterministic_ops=sys.argv[2] == "True")
training.Run(config, "m.py", options)
print(float(tf.random.uniform([])))  # whose bits no seed decides
"""


@pytest.mark.parametrize("deterministic", [False, True])
def test_deterministic_ops_refuse_what_would_not_repeat(deterministic, scripts, tmp_path):
    (tmp_path / "draw.py").write_text(DRAW)
    ended = scripts.run([str(tmp_path / "draw.py"), str(tmp_path / "run"), str(deterministic)])
    assert (ended.status == 0) is not deterministic, ended.log
    assert ("Random ops require a seed" in ended.log) is deterministic

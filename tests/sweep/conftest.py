"""What the tests of sweeps share: the command in this process, and scripts of one's own."""

import signal
from pathlib import Path

import pytest

from tests.conftest import ROOT
from uncertainty_suite.sweep.__main__ import main

TINY = ["epochs=1", "evaluation.corruptions=()", "evaluation.ood_scores=()"]  # as `tests.tiny` has digits
DIGITS = f"{ROOT}/configs/digits.py"


@pytest.fixture(autouse=True)
def _signals(forget_models):
    """The command changes what signals do, as a program may."""
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.fixture
def sweep(tmp_path, capfd):
    """Run the command with the runs in `tmp_path / "out"`, and return its exit status, stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        status = main([*map(str, arguments), "--output_dir", str(tmp_path / "out")])
        return status, *capfd.readouterr()

    return run


def write_script(path: Path, before_run: str = "", section: str = "") -> Path:
    """Write a copy of `deterministic.py` that does something before it begins, and may have hyper-parameters."""
    source = (ROOT / "baselines/deterministic.py").read_text()
    opening = "    run = training.Run(config, __file__, options)\n"
    assert source.count(opening) == 1
    source = source.replace(opening, f"{before_run}{opening}")
    if section:
        source = source.replace("models, tf, training\n", f"models, tf, training\n\n{section}\n", 1)
        source = source.replace("__file__, options)", "__file__, options, CONFIG)")
    path.write_text(source)
    return path

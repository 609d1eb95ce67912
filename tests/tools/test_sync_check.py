import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

SCRIPTS = sorted(ROOT.glob("baselines/*.py"))


def sync_check(*scripts: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / "tools" / "sync_check.py", *scripts]
    return subprocess.run(command, capture_output=True, text=True)


def changed(folder: Path, old: str, new: str) -> Path:
    """Return a copy of the MC dropout script with a change."""
    text = (ROOT / "baselines" / "mc_dropout.py").read_text(encoding="utf-8")
    assert text.count(old) == 1
    (folder / "mc_dropout.py").write_text(text.replace(old, new), encoding="utf-8")
    return folder / "mc_dropout.py"


def test_the_scripts_share_their_blocks():
    result = sync_check()
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_shares_a_train_step_or_says_why_not(script):
    text = script.read_text(encoding="utf-8")
    for block in ("Model", "Train step", "Training"):
        assert f"# {block}. [shared]\n" in text or f"# {block}. Not shared: " in text, block


LOSS = "            objective = loss + training.penalty(model, config.optimizer.l2)\n"


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (
            LOSS,
            f"            loss = 2 * loss\n{LOSS}",
            "'# Train step. [shared]' differs from deterministic.py: 'loss = 2",
        ),
        (LOSS, "", "'# Train step. [shared]' differs from deterministic.py: 'norm = training.update"),
        (
            "        loop.take(steps)\n",
            "        loop.take(steps)\n        print(steps)\n",
            "'# Training. [shared]' differs",
        ),
        ("# Prediction.", "# Prediction. [shared]", "'# Prediction. [shared]' is no block of deterministic.py: take"),
    ],
)
def test_a_change_in_a_shared_block_is_found(old, new, found, tmp_path):
    result = sync_check(changed(tmp_path, old, new))
    assert result.returncode == 1
    assert found in result.stderr and len(result.stderr.splitlines()) == 1


def test_what_is_not_shared_may_change(tmp_path):
    old = "    trunk, rest = layers.split_at_stochastic(model)\n"
    assert sync_check(changed(tmp_path, old, f"{old}    print(trunk)\n")).returncode == 0
    taken_off = changed(tmp_path, "# Train step. [shared]", "# Train step. Not shared: the loss is doubled.")
    taken_off.write_text(taken_off.read_text().replace(LOSS, f"            loss = 2 * loss\n{LOSS}"))
    assert sync_check(taken_off).returncode == 0

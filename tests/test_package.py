"""What holds for the package as a whole."""

import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from uncertainty_suite import errors


@pytest.mark.parametrize(
    "module", ["uncertainty_suite", "uncertainty_suite.evaluation", "uncertainty_suite.leaderboard"]
)
def test_imports_no_tensorflow(module):
    code = f"import sys, {module}; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_parts_are_imported_when_they_are_used():
    import uncertainty_suite

    assert uncertainty_suite.metrics.names()
    with pytest.raises(AttributeError, match="no attribute 'metrix'"):
        _ = uncertainty_suite.metrix


def test_unknown_names_come_with_the_nearest():
    error = errors.unknown_name("data set", "cifar", ["mnist", "cifar10"])
    assert str(error) == "Unknown data set 'cifar'. Did you mean 'cifar10'? Known: cifar10, mnist."
    assert str(errors.unknown_name("data set", "xyz", ["mnist"])) == "Unknown data set 'xyz'. Known: mnist."


SCRIPTS = sorted(ROOT.glob("baselines/*.py"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_stand_alone(path):
    source = path.read_text()
    assert 60 <= len(source.splitlines()) <= 200
    for other in SCRIPTS:
        assert not re.search(rf"import.*\b{other.stem}\b", source)
    assert f"python baselines/{path.name} --config=configs/two_moons/{path.name}" in source
    assert f"`{path.stem}`" in (ROOT / "references.md").read_text()


def test_scripts_share_their_lines_to_the_letter():
    """A fix in one script is a fix in all: the train step and the loop are the same text, but for what a method is."""
    steps = {
        path.stem: re.search(
            r"    # Training\.\n(.*?)(?=\n    return model|\n    # Po|\n    # Pr)", path.read_text(), re.S
        )[1]
        for path in SCRIPTS
    }
    reference = steps.pop("deterministic").splitlines()
    for name, step in steps.items():
        shared = [line for line in step.splitlines() if line in reference]
        assert len(shared) >= len(reference) - 3, name

"""Methods of one network and one pass: what each becomes without its ingredient, and what it refuses."""

import pytest

from tests.tiny import load_script, section_of, tiny_config
from uncertainty_suite import training
from uncertainty_suite.errors import InputError

FOR_CLASSES = ("heteroscedastic", "het_sngp", "duq")


def train(method, folder, task="two_moons", **overrides):
    """Run a script in a folder, and return its results."""
    return load_script(method).main(tiny_config(method, task, **overrides), training.Options(output_dir=folder))


@pytest.mark.parametrize("method", FOR_CLASSES)
def test_methods_for_classes_refuse_targets_before_training(method, tmp_path):
    assert section_of(load_script(method)).likelihoods == ("categorical",)
    with pytest.raises(InputError, match="toy_regression"):
        train(method, tmp_path / "run", "toy_regression")
    assert not (tmp_path / "run").exists()

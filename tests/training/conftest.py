"""A configuration with all that a run folder reads."""

import pytest
from ml_collections import ConfigDict

from tests.conftest import ROOT
from uncertainty_suite import configuration, training


@pytest.fixture
def config() -> ConfigDict:
    """Two moons, complete and unlocked, without a method's section."""
    return training.complete(configuration.load(ROOT / "configs" / "two_moons.py"), None, "m").unlock()

"""A configuration with all that a run folder reads."""

import pytest
from ml_collections import ConfigDict

from tests.conftest import ROOT
from uncertainty_suite import configuration


@pytest.fixture
def config() -> ConfigDict:
    return configuration.load(ROOT / "configs" / "two_moons" / "deterministic.py")

"""What the tests of the scripts share."""

import pytest


@pytest.fixture(autouse=True)
def _forget_models(forget_models):
    return forget_models

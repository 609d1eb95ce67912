"""The finding of the SNGP tutorial, with the configurations as they are."""

import pytest

from tests.baselines.conftest import METHODS, load_script
from tests.conftest import ROOT
from uncertainty_suite import configuration


@pytest.mark.parametrize("method", METHODS)
def test_sngp_alone_knows_what_is_far_from_its_data(method, tmp_path):
    config = configuration.load(ROOT / "configs" / "two_moons" / f"{method}.py")
    metrics = load_script(method).main(config, tmp_path / "run")["metrics"]
    assert metrics["test/accuracy"] >= 0.985
    if method == "sngp":
        assert metrics["ood/ood/max_prob"] <= 0.7
        assert metrics["ood/ood/auroc"] >= 0.99
    else:
        assert metrics["ood/ood/max_prob"] >= 0.95

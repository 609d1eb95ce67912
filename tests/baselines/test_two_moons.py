"""The finding of the SNGP tutorial, with the configuration as it is."""

import pytest

from tests.conftest import ROOT
from tests.tiny import load_script, section_of
from uncertainty_suite import launch, training


@pytest.mark.parametrize(
    "method",
    [
        "sngp",
        *(pytest.param(method, marks=pytest.mark.slow) for method in ("deterministic", "mc_dropout", "deep_ensemble")),
    ],
)
def test_sngp_alone_knows_what_is_far_from_its_data(method, tmp_path):
    script = load_script(method)
    config = launch.get_config(ROOT / "configs/two_moons.py", section_of(script), method)
    metrics = script.main(config, training.Options(output_dir=tmp_path / "run"))["metrics"]
    assert metrics["test/accuracy"] >= 0.985
    if method == "sngp":
        assert metrics["ood/ood/max_prob"] <= 0.7
        assert metrics["ood/ood/auroc"] >= 0.99
    else:
        assert metrics["ood/ood/max_prob"] >= 0.95

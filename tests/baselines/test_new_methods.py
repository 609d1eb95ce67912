"""A script of one's own, outside the repository: a copy with another loss, and one with a hyper-parameter."""

import pytest

from tests.conftest import ROOT
from tests.tiny import TASKS, tiny_config, untimed
from uncertainty_suite import configuration, leaderboard, load, training
from uncertainty_suite.errors import InputError

LOSS = '            loss = tf.reduce_mean(likelihood.loss(outputs, batch["labels"]))\n'
FOCAL_LOSS = {
    "Train one network by maximum likelihood": "Train one network by the focal loss (Lin et al. 2017)",
    LOSS: '            nll = likelihood.loss(outputs, batch["labels"])\n'
    "            loss = tf.reduce_mean((1 - tf.exp(-nll)) ** GAMMA * nll)\n",
}
FIXED = {**FOCAL_LOSS, LOSS: FOCAL_LOSS[LOSS].replace("GAMMA", "2.0")}
CHOSEN = {
    **FOCAL_LOSS,
    LOSS: FOCAL_LOSS[LOSS].replace("GAMMA", "config.focal.gamma"),
    "models, tf, training\n": (
        "models, tf, training\n"
        "from uncertainty_suite.configuration import Parameter, Section\n\n"
        'CONFIG = Section("focal", gamma=Parameter(2.0, "how much easy examples are played down", at_least=0))\n'
    ),
    "training.Run(config, __file__, options)": "training.Run(config, __file__, options, CONFIG)",
    "launch.run(main)": "launch.run(main, CONFIG)",
}


def copy_script(path, replacements):
    """Write `deterministic.py` with these replacements, and return it as a module."""
    source = (ROOT / "baselines/deterministic.py").read_text()
    for old, new in replacements.items():
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    path.write_text(source)
    return configuration.load_module(path)


@pytest.mark.parametrize("task", TASKS)
def test_a_copied_script_is_a_new_method(task, finished, tmp_path):
    fixed, chosen = (copy_script(tmp_path / f"{name}.py", each) for name, each in (("fixed", FIXED), ("focal", CHOSEN)))
    first = fixed.main(tiny_config("fixed", task, fixed), training.Options(output_dir=tmp_path / "runs/fixed"))
    assert (first["method"], "focal" in first["config"]) == ("fixed", False)
    results = {}
    for gamma in (2.0, 0.5):
        config = tiny_config("focal", task, chosen, focal__gamma=gamma)
        results[gamma] = chosen.main(config, training.Options(output_dir=tmp_path / f"runs/focal_{gamma}"))
        assert results[gamma]["config"]["focal"] == {"gamma": gamma}
    _, baseline = finished("deterministic", task)
    assert untimed(results[2.0]) == untimed(first) != untimed(baseline)
    assert untimed(results[0.5]) != untimed(first)
    assert results[0.5]["config_hash"] != results[2.0]["config_hash"]
    assert load(tmp_path / "runs/focal_0.5").likelihood.name == first["likelihood"]["name"]
    with pytest.raises(InputError, match=r"config.focal.gamma must be a number of at least 0, received -1.0"):
        chosen.main(tiny_config("focal", task, chosen, focal__gamma=-1.0), training.Options(output_dir=tmp_path / "x"))
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("task", TASKS)
def test_a_copied_script_is_on_the_leaderboard(task, finished, tmp_path):
    script = copy_script(tmp_path / "focal.py", CHOSEN)
    script.main(tiny_config("focal", task, script), training.Options(output_dir=tmp_path / "runs/focal"))
    table = leaderboard.render(leaderboard.read_records([tmp_path / "runs", finished("deterministic", task)[0]]))
    assert "| focal " in table
    assert "| deterministic " in table

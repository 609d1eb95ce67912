import logging

import pytest

from tests.tiny import load_script, tiny_config
from uncertainty_suite import training
from uncertainty_suite.errors import InputError
from uncertainty_suite.training import precision
from uncertainty_suite.training.run import provenance


def test_instructions_are_those_of_the_processor(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text(
        "processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_bf16 amx_bf16 fma\n\nprocessor\t: 1\nflags\t\t:\n"
    )
    assert precision.instructions(path) == ["avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16"]
    path.write_text("processor\t: 0\nFeatures\t: fp asimd bf16\n")
    assert precision.instructions(path) == ["asimd", "bf16"]
    path.write_text("processor\t: 0\n")
    assert precision.instructions(path) is None
    assert precision.instructions(tmp_path / "none") is None
    assert provenance()["hardware"]["instructions"] == precision.instructions()


def test_both_precisions_are_timed():
    assert 0 < precision.seconds("float32") < 30
    assert 0 < precision.seconds("bfloat16") < 30
    assert 0 < precision.seconds("float16") < 30


@pytest.mark.parametrize(("measured", "said"), [(5.44, True), (0.4, False)])
def test_a_slow_bfloat16_is_said_at_the_start(measured, said, monkeypatch, caplog):
    """The times of a processor are the one thing that a test cannot have."""
    monkeypatch.setattr(precision, "seconds", {"bfloat16": measured, "float32": 1.0}.get)
    monkeypatch.setattr(precision, "instructions", lambda: ["avx2", "fma"])
    with caplog.at_level(logging.WARNING, logger="absl"):
        precision.warn_if_slow("float32")
        assert not caplog.messages
        precision.warn_if_slow("mixed_bfloat16")
    expected = [
        "config.precision is mixed_bfloat16, and a convolution and a matrix product with their gradients take 5.4 x as "
        "long in bfloat16 as in float32 on this processor (which has avx2, fma), measured just now. The run goes on; "
        "with --config.precision=float32 it is probably faster here."
    ]
    assert caplog.messages == (expected if said else [])


def test_a_run_measures_before_it_trains_and_not_when_it_is_finished(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(precision, "warn_if_slow", asked.append)
    config = tiny_config("deterministic", precision="mixed_bfloat16", epochs=1)
    options = training.Options(output_dir=tmp_path / "run")
    for _ in range(2):
        load_script("deterministic").main(config, options)
        assert asked == ["mixed_bfloat16"]


def test_float16_is_for_one_device():
    precision.check_devices("mixed_float16", 1)
    precision.check_devices("mixed_bfloat16", 2)
    with pytest.raises(InputError) as error:
        precision.check_devices("mixed_float16", 2)
    assert str(error.value) == (
        "config.precision is mixed_float16, which trains on one device, and there are 2. Take "
        "--config.precision=mixed_bfloat16, or --strategy=one_device."
    )

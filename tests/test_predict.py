"""`python -m uncertainty_suite.predict`."""

import numpy as np
import pytest

from tests.test_trained import content_of, features_of
from tests.tiny import CORE, arrays_of
from uncertainty_suite import predict

pytestmark = pytest.mark.usefixtures("forget_models")


@pytest.mark.parametrize("method", CORE)
def test_predictions_of_a_file_are_those_that_the_run_saved(method, finished, tmp_path, capsys):
    folder, _ = finished(method)
    before = content_of(folder)
    np.save(tmp_path / "x.npy", features_of("two_moons"))
    arguments = [str(folder), "--inputs", str(tmp_path / "x.npy"), "--output", str(tmp_path / "y.npz")]
    assert predict.main(arguments) == 0
    assert "log_probs [1000, 2]" in capsys.readouterr().out
    arrays, saved = arrays_of(tmp_path / "y.npz"), arrays_of(folder / "predictions/test.npz")
    assert "log_probs" in arrays
    for name in arrays.keys() & saved.keys():
        np.testing.assert_array_equal(arrays[name], saved[name], err_msg=name)
    assert content_of(folder) == before


def test_what_is_wrong_is_one_line(finished, tmp_path, capsys):
    folder, _ = finished("deterministic")
    inputs, output = tmp_path / "x.npy", tmp_path / "y.npz"

    def error_of(run) -> str:
        assert predict.main([str(run), "--inputs", str(inputs), "--output", str(output)]) == 1
        error = capsys.readouterr().err
        assert len(error.splitlines()) == 1
        assert not output.exists()
        return error

    assert f"Cannot read features from {inputs}" in error_of(folder)
    inputs.write_text("no array")
    assert f"Cannot read features from {inputs}" in error_of(folder)
    np.save(inputs, np.zeros(3))
    assert "must hold one array of features [n, ...]" in error_of(folder)
    np.save(inputs, np.zeros((3, 5)))
    assert f"holds examples of shape (5,), and {folder} takes (2,)" in error_of(folder)
    np.save(inputs, np.zeros((3, 2)))
    assert "is no run folder" in error_of(tmp_path)

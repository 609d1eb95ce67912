import pytest

from tests.figures.conftest import classified, probabilities, regressed
from uncertainty_suite import figures
from uncertainty_suite.errors import InputError


def test_refuses_no_run():
    with pytest.raises(InputError, match=r"There is no run to draw"):
        figures.risk_coverage({})


def test_refuses_runs_of_another_likelihood(make_run):
    classes = make_run({"test": classified(probabilities(5), [0] * 5)}, "classes")
    numbers = make_run({"test": regressed([[1.0, 2.0]], [[1.0, 1.0]], [1.0, 2.0])}, "numbers", task="toy_regression")
    with pytest.raises(InputError, match=r"This figure is of a categorical likelihood, and .*numbers has a gaussian"):
        figures.reliability_diagram({"run": numbers})
    with pytest.raises(InputError, match=r"This figure is of a gaussian likelihood, and .*classes has a categorical"):
        figures.quantile_calibration({"run": classes})


def test_refuses_predictions_of_another_run(make_run):
    test = {"test": classified(probabilities(5), [0] * 5)}
    one, two = make_run(test, "one"), make_run(test, "two", seed=1)
    (one / "predictions/test.npz").write_bytes((two / "predictions/test.npz").read_bytes())
    with pytest.raises(InputError, match=r"test.npz are of another run"):
        figures.risk_coverage({"run": one})

import numpy as np
import pytest

from tests.figures.conftest import classified, probabilities, texts
from uncertainty_suite import datasets, figures
from uncertainty_suite.errors import InputError


def test_surfaces_and_points(make_run):
    probability = np.linspace(0, 1, 10_000, dtype=np.float32)
    grid = np.stack([1 - probability, probability], axis=1)
    predictions = {
        "grid": classified(grid, [-1] * 10_000),
        "ood/ood": classified(probabilities(500, classes=2), [-1] * 500),
    }
    run = make_run(predictions, task="two_moons")
    figure = figures.two_moons_surfaces({"first": run, "second": run})
    surfaces = [axis.images[0].get_array() for axis in figure.axes if axis.images]
    assert [surface.shape for surface in surfaces] == [(100, 100)] * 4
    np.testing.assert_allclose(surfaces[0].ravel(), probability, rtol=1e-5, atol=1e-7)
    assert surfaces[2].max() == pytest.approx(1, abs=1e-6)
    assert "first: p(class 1)" in [axis.get_title() for axis in figure.axes]
    assert texts(figure.axes[0]) == ["class 0", "class 1", "OOD"]
    drawn = figure.axes[0].collections[-1].get_offsets()
    np.testing.assert_array_equal(drawn, datasets.get("two_moons", "ood").features)
    (run / "predictions/grid.npz").unlink()
    with pytest.raises(InputError, match=r"There are no predictions .*predictions/grid.npz"):
        figures.two_moons_surfaces({"method": run})


def test_refuses_runs_without_a_grid(make_run):
    run = make_run({"test": classified(probabilities(5, classes=2), [0] * 5)}, task="two_moons")
    with pytest.raises(InputError, match=r"has not predicted the split 'grid': run with --config.evaluation.predict_o"):
        figures.two_moons_surfaces({"method": run})

import numpy as np
import pytest

from uncertainty_suite import figures
from uncertainty_suite.errors import InputError


@pytest.fixture
def run(tmp_path):
    probability = np.linspace(0, 1, 10_000, dtype=np.float32)
    (tmp_path / "run/predictions").mkdir(parents=True)
    np.savez(tmp_path / "run/predictions/grid.npz", probs=np.stack([1 - probability, probability], axis=1))
    return tmp_path / "run"


def test_two_moons_surfaces(run, tmp_path):
    figure = figures.two_moons_surfaces({"first": run, "second": run})
    surfaces = [axis.images[0].get_array() for axis in figure.axes if axis.images]
    assert [surface.shape for surface in surfaces] == [(100, 100)] * 4
    np.testing.assert_array_equal(surfaces[0].ravel(), np.linspace(0, 1, 10_000, dtype=np.float32))
    assert surfaces[2].max() == pytest.approx(1, abs=1e-6)
    titles = [axis.get_title() for axis in figure.axes]
    assert "first: p(class 1)" in titles
    for suffix in ("png", "svg"):
        assert figures.save(figure, tmp_path / "figures" / f"surfaces.{suffix}").stat().st_size > 10_000


def test_refuses_a_run_without_the_grid(tmp_path):
    with pytest.raises(InputError, match=r"has no predictions/grid.npz: it is no finished run on two_moons"):
        figures.two_moons_surfaces({"method": tmp_path})

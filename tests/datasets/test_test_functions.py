import numpy as np
import pytest
import scipy.optimize

from uncertainty_suite import datasets, testing
from uncertainty_suite.datasets import test_functions

# Published minimisers and minima, https://www.sfu.ca/~ssurjano/branin.html and hart6.html.
MINIMISERS = {
    "branin": ([[-np.pi, 12.275], [np.pi, 2.275], [9.42478, 2.475]], 0.397887),
    "hartmann6": ([[0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573]], -3.32237),
}


@pytest.mark.parametrize("name", MINIMISERS)
def test_minima_are_the_published_ones(name):
    function = getattr(test_functions, name)
    points, minimum = MINIMISERS[name]
    np.testing.assert_allclose(function(np.array(points)), minimum, atol=2e-5)
    for point in points:
        found = scipy.optimize.minimize(lambda x: function(x[np.newaxis])[0], np.array(point) + 0.01)
        np.testing.assert_allclose(found.x, point, atol=1e-3)


@pytest.mark.parametrize(("name", "best"), [("branin", -0.476387), ("hartmann6", 2.46374)])
def test_candidates_are_spread_over_the_domain_and_their_labels_are_to_be_large(name, best):
    data = datasets.get(f"optimization/{name}")
    assert data.num_examples == 1024
    assert data.labels.max() == pytest.approx(best, abs=1e-5)
    np.testing.assert_allclose(-getattr(test_functions, name)(data.features.astype(float)), data.labels, rtol=1e-4)
    delivered = np.concatenate([batch["features"] for batch in data.load(512)])
    # Each half of each coordinate has half of the points of a Sobol' sequence.
    assert np.abs(delivered).max() <= 1
    assert np.mean(delivered < 0, axis=0).tolist() == [0.5] * data.input_shape[0]
    testing.check_dataset(f"optimization/{name}")

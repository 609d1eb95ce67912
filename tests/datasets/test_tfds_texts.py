import numpy as np

from uncertainty_suite import datasets


def test_clinc_has_its_intents_and_queries_out_of_scope(data_dir):
    sizes = {"train": 15_000, "validation": 3_000, "test": 4_500, "validation_oos": 100, "test_oos": 1_000}
    for split, size in sizes.items():
        data = datasets.get("clinc_oos", split, data_dir)
        assert data.num_examples == size
        if split.endswith("oos"):
            assert set(data.labels) == {-1}
        else:
            np.testing.assert_array_equal(np.bincount(data.labels), [size // 150] * 150)
    assert 0.15 < np.mean(data.features[data.features > 0] == 1) < 0.25  # unknown words of queries out of scope

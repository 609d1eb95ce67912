import json

import numpy as np
import pytest

from tests.figures.conftest import classified, probabilities
from uncertainty_suite import datasets
from uncertainty_suite.figures import data
from uncertainty_suite.runs import RunFolder


def test_reads_the_examples_that_the_run_had(make_run):
    folder = make_run({"test": classified(probabilities(5), [0] * 5)})
    config = json.loads((folder / "config.json").read_text())
    config["dataset"] |= {"validation_percent": 0.1, "classes": [3, 5]}
    (folder / "config.json").write_text(json.dumps(config))
    for split in ("train", "validation", "test"):
        expected = datasets.get("digits", split).holding_out(0.1).classes((3, 5))
        np.testing.assert_array_equal(data.read(RunFolder(folder), split).element_ids, expected.element_ids)


def test_says_which_data_cannot_be_had(make_run):
    run = RunFolder(make_run({"test": classified(probabilities(5), [0] * 5)}, task="our_own"))
    with pytest.raises(data.NoDataError, match=r"Unknown data set 'our_own'"):
        data.read(run, "test")

"""The figure of the trials of a search."""

import matplotlib.colors
import numpy as np
import pytest

from uncertainty_suite import figures
from uncertainty_suite.errors import InputError

SCORES = [0.3, 0.1, None, 0.2]
TUNED = {
    "optimizer.learning_rate": {"values": [1e-4, 1e-3, 1e-2, 1e-3], "range": [1e-4, 1e-2, "log"]},
    "sngp.ridge_penalty": {"values": [0.0, 1.0, 2.0, 0.5], "range": [0.0, 2.0, "linear"]},
    "model.dropout_rates": {
        "values": [[0.1, 0.2], [0.3, 0.4], [0.1, 0.2], [0.3, 0.4]],
        "range": [[0.1, 0.2], [0.3, 0.4]],
    },
}
for _said in TUNED.values():
    _said.update(scores=SCORES, criterion="nll", split="validation", chosen=_said["values"][1])


def test_a_line_a_trial_over_an_axis_a_field(tmp_path):
    figure = figures.parallel_coordinates(TUNED)
    (axes,) = figure.axes
    trials = [line for line in axes.lines if len(line.get_ydata()) == 4]
    heights = {tuple(np.round(line.get_ydata()[:3], 6)): line for line in trials}
    assert heights.keys() == {(0, 0, 0.25), (0.5, 0.5, 0.75), (1, 1, 0.25), (0.5, 0.25, 0.75)}
    best, diverged = heights[0.5, 0.5, 0.75], heights[1, 1, 0.25]
    assert best.get_ydata()[3] == 0 and best.get_linewidth() > diverged.get_linewidth()
    assert np.isnan(diverged.get_ydata()[3]) and diverged.get_linestyle() == "--"
    assert heights[0, 0, 0.25].get_ydata()[3] == 1
    assert len({matplotlib.colors.to_hex(line.get_color()) for line in trials}) == 4
    names = [label.get_text() for label in axes.get_xticklabels()]
    expected = ["optimizer.learning_rate\n(log)", "sngp.ridge_penalty", "model.dropout_rates", "validation/nll"]
    assert names == expected
    texts = {text.get_text() for text in axes.texts}
    assert {"0.0001", "0.001", "0.01", "[0.1, 0.2]", "0.1", "0.3"} <= texts
    assert figures.save(figure, tmp_path / "trials.svg").exists()


def test_trials_that_all_diverged_and_no_trials():
    said = {"values": [0.1], "scores": [None], "criterion": "nll", "split": "validation", "range": []}
    assert len(figures.parallel_coordinates({"a": said}).axes[0].lines) == 3
    with pytest.raises(InputError, match="There are no trials to draw"):
        figures.parallel_coordinates({})

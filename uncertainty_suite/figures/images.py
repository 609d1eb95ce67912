"""The images that a run is least sure of, and those that it is surest of and wrong."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from uncertainty_suite.datasets.forms import Images
from uncertainty_suite.errors import InputError, unknown_name
from uncertainty_suite.figures import data, saved, style
from uncertainty_suite.likelihoods import Saved
from uncertainty_suite.metrics.base import Batch, check_positive_integer
from uncertainty_suite.runs import RunFolder

_COLUMNS = 4
_MAX_BARS = 10


@style.styled
def uncertain_images(
    runs: Mapping[str, str | Path],
    split: str = "test",
    count: int = 8,
    score: str | None = None,
    data_dir: str | Path | None = None,
) -> Figure:
    """Draw the most uncertain and the most confidently wrong images, each beside its predicted distribution.

    With more than ten classes only the ten most probable are shown. Where the run saved its samples, a line over each
    bar spans the middle 90 % of them.

    Args:
        runs: Run folders by the label that stands over their images.
        split: A labelled split.
        count: How many images of both kinds.
        score: What uncertain means: an uncertainty that the likelihood names or the method has saved. By default the
            one that every method has, log(1 - p) of the largest probability p.
        data_dir: Where prepared data sets lie; see `datasets.get`.

    Returns:
        Two subfigures a run, most uncertain and most confidently wrong, each of pairs of axes: image, distribution.

    Raises:
        InputError: A run is no classification, or has no predictions of the split or no such score; or the data cannot
            be had, are no images, or are not those that were predicted.
    """
    opened = saved.open_runs(runs, "categorical")
    check_positive_integer("count", count)
    count_rows = -(-count // _COLUMNS)
    height, legend_height = 0.45 + 1.25 * count_rows, 0.35  # inches
    heights = [height] * 2 * len(opened) + [legend_height]
    figure = Figure(figsize=(9.6, sum(heights)))
    *subfigures, bottom = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    for (label, run), above, below in zip(opened.items(), subfigures[::2], subfigures[1::2]):
        batch, arrays = saved.classified(run, split)
        uncertainty = run.task.likelihood.uncertainties(arrays)
        score = score or next(iter(uncertainty))
        if score not in uncertainty:
            raise unknown_name(f"uncertainty in the predictions of {run.path}", score, uncertainty)
        images = _images(run, split, arrays, data_dir)
        spread = np.quantile(arrays["samples"], [0.05, 0.95], axis=0) if "samples" in arrays else None
        most_uncertain = np.argsort(-uncertainty[score].astype(np.float64), kind="stable")[:count]
        wrong = np.flatnonzero(~batch.correct)
        most_wrong = wrong[np.argsort(-batch.confidence[wrong], kind="stable")][:count]
        for part, chosen, title in [
            (above, most_uncertain, f"{label}: the most uncertain"),
            (below, most_wrong, f"{label}: the most confidently wrong"),
        ]:
            part.suptitle(
                title if len(chosen) else f"{title} (none)", x=0.01, y=1 - 0.05 / height, ha="left", fontsize=10
            )
            grid = part.add_gridspec(
                count_rows,
                2 * _COLUMNS,
                left=0.02,
                right=0.98,
                top=1 - 0.45 / height,
                bottom=0.1 / height,
                hspace=0.3,
                wspace=0.3,
            )
            for place, i in enumerate(chosen):
                row, column = divmod(place, _COLUMNS)
                axis, bars = (part.add_subplot(grid[row, 2 * column + side]) for side in (0, 1))
                axis.imshow(images[i], cmap="gray_r", vmin=0, vmax=1)
                axis.set_axis_off()
                _draw_distribution(bars, i, batch, spread)
    bottom.legend(
        handles=[
            Patch(color=style.GREEN, label="label"),
            Patch(color=style.VERMILION, label="predicted, wrong"),
            Patch(color=style.GRAY, label="other classes"),
        ],
        loc="center",
        ncols=3,
    )
    return figure


def _draw_distribution(axis: Axes, i: int, batch: Batch, spread: np.ndarray | None) -> None:
    """Draw the predicted probabilities of example `i` as bars, the first class above."""
    probs, label, predicted = batch.probs[i], batch.labels[i], batch.predicted[i]
    classes = np.sort(np.argsort(-probs, kind="stable")[:_MAX_BARS])
    colors = np.where(classes == label, style.GREEN, np.where(classes == predicted, style.VERMILION, style.GRAY))
    places = np.arange(len(classes))
    axis.barh(places, probs[classes], color=colors)
    if spread is not None:
        axis.hlines(places, *spread[:, i, classes], color=style.BLACK, linewidth=0.8)
    title = f"{predicted}" if predicted == label else f"{predicted}, not {label}"
    axis.set_title(f"{title} ({probs[predicted]:.0%})", fontsize=8, pad=2)
    axis.set(xlim=(0, 1), xticks=[], ylim=(len(classes) - 0.5, -0.5))
    axis.set_yticks(places, map(str, classes), fontsize=6)
    axis.tick_params(length=0, pad=1)
    axis.spines["bottom"].set_visible(False)
    axis.grid(visible=False)


def _images(run: RunFolder, split: str, arrays: Saved, data_dir: str | Path | None) -> np.ndarray:
    """Return the images of saved predictions, float `[n, height, width]` or `[n, height, width, 3]` from 0 to 1."""
    found = data.read(run, run.task.split(split).name, data_dir)
    if not isinstance(found.source.form, Images):
        raise InputError(f"Data set '{found.name}' has no images to draw: its examples are {found.source.form}.")
    index = np.searchsorted(found.element_ids, arrays["element_id"])
    index = np.minimum(index, found.num_examples - 1)
    same = (found.element_ids[index] == arrays["element_id"]) & (found.labels[index] == arrays["labels"])
    if not same.all():
        raise data.NoDataError(
            f"Predictions of split '{split}' in {run.path} are not those of the data found: element "
            f"{arrays['element_id'][~same][0]} has another label or is not there. Is it another version of the data?"
        )
    images = found.features[index] / found.source.maximum
    return images[..., 0] if images.shape[-1] == 1 else images

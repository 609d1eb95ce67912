"""The trials of a search of hyper-parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from uncertainty_suite.errors import InputError
from uncertainty_suite.figures import style

_ENDS = (0.0, 1.0)


@style.styled
def parallel_coordinates(tuned: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw every trial of a search as a line over one axis a field and one for what it was judged by.

    The line of what was chosen is thick. A trial whose numbers stopped being finite is dashed, and ends before the last
    axis.

    Args:
        tuned: What was tried and chosen, by field: `values` and `scores` `[trials]`, `criterion`, `split` and `range`,
            as records have it.

    Raises:
        InputError: Nothing was tried.
    """
    if not tuned:
        raise InputError("There are no trials to draw.")
    first = next(iter(tuned.values()))
    scores = np.array([np.nan if score is None else score for score in first["scores"]], float)
    axes = [_axis(field, said["values"], said.get("range", [])) for field, said in tuned.items()]
    axes.append(_axis(f"{first['split']}/{first['criterion']}", scores.tolist(), []))
    heights = np.stack([height for _, height, _ in axes], axis=1)  # [trials, axes]
    figure = Figure(figsize=(1.7 * len(axes) + 1, 3.6), layout="constrained")
    axis = figure.subplots()
    finite = scores[np.isfinite(scores)]
    colors = ScalarMappable(Normalize(*(finite.min(), finite.max()) if len(finite) else _ENDS), "viridis")
    best = int(np.nanargmin(scores)) if len(finite) else -1
    for trial in np.argsort(-np.nan_to_num(scores, nan=np.inf), kind="stable"):  # the best ones above the others
        good = np.isfinite(scores[trial])
        axis.plot(
            heights[trial],
            color=colors.to_rgba(scores[trial]) if good else style.GRAY,
            linestyle="-" if good else "--",
            linewidth=3 if trial == best else 1,
            clip_on=False,
        )
    for place, (_, _, ticks) in enumerate(axes):
        axis.axvline(place, color="black", linewidth=0.8)
        for height, text in ticks:
            axis.annotate(text, (place, height), (4, 0), textcoords="offset points", va="center", fontsize="small")
    axis.set_xticks(range(len(axes)), [name for name, _, _ in axes])
    axis.set_yticks([])
    axis.set_ylim(*_ENDS)
    axis.grid(visible=False)
    for side in ("left", "bottom"):
        axis.spines[side].set_visible(False)
    axis.set_title(f"{len(scores)} trials")
    return figure


def _axis(name: str, values: Sequence[Any], ends: Sequence[Any]) -> tuple[str, np.ndarray, list[tuple[float, str]]]:
    """Return a field's name with its scale, the height `[trials]` of each value from 0 to 1, and ticks."""
    numbers = all(type(value) in (int, float) for value in values)
    if not numbers or (ends and ends[-1] not in ("linear", "log")):
        choices = ends or sorted(set(map(str, values)))
        texts = [str(each) for each in choices]
        places = {text: (i + 0.5) / len(texts) for i, text in enumerate(texts)}
        return (
            name,
            np.array([places[str(value)] for value in values]),
            [(place, text) for text, place in places.items()],
        )
    array = np.array(values, float)
    log = bool(ends) and ends[-1] == "log"
    low, high = (float(end) for end in ends[:2]) if ends else _span(array)
    shares = np.log(array / low) / np.log(high / low) if log else (array - low) / (high - low)
    middle = np.sqrt(low * high) if log else (low + high) / 2
    ticks = [(0.0, f"{low:.3g}"), (0.5, f"{middle:.3g}"), (1.0, f"{high:.3g}")]
    return f"{name}\n(log)" if log else name, shares, ticks


def _span(array: np.ndarray) -> tuple[float, float]:
    """Return the least and the greatest finite number, apart where they are equal."""
    finite = array[np.isfinite(array)]
    if not len(finite):
        return _ENDS
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)

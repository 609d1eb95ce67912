"""Where a metric was measured: on a split, or as a mean over several, found by the record's own list of splits."""

import dataclasses
from collections.abc import Iterable, Mapping

from uncertainty_suite.tasks import Split

_SECTIONS = {"test": "labelled", "validation": "labelled", "shift": "shift", "near_ood": "ood", "far_ood": "ood"}


@dataclasses.dataclass(frozen=True)
class Place:
    """What the first part of a metric's name stands for.

    Attributes:
        key: That part: a split's key; or `shift/mean`, `shift/severity_3`, `ood/near`, `ood/far`, which are means over
            splits; or `shift`, `tuning_gap` (of scores on the OOD sets) and `failure` (over all labelled and OOD sets),
            for what is made of several splits in another way.
        section: `inside` for the in-distribution split, `labelled` for the others of its kind, `shift`, `ood` or
            `failure`.
        splits: The splits behind it.
        is_mean: Whether it is a mean over its splits.
    """

    key: str
    section: str
    splits: tuple[Split, ...]
    is_mean: bool = False

    @property
    def severity(self) -> int | None:
        """The severity of its shifts; None where there is none, or several."""
        severities = {split.severity for split in self.splits} if self.section == "shift" else set()
        return (severities.pop() or None) if len(severities) == 1 else None


class Places:
    """All places of a task.

    Example:
        >>> place, name = Places(record.splits, record.in_distribution).of("shift/fog_3/ece")
        >>> place.key, place.section, name
        ('shift/fog_3', 'shift', 'ece')
    """

    def __init__(self, splits: Iterable[Split], in_distribution: str) -> None:
        """Name the splits, and the one that the others are compared with."""
        splits = list({split.key: split for split in splits}.values())
        places = [Place(in_distribution, "inside", ())]
        for split in splits:
            section = "inside" if split.key == in_distribution else _SECTIONS.get(split.role)
            if section:
                places.append(Place(split.key, section, (split,)))
        shifts = tuple(split for split in splits if split.role == "shift")
        if shifts:
            places += [Place("shift", "shift", shifts), Place("shift/mean", "shift", shifts, True)]
            for severity in sorted({split.severity for split in shifts if split.derived}):
                of_severity = tuple(split for split in shifts if split.severity == severity)
                places.append(Place(f"shift/severity_{severity}", "shift", of_severity, True))
        for role, key in (("near_ood", "ood/near"), ("far_ood", "ood/far")):
            if outside := tuple(split for split in splits if split.role == role):
                places.append(Place(key, "ood", outside, True))
        places += [Place("tuning_gap", "ood", ()), Place("failure", "failure", ())]
        self.by_key: Mapping[str, Place] = {place.key: place for place in places}
        self._found: dict[str, tuple[Place | None, str]] = {}
        self._longest_first = sorted(self.by_key.values(), key=lambda place: len(place.key), reverse=True)

    def of(self, metric: str) -> tuple[Place | None, str]:
        """Return the place of a metric and the rest of its name; None and all of it where it has no place."""
        if metric not in self._found:
            longest = next((place for place in self._longest_first if metric.startswith(f"{place.key}/")), None)
            self._found[metric] = longest, metric[len(longest.key) + 1 :] if longest else metric
        return self._found[metric]

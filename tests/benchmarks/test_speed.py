import json
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import ROOT

sys.path.append(str(ROOT / "benchmarks"))
import comparison


@pytest.mark.parametrize(
    ("unit", "target", "value", "met"),
    [
        ("x faster", 3.0, 4.0, True),
        ("x faster", 5.0, 4.0, False),
        ("x its time", 0.25, 0.25, True),
        ("x its time", 0.2, 0.25, False),
        ("s beyond it", -3.0, -3.0, True),
        ("s", 0.5, 1.0, False),
        ("x faster", None, 4.0, True),
    ],
)
def test_a_row_is_judged_by_the_medians(unit, target, value, met):
    ours, theirs = np.array([1.0, 9.0, 1.0]), np.array([4.0, 4.0, 0.1])
    row = comparison.Row("this", "that", ours, theirs, unit, target).summarize()
    assert (row["value"], row["met"]) == (value, met)
    assert ("MISSED" in comparison.format_line(row)) == (not met)


def test_spread_is_half_the_distance_of_the_quartiles_of_the_wider_side():
    ours, theirs = np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([3.0, 3.0, 3.0])
    assert comparison.Row("this", "that", ours, theirs, "x faster").summarize()["spread"] == pytest.approx(1 / 3)


def test_sides_take_turns_after_a_warm_up():
    calls = []
    sides = {"ours": lambda: calls.append("ours"), "theirs": lambda: calls.append("theirs")}
    seconds = comparison.compare(sides, repeats=2)
    assert calls == ["ours", "theirs"] * 3
    assert {name: values.shape for name, values in seconds.items()} == {"ours": (2,), "theirs": (2,)}


@pytest.mark.slow  # a minute
def test_the_benchmark_writes_what_it_prints_and_fails_if_a_target_is_missed(tmp_path):
    command = ["benchmarks/speed.py", "--quick", "--only", "two_moons", f"--output_dir={tmp_path}"]
    ran = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
    record = json.loads((tmp_path / "two_moons.json").read_text())
    assert {"revision", "versions", "hardware", "started_at", "command"} <= record.keys()
    (row,) = record["rows"]
    assert row["value"] == row["theirs"] / row["ours"] > 0
    assert ran.stdout.splitlines()[1] == comparison.format_line(row)
    assert ran.returncode == (0 if row["met"] else 1), ran.stderr
    assert (tmp_path / "speed.png").stat().st_size > 0


def test_the_page_quotes_the_committed_results():
    page = (ROOT / "docs/speed.md").read_text()
    rows = comparison.read_rows(ROOT / "benchmarks/results")
    assert rows
    assert "\n".join([comparison.HEADER, *map(comparison.format_line, rows)]) in page
    for path in (ROOT / "benchmarks/results").glob("*.txt"):
        assert path.read_text().rstrip() in page

import json
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import ROOT

sys.path.append(str(ROOT / "benchmarks"))
import comparison
import limits
import speed

from uncertainty_suite import training


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


@pytest.mark.parametrize(("target", "reason"), [(1.0, ": Mul 25%, Sin 8%"), (4.0, "")])
def test_a_missed_target_is_printed_with_what_ours_does_beside(target, reason):
    beside = {"Sin": 0.08, "Mul": 0.251}  # by another order than that of the shares
    row = comparison.Row("this", "that", np.full(3, 2.0), np.ones(3), "x its time", target, None, beside)
    assert comparison.format_line(row.summarize()).endswith(f"against that{reason}")


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
    (path,) = tmp_path.glob("*.json")
    record = json.loads(path.read_text())["two_moons"]
    assert path.stem == comparison.kind_of(record["hardware"])
    assert {"revision", "versions", "hardware", "started_at", "command", "limits"} <= record.keys()
    (row,) = record["rows"]
    assert row["value"] == row["theirs"] / row["ours"] > 0
    assert row["ours"] > row["floor"] > 0
    assert ran.stdout.splitlines()[-2 + row["met"]] == comparison.format_line(row)
    assert ran.returncode == (0 if row["met"] else 1), ran.stderr
    assert path.with_suffix(".png").stat().st_size > 0


def test_the_page_has_the_tables_of_the_committed_records():
    page = (ROOT / "docs/speed.md").read_text()
    records = sorted(comparison.RESULTS.glob("*.json"))
    assert records
    assert comparison.format_tables() in page
    for path in records:
        for row in comparison.rows_of(json.loads(path.read_text())):
            assert comparison.format_line(row) in page
        assert path.with_suffix(".png").exists()


def test_processors_of_a_kind_have_a_record_together():
    hardware = {"processor": "Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz", "cpus": 4}
    assert comparison.kind_of(hardware) == "intel_xeon_platinum_8259cl_cpu_2_50ghz_4_cores"
    hardware |= {"instructions": ["avx2", "fma", "avx512f"]}
    assert comparison.kind_of(hardware) == "intel_xeon_platinum_8259cl_cpu_2_50ghz_avx512f_4_cores"


def test_tables_are_written_between_the_lines_of_a_page(tmp_path, monkeypatch, capsys):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- tables -->\nold\n<!-- end of tables -->\nafter\n")
    monkeypatch.setattr(sys, "argv", ["comparison.py", str(page)])
    comparison.main()
    comparison.main()
    start, end = "before\n<!-- tables -->\n\n", "\n<!-- end of tables -->\nafter\n"
    assert page.read_text() == start + comparison.format_tables() + end
    page.write_text("no lines")
    with pytest.raises(SystemExit):
        comparison.main()
    wanted = f"error: {page} must have the lines <!-- tables --> and <!-- end of tables --> once each."
    assert wanted in capsys.readouterr().err
    assert page.read_text() == "no lines"


def test_a_train_step_is_compared_with_its_own_products(tmp_path):
    rates = limits.Limits({"float32": 1e15}, {"in caches": 1e15, "in memory": 1e15}, 1e15)
    parts = speed.take("mc_dropout", "resnet_mlp", tmp_path)
    train_step, prediction = speed.compare_with_products("mc_dropout", parts, speed.Settings(1, True, tmp_path, rates))
    loop = parts.loop
    steps = training.compile_steps([loop.train_step], parts.run.strategy)
    steps([loop.batches], 1)
    assert [train_step.floor] == [flops / 1e15 for flops in steps.flops]  # as a run counts them
    for row in (train_step, prediction):
        assert (row.against, row.target) == ("its products alone", 1.2)
        assert row.ours > row.floor
        assert row.theirs > row.floor


def test_a_method_of_regression_is_measured_on_targets(tmp_path):
    parts = speed.take_for_its_products("quantile_regression", tmp_path)
    assert parts.run.task.likelihood.name == "gaussian"

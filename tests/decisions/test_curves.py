import dataclasses
import json
import os
import re

import numpy as np
import pytest

from tests.conftest import ROOT
from uncertainty_suite import figures
from uncertainty_suite.decisions import Progress, Record, __main__, read, report, table
from uncertainty_suite.errors import InputError


def make_record(**changes):
    curves = {
        "random": {"0": [0.5, 0.6], "1": [0.5, 0.7], "2": [0.4, 0.6]},
        "bald": {"0": [0.6, 0.7], "1": [0.6, 0.8], "2": [0.5, 0.3]},
    }
    values = {
        "decision": "active_learning",
        "title": "Active learning of made-up data",
        "budget": "labels",
        "budgets": (10, 20),
        "references": ("random",),
        "curves": {"accuracy": curves},
        "higher_is_better": {"accuracy": True},
        "made_by": {},
    }
    return Record(**{**values, **changes})


def test_tables_have_paired_intervals():
    lines = table(make_record(), "accuracy", "random").splitlines()
    assert lines[0] == "| labels | random: accuracy (higher is better) | bald - random |"
    # Equal differences have no spread; those of 0.1, 0.1 and -0.3 have a standard error of 0.1333, and t_2 is 4.3027.
    assert re.fullmatch(r"\| 10 \| 0\.4667 ± 0\.14 \| \*\*\+0\.1 \[\+0\.1, \+0\.1\]\*\* \|", lines[2])
    assert lines[3] == "| 20 | 0.6333 ± 0.14 | -0.0333 [-0.61, +0.54] |"
    assert lines[4].startswith("| mean | 0.55 ± ")
    assert report(make_record()).startswith("Active learning of made-up data, 3 seeds.\n\n| labels |")


def test_one_seed_has_no_interval():
    curves = {"accuracy": {"random": {"0": [0.5, 0.6]}, "bald": {"0": [0.6, 0.7]}}}
    assert "| 20 | 0.6 | +0.1 |" in table(make_record(curves=curves), "accuracy", "random")


def test_only_seeds_that_both_have_are_paired():
    curves = {"accuracy": {"random": {"0": [0, 1], "1": [0, 1]}, "bald": {"1": [3, 5], "2": [0, 0]}}}
    record = make_record(curves=curves)
    np.testing.assert_array_equal(record.differences("accuracy", "bald", "random"), [[3, 4]])


def test_records_come_back_and_are_drawn(tmp_path, capsys):
    record = make_record()
    path = tmp_path / "record.json"
    record.write(path)
    assert read(path) == record
    assert __main__.main([str(path), "--figures", str(tmp_path)]) == 0
    assert report(record) in capsys.readouterr().out
    drawn = (tmp_path / "record.svg").read_bytes()
    figures.save(figures.decision_curves(record), tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_bytes() == drawn
    path.write_text("{}")
    assert __main__.main([str(path)]) == 1
    assert capsys.readouterr().err.startswith(f"decisions: {path} is no record of decisions (")


def test_curves_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="accuracy of bald, seed 0, has 1 values, and there are 2 budgets"):
        make_record(curves={"accuracy": {"random": {"0": [0.5, 0.6]}, "bald": {"0": [0.6]}}})
    with pytest.raises(InputError, match="Unknown way to decide in accuracy 'entropy'"):
        make_record(references=("entropy",))


def test_progress_goes_on_and_refuses_other_settings(tmp_path):
    path = tmp_path / "bald/seed0.json"
    progress = Progress(path, {"rounds": 3, "ids": (1, 2)})
    assert progress.steps == []
    progress.add({"labels": 20, "next": [1]})
    assert Progress(path, {"rounds": 3, "ids": (1, 2)}).steps == [{"labels": 20, "next": [1]}]
    with pytest.raises(InputError, match=r"seed0.json was made with other settings \(rounds\). Choose another"):
        Progress(path, {"rounds": 4, "ids": (1, 2)})
    path.write_text("{")
    with pytest.raises(InputError, match=r"seed0.json is damaged \(.*\). Remove it, to begin anew"):
        Progress(path, {})


@pytest.mark.parametrize(
    "path",
    sorted(path for page in ("decisions", "adaptation") for path in ROOT.glob(f"benchmarks/results/{page}/*.json")),
    ids=lambda path: path.stem,
)
def test_tables_in_the_docs_are_those_of_the_records(path):
    assert report(read(path)) in (ROOT / f"docs/{path.parent.name}.md").read_text(encoding="utf-8")
    assert path.with_suffix(".svg").exists()


CHANGES = {
    "no object": ([], "it holds no object but a list"),
    "no curves": ({"curves": {}}, "There are no curves."),
    "another type": ({"curves": []}, "field 'curves' must be an object, not []"),
    "no number": ({"budgets": [1, "x"]}, "field budgets[] must be a finite number, not 'x'"),
    "too large": ({"budgets": [1, 1e300]}, "field budgets[] must be a number up to 1e+30, not 1e+300"),
    "a line more": ({"title": "a\n# b"}, r"field 'title' must be a printable text, not 'a\n# b'"),
    "no direction": ({"higher_is_better": {}}, "Nothing says whether a higher accuracy is better."),
    "no seed in common": (
        {"curves": {"accuracy": {"random": {"0": [0, 1]}, "bald": {"1": [0, 1]}}}},
        "The curves accuracy of bald and random have no seed in common.",
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_records_of_strangers_are_named_in_one_line(case, tmp_path, capsys):
    change, message = CHANGES[case]
    path = tmp_path / "record.json"
    content = dataclasses.asdict(make_record())
    path.write_text(json.dumps({**content, **change} if isinstance(change, dict) else change))
    assert __main__.main([str(path)]) == 1
    assert capsys.readouterr() == ("", f"decisions: {path} is no record of decisions ({message}).\n")


def test_a_fifo_in_the_place_of_a_record_does_not_hang(tmp_path, capsys):
    os.mkfifo(tmp_path / "record.json")
    assert __main__.main([str(tmp_path / "record.json")]) == 1
    assert "it is no regular file" in capsys.readouterr().err


def test_names_of_strangers_are_shown_as_they_are(tmp_path, capsys):
    curves = {"$\\frac$": {"<script>": {"0": [0.5, 0.6]}, "_a|b": {"0": [0.6, 0.7]}}}
    record = make_record(curves=curves, references=("<script>",), higher_is_better={"$\\frac$": True}, title="*x*")
    record.write(tmp_path / "record.json")
    assert __main__.main([str(tmp_path / "record.json"), "--figures", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert r"\*x\*, 1 seed." in said
    assert r"| labels | \<script\>: \$\\frac\$ (higher is better) | \_a\|b - \<script\> |" in said
    assert (tmp_path / "record.svg").exists()

"""Statistics over seeds and their rendering."""

import csv
import io
import json

import numpy as np
import pytest

from tests.leaderboard.conftest import SPLITS
from uncertainty_suite.errors import InputError
from uncertainty_suite.leaderboard import read_records, render, tables
from uncertainty_suite.leaderboard.rendering import title
from uncertainty_suite.leaderboard.tables import HEADLINE


def cells(markdown: str, task: str = "two_moons") -> list[dict[str, str]]:
    """Read a Markdown table back: one dict a row, header -> cell."""
    block = markdown.split(f"### {task}\n\n")[1].split("\n\n")[0]
    lines = [[cell.strip() for cell in line[2:-2].split(" | ")] for line in block.splitlines()]
    assert len({len(line) for line in lines}) == 1
    return [dict(zip(lines[0], line)) for line in lines[2:]]


@pytest.fixture
def records(make_run):
    """Return records of one task from `{method: {metric: values of the seeds}}`; None is a metric that a seed lacks."""

    def make(methods, **changes):
        folders = []
        for method, metrics in methods.items():
            for seed, values in enumerate(zip(*metrics.values())):
                values = {name: value for name, value in zip(metrics, values) if value is not None}
                folders.append(make_run(f"{method}/{seed}", values, method=method, seed=seed, **changes))
        return read_records(folders)

    return make


def test_mean_and_standard_error_are_numpys(records):
    values = [0.931, 0.942, 0.957, 0.925]
    (table,) = tables(records({"sngp": {"test/accuracy": values}}))
    statistic = table.rows[0].statistic("test/accuracy")
    assert statistic.replicates == ((0, 0), (0, 1), (0, 2), (0, 3))
    np.testing.assert_allclose(statistic.mean, np.mean(values))
    np.testing.assert_allclose(statistic.standard_error, np.std(values, ddof=1) / np.sqrt(4))
    # By hand: mean 0.93875, squared deviations 0.00059275, root of their third over four.
    np.testing.assert_allclose(statistic.standard_error, (0.00059275 / 3 / 4) ** 0.5)


def test_one_seed_has_no_standard_error(records):
    found = records({"sngp": {"test/nll": [0.25]}})
    assert tables(found)[0].rows[0].statistic("test/nll").standard_error is None
    assert cells(render(found)) == [{"method": "sngp", "seeds": "1", "test/nll ↓": "0.2500"}]


def test_the_best_is_bold_in_its_direction_and_only_where_there_is_one(records):
    found = records(
        {
            "a": {"test/accuracy": [0.9], "test/nll": [0.3], "ood/x/max_prob": [0.5], "train_seconds": [2]},
            "b": {"test/accuracy": [0.8], "test/nll": [0.2], "ood/x/max_prob": [0.6], "train_seconds": [3]},
        }
    )
    a, b = cells(render(found, metrics="test,ood,train_seconds"))
    assert (a["test/accuracy ↑"], b["test/accuracy ↑"]) == ("**0.9000**", "0.8000")
    assert (a["test/nll ↓"], b["test/nll ↓"]) == ("0.3000", "**0.2000**")
    assert (a["ood/x/max_prob"], b["ood/x/max_prob"]) == ("0.5000", "0.6000")
    assert (a["train_seconds"], b["train_seconds"]) == ("2.0000", "3.0000")


def test_what_looks_equal_is_bold_together(records):
    found = records({"a": {"test/nll": [0.12341]}, "b": {"test/nll": [0.12339]}, "c": {"test/nll": [0.1236]}})
    assert [row["test/nll ↓"] for row in cells(render(found))] == ["**0.1234**", "**0.1234**", "0.1236"]


def test_a_lone_value_is_not_best(records):
    found = records({"a": {"test/nll": [0.1], "test/ece": [0.1]}, "b": {"test/nll": [0.2], "test/ece": [None]}})
    a, b = cells(render(found))
    assert (a["test/ece ↓"], b["test/ece ↓"]) == ("0.1000", "—")
    assert a["test/nll ↓"] == "**0.1000**"


def test_what_a_search_chose_is_no_name_of_a_row_but_its_trials_are(make_run):
    said = {"values": [1] * 8, "chosen": 1, "criterion": "nll", "split": "validation", "range": [0.1, 10.0, "log"]}
    runs = [make_run("a", config={"rate": 0.1}), make_run("b", config={"rate": 0.5}, tuned={"rate": said})]
    rows = cells(render(read_records(runs)))
    assert sorted(row["trials"] for row in rows) == ["0", "8"]
    assert "rate" not in rows[0]


def test_a_search_that_does_not_say_what_it_tried_is_none(make_run):
    run = make_run("a", tuned={"rate": {"chosen": 1, "range": [0.1, 10.0]}})
    (table,) = tables(read_records([run]))
    assert [row.trials for row in table.rows] == [0]


def test_numbers_in_a_title_are_named():
    assert title({"method": "sngp", "precision": "float32", "epochs": "30", "rate": "1e-05"}) == (
        "sngp · float32 · epochs 30 · rate 1e-05"
    )


@pytest.mark.parametrize(
    ("metric", "values", "text"),
    [
        ("test/accuracy", [0.98712], "0.9871"),
        ("test/accuracy", [1.0, 1.0], "1.0000 ± 0.0000"),
        ("test/accuracy", [0.9, 0.5], "0.70 ± 0.20"),
        ("test/nll", [0.0000312, 0.0000314], "0.00003130 ± 0.00000010"),
        ("test/nll", [0.0], "0.0000"),
        ("test/nll", [-0.00000001, 0.9, -0.9], "0.00 ± 0.52"),
        ("train_seconds", [1234.56], "1,235"),
        ("train_seconds", [12.0, 22.0], "17.0 ± 5.0"),
        ("num_parameters", [1283714, 1283714], "1,283,714"),
        ("num_parameters", [10, 20], "15 ± 5"),
    ],
)
def test_numbers_have_the_digits_they_deserve(records, metric, values, text):
    (row,) = cells(render(records({"sngp": {metric: values}})))
    assert list(row.values())[-1] == text


def test_an_outlying_row_takes_no_digits_from_the_others(records):
    rows = cells(
        render(
            records({"a": {"test/rmse": [2.8, 3.2]}, "b": {"test/rmse": [3.1, 3.5]}, "c": {"test/rmse": [5e3, 1e3]}})
        )
    )
    assert [list(row.values())[-1].strip("*") for row in rows] == ["3.00 ± 0.20", "3.30 ± 0.20", "3,000.00 ± 2,000.00"]


def test_a_metric_that_some_seeds_lack_says_how_many_have_it(records):
    (row,) = cells(render(records({"a": {"test/nll": [0.1, 0.3, None], "test/ece": [0.1, 0.1, 0.1]}})))
    assert row["seeds"] == "3"
    assert row["test/nll ↓"] == "0.20 ± 0.10 (n=2)"


def test_default_columns_are_the_headline_in_a_stable_order(make_run):
    (row,) = cells(render(read_records([make_run("run")])))
    assert list(row) == [
        "method",
        "seeds",
        "test/accuracy ↑",
        "test/nll ↓",
        "test/brier ↓",
        "test/ece ↓",
        "ood/far/auroc ↑",
        "num_parameters",
        "train_seconds",
        "milliseconds_per_example",
    ]


def test_a_task_without_headline_metrics_shows_what_it_has(records):
    (row,) = cells(render(records({"a": {"train_seconds": [1], "test/something": [2], "shift/blur_1/nll": [3]}})))
    assert list(row) == ["method", "seeds", "test/something", "shift/blur_1/nll ↓", "train_seconds"]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ("test/nll,ood/*/auroc", ["test/nll", "ood/far/auroc"]),
        ("ood/*/auroc, test/nll", ["ood/far/auroc", "test/nll"]),
        ("ood/*/variance", ["ood/ood/variance/auroc"]),
        ("test", ["test/accuracy", "test/nll", "test/brier", "test/ece", "test/entropy"]),
        ("test/nll,test/n*", ["test/nll"]),
        (["num_*"], ["num_parameters"]),
    ],
)
def test_patterns_choose_the_columns(make_run, patterns, expected):
    found = read_records([make_run("run")])
    (row,) = cells(render(found, metrics=patterns))
    assert [name.split(" ")[0] for name in row][2:] == expected
    (table,) = json.loads(render(found, "json", patterns))
    assert list(table["rows"][0]["metrics"]) == expected


def test_a_pattern_that_matches_nothing_is_an_error(make_run):
    found = read_records([make_run("run")])
    with pytest.raises(InputError, match=r"^Unknown metric 'test/nl'\. Did you mean 'test/nll'\?"):
        render(found, metrics="test/nl")
    with pytest.raises(InputError, match=r"^Unknown format 'html'\."):
        render(found, "html")


def test_model_and_configuration_are_shown_where_they_tell_rows_apart(make_run):
    runs = [make_run("a"), make_run("b", method="sngp")]
    assert list(cells(render(read_records(runs)))[0])[:2] == ["method", "seeds"]

    runs.append(make_run("c", method="sngp", config={"a": 1, "b": 1, "c": 1}))
    found = read_records(runs)
    rows = cells(render(found))
    assert {row["config"] for row in rows} == {record.config_hash[:6] for record in found}

    runs.append(make_run("d", model="convnet"))
    rows = cells(render(read_records(runs)))
    assert [row["model"] for row in rows] == ["convnet", "resnet_mlp", "resnet_mlp", "resnet_mlp"]


def test_options_that_tell_rows_of_a_method_apart_are_shown(make_run):
    runs = [
        make_run(f"{method}-{width}", method=method, model="a", config={"model": {"width": width}})
        for method, width in (("a", 1), ("a", 4), ("b", 1))
    ]
    rows = cells(render(read_records(runs)))
    assert sorted((row["method"], row["width"]) for row in rows) == [("a", "1"), ("a", "4"), ("b", "1")]
    assert "width" not in render(read_records(runs[1:]))


def test_settings_of_training_are_shown_where_rows_differ_in_them(make_run):
    runs = [make_run("a", config={"precision": "float32", "epochs": 5})]
    runs.append(make_run("b", method="sngp", config={"precision": "float32", "epochs": 5}))
    assert list(cells(render(read_records(runs)))[0])[:2] == ["method", "seeds"]

    runs.append(make_run("c", config={"precision": "mixed_bfloat16", "epochs": 5}))
    rows = cells(render(read_records(runs)))
    assert list(rows[0])[:3] == ["method", "precision", "seeds"]
    assert [row["precision"] for row in rows] == ["float32", "mixed_bfloat16", "float32"]

    runs.append(make_run("d", method="twin", config={"epochs": 9}))
    rows = cells(render(read_records(runs)))
    assert [(row["precision"], row["epochs"]) for row in rows][-1] == ("—", "9")
    assert "config" not in rows[0]


def test_rows_do_not_depend_on_the_order_of_the_runs(make_run):
    runs = [make_run("a", seed=1), make_run("b", method="sngp"), make_run("c"), make_run("d", task="digits")]
    assert render(read_records(runs)) == render(read_records(runs[::-1]))


def test_names_stay_text_in_markdown(records):
    found = records({"a|b <i> *x* _y_ mc_dropout": {"test/nll": [0.1]}})
    assert r"| a\|b \<i\> \*x\* \_y\_ mc_dropout |" in render(found)


def test_csv_reads_back(records):
    values = [0.125, 0.5]
    found = records({"a,b": {"test/nll": values, "num_parameters": [7, 7]}, "c": {"test/accuracy": [1.0]}})
    rows = list(csv.DictReader(io.StringIO(render(found, "csv"))))
    assert [(row["method"], row["metric"]) for row in rows] == [
        ("a,b", "test/nll"),
        ("a,b", "num_parameters"),
        ("c", "test/accuracy"),
    ]
    assert float(rows[0]["mean"]) == np.mean(values)
    assert float(rows[0]["standard_error"]) == pytest.approx(np.std(values, ddof=1) / np.sqrt(2))
    assert rows[0]["num_seeds"] == "2"
    assert [row["higher_is_better"] for row in rows] == ["False", "", "True"]
    assert rows[2]["standard_error"] == ""


def test_json_reads_back_with_every_seed(records):
    found = records({"a": {"test/nll": [0.125, None, 0.5]}, "b": {"test/accuracy": [1.0]}})
    (table,) = json.loads(render(found, "json"))
    assert (table["task"], table["protocol_version"]) == ("two_moons", 1)
    assert table["higher_is_better"] == {"test/accuracy": True, "test/nll": False}
    a, b = table["rows"]
    assert a["seeds"] == [0, 1, 2]
    (metric,) = a["metrics"].values()
    assert metric["mean"] == 0.3125
    assert metric["standard_error"] == pytest.approx(np.std([0.125, 0.5], ddof=1) / np.sqrt(2))
    np.testing.assert_allclose(metric["interval"], 0.3125 + np.array([-1, 1]) * 12.7062 * 0.1875, rtol=1e-4)
    assert (metric["seeds"], metric["values"]) == ([0, 2], [0.125, 0.5])
    assert (metric["p_best"], metric["p_reference"], metric["tied_with_best"]) == (None, None, False)
    assert b["metrics"]["test/accuracy"]["standard_error"] is None


def test_one_table_a_task(make_run):
    markdown = render(read_records([make_run("a"), make_run("b", task="digits", metrics={"test/nll": 0.1})]))
    assert cells(markdown, "digits") == [{"method": "deterministic", "seeds": "1", "test/nll ↓": "0.1000"}]
    assert cells(markdown, "two_moons")[0]["test/nll ↓"] == "0.05000"


def test_a_task_of_regression_shows_the_headline_of_its_likelihood(fold_boards):
    (row, *_) = cells(render(read_records([fold_boards])), "uci/yacht")
    assert list(row) == [
        *("method", "folds", "test/rmse ↓", "test/gaussian_nll ↓", "test/crps ↓", "test/interval_coverage"),
        *("test/interval_width", "test/quantile_calibration_error ↓", "num_parameters", "train_seconds"),
        "milliseconds_per_example",
    ]


PROTOCOL_2 = {
    "failure/max_prob/augrc": 0.05,
    "failure/variance/auroc": 0.8,
    "num_parameters": 99714,
    "ood/far/auroc": 0.75,
    "prediction_flops_per_example": 2.5e7,
    "shift/mean/nll": 0.4,
    "test/ece": 0.02,
    "test/nll": 0.05,
    "test/temperature_scaling/ece": 0.01,
    "test/temperature_scaling/nll": 0.04,
    "train_flops": 1.23456e13,
    "tuning_gap/knn": 0.01,
}


def test_calibrated_metrics_stand_beside_the_raw_ones(make_run):
    (row,) = cells(render(read_records([make_run("run", PROTOCOL_2)])))
    assert list(row)[2:] == [
        *("test/nll ↓", "test/temperature_scaling/nll ↓", "test/ece ↓", "test/temperature_scaling/ece ↓"),
        *("shift/mean/nll ↓", "ood/far/auroc ↑", "failure/max_prob/augrc ↓"),
        *("num_parameters", "train_flops", "prediction_flops_per_example"),
    ]
    assert [row[name] for name in list(row)[-3:]] == ["99,714", "1.235e+13", "25,000,000"]
    (table,) = tables(read_records([make_run("again", PROTOCOL_2)]))
    assert table.metrics[:5] == (
        *("test/nll", "test/temperature_scaling/nll", "test/ece", "test/temperature_scaling/ece"),
        "shift/mean/nll",
    )
    assert [table.places.of(name)[0].section for name in ("failure/variance/auroc", "tuning_gap/knn")] == [
        "failure",
        "ood",
    ]


def test_counts_that_are_equal_have_no_error(records):
    (row,) = cells(render(records({"a": {"train_flops": [2e12, 2e12]}})))
    assert row["train_flops"] == "2.000e+12"


TUNED = {
    "a.factor": {"values": [1, 2, 3], "chosen": 2.5, "criterion": "nll", "split": "validation", "scores": [3, 1, 2]},
    "ood_scores.knn.k": {"values": [1, 5], "chosen": 5, "criterion": "auroc", "split": "ood_validation/texture"},
    "posthoc.temperature_scaling": {"fitted": {"temperature": 1.25}, "criterion": "nll", "split": "validation"},
}


def test_what_was_tuned_is_said_with_the_number_of_values(make_run):
    found = read_records([make_run("a", method="a", tuned=TUNED), make_run("b", method="b")])
    markdown = render(found, metrics="test/nll")
    assert [row["tuned"] for row in cells(markdown)] == ["factor (3)", "—"]
    assert "Tuned: on the validation split" in markdown
    (table,) = json.loads(render(found, "json", "test/nll"))
    assert [row["tuned"] for row in table["rows"]] == [{name: [said] for name, said in TUNED.items()}, {}]
    without = render(found[1:], metrics="test/nll")
    assert "tuned" not in without.lower()


def test_what_was_not_trained_here_is_marked(make_run):
    elsewhere = {"versions": {}, "trained_here": False}
    found = read_records([make_run("a"), make_run("b", method="mine", provenance=elsewhere)])
    markdown = render(found, metrics="test/nll")
    assert [row["method"] for row in cells(markdown)] == ["deterministic", "mine †"]
    assert "† Scored from predictions; not trained here." in markdown
    assert r"mine \dag{}" in render(found, "latex", "test/nll")
    (table,) = json.loads(render(found, "json", "test/nll"))
    assert [(row["method"], row["trained_here"]) for row in table["rows"]] == [("deterministic", True), ("mine", False)]
    assert "†" not in render(found[:1], metrics="test/nll")


def test_the_headline_is_that_of_the_in_distribution_split(make_run):
    splits = [{**SPLITS[0], "key": "validation", "role": "validation"}]
    metrics = {"test/nll": 0.1, "validation/nll": 0.2, "validation/ece": 0.3}
    run = make_run("run", metrics, splits=splits, in_distribution="validation")
    (row,) = cells(render(read_records([run])))
    assert list(row) == ["method", "seeds", "validation/nll ↓", "validation/ece ↓"]


def test_the_headline_holds_every_likelihood():
    assert {"test/nll", "test/rmse", "shift/mean/accuracy", "shift/mean/crps", "ood/far/auroc"} <= set(HEADLINE)


def test_folds_are_counted_and_averaged(fold_boards):
    twin = next(row for row in cells(render(read_records([fold_boards])), "uci/yacht") if row["method"] == "twin")
    assert twin["folds"] == "4"
    (table,) = tables(read_records([fold_boards]))
    (row,) = [row for row in table.rows if row.method == "twin"]
    assert (row.folds, row.seeds) == ((0, 1, 2, 3), (0,))
    statistic = row.statistic("test/rmse")
    assert statistic.mean == pytest.approx(np.mean([record.metrics["test/rmse"] for record in row.records]))
    assert "standard error over folds." in render(read_records([fold_boards]), metrics="num_parameters")
    (table,) = json.loads(render(read_records([fold_boards]), "json", "test/rmse"))
    assert table["rows"][2]["folds"] == [0, 1, 2, 3]
    assert table["rows"][2]["metrics"]["test/rmse"]["seeds"] == [0, 0, 0, 0]


def test_seeds_of_one_fold_are_averaged_before_their_spread_counts(make_run):
    """Six runs of two folds are two independent results, not six."""
    values = {(0, 0): 1.0, (0, 1): 1.2, (0, 2): 1.1, (1, 0): 3.0, (1, 1): 3.2, (1, 2): 3.1}
    runs = [
        make_run(f"{fold}-{seed}", {"test/nll": value}, seed=seed, config={"seed": seed, "dataset": {"fold": fold}})
        for (fold, seed), value in values.items()
    ]
    (table,) = tables(read_records(runs))
    statistic = table.rows[0].statistic("test/nll")
    assert statistic.mean == pytest.approx(2.1)
    assert statistic.standard_error == pytest.approx(1.0)
    (row,) = cells(render(read_records(runs)))
    assert row["folds"] == "2 (6 runs)"

"""Tables' statistics: who ties with the best, who differs from the reference, ranks over tasks."""

import csv
import dataclasses
import io
import json

import numpy as np
import pytest
import scipy.stats

from tests.leaderboard.conftest import EVALUATION
from uncertainty_suite.leaderboard import Analysis, add, rank, read_records, render, select, tables


@pytest.fixture
def analysis(boards):
    return {table.task: Analysis(table) for table in tables(read_records([boards]))}["toy"]


def by_method(analysis, metric):
    return dict(zip((row.method for row in analysis.table.rows), analysis.estimates(metric)))


@pytest.mark.parametrize("metric", ["test/accuracy", "test/nll", "test/brier"])
def test_the_better_method_is_best_alone_and_equal_ones_are_not_told_apart(analysis, metric):
    found = by_method(analysis, metric)
    assert found["sngp"].best
    assert not found["sngp"].tied
    assert found["sngp"].p_reference < 0.001
    assert max(found["twin"].p_best, found["deterministic"].p_best) < 0.001
    assert found["twin"].p_reference > 0.05
    assert found["deterministic"].p_reference is None
    assert found["sngp"].p_best is None


def test_equal_methods_tie(make_finished, tmp_path):
    for method in ("a", "b"):
        for seed in range(3):
            make_finished(method, seed)
    (table,) = tables(read_records([tmp_path / "runs"]))
    by_seeds = Analysis(table).estimates("test/nll")
    assert [estimate.tied for estimate in by_seeds] == [True, True]
    assert "**" in render(read_records([tmp_path / "runs"]), metrics="test/nll").splitlines()[4]
    assert "**" in render(read_records([tmp_path / "runs"]), metrics="test/nll").splitlines()[5]


def test_records_use_their_scores_and_run_folders_their_seeds(boards, tmp_path):
    kinds = {}
    for name, folder in {"scores": boards, "seeds": tmp_path / "runs"}.items():
        table = next(table for table in tables(read_records([folder])) if table.task == "toy")
        kinds[name] = by_method(Analysis(table), "test/accuracy")["twin"].p_reference
    assert kinds["scores"] != kinds["seeds"]


def test_the_calibrated_loss_is_compared_over_examples_too(make_finished, tmp_path):
    evaluation = {**EVALUATION, "splits": ["test", "validation"], "posthoc": ["temperature_scaling"]}
    runs = [make_finished(method, config={"evaluation": evaluation}) for method in ("deterministic", "sngp")]
    add(runs, tmp_path / "boards")
    analysis = Analysis(tables(read_records([tmp_path / "boards"]))[0])
    metric = "test/temperature_scaling/nll"
    for scores, row in zip(analysis.scores(metric), analysis.table.rows):
        assert scores.mean(dtype=np.float64) == pytest.approx(row.statistic(metric).mean, rel=1e-3)
    assert analysis.power(metric).num_examples == 300
    assert by_method(analysis, metric)["sngp"].p_reference < 1


def test_differences_to_the_reference_lie_in_their_interval(analysis):
    found = by_method(analysis, "test/nll")["sngp"]
    low, high = found.difference_interval
    reference = by_method(analysis, "test/nll")["deterministic"]
    assert found.difference == pytest.approx(found.statistic.mean - reference.statistic.mean)
    assert low < found.difference < high < 0


def test_example_intervals_are_of_scored_metrics_and_hold_their_means(analysis):
    assert analysis.example_intervals.keys() == {"test/accuracy", "test/nll", "test/brier"}
    for metric, intervals in analysis.example_intervals.items():
        for row, (low, high) in zip(analysis.table.rows, intervals):
            assert low < row.statistic(metric).mean < high


def test_what_has_no_direction_is_not_tested(analysis):
    for metric in ("num_parameters", "ood/photos/max_prob"):
        for estimate in analysis.estimates(metric):
            assert (estimate.best, estimate.tied, estimate.p_best, estimate.p_reference) == (False, False, None, None)


def test_a_method_that_lacks_a_metric_is_left_out(make_run):
    runs = [make_run("a"), make_run("b", {"test/accuracy": 0.5}, method="sngp")]
    (table,) = tables(read_records(runs))
    assert [bool(estimate) for estimate in Analysis(table).estimates("test/nll")] == [True, False]


def test_the_pareto_front_needs_both(analysis):
    methods = [row.method for row in analysis.table.rows]
    front = dict(zip(methods, analysis.pareto("test/nll", "num_parameters")))
    assert front["sngp"]  # the dearest and the best
    assert front["deterministic"] != front["twin"]  # equally dear, and one is better


def test_ranks_over_tasks(boards):
    found = tables(read_records([boards]))
    ranking = rank(found, "test/nll")
    assert ranking.methods[0] == "sngp"
    assert ranking.ranks[0] == 1
    assert np.isclose(sum(ranking.ranks), 6)
    assert ranking.groups == (ranking.methods,)  # two tasks tell nothing apart
    assert rank(found[:1], "test/nll") is None
    assert rank(found, "test/unheard_of") is None


def test_a_task_of_one_method_does_not_undo_the_ranking_of_the_others(boards, make_run):
    found = tables(read_records([boards]))
    alone = tables(read_records([make_run("alone", task="another", method="published")]))
    assert rank([*found, *alone], "test/nll") == rank(found, "test/nll")


def test_a_task_that_shares_no_methods_does_not_undo_the_ranking_of_the_others(boards, make_run):
    found = tables(read_records([boards]))
    others = [make_run(name, task="another", method=name) for name in ("published", "published_ensemble")]
    assert rank([*found, *tables(read_records(others))], "test/nll") == rank(found, "test/nll")


def test_ranked_is_where_the_critical_difference_is_the_least_part_of_the_range(make_run):
    methods = {"a": "ABCDE", "b": "ABCDE", "c": "ABC", "d": "ABC", "e": "ABC", "f": "AB"}
    runs = [
        make_run(f"{task}-{method}", {"test/nll": 0.1 * k}, task=task, method=method)
        for task, of_task in methods.items()
        for k, method in enumerate(of_task)
    ]
    # Of 2 tasks x 5 methods, 5 x 3 and 6 x 2: CD / (k - 1) is 4.31 / 4, 1.48 / 2 and 0.80 / 1.
    ranking = rank(tables(read_records(runs)), "test/nll")
    assert (ranking.tasks, ranking.methods, ranking.ranks) == (tuple("abcde"), tuple("ABC"), (1, 2, 3))
    assert ranking.critical_difference == pytest.approx(2.343 * (3 * 4 / (6 * 5)) ** 0.5, abs=1e-3)


def test_power_is_of_the_tests_in_the_table(analysis):
    power = analysis.power("test/nll")
    methods = [row.method for row in analysis.table.rows]
    assert (power.replicates, power.num_examples) == ((3, 3), 300)
    assert [methods[i] for i in power.seen] == ["sngp", "deterministic"]
    found = by_method(analysis, "test/nll")["sngp"]
    assert power.difference == found.difference
    sngp = methods.index("sngp")
    assert power.seen_needed == power.needed[sngp] == 2  # which three seeds found with p < 0.001
    assert power.seen_detectable == power.to_reference[sngp]
    # The interval's half-width is what half the draws detect; four of five need more.
    half = (found.difference_interval[1] - found.difference_interval[0]) / 2
    assert 1.3 * half < power.to_reference[sngp] < 1.6 * half
    assert power.needed[methods.index("twin")] > 3
    assert power.to_reference[methods.index("deterministic")] is None
    least, mean_square, most = power.detectable
    assert least < mean_square < most
    assert least <= power.to_reference[sngp] <= most


def test_power_is_over_seeds_where_the_test_is(analysis):
    assert analysis.power("test/ece").num_examples == 0
    assert analysis.power("num_parameters") is None


def test_power_is_over_folds_where_the_test_is(fold_boards):
    (table,) = tables(read_records([fold_boards]))
    power = Analysis(table).power("test/crps")
    assert (power.replicates, power.num_examples) == ((4, 6), 0)


def test_without_a_test_there_is_no_power(make_run):
    (table,) = tables(read_records([make_run("a"), make_run("b", method="b")]))
    assert Analysis(table).power("test/nll") is None
    assert Analysis(dataclasses.replace(table, rows=table.rows[:1])).power("test/nll") is None


def test_without_a_reference_power_is_of_the_two_best(make_run):
    runs = [
        make_run(f"{name}-{seed}", {"test/nll": nll + seed / 100}, method=name, seed=seed, config={name: {"size": 4}})
        for name, nll in {"a": 0.3, "b": 0.1, "c": 0.2}.items()
        for seed in range(2)
    ]
    power = Analysis(tables(read_records(runs))[0]).power("test/nll")
    assert power.seen == (1, 2)
    assert power.difference == pytest.approx(-0.1)


def test_a_ranking_that_hangs_on_one_seed_is_not_stable(make_run):
    values = {"a": [0.1, 0.1, 0.9], "b": [0.2, 0.2, 0.2], "c": [0.5, 0.5, 0.5]}
    runs = [
        make_run(f"{method}-{seed}", {"test/nll": value}, method=method, seed=seed)
        for method, of_method in values.items()
        for seed, value in enumerate(of_method)
    ]
    stability = Analysis(tables(read_records(runs))[0]).power("test/nll").stability
    # The order is b, a, c; and a, b, c without the last seed. Without another one a is the last by 0.5 to 0.5.
    assert (stability.left_out, stability.same_order, stability.same_best) == (3, 0, 2)
    tied = scipy.stats.kendalltau([2, 1, 3], [2, 1, 2])[0]
    assert stability.kendall_tau == pytest.approx((2 * tied + 1 / 3) / 3)


def test_csv_has_the_tests(boards):
    found = [table.metrics for table in select(tables(read_records([boards])), "test/nll")]
    assert found == [("test/nll",), ("test/nll",)]
    rows = list(csv.DictReader(io.StringIO(render(read_records([boards]), "csv", "test/nll"))))
    sngp = next(row for row in rows if row["method"] == "sngp")
    assert sngp["reference"] == "deterministic"
    assert float(sngp["p_reference"]) < 0.001
    assert float(sngp["interval_low"]) < float(sngp["mean"]) < float(sngp["interval_high"])
    assert [row["tied_with_best"] for row in rows if row["task"] == "toy"] == ["False", "True", "False"]


CALIBRATED = "temperature_scaling/nll"


@pytest.fixture
def with_ensembles(make_run):
    """Records of a single network, methods better, worse and between, and ensembles of some kinds."""
    curve = {f"ensemble/{size}/{CALIBRATED}": 0.2 + 0.2 / size for size in (1, 2, 4)}
    wrong = {f"ensemble/{size}/{CALIBRATED}": 0.1 + 0.1 / size for size in (1, 2, 4)}
    rows = {
        "deterministic": (0.41, 100, {}),
        "ensemble": (0.25, 400, {**curve, "train_flops": 4e9}),
        "shared": (0.3, 110, wrong),  # members with most weights in common
        "snapshots": (0.3, 400, {**wrong, "train_flops": 1e9}),  # members of one training
        "between": (0.2 + 0.2 / 3, 100, {}),
        "best": (0.1, 100, {}),
    }
    runs = [
        make_run(
            method,
            {f"test/{CALIBRATED}": loss, "num_parameters": size, "train_flops": 1e9, **more},
            method=method,
            config={} if method == "deterministic" else {method: {"size": 4}},
        )
        for method, (loss, size, more) in rows.items()
    ]
    return read_records(runs)


def test_equivalents_are_of_plain_ensembles(with_ensembles):
    (table,) = tables(with_ensembles)
    found = {row.method: one for row, one in zip(table.rows, Analysis(table).ensemble_equivalents)}
    shown = {method: str(one) for method, one in found.items()}
    assert shown == {
        "deterministic": "< 1", "ensemble": "4.0", "shared": "2.0", "snapshots": "2.0", "between": "3.0", "best": "> 4"
    }  # fmt: skip
    assert found["between"].members == pytest.approx(3)


def test_equivalents_stand_in_every_format(with_ensembles):
    header, _, *rows = [
        [cell.strip() for cell in line[2:-2].split(" | ")]
        for line in render(with_ensembles, metrics=f"test/{CALIBRATED}").splitlines()[2:10]
    ]
    assert header[-1] == "ensemble equivalent"
    assert {row[0]: row[-1] for row in rows}["best"] == r"\> 4"
    (table,) = json.loads(render(with_ensembles, "json", f"test/{CALIBRATED}"))
    assert {row["method"]: row["ensemble_equivalent"] for row in table["rows"]}["between"] == "3.0"
    lines = csv.DictReader(io.StringIO(render(with_ensembles, "csv", f"test/{CALIBRATED}")))
    assert {line["method"]: line["ensemble_equivalent"] for line in lines}["between"] == "3.0"
    assert "equivalent" not in render(with_ensembles, metrics="num_parameters")
    without = [record for record in with_ensembles if record.method != "ensemble"]
    assert "equivalent" not in render(without, metrics=f"test/{CALIBRATED}")


def test_a_wider_network_is_compared_with_the_usual_one(make_run):
    settings = {"a_wide": {"model": {"width": 8}}, "other": {"model": {"width": 1}, "other": {"size": 4}}}
    settings["plain"] = {"model": {"width": 1}}
    runs = [
        make_run(f"{method}-{seed}", {"test/nll": 0.1}, method=method, seed=seed, config=config)
        for method, config in settings.items()
        for seed in range(2)
    ]
    analysis = Analysis(tables(read_records(runs))[0])
    assert [analysis.reference(i) for i in range(3)] == ["plain", "plain", None]


def test_every_format_has_the_power_of_the_tests(boards, analysis):
    records = read_records([boards])
    power = analysis.power("test/nll")
    block = render(records, metrics="test/nll,num_parameters").split("### toy\n\n")[1].split("\n\n")[1]
    header, _, *rows = [[cell.strip() for cell in line[2:-2].split(" | ")] for line in block.splitlines()]
    (row,) = rows  # parameters have no direction, so there is no test
    assert row[:3] == ["test/nll ↓", "3 seeds x 300 examples", "sngp minus deterministic"]
    found = dict(zip(header, row))
    assert found["seeds needed"] == "2"
    assert float(found["seen"]) == pytest.approx(power.difference, rel=0.05)
    assert float(found["detectable"]) == pytest.approx(power.seen_detectable, rel=0.05)
    assert float(found["of any two"]) == pytest.approx(power.detectable[1], rel=0.05)
    assert found["best stays"] == "3 of 3"
    assert "Detectable: the smallest difference" in render(records, "terminal", "test/nll")
    assert render(records, "latex", "test/nll").count(r"\toprule") == 4

    rows = csv.DictReader(io.StringIO(render(records, "csv", "test/nll")))
    of_method = {row["method"]: row for row in rows if row["task"] == "toy"}
    sngp = [one.method for one in analysis.table.rows].index("sngp")
    assert float(of_method["sngp"]["detectable_difference"]) == power.to_reference[sngp]
    assert (of_method["sngp"]["replicates_needed"], of_method["sngp"]["same_best"]) == ("2.0", "3")
    assert of_method["deterministic"]["detectable_difference"] == ""
    (task,) = [table for table in json.loads(render(records, "json", "test/nll")) if table["task"] == "toy"]
    assert task["power"]["test/nll"]["detectable_differences"] == list(power.detectable)
    assert task["rows"][sngp]["metrics"]["test/nll"]["detectable_difference"] == power.to_reference[sngp]


def test_numbers_of_seeds_that_nobody_trains_are_not_named(make_run):
    values = {"a": [0.1, 0.5], "b": [0.2, 0.4001]}
    runs = [
        make_run(f"{method}-{seed}", {"test/nll": value}, method=method, seed=seed)
        for method, of_method in values.items()
        for seed, value in enumerate(of_method)
    ]
    assert "\\> 1,000" in render(read_records(runs), metrics="test/nll")
    (table,) = json.loads(render(read_records(runs), "json", "test/nll"))
    assert table["power"]["test/nll"]["replicates_needed"] is None


def test_latex_and_terminal(make_run):
    found = read_records([make_run("a", method="a_b & <c>"), make_run("b", {"test/nll": 0.5}, method="b")])
    latex = render(found, "latex", "test/nll")
    assert r"a\_b \& \textless{}c\textgreater{} & 1 & \textbf{0.0500} \\" in latex
    assert r"test/nll $\downarrow$" in latex
    terminal = render(found, "terminal", "test/nll").splitlines()
    assert terminal[4].split() == ["a_b", "&", "<c>", "1", "0.0500*"]
    assert terminal[5].split() == ["b", "1", "0.5000"]


@pytest.fixture
def two_precisions(make_run):
    """Runs of two tasks; in bfloat16 `a` is the better of two methods, in float32, with more seeds, `b` is."""
    runs = []
    for task in ("digits", "mnist"):
        for precision, nll_of, num_seeds in [
            ("mixed_bfloat16", {"deterministic": 0.5, "a": 0.1, "b": 0.2}, 2),
            ("float32", {"deterministic": 0.4, "a": 0.03, "b": 0.02}, 3),
        ]:
            for method, nll in nll_of.items():
                for seed in range(num_seeds):
                    runs.append(
                        make_run(
                            f"{task}-{precision}-{method}-{seed}",
                            {"test/nll": nll + 0.001 * seed},
                            task=task,
                            method=method,
                            seed=seed,
                            config={
                                "precision": precision,
                                "method": method,
                                "seed": seed,
                                **({} if method == "deterministic" else {method: {"size": 4}}),
                            },
                        )
                    )
    return tables(read_records(runs))


def test_rows_stand_in_the_order_of_methods_and_settings(two_precisions):
    for table in two_precisions:
        assert [(row.method, row.settings["precision"]) for row in table.rows] == [
            (method, precision) for method in ("a", "b", "deterministic") for precision in ("float32", "mixed_bfloat16")
        ]


def test_a_row_is_compared_with_the_deterministic_network_of_its_own_settings(two_precisions):
    table = two_precisions[0]
    nll_of_reference = {"float32": 0.4, "mixed_bfloat16": 0.5}
    for row, estimate in zip(table.rows, Analysis(table).estimates("test/nll")):
        if row.method == "deterministic":
            assert (estimate.difference, estimate.p_reference) == (None, None)
        else:
            expected = estimate.statistic.values[0] - nll_of_reference[row.settings["precision"]]
            assert estimate.difference == pytest.approx(expected)
            assert estimate.p_reference < 0.001


def test_without_one_of_its_own_settings_it_is_the_one_with_the_most_seeds(two_precisions):
    table = two_precisions[0]
    rows = [row for row in table.rows if (row.method, row.settings["precision"]) != ("deterministic", "mixed_bfloat16")]
    analysis = Analysis(dataclasses.replace(table, rows=tuple(rows)))
    assert [rows[i].settings["precision"] for i in analysis.references] == ["float32"] * len(rows)


@pytest.fixture
def two_searches(make_run):
    """Two tasks, on which three methods were trained as they are and after a search of eight trials."""

    def searched(rate):
        said = {"values": [rate] * 8, "chosen": rate, "criterion": "nll", "split": "validation"}
        return {"optimizer.learning_rate": {**said, "range": [1e-3, 1e-1, "log"]}}

    runs = []
    for task in ("one", "two"):
        for rate, gain in {0.01: 0.0, 0.05: 0.1}.items():
            for method, nll in {"a": 0.4, "b": 0.3, "deterministic": 0.5}.items():
                own = {} if method == "deterministic" else {method: {"size": 4}}
                for seed in range(2):
                    config = {"optimizer": {"learning_rate": rate}, "method": method, "seed": seed, **own}
                    metrics = {"test/nll": nll - gain + 0.001 * seed}
                    changes = {"tuned": searched(rate)} if gain else {}
                    name = f"{task}-{method}-{rate}-{seed}"
                    runs.append(make_run(name, metrics, task=task, method=method, seed=seed, config=config, **changes))
    return tables(read_records(runs))


def test_a_row_is_compared_with_the_deterministic_network_of_a_search_as_long(two_searches):
    (table, _) = two_searches
    assert sorted((row.method, row.trials) for row in table.rows) == [
        (method, trials) for method in ("a", "b", "deterministic") for trials in (0, 8)
    ]
    for row, estimate in zip(table.rows, Analysis(table).estimates("test/nll")):
        if row.method != "deterministic":
            assert estimate.difference == pytest.approx({"a": -0.1, "b": -0.2}[row.method])


def test_ranks_are_of_one_search(two_searches):
    ranking = rank(two_searches, "test/nll")
    assert ranking.methods == ("b", "a", "deterministic")
    assert ranking.ranks == (1, 2, 3)


def test_ranks_are_of_one_setting(two_precisions):
    ranking = rank(two_precisions, "test/nll")
    assert (ranking.methods, ranking.ranks) == (("b", "a", "deterministic"), (1, 2, 3))


def test_the_reference_is_the_first_method_without_hyper_parameters_whatever_its_name(make_run):
    configs = {"plain": {}, "naive": {}, "a": {"a": {"size": 4}}}
    runs = [
        make_run(f"{method}-{seed}", {"test/nll": 0.1}, method=method, seed=seed, config={"seed": seed, **config})
        for method, config in configs.items()
        for seed in range(2)
    ]
    (table,) = tables(read_records(runs))
    analysis = Analysis(table)
    assert [analysis.reference(i) for i in range(3)] == ["naive", None, "naive"]
    without = [record for record in read_records(runs) if record.method == "a"]
    assert Analysis(tables(without)[0]).reference(0) is None


def test_folds_are_compared_in_pairs(fold_boards):
    (table,) = tables(read_records([fold_boards]))
    analysis = Analysis(table)
    values = {row.method: row.statistic("test/crps").by_fold for row in table.rows}
    found = by_method(analysis, "test/crps")
    shared = [[values[method][fold] for fold in range(4)] for method in ("twin", "deterministic")]
    expected = scipy.stats.ttest_rel(*shared)
    assert found["twin"].difference == pytest.approx(np.mean(shared[0]) - np.mean(shared[1]))
    # Holm's factor is 2 for the smaller of two p-values and 1 for the larger.
    assert found["twin"].p_reference == pytest.approx(expected.pvalue)
    assert found["sngp"].p_reference < 0.001
    assert found["sngp"].best
    assert not found["twin"].tied
    assert analysis.example_intervals == {}  # each fold has examples of its own


def test_the_best_row_is_that_of_the_folds_that_all_rows_have(make_run):
    rmse_of_fold = {"deterministic": [1.0, 1.1, 5.0, 5.2], "lucky": [2.0, 2.2]}  # the folds of the one were easy
    runs = [
        make_run(
            f"{method}-{fold}",
            {"test/rmse": rmse},
            method=method,
            fold=fold,
            config={"seed": 0, "dataset": {"fold": fold}, **({} if method == "deterministic" else {method: {}})},
        )
        for method, values in rmse_of_fold.items()
        for fold, rmse in enumerate(values)
    ]
    (table,) = tables(read_records(runs))
    found = {row.method: estimate for row, estimate in zip(table.rows, Analysis(table).estimates("test/rmse"))}
    assert found["deterministic"].statistic.mean > found["lucky"].statistic.mean
    assert found["deterministic"].best
    assert not found["lucky"].best


def test_a_task_with_one_fold_is_compared_over_its_seeds(make_run):
    runs = [
        make_run(
            f"{method}-{seed}",
            {"test/nll": nll + 0.01 * seed},
            method=method,
            seed=seed,
            config={"seed": seed, "dataset": {"fold": 3}, **({method: {}} if method != "a" else {})},
        )
        for method, nll in {"a": 0.5, "b": 0.1}.items()
        for seed in range(3)
    ]
    (table,) = tables(read_records(runs))
    assert by_method(Analysis(table), "test/nll")["b"].p_reference < 0.001


def test_what_has_no_direction_ranks_nothing(boards):
    assert rank(tables(read_records([boards])), "num_parameters") is None

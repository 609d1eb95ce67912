"""Whether what papers say is what the records show."""

import dataclasses
import sys

import pytest
from scipy import stats

from tests.conftest import ROOT
from tests.tiny import METHODS
from uncertainty_suite import leaderboard

sys.path.insert(0, str(ROOT / "tools"))
import build_docs
import claims

CLAIMS = claims.read(ROOT / "docs/claims.json")


def analyse(board):
    (table,) = leaderboard.select(
        leaderboard.tables(leaderboard.read_records([ROOT / "leaderboards" / board])), None, headline=True
    )
    return leaderboard.Analysis(table)


@pytest.fixture(scope="module")
def analysis():
    return analyse("two_moons")


def test_each_method_has_a_claim():
    assert {claim.method for claim in CLAIMS} == set(METHODS) - {"deterministic"}  # the reference


def test_what_is_significant_in_the_claimed_direction_is_seen(analysis):
    better = claims.Claim("sngp", "It detects the far cluster.", "ood/far/auroc")
    cost = claims.Claim("sngp", "It trains faster.", "train_seconds")  # no direction, no test
    unmeasured = claims.Claim("sngp", "It is calibrated under shift.", "shift/mean/ece")
    found = list(claims.find([better, cost, unmeasured], [analysis]))
    assert [finding.claim for finding in found] == [better, cost]
    assert [finding.verdict for finding in found] == ["**seen**", "not tested"]
    assert dataclasses.replace(found[0], difference=-found[0].difference).verdict == "the opposite"
    row, reference = (analysis.table.rows[place] for place in (found[0].row, found[0].reference))
    assert (row.method, reference.method) == ("sngp", "deterministic")
    assert found[0].difference == pytest.approx(
        row.statistic("ood/far/auroc").mean - reference.statistic("ood/far/auroc").mean
    )


def test_an_uncertainty_of_the_method_is_compared_with_the_probabilities_of_the_other(analysis):
    claim = claims.Claim("ddu", "Its density finds the far cluster.", "ood/far/auroc", "negative_log_density")
    (finding,) = claims.find([claim], [analysis])
    rows = analysis.table.rows
    mine = rows[finding.row].statistic("ood/ood/negative_log_density/auroc")
    other = rows[finding.reference].statistic("ood/ood/auroc")
    assert finding.means == pytest.approx((mine.mean, other.mean))
    test = stats.ttest_ind(mine.values, other.values, equal_var=False)
    assert finding.p == pytest.approx(test.pvalue)
    assert finding.interval == pytest.approx(tuple(test.confidence_interval()))


@pytest.mark.parametrize(
    ("board", "the_other_is_better_by"),
    [("clinc_oos", {"text_cnn": "", "transformer": "score"}), ("minilm_clinc_oos", {"bert": "score"})],
)
def test_a_score_that_both_have_is_compared_with_the_better_of_the_other_s(board, the_other_is_better_by):
    claim = claims.Claim("sngp", "It finds queries that are out of scope.", "ood/near/auroc", "dempster_shafer")
    analysis = analyse(board)
    rows = analysis.table.rows
    findings = sorted(claims.find([claim], [analysis]), key=lambda finding: rows[finding.row].model)
    assert [rows[finding.row].model for finding in findings] == list(the_other_is_better_by)
    for finding, (model, better) in zip(findings, the_other_is_better_by.items()):
        assert rows[finding.reference].model == model
        means = {
            (method, by): rows[place].statistic(f"ood/test_oos/{name}auroc").mean
            for method, place in (("mine", finding.row), ("other", finding.reference))
            for by, name in (("", ""), ("score", "dempster_shafer/"))
        }
        assert finding.means == pytest.approx((means["mine", "score"], means["other", better]))
        assert means["other", better] == max(means["other", ""], means["other", "score"])


def test_what_is_not_significant_says_what_would_have_been(analysis):
    claim = claims.Claim("mc_dropout", "It has a lower NLL.", "test/nll")
    (finding,) = claims.find([claim], [analysis])
    assert finding.verdict == "not seen"
    assert finding.detectable > 0
    assert "| not seen; detectable from 0.00" in build_docs.claims_table([finding])

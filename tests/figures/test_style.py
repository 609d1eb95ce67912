import matplotlib as mpl
import pytest

from tests.figures.conftest import classified, digits_predictions, probabilities
from uncertainty_suite import figures
from uncertainty_suite.errors import InputError
from uncertainty_suite.figures import style
from uncertainty_suite.runs import RunFolder


def test_runs_of_one_method_share_a_colour(make_run):
    methods = ["sngp", "mine", "yours", "sngp"]
    test = {"test": classified(probabilities(5), [0] * 5)}
    looks = style.lines({f"{i}": RunFolder(make_run(test, f"{i}", method=name)) for i, name in enumerate(methods)})
    assert looks["0"] == {"color": style.BLUE, "linestyle": "-"}
    assert looks["3"] == {"color": style.BLUE, "linestyle": "--"}
    assert len({look["color"] for look in looks.values()}) == 3


def test_more_methods_than_colours_are_still_told_apart(make_run):
    test = {"test": classified(probabilities(5), [0] * 5)}
    looks = style.lines({f"{i}": RunFolder(make_run(test, f"{i}", method=f"method_{i}")) for i in range(9)})
    assert len({tuple(look.values()) for look in looks.values()}) == 9


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_same_predictions_same_bytes(make_run, tmp_path, suffix):
    run = make_run(digits_predictions())

    def draw():
        figure = figures.reliability_diagram({"run": run})
        first = figures.save(figure, tmp_path / f"figure.{suffix}").read_bytes()
        assert figures.save(figure, tmp_path / f"again.{suffix}").read_bytes() == first
        return first

    first = draw()
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "black", "svg.fonttype": "none"}):  # a user's own style
        assert draw() == first
        assert mpl.rcParams["font.size"] == 20
    assert first.startswith({"png": b"\x89PNG", "svg": b"<?xml"}[suffix])


def test_names_are_drawn_as_they_are(make_run, tmp_path):
    test = {"test": classified(probabilities(50), [0] * 50)}
    figure = figures.risk_coverage({"_mine": make_run(test, "a"), "$\\frac$": make_run(test, "b", method="b")})
    labels = [text.get_text().partition(",")[0] for text in figure.axes[0].get_legend().get_texts()]
    assert labels == [" _mine", "$\\frac$", "oracle"]  # Matplotlib leaves out names that begin with an underscore
    figures.save(figure, tmp_path / "figure.svg")  # and takes dollars for a formula, which this one is none of


def test_save_says_what_is_wrong(make_run, tmp_path):
    figure = figures.risk_coverage({"run": make_run({"test": classified(probabilities(5), [0] * 5)})})
    with pytest.raises(InputError, match=r"Unknown figure format '.gif2' of .*Known: .*png, .*svg"):
        figures.save(figure, tmp_path / "figure.gif2")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"Cannot write .*figure.png: "):
        figures.save(figure, tmp_path / "file" / "figure.png")


@pytest.mark.parametrize(
    ("name", "written"),
    [("ece", "ECE"), ("debiased_ece", "Debiased ECE"), ("ece(num_bins=10)", "ECE (num_bins=10)"), ("brier", "Brier")],
)
def test_metric_names(name, written):
    assert style.metric_name(name) == written

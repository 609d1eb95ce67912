"""The page: what is in it, and what it does in a headless Chromium (skipped where there is none)."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from tests.leaderboard.test_tables import PROTOCOL_2, TUNED
from uncertainty_suite.leaderboard import add, read_records
from uncertainty_suite.leaderboard.page import embed, page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
# Without the first, Chromium does not run as root; without the others, it calls home.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
COMMITTED = Path(__file__).parents[2] / "leaderboards/index.html"
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}

NASTY = "<script>document.title='hacked'</script>\"'&amp;</td>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open a file as a newcomer: no cookies, no storage.

    When the test ends, the console must be empty, and nothing may have been requested but the file.
    """
    contexts, said, asked, opened = [], [], set(), set()

    def open_file(path: Path, **options) -> Page:
        contexts.append(browser.new_context(**{"viewport": {"width": 1200, "height": 900}} | options))
        view = contexts[-1].new_page()
        view.on("console", lambda message: said.append(message.text))
        view.on("pageerror", lambda error: said.append(str(error)))
        view.on("request", lambda request: asked.add(request.url))
        opened.add(path.as_uri())
        view.goto(path.as_uri())
        return view

    yield open_file
    for context in contexts:
        context.close()
    assert said == []
    assert asked == opened


@pytest.fixture
def visit_toy(visit, boards, make_finished, tmp_path) -> Callable[..., Page]:
    """Open the page of simulated runs, one of them with a nasty name, at the tab of the task `toy`."""
    add([make_finished(NASTY, seed=0, skill=0.8)], boards)
    path = tmp_path / "index.html"
    path.write_text(page(read_records([boards]), abouts={"toy": "A word on the toys."}), encoding="utf-8")

    def open_toy(**options) -> Page:
        view = visit(path, **options)
        view.get_by_role("tab", name="toy").click()
        return view

    return open_toy


def names(view: Page) -> list[str]:
    """Return the methods in the table, from top to bottom."""
    return view.locator(".board tbody .name button").all_text_contents()


def unfold(view: Page, name: str) -> Locator:
    return view.locator(".board tbody .name button").filter(has_text=name)


def drawn(view: Page) -> list[str]:
    """Return the methods in the figures below the table."""
    rows = view.locator("section[aria-label=Figures] g[data-row]")
    return sorted(set(rows.evaluate_all("groups => groups.map(group => group.dataset.row)")))


def tab_to(view: Page, target: Locator) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(80):
        view.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"The Tab key does not reach {target}.")


def accessible(view: Page) -> list[tuple[str, str, dict]]:
    """Return role, name and properties of all that a screen reader is told."""
    nodes = view.context.new_cdp_session(view).send("Accessibility.getFullAXTree")["nodes"]
    return [
        (
            node["role"]["value"],
            node["name"]["value"],
            {entry["name"]: entry["value"].get("value") for entry in node.get("properties", [])},
        )
        for node in nodes
        if not node["ignored"] and "name" in node
    ]


def test_it_is_one_file_that_asks_for_nothing(boards):
    text = page(read_records([boards]))
    assert set(re.findall(r"https?://[^\s\"'`]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "https://jfly.uni-koeln.de/color/",
    }
    assert not re.search(r"<(?:script|img|iframe)[^>]* src=|<link[^>]*stylesheet|@import|url\(|fetch\(|XMLHttp", text)
    assert "default-src 'none'" in text
    assert page(read_records([boards])) == text


def test_no_text_of_a_record_can_end_the_script(make_finished, tmp_path):
    assert embed("</script><!--\u2028&") == '"\\u003c/script\\u003e\\u003c!--\\u2028\\u0026"'
    add([make_finished(NASTY), make_finished("x/* code */ {/* data */}")], tmp_path / "boards")
    text = page(read_records([tmp_path / "boards"]))
    assert text.count("</script>") == 2
    assert "<script>document" not in text
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert {row["method"] for row in data["tasks"][0]["rows"]} == {NASTY, "x/* code */ {/* data */}"}


def test_curves_of_several_seeds_are_pooled(boards):
    text = page(read_records([boards]))
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    toy = next(task for task in data["tasks"] if task["task"] == "toy")
    for row in toy["rows"]:
        bins = row["curves"]["reliability"]
        assert sum(count for count, _, _ in bins) == 3 * 300
        accuracy = sum(count * accuracy for count, _, accuracy in bins) / 900
        (of_accuracy,) = (k for k, metric in enumerate(toy["metrics"]) if metric["name"] == "test/accuracy")
        assert accuracy == pytest.approx(row["values"][of_accuracy]["mean"], abs=1e-3)


def test_regression_has_quantiles_and_folds(fold_boards):
    text = page(read_records([fold_boards]))
    (task,) = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])["tasks"]
    assert (task["task"], task["replicates"], task["loss"]) == ("uci/yacht", "folds", "gaussian_nll")
    assert [name for metric in task["metrics"] if (name := metric["name"]) in task["pareto"]] == [
        "test/rmse",
        "test/gaussian_nll",
    ]
    for row in task["rows"]:
        assert row["curves"].keys() == {"quantiles"}
        assert [level for level, _ in row["curves"]["quantiles"]] == pytest.approx([k / 20 for k in range(1, 20)])
    assert [(row["method"], row["count"], row.get("reference")) for row in task["rows"]] == [
        ("deterministic", "6", None),
        ("sngp", "6", "deterministic"),
        ("twin", "4", "deterministic"),
    ]


def test_the_page_is_told_where_metrics_were_measured(boards):
    text = page(read_records([boards]))
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    metrics = {metric.pop("name"): metric for metric in data["tasks"][0]["metrics"]}

    def told(name):
        return {key: metrics[name].get(key) for key in ("section", "place", "metric", "mean", "severity")}

    nothing = {"mean": None, "severity": None}
    assert told("test/nll") == {"section": "inside", "place": "test", "metric": "nll", **nothing}
    assert told("ood/photos/auroc") == {"section": "ood", "place": "photos", "metric": "auroc", **nothing}
    assert told("ood/far/auroc")["place"] == "far, mean over sets"
    assert told("shift/severity_3/nll") == {
        "section": "shift",
        "place": "shift/severity_3",
        "metric": "nll",
        "mean": True,
        "severity": 3,
    }
    assert told("shift/fog_3/nll")["severity"] is None
    assert told("num_parameters")["section"] is None


def test_a_corruption_of_one_severity_comes_without_intervals_and_tests(boards):
    text = page(read_records([boards]))
    task = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])["tasks"][0]
    (row,) = (row for row in task["rows"] if row["method"] == "deterministic")
    cells = {metric["name"]: cell for metric, cell in zip(task["metrics"], row["values"])}
    assert cells["shift/fog_3/nll"].keys() - {"best", "tied"} == {"mean", "runs", "error"}
    assert cells["shift/severity_3/nll"].keys() >= {"mean", "runs", "error", "interval"}


def test_what_all_runs_of_a_row_have_in_common_comes_once(fold_boards):
    text = page(read_records([fold_boards]))
    (task,) = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])["tasks"]
    row = task["rows"][0]
    assert [run["fold"] for run in row["runs"]] == [0, 1, 2, 3, 4, 5]
    assert "versions" in row["all_runs"]
    assert all(row["all_runs"].keys().isdisjoint(run) for run in row["runs"])


@pytest.fixture
def visit_yacht(visit, fold_boards, tmp_path) -> Page:
    """Open the page of simulated runs of a regression with folds."""
    path = tmp_path / "index.html"
    path.write_text(page(read_records([fold_boards])), encoding="utf-8")
    return visit(path)


def test_regression_is_drawn(visit_yacht):
    section = visit_yacht.locator("section[aria-label=Figures]")
    assert section.locator("figcaption > span").all_text_contents() == ["Quantiles", "Cost"]
    assert visit_yacht.locator(".board tbody .name small").first.inner_text() == "mlp, 6 folds"
    unfold(visit_yacht, "sngp").click()
    assert visit_yacht.locator(".detail th").all_text_contents()[:2] == ["fold", "seed"]


def test_rows_sort_and_filter(visit_toy):
    view = visit_toy()
    assert view.get_by_role("tab").all_text_contents() == ["other", "toy", "All tasks"]
    heads = view.locator(".board thead th")

    def sort(name: str) -> list[str]:
        heads.filter(has_text=re.compile(f"^{name}")).get_by_role("button").click()
        assert heads.evaluate_all("heads => heads.filter(head => head.ariaSort !== 'none').length") == 1
        return names(view)

    first = names(view)
    nll = sort("test/nll")
    assert first[0] == nll[0] == "sngp"  # the most accurate, the least NLL
    assert first[-1] == nll[-1] == NASTY
    assert sort("test/nll") == nll[::-1]
    assert sort("method")[-2:] == ["sngp", "twin"]

    method, accuracy = view.locator(".board thead input").all()[:2]
    method.press_sequentially("tw")
    assert names(view) == ["twin"]
    assert view.get_by_role("status").inner_text() == "1 of 4 rows"
    method.clear()
    accuracy.press_sequentially(">0.99")
    assert names(view) == []
    accuracy.clear()
    accuracy.press_sequentially("0.1..0.99")
    assert len(names(view)) == 4
    assert accuracy.get_attribute("aria-invalid") == "false"
    accuracy.clear()
    accuracy.press_sequentially("x")
    assert accuracy.get_attribute("aria-invalid") == "true"


def test_rows_unfold(visit_toy):
    view = visit_toy()
    fold = unfold(view, "sngp")
    fold.click()
    assert fold.get_attribute("aria-expanded") == "true"
    assert fold.evaluate("button => button === document.activeElement")
    detail = view.locator(".detail")
    assert "python baselines/sngp.py --output_dir=run" in detail.inner_text()
    assert "dataset.name" in detail.inner_text()
    assert "a processor" in detail.inner_text()
    assert detail.locator("figure").count() == 7
    fold.click()
    assert detail.count() == 0


def test_methods_are_laid_over_each_other(visit_toy):
    view = visit_toy()
    assert len(drawn(view)) == 4
    boxes = view.locator(".board tbody .name input")
    while (checked := boxes.and_(view.locator(":checked"))).count():
        checked.first.click()
    assert drawn(view) == []
    for name in ("sngp", "twin"):
        view.get_by_role("checkbox", name=f"Draw {name} in the figures").click()
    assert drawn(view) == ["sngp", "twin"]
    section = view.locator("section[aria-label=Figures]")
    assert section.locator("figcaption > span").all_text_contents() == [
        "Reliability",
        "Risk and coverage",
        "Failure detection",
        "Shift by severity",
        "OOD detection",
        "Confidence, test and OOD",
        "Cost",
    ]
    for figure in section.locator("figure").all():  # each lays both over each other
        rows = figure.locator("g[data-row]").evaluate_all("groups => groups.map(group => group.dataset.row)")
        assert set(rows) == {"sngp", "twin"}
    section.get_by_label("Metric under shift").select_option("ece")
    labels = section.get_by_role("img").evaluate_all("drawings => drawings.map(drawing => drawing.ariaLabel)")
    assert len(labels) == 7
    assert all(labels)
    assert any(label.startswith("ece against") for label in labels)


def test_the_power_of_the_tests_is_shown(visit_toy):
    view = visit_toy()
    section = view.get_by_role("region", name="Power", exact=True)
    assert section.get_by_role("columnheader").all_text_contents()[:4] == [
        "metric",
        "tested over",
        "difference",
        "seen",
    ]
    row = section.get_by_role("row").filter(has_text="test/nll").get_by_role("cell").all_text_contents()
    assert row[:3] == ["test/nll ↓", "1 to 3 seeds x 300 examples", "sngp minus deterministic"]
    cell = view.locator(".board tbody tr").filter(has_text="sngp").locator("td").nth(1)
    assert "detectable against deterministic with 80 % power: 0." in cell.get_attribute("title")


def test_what_was_tuned_and_not_trained_here_is_said(visit, make_run, tmp_path):
    make_run("a", {**PROTOCOL_2, "test/accuracy": 0.9}, method="tuner", tuned=TUNED)
    make_run("b", PROTOCOL_2, method="mine", provenance={"trained_here": False}, batch_size_global=0)
    path = tmp_path / "index.html"
    path.write_text(page(read_records([tmp_path])), encoding="utf-8")
    view = visit(path)
    lines = view.locator(".board tbody tr")
    assert "scored from predictions; not trained here" in lines.filter(has_text="mine").inner_text()
    assert "not trained here" not in lines.filter(has_text="tuner").inner_text()
    assert "tuned: factor (3)" in lines.filter(has_text="tuner").inner_text()
    unfold(view, "tuner").click()
    tuned = view.locator(".detail table").filter(has_text="values tried")
    assert tuned.locator("tbody tr").first.locator("td").all_text_contents() == [
        *("a.factor", "3", "nll", "validation", "2.5"),
    ]
    assert tuned.locator("tbody tr").last.locator("td").all_text_contents() == [
        *("posthoc.temperature_scaling", "fitted", "nll", "validation", "1.25"),
    ]
    heads = view.locator(".board thead th button").evaluate_all("all => all.map(one => one.ariaLabel)")
    assert "test/temperature_scaling/nll, lower is better" in heads
    assert "1.235e+13" in lines.first.inner_text()
    view.get_by_text("Choose metrics").click()
    view.get_by_role("button", name="failures").click()
    heads = view.locator(".board thead th button").evaluate_all("all => all.map(one => one.ariaLabel)")
    assert heads[1:] == ["failure/max_prob/augrc, lower is better", "failure/variance/auroc, higher is better"]


def test_ensemble_equivalents_are_a_column(visit, make_run, tmp_path):
    curve = {f"ensemble/{size}/temperature_scaling/nll": 0.2 + 0.2 / size for size in (1, 2, 4)}
    for method, loss, size in (("plain", 0.5, 100), ("many", 0.25, 400), ("best", 0.1, 100), ("good", 0.3, 100)):
        more = curve if method == "many" else {}
        metrics = {"test/temperature_scaling/nll": loss, "num_parameters": size, **more}
        make_run(method, metrics, method=method, config={} if method == "plain" else {method: {"size": 1}})
    path = tmp_path / "index.html"
    path.write_text(page(read_records([tmp_path])), encoding="utf-8")
    view = visit(path)
    view.get_by_role("button", name="ensemble equivalent").click()
    heads = view.locator(".board thead th").all_inner_texts()
    (column,) = [k for k, head in enumerate(heads) if head.startswith("ensemble equivalent")]
    assert names(view) == ["best", "many", "good", "plain"]
    cells = view.locator(f".board > tbody > tr > :nth-child({column + 1})").all_inner_texts()
    assert cells == ["> 4", "4.0", "2.0", "< 1"]


def test_names_stay_text(visit_toy):
    view = visit_toy()
    assert view.locator(".about").inner_text() == "A word on the toys."
    unfold(view, "hacked").click()
    assert NASTY in names(view)
    assert view.title() == "Uncertainty Suite: leaderboard"
    assert view.locator("script").count() == 2  # data and code
    unnamed = view.locator("button, input, select").evaluate_all(
        "all => all.filter(e => !(e.textContent.trim() || e.ariaLabel || e.closest('label'))).length"
    )
    assert unnamed == 0


def test_the_tab_over_all_tasks(visit_toy):
    view = visit_toy()
    view.get_by_role("tab", name="All tasks").click()
    assert view.locator("figcaption").all_text_contents() == ["test/accuracy", "test/nll", "test/brier", "test/ece"]
    view.reload()  # the address remembers the tab
    assert view.get_by_role("tab", selected=True).inner_text() == "All tasks"


def test_everything_is_done_with_keys(visit_toy):
    view = visit_toy()
    view.reload()
    focused = view.locator(":focus")
    view.keyboard.press("Tab")
    assert focused.inner_text() == "Skip to the table"
    assert focused.bounding_box()["x"] >= 0
    view.keyboard.press("Enter")
    assert focused.get_attribute("id") == "panel"

    view.keyboard.press("Shift+Tab")
    assert (focused.get_attribute("role"), focused.inner_text()) == ("tab", "toy")
    for key, tab in [("ArrowRight", "All tasks"), ("ArrowRight", "other"), ("ArrowLeft", "All tasks")]:
        view.keyboard.press(key)
        assert focused.inner_text() == view.get_by_role("tab", selected=True).inner_text() == tab
    view.keyboard.press("Home")
    assert focused.inner_text() == "other"
    view.keyboard.press("End")
    assert focused.inner_text() == "All tasks"
    view.keyboard.press("ArrowLeft")
    assert focused.inner_text() == "toy"

    nll = view.get_by_role("columnheader", name="test/nll")
    tab_to(view, nll.get_by_role("button"))
    assert focused.evaluate("button => getComputedStyle(button).outlineStyle") == "solid"
    for key, order in [("Enter", "ascending"), ("Space", "descending")]:
        view.keyboard.press(key)
        assert nll.get_attribute("aria-sort") == order
        assert focused.inner_text().startswith("test/nll")
    assert names(view)[-1] == "sngp"

    tab_to(view, view.get_by_label("Filter methods"))
    view.keyboard.type("sn")
    assert names(view) == ["sngp"]
    tab_to(view, view.get_by_role("checkbox", name="Draw sngp in the figures"))
    assert "sngp" in drawn(view)
    view.keyboard.press("Space")
    assert "sngp" not in drawn(view)
    assert focused.get_attribute("aria-label") == "Draw sngp in the figures"
    view.keyboard.press("Tab")
    for key, expanded in [("Enter", "true"), ("Space", "false"), ("Enter", "true")]:
        view.keyboard.press(key)
        assert focused.get_attribute("aria-expanded") == expanded
    view.keyboard.press("Tab")
    assert focused.inner_text() == "copy"
    tab_to(view, view.locator(".detail figure summary").first)
    view.keyboard.press("Enter")
    assert view.locator(".detail figure details table").first.is_visible()


def test_a_screen_reader_is_told_what_there_is(visit_toy):
    view = visit_toy()
    unfold(view, "sngp").click()
    found = accessible(view)

    def named(role: str) -> list[str]:
        return [name for kind, name, _ in found if kind == role]

    assert named("tablist") == ["Tasks"]
    assert [(name, told["selected"]) for role, name, told in found if role == "tab"] == [
        ("other", False),
        ("toy", True),
        ("All tasks", False),
    ]
    assert named("tabpanel") == ["toy"]
    assert named("table")[0] == "Results on toy"
    assert {"test/accuracy, higher is better", "test/nll, lower is better"} <= set(named("columnheader"))
    assert view.get_by_role("columnheader", name="test/accuracy").get_attribute("aria-sort") == "descending"
    assert view.get_by_role("columnheader", name="test/nll").get_attribute("aria-sort") == "none"
    assert "Draw sngp in the figures" in named("checkbox")
    assert [told.get("expanded") for role, name, told in found if (role, name) == ("button", "sngp")] == [True]
    assert any(" best" in name for name in named("cell"))
    assert len(named("image")) == 14
    for role in ("button", "checkbox", "searchbox", "combobox", "columnheader", "rowheader", "region", "image"):
        assert named(role)
        assert all(named(role)), role


def test_metrics_are_chosen(visit_toy):
    view = visit_toy()
    view.get_by_text("Choose metrics").click()
    view.get_by_role("button", name="OOD", exact=True).click()
    heads = view.locator(".board thead th").all_text_contents()
    assert heads[0] == "method"
    assert all(name.startswith("ood/") for name in heads[1:])
    view.get_by_label("Find a metric").press_sequentially("test/nll")
    view.locator(".choices input").click()
    assert view.locator(".board thead th").count() == len(heads) + 1


def test_the_theme_follows_the_system_or_is_chosen(visit_toy):
    light, dark = "rgb(255, 255, 255)", "rgb(20, 23, 28)"
    view = visit_toy(color_scheme="dark")

    def paper() -> str:
        return view.evaluate("getComputedStyle(document.body).backgroundColor")

    theme = view.locator("#theme")
    assert (theme.inner_text(), paper()) == ("Theme: auto", dark)
    view.emulate_media(color_scheme="light")
    assert paper() == light
    theme.click()
    view.emulate_media(color_scheme="dark")
    assert (theme.inner_text(), paper()) == ("Theme: light", light)
    theme.click()
    view.emulate_media(color_scheme="light")
    view.reload()
    assert (theme.inner_text(), paper()) == ("Theme: dark", dark)
    theme.click()
    assert (theme.inner_text(), paper()) == ("Theme: auto", light)


def luminance(color: str) -> float:
    """Return WCAG 2's relative luminance of `rgb(r, g, b)`."""
    parts = [int(part) / 255 for part in re.fullmatch(r"rgb\((\d+), (\d+), (\d+)\)", color).groups()]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    low, high = sorted(map(luminance, (first, second)))
    return (high + 0.05) / (low + 0.05)


# What each text, and each line and dot of a method, is painted with and on: [what, paint, ground, is it text].
PAINTED = """() => {
  const ground = (element) => {
    const color = getComputedStyle(element).backgroundColor;
    return color === "rgba(0, 0, 0, 0)" ? ground(element.parentElement) : color;
  };
  const shown = [...document.querySelectorAll("body *")].filter((e) => e.getClientRects().length);
  const holdsText = (e) => [...e.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  return [
    ...shown.filter(holdsText)
      .map((e) => [e.textContent, getComputedStyle(e)[e.closest("svg") ? "fill" : "color"], ground(e), true]),
    ...shown.filter((e) => e.placeholder)
      .map((e) => [e.placeholder, getComputedStyle(e, "::placeholder").color, ground(e), true]),
    ...shown.filter((e) => e.matches("input:not([type=checkbox]), select, button.copy"))
      .map((e) => [e.outerHTML, getComputedStyle(e).borderTopColor, ground(e.parentElement), false]),
    ...shown.filter((e) => e.matches(".mark, .other, polyline")).map((e) => {
      const { fill, stroke } = getComputedStyle(e);
      return [e.outerHTML, fill === "none" ? stroke : fill, ground(e), false];
    }),
  ];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_that_of_wcag_aa(visit_toy, scheme):
    view = visit_toy(color_scheme=scheme, reduced_motion="reduce")
    view.get_by_text("Choose metrics").click()
    unfold(view, "sngp").click()
    for tab in ("toy", "All tasks"):
        view.get_by_role("tab", name=tab).click()
        painted = view.evaluate(PAINTED)
        assert {is_text for *_, is_text in painted} == {True, False}
        poor = {what for what, paint, ground, is_text in painted if contrast(paint, ground) < (4.5 if is_text else 3)}
        assert poor == set()
    # And the colours of methods that this page has not.
    colors = view.evaluate(
        """COLORS.map((color) => {
          document.body.style.outlineColor = color;
          return getComputedStyle(document.body).outlineColor;
        })"""
    )
    assert len(set(colors)) == 12
    paper = view.evaluate("getComputedStyle(document.body).backgroundColor")
    assert min(contrast(color, paper) for color in colors) >= 3


# What is wider than a phone, or than the cell that it stands in, apart from what lies in a scroll area.
TOO_WIDE = """() => {
  const all = (selector) => [...document.querySelectorAll(selector)].filter((e) => e.getClientRects().length);
  const right = (e) => e.getBoundingClientRect().right;
  const scrolled = (e, within) => {
    for (let one = e.parentElement; one !== within; one = one.parentElement) {
      if (getComputedStyle(one).overflowX !== "visible") return true;
    }
    return false;
  };
  const outside = all("body *").filter((e) => !scrolled(e, document.documentElement));
  // What is unfolded stands still while the table scrolls.
  const inside = all(".detail > td > div, .detail > td > div *").filter((e) => !scrolled(e, e.closest(".detail")));
  const cut = all(".board tbody .name")
    .filter((cell) => [...cell.querySelectorAll("button, small")].some((e) => right(e) > right(cell)));
  const drawings = all("svg[role=img]");
  const clipped = drawings.flatMap((drawing) => [...drawing.querySelectorAll("text")].filter((text) => {
    const [box, frame] = [text.getBoundingClientRect(), drawing.getBoundingClientRect()];
    return box.left < frame.left - 0.5 || box.right > frame.right + 0.5;
  }));
  const wide = [...outside, ...inside, ...drawings].filter((e) => right(e) > 390.5);
  return [innerWidth, document.documentElement.scrollWidth,
    [...cut, ...clipped, ...wide].map((e) => `${e.tagName} ${e.textContent.slice(0, 40)}`)];
}"""


# Labels of a vertical axis that read the same, as those of ticks do that lie closer than their digits tell.
ALIKE = """() => [...document.querySelectorAll("figure svg")].flatMap((drawing) => {
  const labels = [...drawing.querySelectorAll("text[text-anchor=end]")].map((text) => text.textContent);
  return labels.filter((label, k) => labels.indexOf(label) < k);
})"""


def unfold_all(view: Page, tab: Locator) -> None:
    tab.tap()
    while (folded := view.locator(".board tbody .name button[aria-expanded=false]")).count():
        folded.first.tap()
    view.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")


@pytest.mark.parametrize("name", ["toy", "All tasks"])
def test_nothing_overflows_on_a_phone(visit_toy, name):
    view = visit_toy(**PHONE)
    unfold_all(view, view.get_by_role("tab", name=name))
    assert view.evaluate(TOO_WIDE) == [390, 390, []]


@pytest.mark.slow  # all tables that there are, unfolded
def test_the_committed_page_on_a_phone(visit):
    view = visit(COMMITTED, **PHONE)
    tabs = view.get_by_role("tab").all()
    assert len(tabs) > 1
    for tab in tabs:
        unfold_all(view, tab)
        assert view.locator("figure").count() > 0
        assert view.evaluate(TOO_WIDE) == [390, 390, []]
        assert view.evaluate(ALIKE) == []

"""The pages that `make docs` makes, and the site as a reader sees it."""

import json
import re
import shutil
import sys

import pytest
from playwright.sync_api import sync_playwright

from tests.conftest import ROOT
from tests.tiny import METHODS
from uncertainty_suite import leaderboard, metrics
from uncertainty_suite.leaderboard import published

sys.path.insert(0, str(ROOT / "tools"))
import build_docs
import minimum_requirements

SITE = ROOT / "build/docs/html"


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return build_docs.generated()


def test_each_method_task_family_and_part_has_a_page(pages):
    assert {f"methods/{name}.md" for name in METHODS} < pages.keys()
    assert {f"tasks/{path.stem}.md" for path in ROOT.glob("configs/*.py")} < pages.keys()
    text = "".join(page for name, page in pages.items() if name.startswith("metrics/"))
    assert {name for name in metrics.names() if f"\n## {name}\n" not in text} == set()
    for name, page in pages.items():
        if name.startswith("metrics/") and name != "metrics/index.md":
            assert "\nWhere they fail: " in page.partition("\n## ")[0], name
    for part in ("datasets", "layers", "leaderboard", "metrics", "models", "posthoc", "training"):
        assert f"api/{part}.md" in pages


def test_a_method_s_page_has_what_its_script_and_the_records_say(pages):
    page = pages["methods/sngp.md"]
    assert "Train a spectral-normalised neural Gaussian process" in page
    assert "\n```text\npython baselines/sngp.py --config=configs/two_moons.py" in page
    assert (
        "| `--config.sngp.ridge_penalty` | `1.0` | prior precision of the output weights | a number above 0 |" in page
    )
    assert "| layers | own |" in page
    assert "| after training | a fit |" in page
    assert "arXiv:2006.10108" in page.partition("## Papers")[2].partition("## Hyper")[0]
    (table,) = leaderboard.tables(leaderboard.read_records([ROOT / "leaderboards/two_moons"]))
    row = next(row for row in table.rows if row.method == "sngp")
    assert f"{row.statistic('ood/far/auroc').mean:.4f}" in page.partition("### two_moons")[2]
    plain = pages["methods/deterministic.md"]
    assert "| layers | as `deterministic` |" in plain
    assert "| after training | nothing |" in plain


@pytest.mark.parametrize("method", METHODS)
def test_each_method_s_page_begins_with_its_equation_and_when_to_use_it(method, pages):
    top = pages[f"methods/{method}.md"].partition("\n## ")[0]
    blocks = re.findall(r"^```text\n(.*?)^```$", top, re.DOTALL | re.MULTILINE)
    assert [block for block in blocks if not block.startswith("python ")] != []
    assert "\nUse it " in top


def test_a_method_s_page_has_its_cost_beside_what_it_is_compared_with(pages):
    def cost(method: str) -> list[str]:
        page = pages[f"methods/{method}.md"].partition("\n## Cost\n")[2].partition("\n## ")[0]
        return [line for line in page.splitlines() if line.startswith("| two_moons |")]

    ensemble, wide = "| two_moons | deterministic · num_hidden 128 | 4 | 4 | 4 |", cost("deterministic")
    assert cost("deep_ensemble") == [ensemble]  # four networks
    assert len(wide) == 1  # a network of the cost of the ensemble; that of its members is compared with nothing
    assert cost("swag") == ["| two_moons | deterministic · num_hidden 128 | 1 | 30 | 1 |"]  # 30 draws


def test_each_method_has_the_setting_of_its_paper_and_knows_what_is_published():
    papers = json.loads((ROOT / "docs/papers.json").read_text(encoding="utf-8"))
    assert sorted(paper["method"] for paper in papers) == sorted(METHODS)
    names = {entry["method"] for entry in published.read(ROOT / "leaderboards")}
    assert {name for paper in papers for name in paper["published"]} == names
    for paper in papers:
        assert paper["settings"] or paper["note"].startswith("Nothing comparable is published"), paper["method"]


def test_what_is_published_stands_beside_what_was_measured(pages):
    (table,) = leaderboard.tables(leaderboard.read_records([ROOT / "leaderboards/clinc_oos"]))
    row = next(row for row in table.rows if row.method == "sngp")
    config, found = row.records[0].config, row.statistic("test/accuracy")
    page = pages["methods/sngp.md"].partition("## Why our numbers differ from the paper's")[2]
    assert f"| clinc_oos | test/accuracy ↑ | *0.969*, SNGP, BERT-base | {found.mean:.4f} ± " in page
    how = f"| {config['epochs']} epochs of adam at {config['optimizer']['learning_rate']:g}, batches of "
    here = [line for line in page.splitlines() if line.startswith("| here | clinc_oos | ")]
    assert len(here) == len([row for row in table.rows if row.method == "sngp"])
    (line,) = [line for line in here if "text_cnn, " in line]
    assert f"; {row.statistic('num_parameters').mean:,.0f} parameters " in line
    assert line.endswith(f"{how}{config['batch_size']} |")
    assert "| *published*: Uncertainty Baselines | CLINC150 | BERT-base, trained before, " in page
    paper = {"method": "sngp", "published": ["SNGP"], "settings": []}
    without_records = "\n".join(build_docs.beside_paper(paper, []))
    assert "| clinc_oos | test/accuracy ↑ | *0.969*, SNGP, BERT-base | no record |" in without_records
    assert "Nothing comparable is published" in pages["methods/mixture_density.md"]


def test_a_task_s_page_has_all_its_boards_and_what_others_published(pages):
    boards = [path.name for path in (ROOT / "leaderboards").iterdir() if path.is_dir()]
    shown = [line for name, page in pages.items() if name.startswith("tasks/") for line in page.splitlines()]
    assert len([line for line in shown if line.startswith("## Results on ")]) == len(boards)
    for task, page in {
        "minilm/clinc_oos": "clinc_oos",
        "cifar10n/worst": "cifar10",
        "chaosnli_mnli": "chaosnli",
        "fashion_mnist": "fashion_mnist",
        "uci/boston": "uci",
    }.items():
        assert f"\n## Results on {task}\n" in pages[f"tasks/{page}.md"]
    others = pages["tasks/imagenet.md"].partition("\n## Published on imagenet\n")[2]
    assert "| Deterministic " in others
    assert "0.762" in others


def test_families_count_in_how_many_tasks_a_method_is_tied_with_the_best():
    folders = [ROOT / "leaderboards/two_moons", ROOT / "leaderboards/toy_regression"]
    analyses = build_docs.analyses_of(leaderboard.read_records(folders))
    changes = {name: {} for name in METHODS}
    pages = list(build_docs.by_family([*analyses, *analyses], changes))  # each task twice
    assert [page for page in pages if page.startswith("###")] == ["### Targets", "### Classes"]
    assert pages[4] == "Of two_moons, two_moons."
    (analysis,) = [one for one in analyses if one.table.task == "two_moons"]
    head, _, *lines = (line.strip("| ").split(" | ") for line in pages[5].splitlines())
    by_method = {line[0]: line for line in lines}
    assert set(by_method) == {row.method for row in analysis.table.rows}
    for metric in build_docs.criteria(analysis.table):
        estimates = list(zip(analysis.table.rows, analysis.estimates(metric)))
        for method, line in by_method.items():  # of two rows of one method, the one that is tied
            tied = any(one.best or one.tied for row, one in estimates if row.method == method)
            assert line[head.index(f"{metric}{build_docs.arrow(metric)}")] == f"{2 * tied} of 2", (method, metric)
    assert by_method["deep_ensemble"][-3:] == ["4", "4", "4"]


def test_the_choice_is_the_cheapest_of_those_that_are_tied(pages):
    (table,) = leaderboard.tables(leaderboard.read_records([ROOT / "leaderboards/digits"]))
    analysis, metric, cost = leaderboard.Analysis(table), "failure/max_prob/augrc", "prediction_flops_per_example"
    tied = [row for row, one in zip(table.rows, analysis.estimates(metric)) if one.best or one.tied]
    cheapest = min(row.statistic(cost).mean for row in tied)
    (line,) = [line for line in pages["which_method.md"].splitlines() if line.startswith(f"| digits | {metric}")]
    assert line.endswith(f"| {len(tied)} of {len(table.rows)} | {cheapest:,.0f} {cost} |")


def test_the_api_is_what_is_public(pages):
    page = pages["api/metrics.md"]
    assert "## get\n\n```python\nget(" in page
    assert "## Dataset" in pages["api/datasets.md"]
    assert "### Dataset.load" in pages["api/datasets.md"]
    assert "_warn" not in page


def test_docstrings_become_markdown():
    doc = """Return the loss [n], a < b.

    python a.py

Args:
    labels: Of each example,
        as integers.
    **options: Passed on.

Returns:
    `[n, 2]` values.

Example:
    >>> loss(1)
    2
"""
    assert build_docs.markdown(doc) == (
        "Return the loss \\[n\\], a \\< b.\n\n```text\npython a.py\n```\n\n**Args**\n\n- `labels`: Of each example,\n"
        "  as integers.\n- `**options`: Passed on.\n\n**Returns**\n\n`[n, 2]` values.\n\n**Example**\n\n"
        "```python\n>>> loss(1)\n2\n```"
    )


def test_links_are_those_of_the_site(tmp_path, monkeypatch):
    monkeypatch.setattr(build_docs, "ROOT", tmp_path)
    for name in ("docs/run.md", "CONTRIBUTING.md", "setup.py", "leaderboards/a.png"):
        build_docs.write(tmp_path / name, "")
    site, page = tmp_path / "site", tmp_path / "docs/notebooks/page.md"
    links = (
        "[a](../run.md) [b](../../CONTRIBUTING.md#checks) [c](../../setup.py) `[d](e)` ![f](../../leaderboards/a.png)"
    )
    build_docs.write(page, f"{links} [g](../methods/index.md) [h](https://example.org)")
    build_docs.copy(page, site / "notebooks/page.md", site)
    assert (site / "notebooks/page.md").read_text() == (
        "[a](../run.md) [b](../contributing.md#checks) c `[d](e)` ![f](../pictures/leaderboards/a.png) "
        "[g](../methods/index.md) [h](https://example.org)"
    )
    assert (site / "pictures/leaderboards/a.png").exists()
    build_docs.write(page, "[a](../../nowhere.md)")
    with pytest.raises(
        SystemExit, match=r"docs/notebooks/page\.md links to \.\./\.\./nowhere\.md, which is not there\."
    ):
        build_docs.copy(page, site / "notebooks/page.md", site)


def test_minimum_requirements_are_the_bounds_of_setup_py():
    text = 'setup(install_requires=["a>=1.2", "b-c>=3"], extras_require={"d": ["e>=1"]})'
    assert minimum_requirements.minimum_requirements(text) == ["a==1.2", "b-c==3"]
    assert "tensorflow==2." in "\n".join(
        minimum_requirements.minimum_requirements(minimum_requirements.SETUP.read_text())
    )


@pytest.fixture(scope="module")
def browser():
    if not SITE.exists():
        pytest.skip("There is no site: make docs.")
    if not (chromium := shutil.which("chromium")):
        pytest.skip("There is no Chromium.")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_wider_than_the_screen_or_asks_for_anything_else(browser, width, scheme):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    for path in sorted(SITE.rglob("*.html")):
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
    assert [url for url in asked if not url.startswith("file://")] == []
    assert errors == []
    page.close()


@pytest.mark.slow
@pytest.mark.parametrize(("words", "found"), [("SNGP", "sngp"), ("ECE", "ece"), ("resume", "Reliability")])
def test_search_finds(words, found, browser):
    page = browser.new_page()
    page.goto(f"{(SITE / 'search.html').as_uri()}?q={words}")
    page.get_by_text("Search finished").wait_for()
    assert any(found in text for text in page.locator("#search-results li a").all_inner_texts())
    page.close()

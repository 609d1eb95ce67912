"""The page: what is in it, and what it does in a headless Chromium (skipped where there is none)."""

import html
import json
import re
import shutil
import subprocess

import pytest

from uncertainty_suite.leaderboard import add, read_records
from uncertainty_suite.leaderboard.page import embed, page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)")

NASTY = "<script>document.title='hacked'</script>\"'&amp;</td>"


@pytest.fixture
def visit(boards, make_finished, tmp_path):
    """Open the page in a frame of some width, run a script there, and return what it returns, as JSON values.

    The frame's errors and console are watched from before its first line; `d` is its document.
    """
    add([make_finished(NASTY, seed=0, skill=0.8)], boards)
    watch = (
        "<script>window.problems = []; addEventListener('error', e => problems.push(e.message));"
        "addEventListener('securitypolicyviolation', e => problems.push(e.violatedDirective));"
        "for (const kind of ['error', 'warn']) console[kind] = (...parts) => problems.push(parts.join(' '));</script>"
    )
    text = page(read_records([boards]), abouts={"toy": "A word on the toys."}).replace("<head>", f"<head>{watch}", 1)

    def run(script, width=1200):
        style = f"border:0;width:{width}px;height:900px"
        frame = f'<iframe id="f" style="{style}" srcdoc="{html.escape(text)}"></iframe>'
        code = (
            "f.onload = () => { const d = f.contentDocument, w = f.contentWindow; let result;"
            "const all = (selector) => [...d.querySelectorAll(selector)];"
            "const one = (selector) => d.querySelector(selector);"
            "const names = () => all('.board tbody .name button').map(b => b.textContent);"
            f"try {{ result = (() => {{ {script} }})(); }} catch (error) {{ result = String(error.stack); }}"
            "out.textContent = JSON.stringify([result, w.problems]); }"
        )
        path = tmp_path / "visit.html"
        path.write_text(f'<meta charset="utf-8"><pre id="out"></pre>{frame}<script>{code}</script>')
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1300,1000"]
        command += ["--virtual-time-budget=3000", "--dump-dom", f"--user-data-dir={tmp_path}/profile", path.as_uri()]
        dom = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
        result, problems = json.loads(html.unescape(re.search(r'<pre id="out">(.*?)</pre>', dom, re.DOTALL)[1]))
        assert problems == []
        return result

    return run


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
        assert accuracy == pytest.approx(row["values"]["test/accuracy"]["mean"], abs=1e-3)


@in_browser
def test_rows_sort_and_filter(visit):
    found = visit(
        """
        all('[role=tab]').find(tab => tab.textContent === 'toy').click();
        const sort = (text) => all('.board thead button').find(b => b.textContent.startsWith(text)).click();
        const result = {tabs: all('[role=tab]').map(tab => tab.textContent), first: names()};
        sort('test/nll'); result.nll = names();
        sort('test/nll'); result.reversed = names();
        result.sorted = all('.board thead th').filter(th => th.getAttribute('aria-sort') !== 'none').length;
        sort('method'); result.names = names();
        const filter = (k, text) => { const input = all('.board thead input')[k]; input.value = text;
          input.dispatchEvent(new w.Event('input')); };
        filter(0, 'tw'); result.tw = names();
        filter(0, ''); filter(1, '>0.99'); result.none = names();
        filter(1, '0.1..0.99'); result.all = names().length;
        filter(1, 'x'); result.invalid = all('.board thead input')[1].getAttribute('aria-invalid');
        return result;
        """
    )
    assert found["tabs"] == ["other", "toy", "All tasks"]
    assert found["first"][0] == found["nll"][0] == "sngp"  # the most accurate, the least NLL
    assert found["first"][-1] == found["nll"][-1] == NASTY
    assert found["reversed"] == found["nll"][::-1]
    assert found["sorted"] == 1
    assert found["names"][-2:] == ["sngp", "twin"]
    assert (found["tw"], found["none"], found["all"], found["invalid"]) == (["twin"], [], 4, "true")


@in_browser
def test_rows_unfold_and_methods_are_laid_over_each_other(visit):
    found = visit(
        """
        all('[role=tab]').find(tab => tab.textContent === 'toy').click();
        const fold = all('.board tbody .name button')[0];
        fold.click();
        const again = all('.board tbody .name button')[0];
        const result = {expanded: again.getAttribute('aria-expanded'), focused: d.activeElement === again,
          detail: one('.detail').textContent, own: all('.detail figure').length};
        again.click(); result.folded = all('.detail').length;
        const drawn = () => [...new Set(all('section[aria-label=Figures] g[data-row]').map(g => g.dataset.row))].sort();
        result.before = drawn();
        for (let box; (box = one('.board tbody .name input:checked'));) box.click();
        result.none = drawn();
        for (const name of ['sngp', 'twin']) all('.board tbody .name').find(cell =>
          cell.querySelector('button').textContent === name).querySelector('input').click();
        result.two = drawn();
        result.captions = all('section[aria-label=Figures] figcaption > span').map(span => span.textContent);
        result.labelled = all('svg[role=img]').every(svg => svg.getAttribute('aria-label'));
        const choose = all('select').find(select => select.getAttribute('aria-label') === 'Metric under shift');
        choose.value = 'ece'; choose.dispatchEvent(new w.Event('change'));
        result.shift = all('svg[role=img]').some(svg => svg.getAttribute('aria-label').startsWith('ece against'));
        return result;
        """
    )
    assert (found["expanded"], found["focused"], found["own"], found["folded"]) == ("true", True, 6, 0)
    assert "python baselines/sngp.py --output_dir=run" in found["detail"]
    assert "dataset.name" in found["detail"]
    assert len(found["before"]) == 4
    assert (found["none"], found["two"]) == ([], ["sngp", "twin"])
    expected = [
        "Reliability",
        "Risk and coverage",
        "Shift by severity",
        "OOD detection",
        "Confidence, test and OOD",
        "Cost",
    ]
    assert found["captions"] == expected
    assert found["labelled"]
    assert found["shift"]


@in_browser
def test_names_stay_text_and_keys_change_the_tab(visit):
    found = visit(
        """
        all('[role=tab]').find(tab => tab.textContent === 'toy').click();
        const tab = one('[role=tab][aria-selected=true]'); tab.focus();
        const about = one('.about').textContent;
        tab.dispatchEvent(new w.KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true}));
        const result = {tab: d.activeElement.textContent, ranks: all('figcaption').map(f => f.textContent)};
        d.activeElement.dispatchEvent(new w.KeyboardEvent('keydown', {key: 'Home', bubbles: true}));
        result.home = d.activeElement.textContent;
        all('[role=tab]').find(tab => tab.textContent === 'toy').click();
        for (const b of all('.board tbody .name button')) if (b.textContent.includes('hacked')) b.click();
        return {...result, about, names: names(), title: d.title, scripts: all('script').length,
          unnamed: all('button, input, select').filter(e => !(e.textContent.trim() || e.getAttribute('aria-label')
            || e.closest('label'))).length};
        """
    )
    assert found["about"] == "A word on the toys."
    assert found["tab"] == "All tasks"
    assert found["ranks"] == ["test/nll", "test/accuracy", "test/brier", "test/ece"]
    assert found["home"] == "other"
    assert NASTY in found["names"]
    assert found["title"] == "Uncertainty Suite: leaderboard"
    assert found["scripts"] == 3  # data, code, and the watch of this test
    assert found["unnamed"] == 0


@in_browser
def test_metrics_are_chosen_and_the_theme_is(visit):
    found = visit(
        """
        all('[role=tab]').find(tab => tab.textContent === 'toy').click();
        const heads = () => all('.board thead th').map(th => th.textContent.split('\\u00a0')[0]);
        const press = (text) => all('.tools button').find(b => b.textContent === text).click();
        press('OOD');
        const result = {ood: heads()};
        one('.choices input').click(); result.more = heads().length;
        const paper = () => w.getComputedStyle(d.body).backgroundColor;
        const theme = one('#theme'); result.themes = [];
        for (let k = 0; k < 3; k++) { theme.click(); result.themes.push([theme.textContent, paper()]); }
        return result;
        """
    )
    assert found["ood"][0] == "method"
    assert all(name.startswith("ood/") for name in found["ood"][1:])
    assert found["more"] == len(found["ood"]) + 1
    assert found["themes"][:2] == [["Theme: light", "rgb(255, 255, 255)"], ["Theme: dark", "rgb(20, 23, 28)"]]


@in_browser
@pytest.mark.parametrize("tab", ["toy", "All tasks"])
def test_nothing_overflows_on_a_phone(visit, tab):
    found = visit(
        f"""
        all('[role=tab]').find(tab => tab.textContent === '{tab}').click();
        for (const b of all('.board tbody .name button[aria-expanded=false]')) b.click();
        for (const details of all('details')) details.open = true;
        for (let k = 0; k < 4; k++) all('.board tbody .name button[aria-expanded=false]')[0]?.click();
        const scrolling = '.wide, .config, .choices, .unseen, .skip, svg, figure details div';
        const scrolls = (e) => e.closest('.scroll, ' + scrolling);
        const inside = all('.detail > td > div, .detail > td > div *').filter(e => !e.closest(scrolling));
        const right = (e) => e.getBoundingClientRect().right;
        const cut = all('.board tbody .name').filter(cell =>
          [...cell.querySelectorAll('button, small')].some(e => right(e) > right(cell)));
        const outside = all('body *').filter(e => !scrolls(e) && e.getClientRects().length);
        const wide = [...outside, ...inside].filter(e => right(e) > 390.5);
        return [d.documentElement.scrollWidth - d.documentElement.clientWidth,
          [...cut, ...wide].map(e => e.tagName + e.className + ' ' + e.textContent.slice(0, 40))];
        """,
        width=390,
    )
    assert found == [0, []]

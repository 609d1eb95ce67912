"""README and docs are true: their commands are understood, and their links lead somewhere."""

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from tests.conftest import ROOT
from uncertainty_suite import __main__ as command
from uncertainty_suite import configuration, launch, metrics, score, shipped

# The last one is made from the records, and says by which commands they were made at their time.
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md")), ROOT / "leaderboards/README.md"]
_PROGRAM = re.compile(r"(?:python -m uncertainty_suite\.|uncertainty-suite )(\w+)(.*)")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def commands(path: Path) -> list[str]:
    """Return the commands in the code of a page, without what follows `#`."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    blocks += re.findall(r"`((?:python|uncertainty-suite|make) [^`\n]+)`", text)
    blocks += re.findall(r"^    ((?:python|uncertainty-suite|make) .+)$", text, re.MULTILINE)
    lines = [
        " ".join(line.partition("  #")[0].split()).lstrip("$! ") for block in blocks for line in block.splitlines()
    ]
    return [line for line in lines if re.match(r"python |uncertainty-suite |make ", line) and "{" not in line]


ALL = sorted({(line, name_of(path)) for path in PAGES[:-1] for line in commands(path)})


@cache
def help_of(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", f"uncertainty_suite.{program}", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def help_of_subcommand(program: str, subcommand: str) -> str:
    words = [sys.executable, "-m", f"uncertainty_suite.{program}", subcommand, "--help"]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True).stdout


@cache
def help_of_script(script: str) -> str:
    done = subprocess.run([sys.executable, script, "--help"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout + done.stderr


def script_has(script: str, flag: str) -> bool:
    """Return whether a script has a flag: by its text if that says so, as asking it may take a quarter of a minute."""
    text = (ROOT / script).read_text(encoding="utf-8")
    if f'add_argument("{flag}"' in text or (flag == "--help" and "argparse.ArgumentParser(" in text):
        return True
    return re.search(rf"{re.escape(flag)}\b", help_of_script(script)) is not None


def understood(line: str) -> None:
    """Fail unless a command's program, files and flags are there; configurations are put together as in a run."""
    if line.startswith("make "):
        for target in [word for word in line.split()[1:] if "=" not in word]:
            assert re.search(rf"^{re.escape(target)}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target
        return
    line = line.partition(" > ")[0].replace("<method>", "deterministic")
    words = [word for word in shlex.split(line) if "..." not in word and "<" not in word]
    if match := _PROGRAM.match(line):
        program, flags = match[1], [word.partition("=")[0] for word in words if word.startswith("--")]
        if program == "run":
            parsed(str(shipped.script(words[2])), words[3:])
        elif program in command._MODULES and program != "metrics":
            known = help_of(program)
            if program == "leaderboard" and len(words) > 3 and words[3].isalpha() and words[3].islower():
                known += help_of_subcommand(program, words[3])
            for flag in flags:
                assert re.search(rf"{re.escape(flag)}\b", known), f"{program} has no {flag}"
        else:
            assert program in ("metrics", *command._FOLDERS), program
    elif words[1].endswith(".py") and (ROOT / words[1]).exists():
        if Path(words[1]).parent.name == "baselines":
            parsed(words[1], words[2:])
        else:
            for flag in [word.partition("=")[0] for word in words if re.match(r"--(?!config\.)", word)]:
                assert script_has(words[1], flag), f"{words[1]} has no {flag}"
    else:
        assert "my_method" in words[1] or words[1] in ("-m", "--help"), f"there is no {words[1]}"


def parsed(script: str, flags: list[str]) -> None:
    """Put a run's configuration together, as the command would."""
    files = [flag.partition("=")[2] for flag in flags if flag.startswith("--config=")]
    assert files or flags in ([], ["--help"])
    for file in files:
        if file == Path(file).name and file.endswith(".py"):
            continue  # the reader's own
        section = getattr(configuration.load_module(ROOT / script), "CONFIG", None)
        overrides = [flag for flag in flags if flag.startswith("--config.")]
        launch.get_config(file, section, Path(script).stem, overrides)
    known = {*launch._OPTION_FLAGS, "config", "help", "members", "members_at_once"}
    assert {flag.lstrip("-").partition("=")[0].partition(".")[0] for flag in flags} <= known


@pytest.mark.parametrize("line", [line for line, _ in ALL])
def test_commands_are_understood(line, monkeypatch):
    monkeypatch.chdir(ROOT)
    understood(line)


def test_there_are_commands():
    assert len(ALL) > 60


def test_predictions_are_brought_as_compare_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs/compare.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(import numpy.*?)^```$", text, re.DOTALL | re.MULTILINE)
    exec(block, {})
    (line,) = re.findall(r"^python -m uncertainty_suite\.score (predictions.*)$", text, re.MULTILINE)
    assert score.main(shlex.split(line)) == 0
    assert "| mine † |" in capsys.readouterr().out


def test_a_network_of_yours_is_used_as_posthoc_says(capsys):
    (block,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/posthoc.md").read_text(), re.DOTALL | re.MULTILINE)
    found: dict = {}
    exec(block, found)
    logits, labels = found["said"]["test"]["logits"], found["test"].labels
    theirs = found["network"].predict_log_proba(found["pixels"](found["test"]))
    np.testing.assert_allclose(log_softmax(logits, axis=-1), theirs, rtol=1e-6, atol=1e-6)
    (temperature, nll), (coverage,), *scores = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert 0.5 < float(temperature) < 2
    assert float(nll) == pytest.approx(value("nll", softmax(logits / float(temperature), axis=-1), label=labels))
    assert float(coverage) == pytest.approx(0.9, abs=0.05)
    assert float(dict(scores)["knn"]) > 0.9 > float(dict(scores)["max_logit"])


def value(metric: str, predictions, **labels) -> float:
    streaming = metrics.get(metric)
    streaming.add_batch(np.asarray(predictions), **{name: np.asarray(given) for name, given in labels.items()})
    return streaming.result()[metric]


def test_metrics_fail_where_their_pages_say():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [700, 300])
    frequencies = np.tile([0.7, 0.3], (1000, 1))
    assert value("ece", frequencies, label=labels) == pytest.approx(0)  # calibrated, and knows nothing
    right, wrong = np.array([[1 - 1e-9, 1e-9]]), np.array([[1e-300, 1 - 1e-300]])
    one_mistake = np.concatenate([np.tile(right, (999, 1)), wrong])
    assert value("nll", one_mistake, label=np.zeros(1000, int)) > value("nll", frequencies, label=labels)
    assert value("brier", one_mistake, label=np.zeros(1000, int)) < value("brier", frequencies, label=labels)
    scores, is_ood = rng.normal(size=100), rng.integers(2, size=100)
    assert value("auroc", np.exp(9 * scores), label=is_ood) == value("auroc", scores, label=is_ood)
    targets = rng.normal(size=1000)
    marginal = np.zeros(1000), np.ones(1000)
    coverage = metrics.get("interval_coverage")
    coverage.add_batch(marginal, label=targets)
    assert coverage.result()["interval_coverage"] == pytest.approx(0.95, abs=0.02)
    # 99 % right in no order against 70 % right in the best one.
    accurate = np.stack([np.full(1000, 0.9), np.full(1000, 0.1)], axis=-1)
    ordered = np.stack([np.where(labels == 0, 0.9, 0.6), np.where(labels == 0, 0.1, 0.4)], axis=-1)
    mistakes = np.repeat([0, 1], [990, 10])
    assert value("aurc", accurate, label=mistakes) < value("aurc", ordered, label=labels)
    assert value("calibration_auc", accurate, label=mistakes) < value("calibration_auc", ordered, label=labels)
    confused = rng.dirichlet([0.1, 0.1], size=(4, 1000))
    alike = np.tile(frequencies, (4, 1, 1))
    assert value("disagreement", confused) > value("disagreement", alike)
    assert value("nll", confused, label=labels) > value("nll", alike, label=labels)


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path):
    text = re.sub(r"```.*?```|`[^`\n]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        found = (path.parent / file) if file else path
        made = path.parent / file if not found.exists() else None
        if made is not None:  # a page that `make docs` makes, of which Sphinx says whether it is there
            assert ROOT / "docs" in path.parents, target
            pages = "methods|tasks|metrics|api|which_method|claims|contributing"
            assert re.fullmatch(rf"(\.\./)?({pages}).*\.md", file), target
        elif anchor and found.suffix == ".md":
            assert anchor in anchors(found), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_rules_of_tables_have_dashes(page):
    """A column of dashes and colons without a dash makes text of the whole table."""
    for rule in re.findall(r"^\|[|: -]*-[|: -]*\|$", page.read_text(encoding="utf-8"), re.MULTILINE):
        assert all(re.fullmatch(r" *:?-+:? *", cell) for cell in rule.strip("|").split("|")), rule

"""README and docs are true: their commands are understood, and their links lead somewhere."""

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import ROOT
from uncertainty_suite import __main__ as command
from uncertainty_suite import configuration, launch, shipped

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
                assert re.search(rf"{re.escape(flag)}\b", help_of_script(words[1])), f"{words[1]} has no {flag}"
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

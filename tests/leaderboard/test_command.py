"""The command `python -m uncertainty_suite.leaderboard`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from uncertainty_suite import leaderboard
from uncertainty_suite.leaderboard.__main__ import main

REPOSITORY = Path(leaderboard.__file__).parents[2]


def test_it_prints_the_table(make_run, tmp_path, capsys):
    make_run("runs/0")
    make_run("runs/1", seed=1)
    assert main([str(tmp_path / "runs")]) == 0
    output = capsys.readouterr()
    assert output.out == leaderboard.render(leaderboard.read_records([tmp_path]))
    assert output.out.startswith("### two_moons\n\n| method ")
    assert output.err == ""


def test_format_and_metrics(make_run, capsys):
    run = str(make_run("run"))
    assert main([run, "--format=json", "--metrics=test/nll"]) == 0
    (table,) = json.loads(capsys.readouterr().out)
    assert list(table["rows"][0]["metrics"]) == ["test/nll"]
    assert main([run, "--format=csv", "--metrics=test/nll"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_an_error_is_one_line_and_a_status(make_run, capsys):
    a, b = make_run("a"), make_run("b", protocol_version=2)
    assert main([str(a), str(b)]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == (
        f"leaderboard: Task 'two_moons': protocol_version differs, 1 in {a} and 2 in {b}. "
        "Such runs are never put in one table.\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [[], ["run", "--fromat=csv"], ["run", "--format=html"], ["no\nsuch"], ["add"], ["diff", "a"], ["page", "none"]],
)
def test_a_mistake_on_the_command_line_is_one_line(arguments, capsys):
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("leaderboard: ")
    assert error.count("\n") == 1


def test_nothing_heavy_is_imported(make_run):
    run = make_run("run")
    code = (
        "import sys; from uncertainty_suite.leaderboard.__main__ import main; main(sys.argv[1:]);"
        "print({'tensorflow', 'keras', 'pandas', 'matplotlib', 'sklearn', 'scipy'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, run], cwd=REPOSITORY, check=True, capture_output=True, text=True
    )
    assert result.stdout.splitlines()[-1] == "set()"


def test_it_runs_as_a_module_in_a_locale_without_arrows(make_run):
    result = subprocess.run(
        [sys.executable, "-m", "uncertainty_suite.leaderboard", make_run("run")],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        env={"PYTHONIOENCODING": "ascii"},
    )
    assert "test/nll ↓" in result.stdout.decode("utf-8")


def test_no_command_imports_tensorflow(boards, make_finished):
    code = (
        "import sys; from uncertainty_suite.leaderboard.__main__ import main;"
        "print([main(list(arguments)) for arguments in eval(sys.argv[1])]);"
        "print({'tensorflow', 'keras', 'pandas', 'matplotlib'} & set(sys.modules))"
    )
    folder, run = str(boards), str(make_finished())
    commands = [
        ["build", "--folder", folder],
        ["check", "--folder", folder],
        ["diff", run, run],
        ["add", run, "--to", folder],
    ]
    result = subprocess.run(
        [sys.executable, "-c", code, repr(commands)], cwd=REPOSITORY, check=True, capture_output=True, text=True
    )
    assert result.stdout.splitlines()[-2:] == ["[0, 0, 0, 0]", "set()"]

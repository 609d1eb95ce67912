"""What all programs do alike, each promise in a process of its own."""

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from uncertainty_suite import __main__ as command
from uncertainty_suite import errors, program
from uncertainty_suite.errors import InputError


def run(code: str, *arguments: str, **options) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, **options)


def test_closed_streams_are_opened_before_a_file_gets_their_number(tmp_path):
    code = (
        "import os; [os.close(number) for number in (0, 1, 2)]\n"
        "import sys; sys.stdin = sys.stdout = sys.stderr = None\n"
        "from uncertainty_suite import program; program.open_streams()\n"
        "file = open(sys.argv[1], 'w'); file.write(str(file.fileno())); file.flush()\n"
        "os.write(2, b'of TensorFlow'); print('of Python', file=sys.stderr)\n"
    )
    ended = run(code, str(tmp_path / "file"))
    assert ended.returncode == 0
    assert int((tmp_path / "file").read_text()) > 2


HANGUP = "import os, signal; os.kill(os.getpid(), signal.SIGHUP)"
PROGRAM = "from uncertainty_suite import program\ndef main():\n    {}\nprogram.run('name', main)"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("return 0", 0, ""),
        ("return 3", 3, ""),
        ("from uncertainty_suite.errors import InputError; raise InputError('two\\nlines')", 1, "name: two lines\n"),
        ("open('/etc/passwd/x')", 1, "name: Not a directory: /etc/passwd/x\n"),
        (
            "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3)); open('/dev/null')",
            1,
            "name: Too many open files: /dev/null\n",
        ),
        (
            "raise MemoryError('of 5 GB')",
            1,
            "name: There is not enough memory (of 5 GB). Take smaller batches or fewer samples; a network that is "
            "trained is kept.\n",
        ),
        ("import os, signal; os.kill(os.getpid(), signal.SIGINT)", 130, "name: Stopped by SIGINT.\n"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGHUP)", 129, "name: Stopped by SIGHUP.\n"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 143, "name: Stopped by SIGTERM.\n"),
    ],
)
def test_what_goes_wrong_is_one_line(body, status, said):
    ended = run(PROGRAM.format(body))
    assert (ended.returncode, ended.stderr) == (status, said)


def test_an_empty_text_names_no_folder():
    parser = program.Parser()
    parser.add_argument("--output_dir", type=Path, default=Path("runs"))
    assert parser.parse_args([]).output_dir == Path("runs")
    assert parser.parse_args(["--output_dir=."]).output_dir == Path()
    with pytest.raises(InputError) as error:
        parser.parse_args(["--output_dir="])
    assert str(error.value) == "argument --output_dir: it is empty, and must name a file or folder. See --help."


def test_a_bug_has_a_traceback():
    ended = run(PROGRAM.format("{}['a']"))
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr
    assert program.in_one_line(KeyError("a")) is None
    assert program.in_one_line(OSError(errno.EINVAL, "Invalid argument")) is None
    assert program.in_one_line(InputError("x")) == "x"


def test_what_a_terminal_would_take_for_a_command_is_escaped():
    assert errors.one_line("a\n b\x1b[31m\ud800\x00 Бет") == r"a b\x1b[31m\ud800\x00 Бет"
    error = errors.DivergedError("of 'a  b' and 'a\n\x1bb'")
    assert str(error) == str(pickle.loads(pickle.dumps(error))) == r"of 'a b' and 'a \x1bb'"
    assert str(errors.InputError("of 'a  b'")) == "of 'a  b'"  # as it is, so that a name in it can be copied


def test_who_read_the_output_may_have_ended():
    code = PROGRAM.format("print('x' * 10**6); return 0")
    read, write = os.pipe()
    os.close(read)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, env=environment)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (1, b"")


@pytest.fixture
def interrupting(tmp_path):
    """A module that is stopped by Ctrl-C while it is imported."""
    (tmp_path / "interrupting.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    return f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"


def test_ctrl_c_in_an_import_is_one_line(interrupting):
    ended = run(f"{interrupting}import uncertainty_suite\nimport interrupting")
    assert ended.stderr == "-c: Stopped by SIGINT, in an import.\n"
    assert ended.returncode in (130, -signal.SIGINT)


def test_ctrl_c_in_an_import_of_a_program_cannot_be_swallowed(interrupting):
    body = "try:\n        import interrupting\n    except BaseException:\n        return 0"
    ended = run(interrupting + PROGRAM.format(body))
    assert (ended.returncode, ended.stderr) == (130, "name: Stopped by SIGINT.\n")


def test_ctrl_c_elsewhere_in_a_program_of_others_is_theirs():
    ended = run("import os, signal, uncertainty_suite\nos.kill(os.getpid(), signal.SIGINT)")
    assert ended.stderr.startswith("Traceback")


def test_three_signals_in_a_row_end_it_at_the_second():
    body = "import os, signal\n    try:\n        os.kill(os.getpid(), signal.SIGINT)\n    finally:\n"
    body += "        [os.kill(os.getpid(), signal.SIGINT) for _ in range(2)]"
    ended = run(PROGRAM.format(body))
    assert (ended.returncode, ended.stderr) == (130, "name: Stopped by SIGINT.\n")


def test_a_hangup_that_nohup_has_ignored_stops_nothing():
    ended = run("import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + PROGRAM.format(f"{HANGUP}; return 0"))
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_terminal_that_is_gone_costs_nothing():
    code = PROGRAM.format(
        "import os; os.close(ours)\n    try:\n        " + HANGUP + "\n    finally:\n        print('saved', flush=True)"
    )
    # Its terminal is one of its own, which it closes on the other side.
    terminal = "import os, pty\nours, theirs = pty.openpty()\n[os.dup2(theirs, number) for number in (1, 2)]\n"
    assert run(f"{terminal}os.close(theirs)\n{code}").returncode == 129


def test_any_text_is_printed_in_any_locale():
    code = PROGRAM.format(r"print('\u00b1 \udcff'); return 0")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
    assert (ended.returncode, ended.stdout) == (0, "± \\udcff\n".encode())


@pytest.mark.parametrize("module", command._MODULES)
def test_programs_of_the_suite_are_run_so(module):
    path = Path(ROOT, "uncertainty_suite", module)
    text = (path / "__main__.py" if path.is_dir() else path.with_suffix(".py")).read_text()
    assert text.endswith(f'\n    program.run("{module}", main)\n')


def test_keras_is_as_the_suite_needs_it_whatever_the_user_has_set_up(tmp_path):
    wished = {"floatx": "float16", "epsilon": 0.1, "backend": "jax", "image_data_format": "channels_first"}
    (tmp_path / "keras.json").write_text(json.dumps(wished))
    code = (
        "import os; os.environ.update(KERAS_HOME=os.getcwd(), KERAS_BACKEND='jax')\n"
        "from uncertainty_suite import keras\n"
        "print(*(getattr(keras.config, name)() for name in ('floatx', 'epsilon', 'backend', 'image_data_format')))"
    )
    assert run(code, cwd=tmp_path).stdout.split() == ["float32", "1e-07", "tensorflow", "channels_last"]

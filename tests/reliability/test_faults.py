"""One fault after another put into a run: the error is one line, and nothing is lost."""

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.processes import Scripts
from tests.reliability.conftest import arguments, assert_same, content, diverging_arguments, rollbacks
from tests.tiny import quick_with
from uncertainty_suite.runs import PROTOCOL_VERSION

# One owner.


def hold(scripts, command, folder):
    """Start a run that halts (it stays alive, and holds its folder) at its second checkpoint; return its process id."""
    process = scripts.start(command, signal_at=[f"{folder}/checkpoints/.000000002", signal.SIGSTOP])
    deadline = time.monotonic() + 60
    while Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    """A second warm process, since the first one waits for its child."""
    scripts = Scripts(tmp_path_factory.mktemp("second"))
    yield scripts
    scripts.close()


def test_a_second_process_is_refused_and_a_dead_owner_is_not(scripts, second, uninterrupted, tmp_path):
    folder = tmp_path / "run"
    command = arguments("deterministic", folder, "--checkpoint_every=1steps")
    process = hold(scripts, command, folder)
    before = content(folder)
    refused = second.run(command)
    assert refused.status == 1
    assert refused.error.startswith(f"{folder} is in use by process {process} on {os.uname().nodename} since 20")
    assert refused.error.endswith("Wait until that has ended, or choose another --output_dir.")
    assert content(folder) == before
    os.kill(process, signal.SIGKILL)
    assert scripts.end().status == -signal.SIGKILL
    assert second.run(command).status == 0
    assert_same(folder, uninterrupted("deterministic")[0])


def test_members_share_a_folder_and_nothing_else_does(scripts, second, uninterrupted, tmp_path):
    folder = tmp_path / "run"
    whole = arguments("deep_ensemble", folder, "--checkpoint_every=1steps")
    process = hold(scripts, [*whole, "--members=0"], folder / "members/0")
    for command, held in ((whole, folder), ([*whole, "--members=0"], folder / "members/0")):
        refused = second.run(command)
        assert refused.status == 1
        assert refused.error.startswith(f"{held} is in use by process {process} on ")
    other = second.run([*whole, "--members=1"])
    assert other.status == 0, other.log
    os.kill(process, signal.SIGCONT)
    assert scripts.end().status == 0
    assert second.run(whole).status == 0
    assert_same(folder, uninterrupted("deep_ensemble")[0])


# Asked to stop.


STOPPED = pytest.mark.parametrize(
    ("signum", "status"),
    [
        (signal.SIGTERM, 143),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in ((signal.SIGINT, 130), (signal.SIGHUP, 129))),
    ],
)


def check_stopped(ended, command, folder, signum, status):
    assert ended.status == status, ended.log
    resume = shlex.join(["python", *command])
    assert ended.error == f"Stopped by {signal.Signals(signum).name}. To go on, bit for bit: {resume}"
    assert len(list(folder.glob("checkpoints/*.npz"))) == 1  # none was due but the one on stopping, or the last
    assert not list(folder.rglob(".*"))


@STOPPED
def test_asked_to_stop_in_training_it_saves_and_says_how_to_go_on(scripts, tmp_path, signum, status):
    folder = tmp_path / "run"
    command = arguments("deterministic", folder, epochs=4000)
    process = scripts.start(command)
    scripts.signal_when(process, signum, lambda: any(path.stat().st_size for path in folder.glob("history.jsonl")))
    check_stopped(scripts.end(), command, folder, signum, status)


@STOPPED
def test_asked_to_stop_in_evaluation_it_says_how_to_go_on(scripts, uninterrupted, tmp_path, signum, status):
    folder = tmp_path / "run"
    command = arguments("deterministic", folder)
    ended = scripts.run(command, signal_at=[f"{folder}/predictions/ood", signum])
    check_stopped(ended, command, folder, signum, status)
    assert (folder / "predictions" / "test.npz").exists()
    again = scripts.run(command)
    assert again.status == 0, again.log
    reference = content(uninterrupted("deterministic")[0])
    mine = content(folder)
    assert all(mine[name] == reference[name] for name in mine)


def test_stopped_in_training_it_goes_on_bit_for_bit(scripts, uninterrupted, tmp_path):
    folder = tmp_path / "run"
    command = arguments("mc_dropout", folder, "--checkpoint_every=1steps")
    stopped = scripts.run(command, signal_at=[f"{folder}/checkpoints/.000000002", signal.SIGTERM])
    assert stopped.status == 143, stopped.log
    assert not (folder / "results.json").exists()
    assert scripts.run(command).status == 0
    assert_same(folder, uninterrupted("mc_dropout")[0])


def test_what_the_user_has_asked_to_survive_is_survived(scripts, uninterrupted, tmp_path):
    folder = tmp_path / "run"
    script = tmp_path / "deterministic.py"
    ignored = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"  # as nohup starts it
    command = arguments("deterministic", folder, "--checkpoint_every=1steps")
    script.write_text(ignored + Path(command[0]).read_text())
    ended = scripts.run([str(script), *command[1:]], signal_at=[f"{folder}/checkpoints/.000000002", signal.SIGHUP])
    assert ended.status == 0, ended.log
    assert_same(folder, uninterrupted("deterministic")[0])


SIGNALS = """
import os, signal
from uncertainty_suite import launch

def main(config, options):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

launch.run(main)
"""


def test_three_signals_in_a_row_are_one_line(scripts, tmp_path):
    (tmp_path / "signals.py").write_text(SIGNALS)
    ended = scripts.run([str(tmp_path / "signals.py"), *arguments("deterministic", tmp_path / "run")[1:]])
    assert ended.status == 130
    (line,) = ended.log.splitlines()
    assert line.startswith(f"{tmp_path}/signals.py: Stopped by SIGINT. To go on, bit for bit: python {tmp_path}/")


def test_ctrl_c_in_an_import_is_one_line(scripts, tmp_path):
    config = tmp_path / "config.py"
    config.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    ended = scripts.run([str(ROOT / "baselines/deterministic.py"), f"--config={config}"])
    assert ended.status == 130
    (line,) = ended.log.splitlines()
    assert line.startswith(f"{ROOT}/baselines/deterministic.py: Stopped by SIGINT. To go on, bit for bit: python ")


@pytest.mark.parametrize("closed", [pytest.param([2], marks=pytest.mark.slow), [0, 1, 2]])
def test_closed_streams_cost_nothing(scripts, uninterrupted, tmp_path, closed):
    folder = tmp_path / "run"
    ended = scripts.run(arguments("deterministic", folder, "--checkpoint_every=1steps"), closed=closed)
    assert ended.status == 0
    assert ("test/accuracy" in ended.log) == (1 not in closed)
    assert_same(folder, uninterrupted("deterministic")[0])


def test_checkpoint_every(scripts, tmp_path):
    command = arguments("deterministic", tmp_path / "run", "--checkpoint_every=3steps")
    assert scripts.run(command).status == 0
    assert sorted(path.name for path in tmp_path.glob("run/checkpoints/*")) == ["000000006.npz", "000000008.npz"]
    for wrong in ("3parsecs", "0steps", "1.5steps", "-1s", ""):
        refused = scripts.run(arguments("deterministic", tmp_path / "other", f"--checkpoint_every={wrong}"))
        assert refused.status == 1
        assert refused.error == (
            f"A checkpoint can be written every 500steps, 30s, 5min or 1h, say; received '{wrong}'."
        )
    assert not (tmp_path / "other").exists()


@quick_with("sngp")
def test_deterministic_operations(scripts, uninterrupted, tmp_path, method):
    command = arguments(method, tmp_path / "run", "--checkpoint_every=1steps", "--deterministic_ops")
    ended = scripts.run(command)
    assert ended.status == 0, ended.log
    assert content(tmp_path / "run").keys() == content(uninterrupted(method)[0]).keys()


# A configuration that the script cannot use.


def test_a_hyper_parameter_of_another_method(scripts, tmp_path):
    ended = scripts.run(arguments("deterministic", tmp_path / "run", **{"mc_dropout.num_samples": 3}))
    assert ended.status == 1
    assert ended.error.startswith("Unknown configuration field 'mc_dropout.num_samples'")
    assert not (tmp_path / "run").exists()


def test_a_field_that_a_script_of_one_s_own_needs(scripts, tmp_path):
    script = tmp_path / "my_method.py"
    script.write_text(
        "from uncertainty_suite import launch\n"
        "def main(config, options):\n"
        "    config.my_method.gamma\n"
        "launch.run(main)\n"
    )
    ended = scripts.run([str(script), *arguments("deterministic", tmp_path / "run")[1:]])
    assert ended.status == 1
    assert ended.error.startswith("The configuration lacks a field that this script reads: ")
    assert "my_method" in ended.error


def test_a_batch_larger_than_the_set(scripts, tmp_path):
    ended = scripts.run(arguments("deterministic", tmp_path / "run", batch_size=5000))
    assert ended.status == 1
    assert ended.error.startswith("batch_size 5000 is larger than split 'train' of data set 'two_moons' (900 examples")
    assert ended.error.endswith(" Give 900 or less, as --config.batch_size=900.")
    assert not (tmp_path / "run").exists()


def test_a_run_that_never_began_gives_its_folder_to_another(scripts, tmp_path):
    """The network that is refused is built when the folder is there already."""
    ended = scripts.run(arguments("deterministic", tmp_path / "run", **{"model.name": "convnet"}))
    assert ended.status == 1
    assert not list(tmp_path.glob("run/checkpoints/*"))
    again = scripts.run(arguments("deterministic", tmp_path / "run"))
    assert again.status == 0, again.error
    assert (tmp_path / "run/results.json").is_file()


# Numbers that stop being numbers.


def test_a_loss_that_is_no_number(scripts, tmp_path):
    folder = tmp_path / "run"
    ended = scripts.run(arguments("deterministic", folder, "--checkpoint_every=1steps", optimizer__learning_rate=1e30))
    assert ended.status == 1
    assert ended.error.startswith("The loss is nan at step 1 (epoch 1) of deterministic, with a learning rate of 1e+30")
    assert ended.error.endswith(
        "Try a smaller --config.optimizer.learning_rate or a longer warm-up, or --on_nan=rollback, in another "
        "--output_dir; the last good checkpoint stays."
    )
    for path in folder.glob("checkpoints/*.npz"):
        with np.load(path, allow_pickle=False) as file:
            assert all(np.isfinite(file[name]).all() for name in file.files)


def test_a_gradient_that_is_no_number_though_the_loss_is(scripts, tmp_path):
    command = arguments("deterministic", tmp_path / "run")
    source = Path(command[0]).read_text()
    line = "            objective = loss + training.penalty(model, config.optimizer.l2)\n"
    assert line in source
    # The derivative of a square root is infinite at zero, which it reaches at step 5; nothing else changes.
    root = "            objective += tf.sqrt(tf.cast(optimizer.iterations != 5, tf.float32) + 0 * outputs[0, 0])\n"
    script = tmp_path / "deterministic.py"
    script.write_text(source.replace(line, line + root))
    ended = scripts.run([str(script), *command[1:]])
    assert ended.status == 1
    assert ended.error.startswith(
        "The gradient norm is nan at step 5 (epoch 2) of deterministic, with a learning rate of 0.01. Try a smaller "
    )


def test_rolled_back_alike_whatever_the_clock_says(scripts, tmp_path):
    folders = []
    for name, flag in {"seldom": "--checkpoint_every=1h", "often": "--checkpoint_every=2steps"}.items():
        folders.append(tmp_path / name)
        ended = scripts.run(diverging_arguments("deterministic", folders[-1], flag))
        assert ended.status == 0, ended.log
        assert ended.log.count(": rolled back to step ") == 2
        assert (
            "rolled back to step 25, the start of that epoch; from there on the learning rate is 0.25 times the "
            "configuration's (rollback 2 of at most 5)."
        ) in ended.log
        assert "  deterministic: learning rate times 0.25 from epoch 2 on\n" in ended.log
    seldom, often = map(content, folders)
    for name in ("checkpoints/000000050.npz", "history.jsonl", "predictions/test.npz", "results.json"):
        assert seldom[name] == often[name]
    recorded = [
        {"training": "deterministic", "epoch": 1, "step": 0, "learning_rate_factor": 0.5},
        {"training": "deterministic", "epoch": 2, "step": 25, "learning_rate_factor": 0.25},
    ]
    for folder in folders:
        assert rollbacks(folder) == recorded


# An evaluation that fails.


def test_an_evaluation_that_fails_costs_no_training(scripts, uninterrupted, tmp_path):
    folder = tmp_path / "run"

    def trained():
        files = [path for name in ("*.jsonl", "checkpoints/*") for path in sorted(folder.glob(name))]
        return {path: (path.read_bytes(), path.stat().st_mtime_ns if path.suffix == ".npz" else 0) for path in files}

    shutil.copytree(uninterrupted("deterministic")[0], folder)
    before = trained()
    (folder / "results.json").unlink()
    (folder / "predictions/test.npz").unlink()
    (folder / "predictions/test.npz").mkdir()  # so nothing can be written there
    ended = scripts.run(
        arguments("deterministic", folder, "--checkpoint_every=1steps", **{"evaluation.metrics": "('accuracy',)"})
    )
    assert ended.status == 1
    assert "predictions/test.npz" in ended.error
    assert not (folder / "results.json").exists()
    assert trained() == before
    (folder / "predictions/test.npz").rmdir()
    again = scripts.run(arguments("deterministic", folder, "--checkpoint_every=1steps"))  # evaluated in another way
    assert again.status == 0, again.log
    assert trained() == before
    assert_same(folder, uninterrupted("deterministic")[0])


# The number of steps in a call.


def test_steps_per_call_change_no_bit(scripts, tmp_path):
    folders = []
    for flags in (["--steps_per_call=7"], []):  # by the clock, that is, from one on
        folders.append(tmp_path / f"run{len(folders)}")
        ended = scripts.run(arguments("mc_dropout", folders[-1], *flags, batch_size=100))
        assert ended.status == 0, ended.log
    for folder in folders[1:]:
        assert_same(folder, folders[0])


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--steps_per_call=0", "flag --steps_per_call=0: 0 is not a positive integer"),
        ("--on_nan=retry", "flag --on_nan=retry: value should be one of <stop|rollback>"),
    ],
)
def test_senseless_flags(scripts, tmp_path, flag, message):
    ended = scripts.run(arguments("deterministic", tmp_path / "run", flag))
    assert ended.status == 1
    assert ended.error == message
    assert not (tmp_path / "run").exists()


# No space, no permission.


@contextlib.contextmanager
def mounted(path: Path, *options: str):
    """Mount a small file system in memory, or skip the test where that is not allowed."""
    path.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(path)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("This process may not mount a file system: run the tests as root, with CAP_SYS_ADMIN.")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.mark.parametrize("kilobytes", [40, *(pytest.param(each, marks=pytest.mark.slow) for each in (0, 200))])
def test_no_space_left_on_the_device(scripts, uninterrupted, tmp_path, kilobytes):
    disk = tmp_path / "disk"
    with mounted(disk, "size=1m"):
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(1024 * (1024 - kilobytes)))
        command = arguments("deterministic", disk / "run", "--checkpoint_every=1steps")
        ended = scripts.run(command)
        assert ended.status == 1, ended.log
        assert ended.error.startswith(("Cannot write ", "Cannot use ")), ended.log
        assert "No space left on device" in ended.error
        assert not list(disk.rglob("*.partial"))
        for path in disk.glob("run/history.jsonl"):
            assert [json.loads(line)["epoch"] for line in path.read_text().splitlines()] in ([], [1], [1, 2])
        ballast.unlink()
        again = scripts.run(command)
        assert again.status == 0, again.log
        assert_same(disk / "run", uninterrupted("deterministic")[0])


@pytest.fixture
def closed():
    """A folder that nobody may read or write, in one that is open to all; and what makes a script run as nobody."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        closed = Path(folder, "closed")
        closed.mkdir(mode=0)
        yield closed, ({"user": 65534} if os.getuid() == 0 else {})  # root may do everything
        closed.chmod(0o700)


def test_no_permission_to_write(scripts, closed):
    closed, user = closed
    ended = scripts.run(arguments("deterministic", closed / "run"), **user)
    assert ended.status == 1
    assert ended.error.startswith(f"Cannot use {closed}/run as a run folder ([Errno 13] Permission denied: '{closed}/")
    assert ended.error.endswith("'). Choose another --output_dir.")


def test_no_permission_to_read_data(scripts, closed):
    closed, user = closed
    script, config = ROOT / "baselines/deterministic.py", ROOT / "configs/mnist.py"
    run = closed.with_name("run")
    ended = scripts.run([str(script), f"--config={config}", f"--data_dir={closed}", f"--output_dir={run}"], **user)
    assert ended.status == 1
    assert ended.error.startswith(f"No permission to read {closed}, which should hold data set '")
    assert not run.exists()


def test_data_that_only_evaluation_needs(scripts, data_dir, tmp_path):
    script, config = ROOT / "baselines/deterministic.py", ROOT / "configs/mnist.py"
    (tmp_path / "data").mkdir()
    (tmp_path / "data/mnist").symlink_to(data_dir / "mnist")
    copied = tmp_path / "data/fashion_mnist"
    shutil.copytree(data_dir / "fashion_mnist", copied, ignore=shutil.ignore_patterns("*train*"))
    (test_file,) = copied.rglob("*-test*")
    test_file.write_bytes(test_file.read_bytes()[:100_000])
    flags = ["--config.evaluation.ood_far=()", f"--data_dir={tmp_path}/data", f"--output_dir={tmp_path}/run"]
    ended = scripts.run([str(script), f"--config={config}", *flags])
    assert ended.status == 1
    assert ended.error.startswith(
        f"Cannot read split 'test' of data set 'fashion_mnist' in data_dir '{tmp_path}/data' (DataLossError: "
    )
    assert not (tmp_path / "run").exists()


def test_a_read_only_folder(scripts, uninterrupted, tmp_path):
    disk = tmp_path / "disk"
    with mounted(disk, "size=8m"):
        command = arguments("deterministic", disk / "run", "--checkpoint_every=1steps")
        killed = scripts.run(command, folder=str(disk / "run"), kill_at=40)
        assert killed.status == -signal.SIGKILL
        before = content(disk / "run")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        for folder in (disk / "run", disk / "new"):
            ended = scripts.run(arguments("deterministic", folder, "--checkpoint_every=1steps"))
            assert ended.status == 1
            assert ended.error.startswith(f"Cannot use {folder} as a run folder ([Errno 30] Read-only file system")
        assert content(disk / "run") == before
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        assert scripts.run(command).status == 0
        assert_same(disk / "run", uninterrupted("deterministic")[0])
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        finished = scripts.run(command)  # its results can be had, for nothing is written
        assert finished.status == 0, finished.log


# The folder of another run, or damaged.


@pytest.fixture
def finished(uninterrupted, tmp_path):
    """A finished run's folder to be damaged."""
    return Path(shutil.copytree(uninterrupted("deterministic")[0], tmp_path / "run"))


def refuse(scripts, folder, **overrides) -> str:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    ended = scripts.run(arguments("deterministic", folder, "--checkpoint_every=1steps", **overrides))
    assert ended.status == 1, ended.log
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for files in (before, after):  # that it was tried is noted
        files.pop(folder / "provenance.json", None)
    assert after == before
    return ended.error


@pytest.mark.parametrize("name", ["results.json", "provenance.json"])
def test_another_protocol(scripts, finished, name):
    content = json.loads((finished / name).read_text())
    (finished / name).write_text(json.dumps({**content, "protocol_version": 0}))
    if name == "provenance.json":
        (finished / "results.json").unlink()
    assert refuse(scripts, finished) == (
        f"{finished} belongs to a run of another protocol (protocol_version: 0 -> {PROTOCOL_VERSION}), whose results "
        "cannot be compared. Choose another --output_dir."
    )


@pytest.mark.parametrize("name", ["results.json", "provenance.json"])
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (b"", "Expecting value"),
        (b'{"metrics": {', "Expecting property name"),
        (b"[]", "it holds no object but a list"),
        (b"{}", "it has no protocol_version"),
        (b"{\x80", "codec can't decode"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_damaged_records(scripts, finished, name, damage, reason):
    (finished / name).write_bytes(damage)
    if name == "provenance.json":
        (finished / "results.json").unlink()
    error = refuse(scripts, finished)
    assert error.startswith(f"{finished / name} is damaged (")
    assert reason in error
    assert error.endswith("Delete that file and give the same command again: the rest of the run is kept.")


@pytest.mark.parametrize("name", ["results.json", "provenance.json"])
def test_without_the_damaged_record_the_run_goes_on(scripts, uninterrupted, finished, name):
    (finished / "results.json").unlink()
    (finished / name).unlink(missing_ok=True)
    assert scripts.run(arguments("deterministic", finished, "--checkpoint_every=1steps")).status == 0
    assert_same(finished, uninterrupted("deterministic")[0])


def test_results_of_another_run(scripts, finished):
    results = json.loads((finished / "results.json").read_text())
    results["config"]["seed"] = 1
    (finished / "results.json").write_text(json.dumps(results))
    error = refuse(scripts, finished)
    assert error.startswith(f"{finished}/results.json is of another configuration than config.json (seed: 0 -> 1).")


def test_a_damaged_configuration(scripts, finished):
    (finished / "config.json").write_text("{")
    assert refuse(scripts, finished).startswith(f"{finished} is no run folder: its config.json cannot be read (")


def test_checkpoints_of_another_run(scripts, finished):
    (finished / "results.json").unlink()
    (finished / "config.json").write_text((finished / "config.json").read_text().replace('"seed": 0', '"seed": 1'))
    error = refuse(scripts, finished, seed=1)
    assert error.startswith(f"The checkpoints in {finished}/checkpoints are of another run (")


def test_a_damaged_newest_checkpoint(scripts, uninterrupted, finished):
    (finished / "results.json").unlink()
    newest = sorted(finished.glob("checkpoints/*.npz"))[-1]
    newest.write_bytes(newest.read_bytes()[:-1000])
    ended = scripts.run(arguments("deterministic", finished, "--checkpoint_every=1steps"))
    assert ended.status == 0, ended.log
    assert f"Checkpoint {newest} is damaged (File is not a zip file); trying the one before it." in ended.log
    assert_same(finished, uninterrupted("deterministic")[0])


def test_each_resume_is_recorded(scripts, finished):
    (finished / "results.json").unlink()
    provenance = json.loads((finished / "provenance.json").read_text())
    provenance["versions"]["tensorflow"] = "2.0.0"
    (finished / "provenance.json").write_text(json.dumps(provenance))
    ended = scripts.run(arguments("deterministic", finished, "--checkpoint_every=1steps"))
    assert ended.status == 0, ended.log
    assert "goes on under other conditions than it began, so no longer bit for bit for sure: " in ended.log
    assert "versions.tensorflow: 2.0.0 -> " in ended.log
    recorded = json.loads((finished / "results.json").read_text())["provenance"]
    assert recorded["versions"]["tensorflow"] == "2.0.0"
    (resume,) = recorded["resumed"]
    assert {"command", "host", "started_at", "versions"} <= resume.keys()
    assert set(recorded["hardware"]["threads"]) == {"inter_op", "intra_op"}


def test_environment_variables_that_change_bits_are_recorded_and_warned_of(scripts, finished):
    (finished / "results.json").unlink()
    environment = {"TF_NUM_INTRAOP_THREADS": "1", "TF_VAR_password": "secret"}
    command = arguments("deterministic", finished, "--checkpoint_every=1steps")
    ended = scripts.run(command, environment=environment)
    assert ended.status == 0, ended.log
    assert "goes on under other conditions than it began, so no longer bit for bit for sure: " in ended.log
    assert "environment.TF_NUM_INTRAOP_THREADS: absent -> 1" in ended.log
    recorded = json.loads((finished / "results.json").read_text())["provenance"]
    (resume,) = recorded["resumed"]
    assert resume["environment"]["TF_NUM_INTRAOP_THREADS"] == "1"
    assert "secret" not in (finished / "results.json").read_text()

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import ROOT
from uncertainty_suite import configuration, launch, metrics
from uncertainty_suite.errors import InputError

sys.path.append(str(ROOT / "benchmarks"))
import comparison
import peer_job
import peer_posthoc
import peers

ABSENT = peers.Peer("Absent", "absent.py", ("absent",), ("no_such_module",), {"deterministic": "deterministic"}, 2.0)


@pytest.fixture
def job(tmp_path):
    job = peer_job.Job(tmp_path, epochs=4)
    job.write()
    sizes = peers.write_data(tmp_path, "digits", examples=600, data_dir=None)
    assert sizes == {"train": 540, "validation": 60, "test": 500}
    return job


def printing(answer):
    """Return a side whose command prints an answer, after something else."""
    code = f"print('epoch 1')\nprint({json.dumps(answer)!r})"
    return peers.Side("it", lambda: [sys.executable, "-c", code], peers.read_answer)


def test_all_sides_read_the_same_job(job):
    assert peer_job.Job.read(job.folder) == job
    images, labels = job.arrays("test")
    assert (images.shape, images.dtype, labels.dtype) == ((500, 8, 8, 1), np.float32, np.int64)
    assert (images.min(), images.max()) == (0, 1)
    train, validation = job.arrays("train")[0], job.arrays("validation")[0]
    assert len({image.tobytes() for image in (*train, *validation)}) > 590  # none is in both


@pytest.mark.parametrize("method", peers.SCRIPTS)
def test_our_scripts_do_the_job(job, method):
    section = getattr(configuration.load_module(ROOT / f"baselines/{method}.py"), "CONFIG", None)
    config = launch.get_config(f"{peers.TASK}:{job.folder}", section, method)
    assert (config.epochs, config.batch_size, config.optimizer.learning_rate) == (4, 128, 1e-3)
    assert (config.model.name, config.model.dropout_rates) == ("convnet", (0.25, 0.5))
    assert config.dataset.validation_percent == 0  # the arrays have one
    if method == "swag":
        assert job.swag_start == int(config.swag.start * config.epochs) == 3
        assert config.swag.num_samples == job.num_samples
    if method in ("deep_ensemble", "batch_ensemble"):
        assert config[method].size == job.size


def test_peers_without_metrics_of_their_own_get_ours():
    rng = np.random.default_rng(0)
    probs, labels = rng.dirichlet(np.ones(10), 200), rng.integers(0, 10, 200)
    found = peer_job.brier_and_ece(probs, labels)
    assert found["brier"] == pytest.approx(metrics.brier_score(probs, labels))
    assert found["ece"] == pytest.approx(metrics.expected_calibration_error(probs, labels))


@pytest.fixture
def predictions(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 3000)
    logits = 6 * rng.normal(size=(3000, 10)) + 12 * np.eye(10)[labels]  # three times what would be calibrated
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.savez(
        tmp_path / "predictions.npz",
        validation_probs=probs[:2000],
        validation_labels=labels[:2000],
        test_probs=probs[2000:],
        test_labels=labels[2000:],
    )
    return peer_job.Job(tmp_path, epochs=3)


def test_our_side_calibrates_and_makes_sets(predictions):
    found = peer_posthoc.suite(predictions)
    *_, probs, labels = peer_posthoc.read(predictions)
    assert found["accuracy"] == (probs.argmax(axis=1) == labels).mean()
    assert found["nll"] < metrics.negative_log_likelihood(probs, labels)
    for key in ("coverage", "aps_coverage"):
        assert found[key] == pytest.approx(0.9, abs=0.03)


def test_mapie_finds_the_same(predictions):
    pytest.importorskip("mapie")
    assert peers.unequal(peer_posthoc.suite(predictions), peer_posthoc.mapie(predictions)) == []


def test_an_absent_peer_is_left_out_with_a_word(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(peers, "PEERS", {"absent": ABSENT})
    monkeypatch.setattr(sys, "argv", ["peers.py", f"--output_dir={tmp_path}"])
    assert peers.main() == 0
    assert capsys.readouterr().out == "# Left out: Absent. ModuleNotFoundError: No module named 'no_such_module'\n"
    assert list(tmp_path.iterdir()) == []


def test_an_absent_interpreter_is_said(tmp_path):
    with pytest.raises(InputError, match=r"^no/python cannot be started: No such file or directory\.$"):
        peers.versions("no/python", ABSENT)


def test_versions_are_those_of_the_interpreter():
    peer = dataclasses.replace(ABSENT, packages=("numpy",), modules=("numpy",))
    assert peers.versions(sys.executable, peer) == {"numpy": np.__version__}


@pytest.mark.parametrize(
    ("option", "least", "job"), [("examples", 500, "posthoc"), ("epochs", 3, "swag"), ("epochs", 1, "laplace")]
)
def test_a_job_that_is_too_small_is_refused(option, least, job, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["peers.py", f"--{option}={least - 1}", "--jobs", job])
    with pytest.raises(SystemExit) as end:
        peers.main()
    assert end.value.code == f"benchmarks/peers.py: --{option} is {least - 1}; expected {least} or more."


def test_a_side_is_a_command_and_its_last_line_the_answer():
    side = printing({"accuracy": 0.5})
    side()
    side()
    assert side.found == [{"accuracy": 0.5}] * 2
    assert side.quality() == {"accuracy": 0.5}
    assert min(side.processor_seconds) > 0


def test_a_command_that_fails_is_said_with_its_last_line():
    side = peers.Side("this", lambda: [sys.executable, "-c", "raise ValueError('too late')"], peers.read_answer)
    with pytest.raises(InputError, match=r"^this has failed: ValueError: too late$"):
        side()


def rows_of(theirs, monkeypatch, tmp_path):
    """Return the rows of a peer with an answer, where ours is the usual one."""
    monkeypatch.setattr(peers, "script_side", lambda *args: printing({"accuracy": 0.9, "nll": 0.3, "parameters": 7}))
    monkeypatch.setattr(peers, "answering_side", lambda *args: printing(theirs))
    return list(peers.compare_with_peers("deterministic", [ABSENT], {"Absent": "python"}, tmp_path, 1))


def test_results_far_apart_are_no_comparison(monkeypatch, tmp_path):
    answer = {"accuracy": 0.91, "nll": 0.3, "parameters": 7}
    (row,) = rows_of(answer, monkeypatch, tmp_path)
    assert (row["what"], row["against"], row["target"], row["unequal"]) == ("job, deterministic", "Absent", 2.0, [])
    assert row["quality"]["theirs"] == answer
    assert row["value"] == row["theirs"] / row["ours"]
    assert "accuracy 0.9000 and 0.9100" in peers.format_quality(row)
    (row,) = rows_of({"accuracy": 0.87, "nll": 0.3, "parameters": 7}, monkeypatch, tmp_path)
    assert not row["met"]
    assert peers.format_quality(row).endswith("NOT EQUAL: accuracy 0.9000 and 0.8700")
    assert "MISSED" in comparison.format_line(row)


def test_other_networks_are_refused(monkeypatch, tmp_path):
    answer = {"accuracy": 0.9, "nll": 0.3, "parameters": 8}
    with pytest.raises(InputError, match=r"^deterministic has 7 parameters, and 8 by Absent\.$"):
        rows_of(answer, monkeypatch, tmp_path)


def test_all_scripts_together_are_compared_once_all_are_measured():
    titles = [peers.PEERS["laplace" if what == "laplace" else "torch_uncertainty"].title for what in peers.SCRIPTS]
    rows = [
        comparison.Row(f"job, {what}", title, np.array([1.0 + i]), np.array([4.0]), "x faster", 2.0).summarize()
        for i, (what, title) in enumerate(zip(peers.SCRIPTS, titles))
    ]
    assert peers.all_together(rows[:-1]) == []
    (together,) = peers.all_together([*rows, dict(rows[0], against="Keras fit")])
    assert (together["ours"], together["theirs"], together["met"]) == (21.0, 24.0, False)


@pytest.mark.slow  # a minute
def test_keras_does_the_same_job(tmp_path):
    command = [sys.executable, "benchmarks/peers.py", "--quick", "--only", "keras", f"--output_dir={tmp_path}"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    (path,) = tmp_path.glob("*.json")
    record = json.loads(path.read_text())["peers"]
    assert {"revision", "versions", "hardware", "started_at", "load"} <= record.keys()
    assert record["peers"].keys() == {"Keras fit"}
    assert record["job"]["data"] == "digits"
    (row,) = record["rows"]
    # How close they come differs from one processor to the next; the bands have tests of their own.
    assert min(side["accuracy"] for side in row["quality"].values()) > 0.9
    assert row["quality"]["ours"]["parameters"] == row["quality"]["theirs"]["parameters"] > 0
    assert row["value"] == row["theirs"] / row["ours"] > 0
    assert comparison.format_line(row) in ran.stdout.splitlines()
    assert peers.format_quality(row) in ran.stdout.splitlines()
    assert ran.returncode == (0 if row["met"] else 1), ran.stderr

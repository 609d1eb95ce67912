import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.figures.conftest import classified, digits_predictions, probabilities
from uncertainty_suite.figures import __main__ as command


def test_draws_a_run_without_tensorflow(make_run):
    run = make_run(digits_predictions(), method="sngp")
    program = (
        "import sys; from uncertainty_suite.figures.__main__ import main; status = main(sys.argv[1:]); "
        "assert 'tensorflow' not in sys.modules and 'matplotlib.pyplot' not in sys.modules; sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(run)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    names = ["reliability_test", "risk_coverage_test", "images_test", "ood_photos", "ood_photos_variance"]
    names += ["failures_max_prob", "shift_accuracy", "shift_nll", "shift_ece"]
    expected = [run / "figures" / f"{name}.{suffix}" for name in names for suffix in ("png", "svg")]
    assert done.stdout.split("\n")[:-1] == list(map(str, expected))
    assert all(path.stat().st_size > 5000 for path in expected)


def test_compares_runs_in_a_folder_of_their_own(make_run, tmp_path, capsys):
    test = {"test": classified(probabilities(20, classes=2), [0, 1] * 10)}
    runs = [make_run(test, name, "two_moons", name) for name in ("sngp", "mc_dropout")]
    assert command.main([*map(str, runs), "--output_dir", str(tmp_path / "out")]) == 0
    drawn = ("reliability_test", "risk_coverage_test", "referral_test")
    names = [f"{name}.{suffix}" for name in drawn for suffix in ("png", "svg")]
    assert capsys.readouterr().out.split() == [str(tmp_path / "out" / name) for name in names]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("{tmp}/nothing", "nothing is no finished run: it has no results.json of its configuration."),
        ("{tmp}/unfinished", "unfinished is no finished run: it has no results.json of its configuration."),
        ("{tmp}/empty", "There are no predictions in {tmp}/empty, so nothing to draw."),
        ("{tmp}/a {tmp}/b", "2 runs are compared, so name by --output_dir where to write."),
        ("{tmp}/a {tmp}/moons --output_dir {tmp}/out", "Runs of different tasks in one figure: {tmp}/a is on digits"),
        ("{tmp}/a {tmp}/a --output_dir {tmp}/out", "seed 0 of 'deterministic' is there twice"),
        ("{tmp}/a {tmp}/b --output_dir {tmp}/out", "Task 'digits': data_fingerprint['test'] differs"),
        ("{tmp}/a --output_dir {tmp}/file", "Cannot write {tmp}/file/reliability_test.png: "),
        ("{tmp}/damaged", "damaged"),
        ("{tmp}/unlabelled", "has examples without a label"),
        ("", "the following arguments are required: RUN. See --help."),
        ("{tmp}/a --out=x", "unrecognized arguments: --out=x. See --help."),
    ],
)
def test_says_in_one_line_what_is_wrong(make_run, tmp_path, capsys, arguments, message):
    test = {"test": classified(probabilities(5), [0] * 5)}
    make_run(test, "a")
    make_run(test, "b", method="sngp", data_fingerprint={"test": "bb"})
    make_run(test, "moons", task="two_moons")
    (make_run(test, "empty") / "predictions/test.npz").unlink()
    make_run({"test": classified(probabilities(5), [-1] * 5)}, "unlabelled")
    (make_run(test, "unfinished") / "results.json").unlink()
    (make_run(test, "damaged") / "predictions/test.npz").write_bytes(b"PK")
    (tmp_path / "file").write_text("")
    assert command.main(arguments.format(tmp=tmp_path).split()) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("figures: ")
    assert output.err.count("\n") == 1
    assert message.format(tmp=tmp_path) in output.err

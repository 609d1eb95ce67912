import json
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.colors import to_hex

from tests.conftest import ROOT
from uncertainty_suite import datasets, evaluation, figures, metrics
from uncertainty_suite.errors import InputError
from uncertainty_suite.figures import __main__ as command
from uncertainty_suite.figures import style

CORRUPTIONS = ("fog", "gaussian_noise", "rotate")


def probabilities(num, sharpness=4.0, classes=10, seed=0):
    logits = sharpness * np.random.default_rng(seed).normal(size=(num, classes))
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (probs / probs.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def make_run(tmp_path):
    """Write a finished run with the given predictions, each as `(probs, labels)` with further arrays after them."""

    def make(predictions, name="run", task="digits", method="deterministic", seed=0, **results):
        config = {
            "seed": seed,
            "method": method,
            "dataset": {"name": task, "validation_percent": 0.0, "classes": []},
            "evaluation": {"splits": ["test"]},
        }
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config))
        for key, (probs, labels, *more) in predictions.items():
            path = folder / "predictions" / f"{key}.npz"
            path.parent.mkdir(parents=True, exist_ok=True)
            arrays = {"probs": probs, "labels": np.asarray(labels, np.int32), "element_id": np.arange(len(probs))}
            arrays |= more[0] if more else {}
            np.savez(path, **arrays, run=np.array(evaluation.run_id(config)))
        record = {
            "schema_version": 1,
            "protocol_version": 1,
            "task": task,
            "method": method,
            "model": "convnet",
            "seed": seed,
            "config": config,
            "config_hash": evaluation.run_id(config).split("/")[0],
            "batch_size_global": 64,
            "data_fingerprint": {"test": "aa"},
            "metrics": {"test/nll": 0.1},
            "provenance": {"revision": "abc"},
        }
        (folder / "results.json").write_text(json.dumps(record | results))
        return folder

    return make


def digits_predictions(shift=0.0, uncertainty="variance"):
    """Predictions of every kind on digits, wrong on some; `shift` makes one run differ from another."""
    labels = datasets.get("digits", split="test").labels

    def predict(strength, seed):
        probs = probabilities(len(labels), 3 + shift, seed=seed).astype(np.float64)
        probs[np.arange(len(labels)), labels] += strength
        return (probs / probs.sum(axis=1, keepdims=True)).astype(np.float32)

    outside = probabilities(300, 1.0, seed=1)
    predictions = {
        "test": (predict(0.5, 0), labels, {f"uncertainty/{uncertainty}": np.linspace(0, 1, 500, dtype=np.float32)}),
        "fit": (predict(0.5, 0)[:100], labels[:100]),
        "ood/photos": (outside, [-1] * 300, {f"uncertainty/{uncertainty}": np.full(300, 0.9, np.float32)}),
    }
    for i, name in enumerate(CORRUPTIONS):
        for severity in (1, 3, 5):
            probs = predict(0.5 - severity / 12, i)[:200]  # config.evaluation.shift_examples = 200
            predictions[f"shift/{name}_{severity}"] = (probs, labels[:200])
    return predictions


def bars_of(axis, label):
    return next(container for container in axis.containers if container.get_label() == label)


def texts(axis):
    return [text.get_text() for text in axis.get_legend().get_texts()]


def test_reliability_bars_are_the_accuracies_of_the_bins(make_run):
    probs, labels = probabilities(400), np.random.default_rng(1).integers(0, 10, 400)
    labels[:250] = probs[:250].argmax(axis=1)
    run = make_run({"test": (probs, labels)})
    figure = figures.reliability_diagram({"MC": run}, num_bins=10)
    bars, counts = figure.axes
    confidence, correct = probs.max(axis=1), probs.argmax(axis=1) == labels
    bins = np.minimum((confidence * 10).astype(int), 9)
    assert [bar.get_height() for bar in counts.patches] == [np.sum(bins == b) for b in range(10)]
    assert sum(bar.get_height() for bar in counts.patches) == 400
    used = [b for b in range(10) if np.any(bins == b)]
    assert 0 < len(used) < 10  # there is an empty bin
    accuracy = [correct[bins == b].mean() for b in used]
    drawn = bars_of(bars, "accuracy").patches
    np.testing.assert_allclose([bar.get_height() for bar in drawn], accuracy)
    np.testing.assert_allclose([bar.get_x() + bar.get_width() / 2 for bar in drawn], (np.array(used) + 0.5) / 10)
    gaps = [bar.get_height() for bar in bars_of(bars, "gap to mean confidence").patches]
    np.testing.assert_allclose(
        gaps, [confidence[bins == b].mean() - correct[bins == b].mean() for b in used], rtol=1e-5
    )
    weights = np.bincount(bins, minlength=10)[used] / 400
    ece = metrics.expected_calibration_error(probs, labels, num_bins=10)
    assert np.abs(gaps) @ weights == pytest.approx(ece)
    assert bars.get_title() == f"MC\nECE = {ece:.2%}"


def test_reliability_intervals_are_wilsons(make_run):
    probs = np.tile([0.7, 0.3], (20, 1))
    run = make_run({"test": (probs, [0] * 14 + [1] * 6)})
    bars, _ = figures.reliability_diagram({"run": run}).axes
    (segment,) = bars_of(bars, "95% interval").lines[2][0].get_segments()
    z, p, n = 1.959964, 0.7, 20
    center, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    np.testing.assert_allclose(segment[:, 1], (np.array([center - half, center + half])) / (1 + z**2 / n), rtol=1e-5)


@pytest.mark.parametrize(
    ("probs", "labels"),
    [
        pytest.param(np.eye(10)[[3, 4, 5]], [3, 4, 5], id="sure and right"),
        pytest.param(np.eye(10)[[3, 4, 5]], [4, 5, 6], id="sure and wrong"),
        pytest.param([[0.6, 0.4]], [0], id="one example"),
        pytest.param([[0.6, 0.4]], [1], id="one wrong example"),
        pytest.param([[0.5, 0.5]] * 4, [0, 1, 0, 1], id="all tied"),
    ],
)
def test_edge_cases_of_labelled_splits(make_run, tmp_path, probs, labels):
    run = make_run({"test": (np.asarray(probs, np.float32), labels)})
    accuracy = metrics.accuracy(probs, labels)
    figure = figures.reliability_diagram({"run": run})
    figures.save(figure, tmp_path / "reliability.png")
    bars, counts = figure.axes
    (bar,) = bars_of(bars, "accuracy").patches
    assert bar.get_height() == accuracy
    assert [p.get_height() for p in counts.patches if p.get_height()] == [len(labels)]
    figure = figures.risk_coverage({"run": run})
    figures.save(figure, tmp_path / "risk_coverage.png")
    for line in figure.axes[0].lines[:2]:
        assert line.get_ydata()[-1] == 1 - accuracy
    assert 0 < figure.axes[0].get_ylim()[1] <= 1.08


def test_risk_coverage_curves_and_oracles(make_run):
    labels = np.random.default_rng(1).integers(0, 10, 400)
    runs = {}
    for label, sharpness in [("one", 1.0), ("two", 6.0)]:
        probs = probabilities(400, sharpness)
        probs[:300] = probs[:300] / 2 + np.eye(10, dtype=np.float32)[labels[:300]] / 2
        runs[label] = make_run({"test": (probs, labels)}, label, method=label)
    axis = figures.risk_coverage(runs).axes[0]
    for i, (label, run) in enumerate(runs.items()):
        saved = evaluation.load(run, "test")
        order = np.argsort(-saved["probs"].max(axis=1))
        errors = (saved["probs"].argmax(axis=1) != labels)[order]
        curve, oracle = axis.lines[2 * i : 2 * i + 2]
        np.testing.assert_allclose(curve.get_xdata(), np.arange(1, 401) / 400)
        np.testing.assert_allclose(curve.get_ydata(), np.cumsum(errors) / np.arange(1, 401))
        np.testing.assert_allclose(oracle.get_ydata(), np.cumsum(np.sort(errors)) / np.arange(1, 401))
        assert texts(axis)[i] == f"{label}, AURC = {metrics.aurc(saved['probs'], labels):.3g}"
    assert texts(axis)[-1] == "oracle"


def test_ood_histograms_and_roc(make_run):
    runs = {name: make_run(digits_predictions(i), name, method=name) for i, name in enumerate(("mc_dropout", "sngp"))}
    figure = figures.ood_detection(runs, "photos")
    *histograms, roc = figure.axes
    for i, ((label, run), axis) in enumerate(zip(runs.items(), histograms)):
        inside, outside = (evaluation.load(run, key) for key in ("test", "ood/photos"))
        scores_in, scores_out = (1 - each["probs"].max(axis=1) for each in (inside, outside))
        for patch, scores in zip(axis.patches[::2], (scores_in, scores_out)):
            shares, edges, _ = patch.get_data()
            assert shares.sum() == pytest.approx(1)
            np.testing.assert_allclose(shares, np.histogram(scores, edges)[0] / len(scores))
        line = roc.lines[i]
        x, y = line.get_data()
        assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
        auroc = evaluation.ood_metrics(inside, outside)["auroc"]
        assert np.trapezoid(y, x) == pytest.approx(auroc)
        assert texts(roc)[i] == f"{auroc:.3f} {label}"
        assert texts(axis) == ["test", "photos"]


def test_ood_by_other_scores(make_run, tmp_path):
    logits = {"logits": np.random.default_rng(0).normal(size=(1, 50, 10))}
    other = {"logits": np.random.default_rng(1).normal(size=(1, 50, 10)) - 9}
    constant, wild = np.zeros(50, np.float32), np.linspace(0, 1, 50, dtype=np.float32)
    wild[-1] = 1e6
    probs = probabilities(50)
    run = make_run(
        {
            "test": (probs, [0] * 50, logits | {"uncertainty/constant": constant, "uncertainty/wild": wild}),
            "ood/far": (probs, [-1] * 50, other | {"uncertainty/constant": constant, "uncertainty/wild": wild}),
        }
    )
    histogram, roc = figures.ood_detection({"run": run}, "far", score="energy").axes
    assert histogram.get_xlabel() == "Energy"
    assert float(texts(roc)[0].split()[0]) > 0.9
    figure = figures.ood_detection({"run": run}, "far", score="constant")
    assert texts(figure.axes[1]) == ["0.500 run"]
    figures.save(figure, tmp_path / "constant.png")
    histogram, _ = figures.ood_detection({"run": run}, "far", score="wild").axes
    shares, edges, _ = histogram.patches[0].get_data()
    assert edges[-1] < 3
    assert (shares.sum(), np.count_nonzero(shares) > 5) == (pytest.approx(1), True)  # one example hides no other
    with pytest.raises(InputError, match=r"Unknown uncertainty in the predictions of .*run 'variances'\."):
        figures.ood_detection({"run": run}, "far", score="variances")
    with pytest.raises(InputError, match=r"There are no predictions .*near.npz"):
        figures.ood_detection({"run": run}, "near")


def test_shift_means_and_boxes(make_run):
    runs = {name: make_run(digits_predictions(i), name, method=name) for i, name in enumerate(("mc_dropout", "sngp"))}
    axis = figures.shift_by_severity(runs, "ece").axes[0]
    lines = [line for line in axis.lines if line.get_label() in runs]
    for line, run in zip(lines, runs.values()):
        by_severity = [
            [metrics.expected_calibration_error(saved["probs"], saved["labels"]) for saved in shifted]
            for shifted in [
                [evaluation.load(run, f"shift/{name}_{severity}") for name in CORRUPTIONS] for severity in (1, 3, 5)
            ]
        ]
        clean = evaluation.load(run, "test")
        expected = [metrics.expected_calibration_error(clean["probs"][:200], clean["labels"][:200])]
        expected += [np.mean(values) for values in by_severity]
        np.testing.assert_allclose(line.get_ydata(), expected)
        np.testing.assert_allclose(np.diff(line.get_xdata()), [1, 2, 2])
    boxes = [(box.get_y(), box.get_y() + box.get_height()) for box in axis.patches]
    assert len(boxes) == 6
    np.testing.assert_allclose(boxes[-1], np.quantile(by_severity[-1], [0.25, 0.75]))
    whiskers, medians = axis.collections[-2:]
    np.testing.assert_allclose(whiskers.get_segments()[-1][:, 1], (min(by_severity[-1]), max(by_severity[-1])))
    np.testing.assert_allclose(medians.get_segments()[-1][:, 1], np.median(by_severity[-1]))
    assert [label.get_text() for label in axis.get_xticklabels()] == ["clean", "1", "3", "5"]
    assert axis.get_ylabel() == "ECE (lower is better)"
    assert axis.get_title() == "Mean and quartiles over 3 corruptions"


def test_refuses_means_over_different_corruptions(make_run):
    whole = make_run(digits_predictions(), "whole")
    predictions = digits_predictions()
    for severity in (1, 3, 5):
        del predictions[f"shift/fog_{severity}"]
    less = make_run(predictions, "less")
    with pytest.raises(InputError, match=r"The corruptions in .*less are not those in .*whole: their means cannot"):
        figures.shift_by_severity({"whole": whole, "less": less})
    (whole / "predictions/shift/fog_3.npz").unlink()
    with pytest.raises(InputError, match=r"has no predictions/shift/fog_3.npz, but other severities of it"):
        figures.shift_by_severity({"whole": whole})
    with pytest.raises(InputError, match=r"Unknown metric 'ecee'\. Did you mean 'ece'"):
        figures.shift_by_severity({"less": less}, "ecee")
    with pytest.raises(InputError, match=r"Metric 'brier_decomposition' is no single number"):
        figures.shift_by_severity({"less": less}, "brier_decomposition")


def test_uncertain_and_wrong_images(make_run):
    run = make_run(digits_predictions())
    figure = figures.uncertain_images({"run": run}, count=6)
    saved, data = evaluation.load(run, "test"), datasets.get("digits", split="test")
    confidence, predicted = saved["probs"].max(axis=1), saved["probs"].argmax(axis=1)
    wrong = np.flatnonzero(predicted != data.labels)
    uncertain = np.argsort(confidence, kind="stable")[:6]
    expected = [*uncertain, *wrong[np.argsort(-confidence[wrong], kind="stable")][:6]]
    assert [part.get_suptitle() for part in figure.subfigs[:2]] == [
        "run: the most uncertain",
        "run: the most confidently wrong",
    ]
    pairs = list(zip(figure.axes[::2], figure.axes[1::2]))
    assert len(pairs) == 12
    for i, (image, bars) in zip(expected, pairs):
        np.testing.assert_array_equal(image.images[0].get_array(), data.features[i, ..., 0] / 16)
        np.testing.assert_allclose([bar.get_width() for bar in bars.patches], saved["probs"][i])
        assert to_hex(bars.patches[data.labels[i]].get_facecolor(), keep_alpha=False) == style.GREEN.lower()
        title = f"{predicted[i]}" if predicted[i] == data.labels[i] else f"{predicted[i]}, not {data.labels[i]}"
        assert bars.get_title() == f"{title} ({confidence[i]:.0%})"
    by_variance = figures.uncertain_images({"run": run}, count=1, score="variance")
    np.testing.assert_array_equal(by_variance.axes[0].images[0].get_array(), data.features[-1, ..., 0] / 16)


def test_images_with_samples_and_none_wrong(make_run):
    labels = datasets.get("digits", split="test").labels
    probs = np.eye(10, dtype=np.float32)[labels]
    samples = np.stack([probs, np.full_like(probs, 0.1), probs])
    run = make_run({"test": (probs, labels, {"samples": samples})})
    figure = figures.uncertain_images({"run": run}, count=2)
    assert figure.subfigs[1].get_suptitle() == "run: the most confidently wrong (none)"
    spans = figure.axes[1].collections[0].get_segments()
    np.testing.assert_allclose([span[:, 0] for span in spans], np.quantile(samples[:, 0], (0.05, 0.95), axis=0).T)


def test_refuses_images_that_were_not_predicted(make_run):
    labels = datasets.get("digits", split="test").labels
    run = make_run({"test": (probabilities(500), np.roll(labels, 1))})
    with pytest.raises(InputError, match=r"are not those of the data found: element \d+ has another label"):
        figures.uncertain_images({"run": run})
    run = make_run({"test": (probabilities(1000, classes=2), [0] * 1000)}, "moons", task="two_moons")
    with pytest.raises(InputError, match=r"Data set 'two_moons' has no images to draw"):
        figures.uncertain_images({"run": run})


def test_two_moons_surfaces(make_run):
    probability = np.linspace(0, 1, 10_000, dtype=np.float32)
    grid = np.stack([1 - probability, probability], axis=1)
    run = make_run({"grid": (grid, [-1] * 10_000)}, task="two_moons")
    figure = figures.two_moons_surfaces({"first": run, "second": run})
    surfaces = [axis.images[0].get_array() for axis in figure.axes if axis.images]
    assert [surface.shape for surface in surfaces] == [(100, 100)] * 4
    np.testing.assert_array_equal(surfaces[0].ravel(), probability)
    assert surfaces[2].max() == pytest.approx(1, abs=1e-6)
    assert "first: p(class 1)" in [axis.get_title() for axis in figure.axes]
    (run / "predictions/grid.npz").unlink()
    with pytest.raises(InputError, match=r"has no predictions/grid.npz: it is no finished run on two_moons"):
        figures.two_moons_surfaces({"method": run})


def test_a_method_keeps_its_colour(make_run):
    methods = ["sngp", "mine", "yours", "sngp"]
    runs = {f"{i}": make_run({"test": (probabilities(5), [0] * 5)}, f"{i}", method=m) for i, m in enumerate(methods)}
    looks = style.lines(runs)
    assert style.lines({"alone": runs["3"]})["alone"]["color"] == looks["0"]["color"] == style.VERMILION
    assert looks["3"] == {"color": style.VERMILION, "linestyle": "--"}
    assert len({look["color"] for look in looks.values()}) == 3


def test_labels_tell_runs_apart(make_run, tmp_path, monkeypatch):
    predictions = {"test": (probabilities(50, classes=2), [0, 1] * 25)}
    runs = [
        make_run(predictions, "a", "two_moons", "mc_dropout"),
        make_run(predictions, "b", "two_moons", "mc_dropout", 1),
    ]
    drawn = []
    monkeypatch.setattr(figures.report, "save", lambda figure, path: drawn.append(figure.axes[0].get_title()) or path)
    figures.compare(runs, tmp_path)
    assert drawn[0].startswith("mc_dropout, seed 0\n")
    drawn.clear()
    figures.draw(runs[1])
    assert drawn[0].startswith("mc_dropout\n")


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_same_predictions_same_bytes(make_run, tmp_path, suffix):
    run = make_run(digits_predictions())

    def draw():
        figure = figures.reliability_diagram({"run": run})
        first = figures.save(figure, tmp_path / f"figure.{suffix}").read_bytes()
        assert figures.save(figure, tmp_path / f"again.{suffix}").read_bytes() == first
        return first

    first = draw()
    import matplotlib as mpl

    with mpl.rc_context({"font.size": 20, "axes.facecolor": "black", "svg.fonttype": "none"}):  # a user's own style
        assert draw() == first
        assert mpl.rcParams["font.size"] == 20
    assert first.startswith({"png": b"\x89PNG", "svg": b"<?xml"}[suffix])


def test_save_says_what_is_wrong(make_run, tmp_path):
    figure = figures.risk_coverage({"run": make_run({"test": (probabilities(5), [0] * 5)})})
    with pytest.raises(InputError, match=r"Unknown figure format '.gif2' of .*Known: .*png, .*svg"):
        figures.save(figure, tmp_path / "figure.gif2")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"Cannot write .*figure.png: "):
        figures.save(figure, tmp_path / "file" / "figure.png")


def test_command_draws_a_run_without_tensorflow(make_run):
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
    names += ["shift_accuracy", "shift_nll", "shift_ece"]
    expected = [run / "figures" / f"{name}.{suffix}" for name in names for suffix in ("png", "svg")]
    assert done.stdout.split("\n")[:-1] == list(map(str, expected))
    assert all(path.stat().st_size > 5000 for path in expected)


def test_draw_needs_no_results(make_run):
    run = make_run({"test": (probabilities(50, classes=2), [0, 1] * 25)}, task="two_moons")
    (run / "results.json").unlink()
    assert [path.name for path in figures.draw(run)] == [
        *("reliability_test.png", "reliability_test.svg", "risk_coverage_test.png", "risk_coverage_test.svg")
    ]


def test_comparison_leaves_out_what_a_run_lacks(make_run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(figures.report, "_SUFFIXES", (".png",))
    predictions = digits_predictions(1, uncertainty="mutual_information")
    predictions = {key: value for key, value in predictions.items() if not key.startswith(("shift", "fit"))}
    runs = [
        make_run(digits_predictions() | {"ood/noise": (probabilities(9), [-1] * 9)}, "one", method="sngp"),
        make_run(predictions, "two", method="mc_dropout"),
    ]
    assert command.main([*map(str, runs), "--output_dir", str(tmp_path / "out")]) == 0
    output = capsys.readouterr()
    names = ["reliability_test", "risk_coverage_test", "images_test", "ood_photos"]
    assert output.out.split() == [str(tmp_path / f"out/{name}.png") for name in names]
    assert f"left out: ood/noise, of which there are no predictions in {runs[1]}\n" in output.err


def test_images_are_left_out_where_the_data_cannot_be_had(make_run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(figures.report, "_SUFFIXES", (".png",))

    def fail(*args, **kwargs):
        raise InputError("Data set 'digits' is not prepared.")

    monkeypatch.setattr(figures.images, "_images", fail)
    run = make_run({"test": (probabilities(20), [0] * 20)})
    assert command.main([str(run)]) == 0
    output = capsys.readouterr()
    assert "images_test" not in output.out
    assert output.err == "left out: images_test. Data set 'digits' is not prepared.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("{tmp}/nothing", "nothing is no finished run: it has no results.json."),
        ("{tmp}/unfinished", "unfinished is no finished run: it has no results.json."),
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
def test_command_says_in_one_line_what_is_wrong(make_run, tmp_path, capsys, arguments, message):
    test = {"test": (probabilities(5), [0] * 5)}
    make_run(test, "a")
    make_run(test, "b", method="sngp", data_fingerprint={"test": "bb"})
    make_run(test, "moons", task="two_moons")
    make_run({}, "empty")
    make_run({"test": (probabilities(5), [-1] * 5)}, "unlabelled")
    (make_run(test, "unfinished") / "results.json").unlink()
    (make_run(test, "damaged") / "predictions/test.npz").write_bytes(b"PK")
    (tmp_path / "file").write_text("")
    assert command.main(arguments.format(tmp=tmp_path).split()) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("figures: ")
    assert output.err.count("\n") == 1
    assert message.format(tmp=tmp_path) in output.err


def test_refuses_no_run_and_unlabelled_splits(make_run):
    with pytest.raises(InputError, match=r"There is no run to draw"):
        figures.risk_coverage({})
    run = make_run({"test": (probabilities(5), [0, 1, 2, 3, -1])})
    with pytest.raises(InputError, match=r"Split 'test' of .* has examples without a label"):
        figures.reliability_diagram({"run": run})
    with pytest.raises(InputError, match=r"num_bins=0 is not allowed"):
        figures.reliability_diagram({"run": run}, num_bins=0)

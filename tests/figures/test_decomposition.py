import json

import numpy as np
import pytest
import scipy.stats

from tests.figures.conftest import classified, probabilities
from uncertainty_suite import figures
from uncertainty_suite.errors import InputError
from uncertainty_suite.likelihoods import Categorical
from uncertainty_suite.predictions import Predictions
from uncertainty_suite.runs import RunFolder

CLASSES = 3


def samples_of(seed):
    """Class probabilities of two samples of 40 examples."""
    return np.stack([probabilities(40, classes=CLASSES, seed=2 * seed + i) for i in range(2)])


def parts_of(seed):
    """The means of the aleatoric and of the epistemic uncertainty, by SciPy."""
    samples = samples_of(seed).astype(np.float64)
    aleatoric = scipy.stats.entropy(samples, axis=-1).mean()
    return aleatoric, scipy.stats.entropy(samples.mean(axis=0), axis=-1).mean() - aleatoric


@pytest.fixture
def sweep_run(make_run):
    """Write a run of two samples whose predictions are those of a seed; return its folder."""

    def make(name, seed, task="digits", ood=True, **dataset):
        predicted = {"test": seed, **({"ood/photos": 100 + seed} if ood else {})}
        labels = {"test": np.arange(40) % CLASSES, "ood/photos": np.full(40, -1)}
        predictions = {
            key: {
                **classified(samples_of(number)[0], labels[key]),
                **Categorical.to_saved(Predictions(samples_of(number))),
            }
            for key, number in predicted.items()
        }
        folder = make_run(predictions, name, task, "mc_dropout", seed)
        config = json.loads((folder / "config.json").read_text())
        config["dataset"].update(dataset)
        (folder / "config.json").write_text(json.dumps(config))
        for key, arrays in predictions.items():
            RunFolder(folder).save_predictions(key, arrays)
        return folder

    return make


def test_means_and_errors_of_both_sweeps(sweep_run, tmp_path):
    runs = [sweep_run(f"plain{seed}", seed) for seed in (0, 1)]
    runs += [sweep_run(f"noise{seed}", seed, label_noise=0.4) for seed in (2, 3)]
    runs += [sweep_run(f"half{seed}", seed, train_fraction=0.5) for seed in (4, 5)]
    figure = figures.decomposition_sweep({"MC dropout": runs})
    columns = {0: ([0.0, 0.4], [(0, 1), (2, 3)]), 1: ([0.5, 1.0], [(4, 5), (0, 1)])}
    for number, axis in enumerate(figure.axes):
        row, column = divmod(number, 2)
        levels, seeds = columns[column]
        for bars, offset in zip(axis.containers, (0, 100), strict=True):
            expected = np.array([[parts_of(offset + seed)[row] for seed in each] for each in seeds])
            line, _, (errors,) = bars
            np.testing.assert_allclose(line.get_xdata(), levels)
            np.testing.assert_allclose(line.get_ydata(), expected.mean(axis=1), rtol=1e-5)
            reach = [(segment[1, 1] - segment[0, 1]) / 2 for segment in errors.get_segments()]
            np.testing.assert_allclose(reach, scipy.stats.sem(expected, axis=1), rtol=1e-3)
    noise, entropy = figure.axes[0].lines[-1].get_data()
    np.testing.assert_allclose(entropy, [scipy.stats.entropy([1 - e, e / 2, e / 2]) for e in noise])
    assert [axis.get_xlabel() for axis in figure.axes[2:]] == ["Wrong training labels", "Training examples used"]
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert said == ["MC dropout", "mean, in distribution", "mean, OOD", "entropy of the noise"]
    figures.save(figure, tmp_path / "sweep.svg")


def test_one_sweep_without_ood_sets_and_with_one_seed(sweep_run, tmp_path):
    runs = [sweep_run("all", 0, ood=False), sweep_run("half", 1, ood=False, train_fraction=0.5)]
    figure = figures.decomposition_sweep({"MC dropout": runs})
    assert len(figure.axes) == 2
    assert [len(axis.containers) for axis in figure.axes] == [1, 1]
    figures.save(figure, tmp_path / "sweep.png")


def test_refuses_what_is_no_sweep(sweep_run, make_run):
    plain, noisy = sweep_run("plain", 0), sweep_run("noisy", 1, label_noise=0.2)
    both = sweep_run("both", 2, label_noise=0.2, train_fraction=0.5)
    other = sweep_run("other", 3, task="two_moons", label_noise=0.2)
    one = make_run({"test": classified(probabilities(5), [0] * 5)}, "one")
    for runs, message in (
        ([plain], "There is no sweep to draw: all runs have the same label_noise and the same train_fraction"),
        ([plain, noisy, both], "Run .*both has label_noise 0.2 and train_fraction 0.5: a sweep changes one of them"),
        ([plain, other], "Runs of different tasks in one sweep: .*plain is on digits, .*other on two_moons"),
        ([noisy, sweep_run("inside", 4, ood=False)], "The OOD sets of .*inside are not those of .*noisy"),
        ([one, noisy], "one has predictions of one sample, which have no epistemic part"),
        ([], "There is no run to draw"),
    ):
        with pytest.raises(InputError, match=message):
            figures.decomposition_sweep({"runs": runs})
    with pytest.raises(InputError, match="There is no sweep to draw"):
        figures.decomposition_sweep({})

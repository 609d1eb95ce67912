import numpy as np
import pytest
from matplotlib.colors import to_hex

from tests.figures.conftest import classified, digits_predictions, probabilities
from tests.tiny import probs_of
from uncertainty_suite import datasets, figures
from uncertainty_suite.errors import InputError
from uncertainty_suite.figures import style
from uncertainty_suite.runs import RunFolder


def test_uncertain_and_wrong_images(make_run):
    run = make_run(digits_predictions())
    figure = figures.uncertain_images({"run": run}, count=6)
    saved, data = RunFolder(run).predictions("test"), datasets.get("digits", "test")
    probs = probs_of(saved)
    confidence, predicted = probs.max(axis=1), probs.argmax(axis=1)
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
        np.testing.assert_allclose([bar.get_width() for bar in bars.patches], probs[i])
        assert to_hex(bars.patches[data.labels[i]].get_facecolor(), keep_alpha=False) == style.GREEN.lower()
        title = f"{predicted[i]}" if predicted[i] == data.labels[i] else f"{predicted[i]}, not {data.labels[i]}"
        assert bars.get_title() == f"{title} ({confidence[i]:.0%})"
    by_variance = figures.uncertain_images({"run": run}, count=1, score="variance")
    np.testing.assert_array_equal(by_variance.axes[0].images[0].get_array(), data.features[-1, ..., 0] / 16)
    with pytest.raises(InputError, match=r"Unknown uncertainty in the predictions of .*run 'variances'\."):
        figures.uncertain_images({"run": run}, score="variances")


def test_samples_and_none_wrong(make_run):
    labels = datasets.get("digits", "test").labels
    probs = np.eye(10, dtype=np.float32)[labels]
    samples = np.stack([probs, np.full_like(probs, 0.1), probs])
    run = make_run({"test": classified(probs, labels, samples=samples)})
    figure = figures.uncertain_images({"run": run}, count=2)
    assert figure.subfigs[1].get_suptitle() == "run: the most confidently wrong (none)"
    spans = figure.axes[1].collections[0].get_segments()
    np.testing.assert_allclose([span[:, 0] for span in spans], np.quantile(samples[:, 0], (0.05, 0.95), axis=0).T)


def test_refuses_images_that_were_not_predicted(make_run):
    labels = datasets.get("digits", "test").labels
    run = make_run({"test": classified(probabilities(500), np.roll(labels, 1))})
    with pytest.raises(InputError, match=r"are not those of the data found: element \d+ has another label"):
        figures.uncertain_images({"run": run})
    run = make_run({"test": classified(probabilities(1000, classes=2), [0] * 1000)}, "moons", task="two_moons")
    with pytest.raises(InputError, match=r"Data set 'two_moons' has no images to draw: its examples are vectors"):
        figures.uncertain_images({"run": run})

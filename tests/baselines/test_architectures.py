"""Every method on every architecture, for each likelihood: it trains, is saved, goes on bit for bit, and is loaded."""

import numpy as np
import pytest

from tests.tiny import METHODS, load_script, section_of, small_values
from uncertainty_suite import datasets, testing
from uncertainty_suite.datasets import forms

NUM_EXAMPLES = 48
# Tiny, but with every part of the architecture; and the shape of an example.
ARCHITECTURES = {
    "mlp": ((3,), {"num_layers": 2, "num_hidden": 8, "dropout_rate": 0.2}),
    "resnet_mlp": ((3,), {"num_layers": 1, "num_hidden": 8, "dropout_rate": 0.2}),
    "convnet": ((8, 8, 1), {"num_filters": (4, 4), "num_hidden": 8, "dropout_rates": (0.2, 0.2)}),
    "resnet20": ((8, 8, 1), {"dropout_rate": 0.2}),
    "wide_resnet": ((8, 8, 1), {"depth": 10, "width": 1, "dropout_rate": 0.2}),
    "resnet50": ((32, 32, 1), {"num_filters": 4, "num_blocks": (1, 2), "dropout_rate": 0.2}),
    "vit": (
        (8, 8, 1),
        {"patch_size": 4, "num_layers": 1, "num_hidden": 8, "num_heads": 2, "dropout_rate": 0.2},
    ),
    "bert": (
        (6,),
        {"vocabulary_size": 9, "num_layers": 1, "num_hidden": 8, "num_heads": 2, "dropout_rate": 0.2},
    ),
    "text_cnn": (
        (6,),
        {"vocabulary_size": 9, "num_embedding": 6, "num_filters": 4, "kernel_sizes": (2, 3), "dropout_rate": 0.2},
    ),
    "lstm": ((6,), {"vocabulary_size": 9, "num_embedding": 6, "num_hidden": 8, "dropout_rate": 0.2}),
    "transformer": (
        (6,),
        {"vocabulary_size": 9, "num_layers": 1, "num_hidden": 8, "num_heads": 2, "dropout_rate": 0.2},
    ),
    "message_passing": (
        (4, 6),
        {"num_features": 2, "vocabulary_size": 9, "num_edge_kinds": 2, "num_layers": 1, "num_hidden": 8},
    ),
}
TEXTS = ("bert", "lstm", "text_cnn", "transformer")
# Methods that an architecture has no place for, with the reason.
EXCLUDED = {
    (method, architecture): reason
    for method, reason in {
        "duq": "its gradient penalty is on inputs that are numbers, not ids",
        "noise_contrastive_prior": "its noise is on inputs that are numbers, not ids",
    }.items()
    for architecture in (*TEXTS, "message_passing")
} | {("mimo", "message_passing"): "it joins inputs along their last axis, where graphs have their edges"}


def combinations():
    """Give each method with each architecture and the likelihoods it has, another one first from one to the next."""
    for i, method in enumerate(METHODS):
        section = section_of(load_script(method))
        likelihoods = (section and section.likelihoods) or ("categorical", "gaussian")
        for j, architecture in enumerate(ARCHITECTURES):
            if (method, architecture) not in EXCLUDED:
                first = (i + j) % len(likelihoods)
                yield method, architecture, (*likelihoods[first:], *likelihoods[:first])


FIRST = [(method, architecture, likelihoods[0]) for method, architecture, likelihoods in combinations()]
OTHERS = [(method, architecture, other) for method, architecture, (_, *others) in combinations() for other in others]


@pytest.fixture(scope="module")
def dataset():
    """A function that makes a small data set for an architecture known, and returns its name."""
    known = set()

    def make(architecture: str, likelihood: str) -> str:
        name = f"tiny_{architecture}_{likelihood}"
        if name not in known:
            shape, _ = ARCHITECTURES[architecture]
            rng = np.random.default_rng(0)

            def split(size):
                labels = rng.integers(0, 3, size)
                if architecture in TEXTS:
                    x = rng.integers(1, 9, (size, *shape)).astype(np.int32)
                elif architecture == "message_passing":
                    edges = np.triu(rng.integers(0, 3, (size, 4, 4)), 1)
                    x = np.concatenate([rng.integers(1, 9, (size, 4, 2)), edges + edges.swapaxes(1, 2)], axis=2)
                else:
                    x = rng.normal(size=(size, *shape)).astype(np.float32)
                    x += labels.reshape(-1, *[1] * len(shape))
                return x, labels.astype(np.int32) if likelihood == "categorical" else labels + rng.normal(size=size)

            if architecture in TEXTS:
                form = forms.Tokens(*shape, vocabulary_size=9)
            elif architecture == "message_passing":
                form = forms.Graphs(4, 2, vocabulary_size=9, num_edge_kinds=2)
            else:
                form = forms.Images(*shape) if len(shape) == 3 else forms.Vectors(*shape)
            splits = {"train": split(NUM_EXAMPLES), "test": split(20)}
            datasets.register(datasets.from_arrays(name, splits, form, likelihood=likelihood))
            known.add(name)
        return name

    return make


@pytest.mark.slow
@pytest.mark.parametrize(("method", "architecture", "likelihood"), FIRST)
def test_it_trains_goes_on_and_is_loaded(method, architecture, likelihood, dataset, tmp_path):
    check(method, architecture, likelihood, dataset, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "architecture", "likelihood"), OTHERS)
def test_so_it_does_with_its_other_likelihood(method, architecture, likelihood, dataset, tmp_path):
    check(method, architecture, likelihood, dataset, tmp_path)


def test_mimo_refuses_graphs(dataset, tmp_path):
    with pytest.raises(AssertionError, match="MIMO joins the inputs of its members along their last axis"):
        check("mimo", "message_passing", "categorical", dataset, tmp_path)


def check(method, architecture, likelihood, dataset, folder):
    section = section_of(load_script(method))
    _, options = ARCHITECTURES[architecture]
    model = {"model.name": architecture, **{f"model.{name}": value for name, value in options.items()}}
    task = {"dataset.name": dataset(architecture, likelihood), "batch_size": 16, "evaluation.ood_far": ()}
    stable = {"optimizer.clip_radius": 0.2} if method == "ivon" else {}  # its first steps are long
    overrides = {**small_values(section), **model, **task, **stable}
    testing.check_method(load_script(method).__file__, folder, [likelihood], overrides)

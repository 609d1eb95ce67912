"""The image, text and UCI tasks on real data, a few steps of them: that they run, and that they go on."""

from types import ModuleType

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.tiny import CORE, arrays_of, assert_same_run, history_of, load_script, quick_with, section_of, tiny_config
from uncertainty_suite import datasets, trained, training
from uncertainty_suite.errors import InputError
from uncertainty_suite.models import pretrained

OOD = {"mnist": "fashion_mnist/test", "fashion_mnist": "mnist/test", "cifar10": "fashion_mnist/test"}


def few_steps(task: str) -> dict:
    """Return what makes a handful of training steps of an image task: a hundredth of its training examples."""
    return {
        "dataset.validation_percent": 0.01,
        "dataset.train_fraction": 0.01,
        "evaluation.corruptions": ("fog",),
        "evaluation.severities": (3,),
        "evaluation.shift_examples": 100,
        "evaluation.ood_near": (),
        "evaluation.ood_far": (OOD[task], "noise/uniform"),
        "evaluation.ood_validation": ("omniglot28/small1",),
        "evaluation.ood_scores": ("energy", "knn"),
        "evaluation.fit_examples": 500,
    }


def own_sizes(script: ModuleType) -> dict[str, int]:
    """Return the sizes that a method has by default: made small it would learn less in a few steps."""
    section = section_of(script)
    if section is None:
        return {}
    sizes = {name: one.default for name, one in section.parameters.items() if one.type is int}
    return {f"{section.name}.{name}": value for name, value in sizes.items() if name != section.samples}


@pytest.mark.slow  # half a minute or more each, most of it for reading images
@pytest.mark.parametrize("method", CORE)
@pytest.mark.parametrize("task", OOD)
def test_image_tasks_run_and_resume(task, method, data_dir, tmp_path, stopped_at):
    script = load_script(method)
    config = tiny_config(method, task, **few_steps(task), **own_sizes(script))
    options = training.Options(output_dir=tmp_path / "run", data_dir=data_dir)
    with stopped_at(6):
        script.main(config, options)
    metrics = script.main(config, options)["metrics"]
    keys = {name.split("/")[1] for name in metrics if name.startswith("ood/")}
    assert keys == {OOD[task].split("/")[0], "noise_uniform", "far"}
    assert metrics["shift/mean/nll"] == metrics["shift/fog_3/nll"] > 0
    assert 0 <= metrics["ood/noise_uniform/knn/auroc"] <= 1
    assert metrics["ood/noise_uniform/knn/oracle/auroc"] >= metrics["ood/noise_uniform/knn/tuned/auroc"]
    assert metrics["test/accuracy"] > {"mnist": 0.5, "fashion_mnist": 0.4, "cifar10": 0.09}[task]
    for path in (tmp_path / "run").rglob("history.jsonl"):
        assert [line["epoch"] for line in history_of(path)] == [1, 2]


@quick_with("sngp")
def test_a_fold_of_a_uci_table_runs_and_resumes_bit_for_bit(method, data_dir, tmp_path, stopped_at):
    script, config = load_script(method), tiny_config(method, "uci:yacht", dataset__fold=3)
    options = [training.Options(output_dir=tmp_path / name, data_dir=data_dir) for name in ("whole", "stopped")]
    results = script.main(config, options[0])
    with stopped_at(5):
        script.main(config, options[1])
    script.main(config, options[1])
    assert_same_run(tmp_path / "stopped", tmp_path / "whole")
    test = arrays_of(tmp_path / "whole/predictions/test.npz")
    labels = np.asarray(datasets.get("uci/yacht", "test", data_dir, fold=3).labels)
    np.testing.assert_array_equal(test["labels"], labels)  # in the target's own units
    metrics = results["metrics"]
    assert metrics["test/rmse"] == pytest.approx(np.sqrt(np.mean((test["mean"].mean(axis=0) - labels) ** 2)))
    assert 0.1 < metrics["test/rmse"] / labels.std() < 2
    for name in ("gaussian_nll", "crps", "interval_coverage", "interval_width", "quantile_calibration_error"):
        assert np.isfinite(metrics[f"test/{name}"])


LARGE = {
    "imagenet": {
        "shifts": {"v2", "a", "r", "fog_3"},
        "ood": {"dtd", "places365_small_validation", "far"},
        "overrides": {
            "dataset.validation_percent": 0.25,
            "evaluation.corruptions": ("fog",),
            "evaluation.severities": (3,),
            "evaluation.shift_examples": 3,
        },
    },
    "diabetic_retinopathy": {"shifts": {"aptos"}, "ood": {"places365_small_validation", "far"}, "overrides": {}},
    "diabetic_retinopathy:severity": {
        "shifts": {"severe"},
        "ood": {"places365_small_validation", "far"},
        "overrides": {},
    },
}
NETWORKS = {
    "resnet50": {"model.num_filters": 4, "model.num_blocks": (1, 1, 1, 1)},
    "vit": {"model.name": "vit", "model.patch_size": 32, "model.num_hidden": 8, "model.num_layers": 1}
    | {"model.num_heads": 2},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "network", "method"),
    [
        ("imagenet", "resnet50", "deterministic"),
        ("imagenet", "vit", "sngp"),
        ("diabetic_retinopathy", "vit", "batch_ensemble"),
        ("diabetic_retinopathy:severity", "resnet50", "mc_dropout"),
    ],
)
def test_tasks_of_large_images_run_and_resume(task, network, method, large_images, tmp_path, stopped_at):
    """Two epochs of two steps on generated images in their true shapes, by small networks."""
    expected, script = LARGE[task], load_script(method)
    steps = {"batch_size": 6, "epochs": 2, "optimizer.warmup_epochs": 0.0, "optimizer.decay_epochs": (1,)}
    steps |= {"optimizer.learning_rate": 1e-3, "evaluation.batch_size": 5}
    config = tiny_config(method, task, **steps, **NETWORKS[network], **expected["overrides"])
    options = [
        training.Options(output_dir=tmp_path / name, data_dir=large_images, checkpoint_every="100steps")
        for name in ("whole", "stopped")
    ]
    metrics = script.main(config, options[0])["metrics"]
    assert {name.split("/")[1] for name in metrics if name.startswith("shift/")} >= expected["shifts"]
    assert {name.split("/")[1] for name in metrics if name.startswith("ood/")} == expected["ood"]
    name = config.dataset.name
    for split in ("test", *(shift for shift in expected["shifts"] if shift != "fog_3")):
        saved = arrays_of(tmp_path / f"whole/predictions/{'' if split == 'test' else 'shift/'}{split}.npz")
        np.testing.assert_array_equal(saved["labels"], datasets.get(name, split, large_images).labels)
    with stopped_at(1):
        script.main(config, options[1])
    script.main(config, options[1])
    assert_same_run(tmp_path / "stopped", tmp_path / "whole")


def few_texts(task: str) -> dict:
    """Return what makes a handful of training steps of a task of texts, by small networks."""
    return {
        "dataset.train_fraction": 0.05,
        "batch_size": 16,
        "optimizer.learning_rate": 0.01,
        "evaluation.ood_scores": ("energy", "knn"),
        "evaluation.fit_examples": 500,
    }


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(method, marks=[] if method == "deterministic" else pytest.mark.slow)
        for method in (*CORE, "batch_ensemble")
    ],
)
@pytest.mark.parametrize(
    ("task", "sizes"),
    [
        ("clinc_oos", {"model.num_embedding": 16, "model.num_filters": 16}),
        pytest.param("clinc_oos:transformer", {"model.num_hidden": 16, "model.num_layers": 1}, marks=pytest.mark.slow),
        ("banking77", {"model.num_embedding": 16, "model.num_filters": 16}),
        ("sst_sentences", {"model.num_embedding": 16, "model.num_filters": 16}),
    ],
)
def test_tasks_of_texts_run_and_resume(task, sizes, method, data_dir, tmp_path, stopped_at):
    script = load_script(method)
    config = tiny_config(method, task, **few_texts(task), **sizes)
    options = training.Options(output_dir=tmp_path / "run", data_dir=data_dir)
    with stopped_at(3):
        script.main(config, options)
    metrics = script.main(config, options)["metrics"]
    if task == "clinc_oos":  # a small transformer learns nothing in so few steps
        assert metrics["test/accuracy"] > 2 / 150  # by chance it is 1 / 150
        assert metrics["ood/near/auroc"] > 0.4
    of_elsewhere = {"banking77": "sst_sentences", "sst_sentences": "banking77"}  # in the task's own words
    role, ood = ("far", of_elsewhere[task]) if task in of_elsewhere else ("near", "test_oos")
    assert 0 < metrics[f"ood/{role}/auroc"] == metrics[f"ood/{ood}/auroc"] < 1
    assert metrics[f"ood/{ood}/knn/oracle/auroc"] >= metrics[f"ood/{ood}/knn/tuned/auroc"]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["deterministic", "sngp"])
def test_a_bert_of_keras_hub_is_trained_and_goes_on_bit_for_bit(method, bert_preset, data_dir, tmp_path, stopped_at):
    script, sizes = load_script(method), {f"{part}.vocabulary_size": 40 for part in ("dataset", "model")}
    steps = {"dataset.train_fraction": 0.002, "dataset.length": 12, "batch_size": 15, "epochs": 1}
    other = {"evaluation.ood_scores": ("energy",), "optimizer.warmup_epochs": 0.0, "evaluation.posthoc": ()}
    config = tiny_config(method, f"clinc_oos:keras_hub={bert_preset}", **sizes, **steps, **other)
    assert config.dataset.preset == config.model.preset == str(bert_preset)
    options = [
        training.Options(output_dir=tmp_path / name, data_dir=data_dir, steps_per_call=1, checkpoint_every="100steps")
        for name in ("whole", "stopped")
    ]
    metrics = script.main(config, options[0])["metrics"]
    assert 0 < metrics["ood/test_oos/auroc"] < 1
    with stopped_at(1):
        script.main(config, options[1])
    script.main(config, options[1])
    assert_same_run(tmp_path / "stopped", tmp_path / "whole")


@pytest.mark.slow
def test_the_trained_encoder_of_sentences_is_fine_tuned(data_dir, tmp_path, stopped_at):
    try:
        made = load_file(pretrained.folder("minilm") / "model.safetensors")
    except InputError as error:
        pytest.skip(str(error))
    steps = {"dataset.train_fraction": 0.002, "dataset.length": 12, "batch_size": 15, "epochs": 1}
    other = {"evaluation.ood_scores": ("energy",), "optimizer.warmup_epochs": 0.0, "evaluation.posthoc": ()}
    config = tiny_config("sngp", "clinc_oos:minilm", **steps, **other)
    options = [
        training.Options(output_dir=tmp_path / name, data_dir=data_dir, steps_per_call=1, checkpoint_every="100steps")
        for name in ("whole", "stopped")
    ]
    script = load_script("sngp")
    assert 0 < script.main(config, options[0])["metrics"]["ood/test_oos/auroc"] < 1
    with stopped_at(1):
        script.main(config, options[1])
    script.main(config, options[1])
    assert_same_run(tmp_path / "stopped", tmp_path / "whole")
    # Each step of Adam moves a weight by about the learning rate: they are still those of the file.
    (tokens,) = (each for name, each in made.items() if name.endswith("word_embeddings.weight"))
    (model,) = trained.restore(tmp_path / "whole", data_dir).run.models
    (mine,) = (each.numpy() for each in model.weights if each.shape == tokens.shape)
    moved = np.abs(mine - tokens).max()
    assert 0 < moved < 5 * config.optimizer.learning_rate


@pytest.mark.slow
@pytest.mark.parametrize("method", [*CORE, "batch_ensemble"])
def test_toxicity_is_measured_by_identity(method, data_dir, tmp_path):
    script = load_script(method)
    sizes = {"model.num_embedding": 16, "model.num_filters": 16, "dataset.train_fraction": 0.2, "epochs": 1}
    steps = {"batch_size": 32, "optimizer.learning_rate": 0.01}
    config = tiny_config(method, "toxicity", **sizes, **steps)
    metrics = script.main(config, training.Options(output_dir=tmp_path / "run", data_dir=data_dir))["metrics"]
    assert metrics["test/macro_auroc"] > 0.6
    assert metrics["test/accuracy"] > 0.8  # of the tweets 83 % are toxic
    for split in ("hatecheck", "hatecheck_women", "hatecheck_muslims", "wikipedia", "wikipedia_swapped"):
        assert 0 <= metrics[f"{split}/ece"] <= 1
        assert 0.2 < metrics[f"{split}/macro_auroc"] < 0.9
        reviewed = metrics[f"{split}/oracle_collaborative_accuracy(fraction=0.05)"]
        assert metrics[f"{split}/accuracy"] <= reviewed <= metrics[f"{split}/accuracy"] + 0.05


def test_an_architecture_needs_vectors_for_all_ids(tmp_path):
    config = tiny_config("deterministic", "clinc_oos", model__vocabulary_size=100)
    with pytest.raises(InputError) as error:
        load_script("deterministic").main(config, training.Options(output_dir=tmp_path / "run"))
    assert str(error.value) == (
        "config.model.vocabulary_size is 100, and data set 'clinc_oos' has ids up to 2999. Set "
        "--config.model.vocabulary_size=3000."
    )

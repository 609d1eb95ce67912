"""What every metric promises: the same value however it is fed, in its range, and clear refusals of bad input."""

import ast
import inspect
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uncertainty_suite import metrics
from uncertainty_suite.errors import InputError
from uncertainty_suite.metrics import base, label_distribution, ood, regression

ROOT = Path(__file__).parents[2]
OPTIONS = {"temperature_scaled_nll": {"temperature": 1.5}, "temperature_scaled_ece": {"temperature": 1.5}}


# Its folds are those of Robustness Metrics, drawn by position.
ORDER_MATTERS = ("semiparametric_ce",)


def make(name: str) -> metrics.Metric:
    return metrics.get(name, **OPTIONS.get(name, {}))


def random_probs(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Probabilities with ties, exact zeros and ones."""
    weights = rng.integers(0, 4, size=shape) ** rng.integers(1, 5)
    weights[..., 0] += weights.sum(axis=-1) == 0
    return weights / weights.sum(axis=-1, keepdims=True)


def random_data(name: str, seed: int, count: int = 60) -> tuple[Any, np.ndarray]:
    """Predictions and labels that the metric takes, examples on the last but one or the last axis."""
    rng = np.random.default_rng(seed)
    fewest = 2 if "samples" in metrics.info(name).needs else 1
    kind = metrics.info(name).batch_type
    if kind in (base.Batch, label_distribution.DistributionBatch):
        classes = int(rng.integers(2, 5))
        probs = random_probs(rng, int(rng.integers(fewest, 4)), count, classes)
        if kind is base.Batch:
            labels = rng.integers(0, classes, count)
            predicted = probs.mean(axis=0).argmax(axis=1)
            labels[:10], labels[10:20] = predicted[:10], (predicted[10:20] + 1) % classes  # some right, some wrong
            return probs, labels
        return probs, rng.integers(1, 9, (count, classes))
    if kind is ood.ScoreBatch:
        return rng.integers(0, 9, count) / 8, np.arange(count) % 3 == 0
    if kind is ood.OutcomeBatch:
        return rng.integers(0, 9, count) / 8, np.arange(count) % 3
    means = rng.integers(-9, 9, (2, count)) / 4
    if kind is regression.SampleBatch:
        return means, rng.normal(size=count)
    return (means, rng.integers(1, 5, (2, count)) / 4), rng.normal(size=count)


def take(data: tuple[Any, np.ndarray], rows: Any) -> tuple[Any, np.ndarray]:
    """Return the data of some examples."""
    predictions, labels = data
    if isinstance(predictions, tuple):
        return tuple(part[:, rows] for part in predictions), labels[rows]
    return (predictions[:, rows] if predictions.ndim > 1 else predictions[rows]), labels[rows]


def feed(name: str, *parts: tuple[Any, np.ndarray]) -> dict[str, float]:
    metric = make(name)
    for predictions, labels in parts:
        metric.add_batch(predictions, label=labels)
    return metric.result()


def assert_same(ours: dict[str, float], other: dict[str, float]) -> None:
    assert ours.keys() == other.keys()
    np.testing.assert_allclose(list(ours.values()), list(other.values()), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", metrics.names())
@settings(max_examples=5)
@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(1, 59), max_size=6, unique=True))
def test_any_split_into_batches_gives_the_same(name: str, seed: int, cuts: list[int]) -> None:
    data = random_data(name, seed)
    parts = [take(data, rows) for rows in np.split(np.arange(60), sorted(cuts))]
    assert_same(feed(name, *parts), feed(name, data))


@pytest.mark.parametrize("name", [name for name in metrics.names() if name not in ORDER_MATTERS])
@settings(max_examples=5)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_examples_does_not_matter(name: str, seed: int) -> None:
    data = random_data(name, seed)
    order = np.random.default_rng(seed).permutation(60)
    assert_same(feed(name, take(data, order)), feed(name, data))


@pytest.mark.parametrize("name", metrics.names())
@settings(max_examples=5)
@given(seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from([np.float16, np.float32, np.float64]))
def test_values_are_in_range_in_any_precision(name: str, seed: int, dtype: type) -> None:
    predictions, labels = random_data(name, seed)
    if isinstance(predictions, tuple):
        predictions = tuple(part.astype(dtype) for part in predictions)
    else:
        predictions = predictions.astype(dtype)
    for key, value in feed(name, (predictions, labels)).items():
        low, high = metrics.info(key).value_range
        slack = 1e-2 if dtype is np.float16 else 1e-6
        assert low - slack <= value <= high + slack


@pytest.mark.parametrize("name", metrics.names())
def test_reset_forgets(name: str) -> None:
    metric = make(name)
    metric.add_batch(*random_data(name, seed=1))
    metric.reset()
    metric.add_batch(*random_data(name, seed=2))
    assert_same(metric.result(), feed(name, random_data(name, seed=2)))


@pytest.mark.parametrize("name", metrics.names())
def test_result_can_be_asked_for_between_batches(name: str) -> None:
    first, second = random_data(name, seed=3), random_data(name, seed=3)
    metric = make(name)
    metric.add_batch(*first)
    metric.result()
    metric.add_batch(*second)
    assert_same(metric.result(), feed(name, first, second))


@pytest.mark.parametrize("name", metrics.names())
def test_result_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"Metric '{name}.*' has seen no example; call add_batch before result."):
        make(name).result()


@pytest.mark.parametrize("name", metrics.names())
def test_arrays_are_neither_changed_nor_kept(name: str) -> None:
    data = random_data(name, seed=4)
    expected = feed(name, data)
    predictions, labels = random_data(name, seed=4)
    metric, collection = make(name), metrics.Collection([make(name)])
    metric.add_batch(predictions, label=labels)
    collection.add_batch(predictions, label=labels)
    for ours, given_ in zip(np.atleast_1d(predictions), np.atleast_1d(data[0])):
        np.testing.assert_array_equal(ours, given_)
    for array in predictions if isinstance(predictions, tuple) else (predictions,):
        array[...] = array[..., ::-1].copy()
    labels[...] = labels[::-1].copy()
    assert_same(metric.result(), expected)
    assert_same(collection.result(), expected)


@pytest.mark.parametrize("name", metrics.names())
def test_every_metric_describes_itself(name: str) -> None:
    metric = metrics.info(name)
    assert metric.name == name
    assert metric.formula
    assert metric.agrees
    assert metric.value_range[0] < metric.value_range[1]
    assert metric.higher_is_better in (True, False, None)
    assert set(metric.likelihoods) <= {"categorical", "gaussian"}
    assert set(metric.needs) <= {"labels", "samples", "label_distribution", "uncertainty"}
    options = inspect.signature(metric).parameters
    assert metric.__doc__ and all(f"    {option}: " in metric.__doc__ for option in options)


def test_a_collection_gives_what_its_members_give() -> None:
    names = [n for n in metrics.names() if metrics.info(n).batch_type is base.Batch and not n.startswith("brier_")]
    data = random_data("ece", seed=5, count=700)
    collection = metrics.Collection([make(name) for name in names])
    for rows in np.split(np.arange(700), range(32, 700, 32)):
        collection.add_batch(*take(data, rows))
    assert_same(collection.result(), {key: value for name in names for key, value in feed(name, data).items()})


def test_a_collection_takes_batches_of_changing_dtype_and_samples() -> None:
    first, second = random_data("nll", seed=6), random_data("nll", seed=6)
    second = (second[0][:1].astype(np.float32), second[1])
    collection = metrics.Collection(["nll", "accuracy"])
    collection.add_batch(*first)
    collection.add_batch(*second)
    assert_same(collection.result(), feed("nll", first, second) | feed("accuracy", first, second))


def test_a_collection_adds_nothing_of_a_bad_batch() -> None:
    collection = metrics.Collection(["entropy", "nll"])
    with pytest.raises(InputError, match="Metric 'nll' needs labels"):
        collection.add_batch([[0.5, 0.5]])
    with pytest.raises(InputError, match="has seen no example"):
        collection.result()


def test_a_collection_refuses_two_of_one_key() -> None:
    with pytest.raises(InputError, match="Metric 'ece' is in the collection twice"):
        metrics.Collection(["ece", metrics.get("ece")])
    with pytest.raises(InputError, match="Metric 'brier_resolution' is in the collection twice"):
        metrics.Collection(["brier_decomposition", "brier_resolution"])


def test_the_key_of_a_result_is_the_text_that_asked_for_it() -> None:
    probs, labels = random_data("ece", seed=1)
    texts = ["ece", "ece(num_bins=5)", "ece(num_bins=5, norm='l2')", "gce(num_bins=None, binning='adaptive')"]
    collection = metrics.Collection(
        [*texts, metrics.get("mce", num_bins=5), metrics.get("tace(num_bins=5)", threshold=0)]
    )
    collection.add_batch(probs, label=labels)
    result = collection.result()
    assert list(result) == [*texts, "mce(num_bins=5)", "tace(num_bins=5, threshold=0)"]
    assert result["ece(num_bins=5)"] == metrics.expected_calibration_error(probs, labels, num_bins=5)
    for key in result:
        assert metrics.info(key).name == key.partition("(")[0]


def test_the_keys_of_several_values_are_the_names_of_the_parts_with_the_options() -> None:
    collection = metrics.Collection(["brier_decomposition", "brier_decomposition(resolution='rowwise')"])
    collection.add_batch(*random_data("ece", seed=1))
    parts = ["brier_uncertainty", "brier_resolution", "brier_reliability"]
    assert list(collection.result()) == [*parts, *(f"{part}(resolution='rowwise')" for part in parts)]


def test_a_collection_leaves_out_what_has_no_value_and_says_why() -> None:
    collection = metrics.Collection(["accuracy", "calibration_auc", "disagreement", "tace(threshold=1.0)"])
    collection.add_batch([[0.9, 0.1], [0.2, 0.8]], label=[0, 1])
    assert collection.result() == {"accuracy": 1.0}
    assert list(collection.left_out) == ["calibration_auc", "disagreement", "tace(threshold=1.0)"]
    assert "0 of 2 examples are wrong, and it needs 1 or more" in collection.left_out["calibration_auc"]
    collection.reset()
    collection.add_batch(*random_data("disagreement", seed=1))
    assert "calibration_auc" in collection.result() and list(collection.left_out) == ["tace(threshold=1.0)"]


@pytest.mark.parametrize(
    ("text", "predictions", "label"),
    [
        ("calibration_auc", [[0.9, 0.1], [0.8, 0.2]], [0, 0]),
        ("oracle_collaborative_auc", [[0.9, 0.1], [0.8, 0.2]], [1, 1]),
        ("semiparametric_ce", [[0.9, 0.1], [0.8, 0.2]], [0, 1]),
        ("debiased_ece", [[0.9, 0.1]], [0]),
        ("gce(threshold=0.95)", [[0.9, 0.1]], [0]),
        ("gce(recalibration='temperature_scaling')", [[0.9, 0.1]], [0]),
        ("rmsce(datapoints_per_bin=3)", [[0.9, 0.1], [0.8, 0.2]], [0, 0]),
        ("auroc", [0.1, 0.2], [0, 0]),
        ("aupr_in", [0.1, 0.2], [1, 1]),
        ("oscr", [0.1, 0.2], [0, 1]),
        ("disagreement", [[0.9, 0.1]], None),
        ("pairwise_kl", [[0.9, 0.1]], None),
        ("cosine_similarity", [[0.9, 0.1]], None),
        ("normalized_disagreement", [[[0.9, 0.1]], [[0.8, 0.2]]], [0]),
        ("ause", ([1.0, 2.0], [1.0, 1.0]), [1.0, 2.0]),
        ("crps_samples(fair=True)", [[1.0, 2.0]], [1.0, 2.0]),
    ],
)
def test_a_metric_without_a_value_says_so(text: str, predictions: Any, label: Any) -> None:
    metric = metrics.get(text)
    metric.add_batch(predictions, label=label)
    with pytest.raises(metrics.NoValueError, match=f"^Metric '{re.escape(text)}' has no value: ") as caught:
        metric.result()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in metrics.names() if metrics.info(name).is_mean])
def test_the_mean_over_examples_is_the_metric(name: str) -> None:
    data = random_data(name, seed=8)
    text = f"{name}(temperature=1.5)" if name in OPTIONS else name
    values = metrics.per_example(text, *data)
    assert values.shape == (60,) and values.dtype == np.float64
    assert values.mean() == pytest.approx(next(iter(feed(name, data).values())), rel=1e-12)


@pytest.mark.parametrize("text", ["ece", "rmse", "auroc", "normalized_disagreement", "brier_decomposition", "aurc"])
def test_what_is_no_mean_over_examples_has_no_value_of_each(text: str) -> None:
    with pytest.raises(
        InputError, match=f"Metric '{text}' is no mean of values of single examples; these are: accuracy,"
    ):
        metrics.per_example(text, [[0.5, 0.5]], [0])


FUNCTIONS = {name: getattr(metrics, name) for name in dir(metrics) if hasattr(getattr(metrics, name), "__signature__")}


def test_functions_have_the_name_and_the_docstring_of_their_metric() -> None:
    assert "expected_calibration_error" in FUNCTIONS
    for name, function in FUNCTIONS.items():
        assert function.__name__ == name and pickle.loads(pickle.dumps(function)) is function
        assert all(f"    {parameter}: " in function.__doc__ for parameter in inspect.signature(function).parameters)


def test_functions_take_arrays_then_options() -> None:
    signature = inspect.signature(metrics.risk_at_coverage)
    assert list(signature.parameters) == ["probs", "labels", "coverage", "ties", "confidence", "uncertainty"]
    assert signature.parameters["coverage"].default == 0.8
    with pytest.raises(TypeError, match="'bins'"):
        metrics.expected_calibration_error([[0.5, 0.5]], [0], bins=3)


def test_imports_form_no_circle() -> None:
    """Over all import statements, those in functions too."""
    package = ROOT / "uncertainty_suite"
    paths = [
        package / "registry.py",
        *(p for part in ("metrics", "ood_scores", "posthoc") for p in package.glob(f"{part}/*.py")),
    ]
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}
    imports: dict[str, set[str]] = {}
    for module, path in modules.items():
        found = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= names & modules.keys() or {node.module} & modules.keys()
        imports[module] = found
    while leaves := [module for module, found in imports.items() if not found & imports.keys()]:
        for module in leaves:
            del imports[module]
    assert not imports, f"these import each other: {sorted(imports)}"


def test_a_reset_collection_is_empty() -> None:
    collection = metrics.Collection(["nll"])
    collection.add_batch([[0.5, 0.5]], label=[0])
    collection.reset()
    with pytest.raises(InputError, match="has seen no example"):
        collection.result()


class Tensor:
    """Something that is no array but can become one, as a tensor."""

    def __init__(self, values: Any):
        self.values = np.asarray(values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.values


def test_tensors_are_taken() -> None:
    assert metrics.accuracy(Tensor([[0.9, 0.1]]), Tensor([0])) == 1.0


PROBS = [[0.5, 0.5], [0.25, 0.75], [1.0, 0.0]]


@pytest.mark.parametrize(
    ("probs", "labels", "message"),
    [
        ([[0.5, 0.5], [np.nan, 1.0]], [0, 1], "example 1, class 0 is nan; expected values from 0 to 1"),
        ([[0.5, 0.5], [1.5, -0.5]], [0, 1], "example 1, class 1 is -0.5"),
        ([[np.inf, 0.5]], [0], "example 0, class 0 is inf"),
        ([[[0.5, 0.5]], [[2.0, -1.0]]], [0], "example 0 of sample 1, class 1 is -1"),
        ([[0.5, 0.5], [0.5, 0.4]], [0, 1], r"example 1 sums to 0.9, off by -0.1 \(1 of 2 rows"),
        ([[[0.5, 0.5]], [[0.7, 0.5]]], [0], r"example 0 of sample 1 sums to 1.2, off by \+0.2"),
        ([[3.0, 4.0]], [0], "Pass softmax outputs, not logits"),
        (PROBS, [0, 1, 2], "Labels must be from 0 to 1 for 2 classes, but label 2 is 2"),
        (PROBS, [0, -1, 0], "but label 1 is -1"),
        (PROBS, [0.0, 1.0, 0.0], "Labels must be integers, got dtype float64"),
        (PROBS, [0, 1], "3 predictions but 2 labels"),
        (PROBS, [[0, 1, 0]], r"Labels must have shape \[batch\], got \[1, 3\]"),
        ([0.5, 0.5], [0], r"must have shape \[batch, classes\] or \[samples, batch, classes\], got \[2\]"),
        (np.zeros((0, 2)), [], "hold no example at all"),
        ([["a", "b"]], [0], "Predictions must be numbers, got dtype <U1"),
        ([[0.5, 0.5], [1.0]], [0, 1], "Predictions must be one array"),
        (PROBS, None, "Metric 'accuracy' needs labels"),
    ],
)
def test_bad_predictions_and_labels_are_refused_in_one_line(probs: Any, labels: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        metrics.accuracy(probs, labels)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", metrics.names())
def test_no_option_takes_nan(name: str) -> None:
    for option in inspect.signature(metrics.info(name)).parameters:
        for value in (float("nan"), np.float32("nan")):
            with pytest.raises(InputError, match=f"^{option}=.*nan.* is not allowed") as caught:
                metrics.get(name, **{**OPTIONS.get(name, {}), option: value})
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", metrics.names())
def test_masked_arrays_are_refused(name: str) -> None:
    predictions, labels = random_data(name, seed=9)
    if isinstance(predictions, tuple):
        masked = (np.ma.masked_invalid(predictions[0]), predictions[1])
    else:
        masked = np.ma.masked_invalid(predictions)
    masked_labels = np.ma.array(labels, mask=np.zeros(labels.shape, bool))
    for wrong in ((masked, labels), (predictions, masked_labels)):
        if wrong[1] is masked_labels and not {"labels", "label_distribution"} & set(metrics.info(name).needs):
            continue
        with pytest.raises(InputError, match="masked array, and its mask would be ignored") as caught:
            make(name).add_batch(wrong[0], label=wrong[1])
        assert "\n" not in str(caught.value)


def test_masked_arrays_in_a_list_are_refused() -> None:
    masked = np.ma.array([0.5, 0.5], mask=[True, False])
    for call in (
        lambda: metrics.accuracy([masked, masked], [0, 1]),
        lambda: metrics.rmse([masked, masked], [0.0, 1.0]),
    ):
        with pytest.raises(InputError, match="masked array, and its mask would be ignored"):
            call()


def test_sigmoid_outputs_are_refused_with_a_way_to_two_classes() -> None:
    p = np.array([0.2, 0.9, 0.6])
    for outputs, hint in ((p, "outputs"), (p[:, np.newaxis], r"outputs\[..., 0\]")):
        with pytest.raises(
            InputError, match=f"Sigmoid outputs are of one class: with p = {hint}, pass np.stack"
        ) as caught:
            metrics.accuracy(outputs, [0, 1, 0])
        assert "\n" not in str(caught.value) and "logits" not in str(caught.value)
    assert metrics.accuracy(np.stack([1 - p, p], axis=-1), [0, 1, 0]) == pytest.approx(2 / 3)


def bfloat16(values: np.ndarray) -> np.ndarray:
    """Return float32 numbers rounded down to bfloat16."""
    return (values.astype(np.float32).view(np.uint32) & 0xFFFF0000).view(np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_half_precision_that_was_converted_may_be_off_by_its_rounding(dtype: type) -> None:
    exact = np.random.default_rng(0).dirichlet(np.ones(10), (2, 50))
    labels = np.arange(50) % 10
    expected = metrics.negative_log_likelihood(exact, labels)
    for probs in (bfloat16(exact), exact.astype(np.float16)):
        assert np.abs(probs.sum(axis=-1, dtype=np.float64) - 1).max() > 1e-4
        nll = metrics.negative_log_likelihood(probs.astype(dtype), labels)
        assert nll == pytest.approx(expected, abs=4e-3)
    with pytest.raises(InputError, match="must sum to 1 over the classes"):  # too far off, or no half precision
        metrics.accuracy((0.98 * bfloat16(exact)).astype(dtype), labels)
    with pytest.raises(InputError, match="must sum to 1 over the classes"):
        metrics.accuracy((0.999 * exact).astype(dtype), labels)


def test_a_collection_refuses_a_change_of_classes_before_any_metric_sees_it() -> None:
    collection = metrics.Collection(["accuracy", "ace", "gce(class_conditional=True)"])
    collection.add_batch([[0.9, 0.1], [0.2, 0.8]], label=[0, 0])
    with pytest.raises(InputError, match=r"^Predictions of 3 classes after 2; use one metric for each\.$"):
        collection.add_batch([[0.9, 0.1, 0.0]], label=[2])
    assert collection.result()["accuracy"] == 0.5
    collection.reset()
    collection.add_batch([[0.9, 0.1, 0.0]], label=[2])
    assert collection.result()["accuracy"] == 0


def test_half_precision_may_be_off_by_its_rounding() -> None:
    probs = np.full((4, 3), 1 / 3, np.float16)
    assert probs.astype(np.float64).sum(axis=1).max() != 1
    assert metrics.negative_log_likelihood(probs, [0, 1, 2, 0]) == pytest.approx(np.log(3), abs=1e-3)


def test_unknown_names_and_options_are_refused() -> None:
    with pytest.raises(InputError, match=r"Unknown metric 'eec'. Did you mean 'ece'\?"):
        metrics.get("eec")
    with pytest.raises(InputError, match=r"Unknown option of metric 'ece' 'bins'. Did you mean 'num_bins'\?"):
        metrics.get("ece", bins=10)
    with pytest.raises(InputError, match="num_bins=0 is not allowed; expected a whole number of at least 1"):
        metrics.get("ece", num_bins=0)
    with pytest.raises(InputError, match="norm='l3' is not allowed; expected one of 'l1', 'l2', 'max'"):
        metrics.get("ece", norm="l3")
    with pytest.raises(InputError, match="Unknown metric 'nothing'"):
        metrics.info("nothing")
    with pytest.raises(
        InputError, match=r"The metric 'temperature_scaled_nll' does not work without an option; write te"
    ):
        metrics.get("temperature_scaled_nll")


def test_what_is_known_of_a_metric() -> None:
    assert metrics.info("accuracy").higher_is_better is True
    assert metrics.info("ece").higher_is_better is False
    assert metrics.info("entropy").higher_is_better is None
    assert metrics.info("brier").value_range == (0, 2)
    assert metrics.info("rm/ece").higher_is_better is False
    assert metrics.info("aurc").needs_whole_set
    assert not metrics.info("nll").needs_whole_set
    assert metrics.info("ece").likelihoods == ("categorical",) and metrics.info("crps").likelihoods == ("gaussian",)
    assert metrics.info("auroc").likelihoods == metrics.info("label_distribution_kl").likelihoods == ()
    assert metrics.info("mutual_information").needs == ("samples",)
    assert metrics.info("joint_nll").needs == ("labels", "samples")


def test_importing_imports_no_framework() -> None:
    code = (
        "import sys, uncertainty_suite.metrics; "
        "print(sorted({'tensorflow', 'keras', 'scipy', 'sklearn'} & set(sys.modules)))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert output.strip() == "[]"


def test_the_page_of_metrics_is_current() -> None:
    from uncertainty_suite.metrics.__main__ import table

    page = ROOT / "docs" / "metrics.md"
    assert page.read_text(encoding="utf-8") == table(), "run python -m uncertainty_suite.metrics > docs/metrics.md"


def test_the_page_lists_every_metric() -> None:
    from uncertainty_suite.metrics.__main__ import table

    page = table()
    assert all(f"| `{name}` |" in page for name in metrics.names())

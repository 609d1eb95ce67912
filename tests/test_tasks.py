import pytest

from uncertainty_suite import likelihoods
from uncertainty_suite.errors import InputError
from uncertainty_suite.tasks import Split, Task, plan


def config(**evaluation) -> dict:
    settings = {
        "splits": ["validation", "test"],
        "in_distribution": "test",
        "ood_near": ["fashion_mnist/test"],
        "ood_validation": [],
        "ood_far": ["noise/uniform", "mnist/unknown", "uci/wine/test"],
        "predict_only": ["extra"],
        "corruptions": ["fog"],
        "severities": [1, 3],
        "shift_examples": 100,
        "fit_examples": 50,
        **evaluation,
    }
    return {"dataset": {"name": "mnist"}, "evaluation": settings}


def test_the_list_of_splits_by_role():
    splits = plan(config(), fit=True)
    assert [(split.key, split.role, split.source) for split in splits] == [
        ("validation", "validation", "mnist/validation"),
        ("test", "test", "mnist/test"),
        ("ood/fashion_mnist", "near_ood", "fashion_mnist/test"),
        ("ood/noise_uniform", "far_ood", "noise/uniform"),
        ("ood/unknown", "far_ood", "mnist/unknown"),
        ("ood/uci_wine", "far_ood", "uci/wine/test"),
        ("extra", "predict_only", "mnist/extra"),
        ("shift/fog_1", "shift", "mnist/test"),
        ("shift/fog_3", "shift", "mnist/test"),
        ("fit", "fit", "mnist/train"),
    ]
    assert (splits[-2].corruption, splits[-2].severity, splits[-2].max_examples) == ("fog", 3, 100)
    assert splits[5].dataset == "uci/wine"
    assert [split.key for split in splits if split.labelled] == ["validation", "test", "shift/fog_1", "shift/fog_3"]
    assert "fit" not in [split.key for split in plan(config(), fit=False)]


def test_shifts_are_of_the_named_in_distribution_split():
    splits = plan(config(in_distribution="validation"), fit=False)
    assert {split.source for split in splits if split.role == "shift"} == {"mnist/validation"}
    with pytest.raises(InputError, match=r"in_distribution is 'extra', which is none of config.evaluation.splits"):
        plan(config(in_distribution="extra"), fit=False)


def test_splits_that_are_shifted_as_they_are():
    splits = plan(config(shifts=["2012", "night"]), fit=False)
    shifts = [split for split in splits if split.role == "shift"]
    assert [(split.key, split.source, split.derived) for split in shifts] == [
        ("shift/2012", "mnist/2012", False),
        ("shift/night", "mnist/night", False),
        ("shift/fog_1", "mnist/test", True),
        ("shift/fog_3", "mnist/test", True),
    ]
    assert all(split.labelled for split in shifts)
    with pytest.raises(InputError) as error:
        plan(config(shifts=["validation"]), fit=False)
    assert str(error.value) == "config.evaluation.shifts has 'validation', which is not shifted. Name it in splits."


@pytest.mark.parametrize("source", ["mnist/test", "mnist/train", "mnist/validation"])
def test_the_task_s_own_data_are_no_ood_set(source):
    with pytest.raises(InputError, match=f"The OOD set '{source}' is the task's own data: nothing could tell it"):
        plan(config(ood_far=[source]), fit=False)


@pytest.mark.parametrize("source", ["fashion_mnist", "/test", "fashion_mnist/"])
def test_an_ood_set_needs_a_data_set_and_a_split(source):
    with pytest.raises(InputError, match=r"An OOD set is named <data set>/<split>, e\.g\. mnist/test, received"):
        plan(config(ood_far=[source]), fit=False)


def test_a_task_goes_through_json():
    task = Task("mnist", likelihoods.get("categorical", num_classes=10), plan(config(), fit=True), "test")
    again = Task.from_json(task.to_json())
    assert again.to_json() == task.to_json()
    assert again.splits == task.splits
    assert [split.key for split in again.of("near_ood", "far_ood")][:2] == ["ood/fashion_mnist", "ood/noise_uniform"]
    assert again.split("test") == Split("test", "test", "mnist/test")
    with pytest.raises(InputError, match=r"Unknown split of task 'mnist' 'tset'. Did you mean 'test'\?"):
        again.split("tset")


@pytest.mark.parametrize("damage", [{"likelihood": None}, {"splits": [{"key": 1}]}, {"likelihood": {"name": "x"}}])
def test_damaged_json_is_no_task(damage):
    content = Task("mnist", likelihoods.get("categorical", num_classes=10), (), "test").to_json()
    with pytest.raises(ValueError, match=r"describes no task|Unknown likelihood"):
        Task.from_json({**content, **damage})

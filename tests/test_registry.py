"""Names with options: what can be written, what is refused, and what a thing that was asked for knows of it."""

import pytest

from uncertainty_suite.errors import InputError
from uncertainty_suite.registry import Named, Registry, parse, spelled

SCORES: Registry = Registry("OOD score")


@SCORES.register
class KNN(Named):
    name = "knn"

    def __init__(self, k: int = 50, norm: str = "l2"):
        self.k, self.norm = k, norm


@SCORES.register
def convnet(inputs, layers, width: int = 8):
    return inputs, layers, width


@SCORES.register
def scaled(temperature: float):
    return temperature


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("ece", "ece", {}),
        ("ece()", "ece", {}),
        ("ece(num_bins=10)", "ece", {"num_bins": 10}),
        ("rm/ece(num_bins=10)", "rm/ece", {"num_bins": 10}),
        (
            "a( x = -1.5e-3 , y='(,)', z=None, w=(1, 'b'), v=True )",
            "a",
            {"x": -1.5e-3, "y": "(,)", "z": None, "w": (1, "b"), "v": True},
        ),
    ],
)
def test_a_text_is_a_name_with_options(text, name, options):
    assert parse(text) == (name, options)
    assert parse(spelled(name, options)) == (name, options)


@pytest.mark.parametrize(
    "text", ["a(", "a(1)", "a(x)", "a(x=y)", "a(x=1)(y=2)", "a(x=1", "a (x=1)", "a(x=1, x=2)", "a(x=f())"]
)
def test_what_is_no_name_with_options_is_refused_in_one_line(text):
    with pytest.raises(InputError, match="a name with options is written like name") as error:
        parse(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ece(num_bins=1000000000)", "Option num_bins of 'ece(num_bins=1000000000)' is too large: at most 1,000,000."),
        ("a(x=-1e400)", "Option x of 'a(x=-1e400)' is too large: at most 1,000,000."),
        ("a" * 2000, "A name with options has at most 1000 characters, and 'aaaaaaaaaaaaaaaaaaaa...' 2000."),
    ],
)
def test_what_would_take_all_there_is_is_refused(text, message):
    with pytest.raises(InputError) as error:
        parse(text)
    assert str(error.value) == message


@pytest.mark.parametrize("nested", ["-" * 900 + "1", "[" * 300 + "]" * 300])
def test_options_that_are_nested_without_end_are_refused_or_read(nested):
    try:
        assert parse(f"a(x={nested})") == ("a", {"x": 1})
    except InputError as error:
        assert str(error).endswith(": a name with options is written like name(option=value).")


def test_what_is_no_text_is_refused():
    with pytest.raises(InputError, match=r"must be a text like 'name\(option=value\)', got 3"):
        SCORES.info(3)


def test_make_takes_options_from_the_text_and_beside_it():
    for made in (SCORES.make("knn(k=3)"), SCORES.make("knn", k=3), SCORES.make("knn(k=9)", k=3)):
        assert (made.k, made.norm) == (3, "l2")
    assert SCORES.make("convnet(width=2)", "inputs", "layers") == ("inputs", "layers", 2)


@pytest.mark.parametrize(
    ("text", "options", "key"),
    [
        ("knn", {}, "knn"),
        ("knn()", {}, "knn"),
        ("knn", {"k": 3}, "knn(k=3)"),
        ("knn(k = 3)", {}, "knn(k = 3)"),
        ("knn(k = 3)", {"norm": "l1"}, "knn(k=3, norm='l1')"),
        ("knn(k=3)", {"k": 4}, "knn(k=4)"),
    ],
)
def test_what_is_made_knows_the_text_that_made_it(text, options, key):
    assert SCORES.make(text, **options).key == key


def test_options_are_the_defaults_but_for_what_the_text_says():
    assert SCORES.options("knn(k=3)") == {"k": 3, "norm": "l2"}
    assert SCORES.options("convnet", skip=2) == {"width": 8}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("knm", r"Unknown OOD score 'knm'\. Did you mean 'knn'\?"),
        ("knn(q=3)", r"Unknown option of OOD score 'knn' 'q'\. Known: k, norm\."),
        ("scaled", r"The OOD score 'scaled' does not work without an option; write scaled\(temperature=\.\.\.\)\."),
    ],
)
def test_unknown_and_missing_things_are_refused(text, message):
    for ask in (SCORES.options, SCORES.make):
        with pytest.raises(InputError, match=message):
            ask(text)


def test_two_of_one_name_are_refused():
    class Other:
        name = "knn"

    with pytest.raises(InputError, match="There are two OOD scores named 'knn'"):
        SCORES.register(Other)
    assert SCORES.register(KNN) is KNN and SCORES.info("knn(k=3)") is KNN

"""The rules of the house: what holds for the package and the scripts as a whole."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from uncertainty_suite import errors

SCRIPTS = sorted(ROOT.glob("baselines/*.py"))
METHODS = {path.stem for path in SCRIPTS}
PACKAGE = sorted(ROOT.glob("uncertainty_suite/**/*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE}

# Words that are a method's name and mean something else here.
NO_METHOD = {
    ("uncertainty_suite/datasets/pipeline.py", "deterministic"): "an option of tf.data",
    ("uncertainty_suite/training/optimizers.py", "ivon"): "an optimizer, which its method uses",
    ("uncertainty_suite/training/samplers.py", "ivon"): "the name of that optimizer",
}
# Where regular expressions are used, and for what: never to read the keys of results, which tasks and registries know.
REGULAR_EXPRESSIONS = {
    "uncertainty_suite/datasets/tfds_images.py": "names of the splits of corrupted sets in TFDS",
    "uncertainty_suite/launch.py": "flags of the command line",
    "uncertainty_suite/leaderboard/fields.py": "the name of a task, which a mark and a folder must be able to hold",
    "uncertainty_suite/leaderboard/insertion.py": "blocks between two marks in a README",
    "uncertainty_suite/leaderboard/records.py": "names of files",
    "uncertainty_suite/leaderboard/rendering.py": "what Markdown would take for its own in a text",
    "uncertainty_suite/leaderboard/store.py": "paths of a machine in a text",
    "uncertainty_suite/metrics/base.py": "the name of a class, from which that of its function is made",
    "uncertainty_suite/training/options.py": "the interval between two checkpoints",
}
# Which module may change its own variables while it runs, and why.
GLOBALS = {
    "uncertainty_suite/training/interruption.py": "what signals do is the process's, of which there is one",
}
# Which module may change variables of another one, and why.
OF_OTHERS = {
    "uncertainty_suite/__main__.py": "the command line of the program that it runs",
    "uncertainty_suite/program.py": "the streams of the process where it has none, and what it says of Ctrl-C",
}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def where(path: Path, node: ast.AST) -> str:
    return f"{name_of(path)}:{node.lineno}"


WITHOUT_TENSORFLOW = (
    *("assembled", "combine", "configuration", "datasets", "decisions", "evaluate", "evaluation", "figures", "launch"),
    *("leaderboard", "likelihoods", "metrics", "models", "ood_scores", "posthoc", "score", "sweep", "sweep.__main__"),
    *("testing", "trained", "training"),
)


def test_imports_no_tensorflow():
    code = (
        "import importlib, sys\n"
        "for part in sys.argv[1:]:\n"
        "    importlib.import_module(f'uncertainty_suite.{part}'.rstrip('.'))\n"
        "    if 'tensorflow' in sys.modules or 'keras' in sys.modules:\n"
        "        sys.exit(f'{part} imports it')\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, "", *WITHOUT_TENSORFLOW], cwd=ROOT, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr


_WINDOWS = """
import os, signal, sys
import matplotlib, multiprocessing, scipy.stats, sklearn, subprocess  # as they are: they know Windows themselves
for name in ("O_NONBLOCK", "O_NOCTTY", "O_NOFOLLOW", "O_CLOEXEC", "sysconf", "posix_fallocate", "getuid", "fork"):
    delattr(os, name)
for name in ("SIGHUP", "SIGKILL", "pthread_sigmask"):
    delattr(signal, name)
sys.modules.update(dict.fromkeys(["fcntl", "grp", "pwd", "resource", "termios"]))
from uncertainty_suite import metrics, posthoc, program
from uncertainty_suite.leaderboard.__main__ import main
posthoc.get("temperature_scaling", from_logits=True).fit([[2.0, 0.0], [0.0, 2.0], [1.0, 0.0]], [0, 1, 1])
assert metrics.accuracy([[0.9, 0.1]], [0]) == 1
program.run("tables", main)
"""


def test_tables_and_metrics_need_nothing_that_windows_lacks():
    words = [sys.executable, "-c", _WINDOWS, "leaderboards/toy_regression"]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "### toy_regression" in ended.stdout
    assert "| deep_ensemble " in ended.stdout


def test_parts_are_imported_when_they_are_used():
    import uncertainty_suite

    assert uncertainty_suite.metrics.names()
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = uncertainty_suite.nothing


def test_unknown_names_come_with_the_nearest():
    error = errors.unknown_name("data set", "cifar", ["mnist", "cifar10"])
    assert str(error) == "Unknown data set 'cifar'. Did you mean 'cifar10'? Known: cifar10, mnist."
    assert str(errors.unknown_name("data set", "xyz", ["mnist"])) == "Unknown data set 'xyz'. Known: mnist."


def docstrings(tree: ast.Module) -> set[ast.AST]:
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [node.body[0] for node in ast.walk(tree) if isinstance(node, holders) and node.body]
    return {statement.value for statement in found if isinstance(statement, ast.Expr)}


def words(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Yield the identifiers and texts of a module, docstrings excepted."""
    left_out = docstrings(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str() as text) if node not in left_out:
                yield node, text
            case ast.Name(id=text) | ast.Attribute(attr=text) | ast.arg(arg=text) | ast.alias(name=text):
                yield node, text.rpartition(".")[2]
            case ast.FunctionDef(name=text) | ast.ClassDef(name=text):
                yield node, text
            case ast.keyword(arg=str() as text):
                yield node, text


def test_the_library_knows_no_method_by_name():
    found = [
        f"{where(path, node)} {text}"
        for path, tree in TREES.items()
        for node, text in words(tree)
        if text in METHODS and (name_of(path), text) not in NO_METHOD
    ]
    assert not found, "what is particular to a method stands in its script:\n" + "\n".join(found)


def test_regular_expressions_are_used_where_nothing_knows_better():
    used = {}
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            match node:
                case ast.Attribute(value=ast.Name(id="re")) | ast.ImportFrom(module="re"):
                    used.setdefault(name_of(path), []).append(where(path, node))
    found = [place for path, places in used.items() if path not in REGULAR_EXPRESSIONS for place in places]
    assert not found, "ask the task for its splits and the registry for names:\n" + "\n".join(found)
    assert REGULAR_EXPRESSIONS.keys() <= used.keys(), "these use none any more"


def imported_names(tree: ast.Module) -> set[str]:
    return {
        alias.asname or alias.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }


def assigned(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the targets of an assignment."""
    match node:
        case ast.Assign(targets=targets) | ast.Delete(targets=targets):
            yield from targets
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
            yield target
        case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[owner, *_]):
            yield ast.Attribute(owner, "", ast.Store())


def test_no_module_changes_the_variables_of_another_one():
    found = []
    for path, tree in TREES.items():
        imported = imported_names(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Global) and name_of(path) not in GLOBALS:
                found.append(f"{where(path, node)} global {', '.join(node.names)}")
            for target in assigned(node):
                owner = target.value if isinstance(target, ast.Attribute) else None
                while isinstance(owner, ast.Attribute):
                    owner = owner.value
                if isinstance(owner, ast.Name) and owner.id in imported and name_of(path) not in OF_OTHERS:
                    found.append(f"{where(path, node)} assigns to an attribute of {owner.id}")
    assert not found, "give it as an argument:\n" + "\n".join(found)


def without_type_checking(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree, blocks for the type checker left out."""
    if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
        for child in node.orelse:
            yield from without_type_checking(child)
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from without_type_checking(child)


def imports() -> dict[str, dict[str, str]]:
    """Return what each module of the package imports of it, in functions too, and the place."""
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in PACKAGE
    }
    graph = {}
    for module, path in modules.items():
        found: dict[str, str] = {}
        for node in without_type_checking(TREES[path]):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                names = {name if name in modules else node.module for name in names}
            elif isinstance(node, ast.Import):
                names = {alias.name for alias in node.names}
            else:
                continue
            # A part of another package is imported with that package.
            names |= {name[:end] for name in names for end, letter in enumerate(name) if letter == "."}
            for name in names & modules.keys():
                if not f"{module}.".startswith(f"{name}."):
                    found.setdefault(name, where(path, node))
        graph[module] = found
    return graph


def test_imports_form_no_circle():
    graph = imports()
    while leaves := [module for module, found in graph.items() if not found.keys() & graph.keys()]:
        for module in leaves:
            del graph[module]
    # What is imported by nobody in a circle is in none.
    while roots := graph.keys() - {name for found in graph.values() for name in found}:
        for module in roots:
            del graph[module]
    edges = [
        f"{place} {module} -> {name}"
        for module, found in graph.items()
        for name, place in found.items()
        if name in graph
    ]
    assert not edges, "these import each other:\n" + "\n".join(edges)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_stand_alone(path):
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    assert 50 <= len(source.splitlines()) <= 150
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            parts = f"{getattr(node, 'module', '')}.{'.'.join(alias.name for alias in node.names)}".split(".")
            assert not {"baselines", *METHODS} & set(parts), f"{where(path, node)} imports a script"
    assert f"\n    python baselines/{path.name} --config=configs/" in (ast.get_docstring(tree, clean=False) or "")
    assert f"`{path.stem}`" in (ROOT / "references.md").read_text(encoding="utf-8")

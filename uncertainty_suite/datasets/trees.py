"""Trees: what a model receives is one array, or a dict or tuple of trees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Tree = Any  # a leaf, dict[str, Tree] or tuple[Tree, ...]


def leaves(tree: Tree, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield `(path, leaf)` of all leaves, dicts by sorted keys; the path of `{"a": (x, y)}`'s `y` is `/a/1`.

    Example:
        >>> list(leaves(x)), list(leaves({"a": (x, y)}))
        ([("", x)], [("/a/0", x), ("/a/1", y)])
    """
    if not isinstance(tree, dict | tuple):
        yield path, tree
        return
    for key, part in sorted(tree.items()) if isinstance(tree, dict) else enumerate(tree):
        yield from leaves(part, f"{path}/{key}")


def map_leaves(function: Callable[..., Any], tree: Tree, *others: Tree) -> Tree:
    """Return the tree of `function(leaf, ...)` over the leaves of trees of the same structure."""
    if isinstance(tree, dict):
        return {key: map_leaves(function, tree[key], *(other[key] for other in others)) for key in sorted(tree)}
    if isinstance(tree, tuple):
        return tuple(map_leaves(function, *parts) for parts in zip(tree, *others))
    return function(tree, *others)


def first_leaf(tree: Tree) -> Any:
    """Return one leaf, for what all leaves have in common."""
    return next(leaf for _, leaf in leaves(tree))


def same_structure(first: Tree, second: Tree) -> bool:
    """Return whether two trees have their leaves in the same places."""
    return [path for path, _ in leaves(first)] == [path for path, _ in leaves(second)]

"""``fields``: a study cut down to the parts that were asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from trialsync.registry.sandbox.answers import Refused
from trialsync.registry.sandbox.parameters import items, malformed
from trialsync.registry.sandbox.vocabulary import Piece, vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trialsync.model import Study

_FORM = re.compile(r"[a-zA-Z][a-zA-Z0-9\-. ]*|@query", re.ASCII)
Tree = dict[str, Any]
"""Keys to keep, each with the tree of what to keep below it, or None for all of it."""


def parse(text: str, queried: Iterable[Piece] = ()) -> Tree:
    """Return the tree of what ``fields`` asks for; ``@query`` stands for the pieces queried. Raises Refused for an unknown name."""
    known = vocabulary()
    tree: Tree = {}
    for index, name in enumerate(items(text), 1):
        if not _FORM.fullmatch(name):
            raise malformed("fields", index if text.strip() else None)
        if name == "@query":
            pieces = tuple(queried)
        elif name in known.areas:
            pieces = known.areas[name].pieces
        elif name in known.by_name:
            pieces = (known.by_name[name],)
        else:
            raise Refused(f"Parameter 'fields' contains invalid field name: '{name}'")
        for piece in pieces:
            _keep(tree, piece.path)
    return tree


def _keep(tree: Tree, path: tuple[str, ...]) -> None:
    for key in path[:-1]:
        below = tree.setdefault(key, {})
        if below is None:
            return
        tree = below
    tree[path[-1]] = None


def project(study: Study, tree: Tree) -> Study:
    """Return the parts of a study that the tree keeps, in the study's own order; what is absent stays absent."""
    kept = _project(study, tree)
    return kept if isinstance(kept, dict) else {}


def _project(node: Any, tree: Tree) -> Any:
    if isinstance(node, list):
        kept = [part for item in node if (part := _project(item, tree)) not in (None, {}, [])]
        return kept or None
    if not isinstance(node, dict):
        return None
    found: dict[str, Any] = {}
    for key, value in node.items():
        if key in tree:
            below = tree[key]
            part = value if below is None else _project(value, below)
            if below is None or part not in (None, {}, []):
                found[key] = part
    return found or None

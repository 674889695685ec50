"""Operators that Cosmic Ray lacks: numbers by their size, statements, arguments left out."""

from collections.abc import Iterator, Sequence
from typing import Any

import parso
from cosmic_ray.operators.operator import Example, Operator

Position = tuple[tuple[int, int], tuple[int, int]]


class ChangeNumber(Operator):  # type: ignore[misc]
    """Replaces whole numbers by their neighbours and others by a fifth more or less."""

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        if node.type == "number":
            for _ in range(2):
                yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        value = parso_number(node.value)
        if isinstance(value, int):
            changed: complex = value + (1, -1)[index]
        else:
            changed = value * (1.2, 0.8)[index] if value else (1.0, -1.0)[index]
        node.value = (
            repr(changed) if not isinstance(changed, int) or changed >= 0 else f"({changed})"
        )
        return node

    @classmethod
    def examples(cls) -> Sequence[Example]:
        return (Example("x = 1", "x = 2"), Example("x = 0.5", "x = 0.4", occurrence=1))


class DeleteStatement(Operator):  # type: ignore[misc]
    """Replaces a call whose result is not used, or an augmented assignment, by `pass`."""

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        if node.parent is None or node.parent.type != "simple_stmt":
            return
        is_call = node.type == "atom_expr" and node.children[-1].type == "trailer"
        is_augmented = node.type == "expr_stmt" and getattr(node.children[1], "value", "=") != "="
        if is_call or is_augmented:
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        kept = parso.parse("pass").children[0]
        kept.prefix = node.get_first_leaf().prefix
        return kept

    @classmethod
    def examples(cls) -> Sequence[Example]:
        return (Example("f(x)\n", "pass\n"), Example("x += 1\n", "pass\n"))


class DropArgument(Operator):  # type: ignore[misc]
    """Leaves out an argument that is named, or an element of a tuple or list that is passed on."""

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        for child in _dropped(node):
            yield child.start_pos, child.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        children = list(node.children)
        at = children.index(list(_dropped(node))[index])
        if node.type == "trailer":  # its only argument
            node.children = [children[0], children[-1]]
            return node
        comma = at + 1 if at + 1 < len(children) else at - 1
        left = [child for i, child in enumerate(children) if i not in (at, comma)]
        if not left:
            return None
        left[0].get_first_leaf().prefix = children[0].get_first_leaf().prefix
        if node.type == "testlist_comp" and len(left) == 1:  # a tuple still
            left.append(children[1])
        node.children = left
        return node

    @classmethod
    def examples(cls) -> Sequence[Example]:
        return (Example("f(a, b=1)", "f(a)"), Example("f((a, b))", "f((b,))"))


OWN = (ChangeNumber, DeleteStatement, DropArgument)


def parso_number(text: str) -> Any:
    """Return the number that a literal stands for."""
    return complex(text) if text.endswith("j") else float(text) if _is_float(text) else int(text, 0)


def _is_float(text: str) -> bool:
    return not text.startswith(("0x", "0b", "0o")) and any(mark in text for mark in ".eE")


def _dropped(node: Any) -> Iterator[Any]:
    """Yield the children of a node that can be left out."""
    if node.type == "arglist" or (node.type == "trailer" and len(node.children) == 3):
        yield from (c for c in node.children if _is_named(c))
    elif node.type == "testlist_comp" and node.parent.parent.type in ("trailer", "arglist"):
        yield from (c for c in node.children if c.type not in ("operator", "sync_comp_for"))


def _is_named(node: Any) -> bool:
    return bool(node.type == "argument" and node.children[1].type == "operator") and (
        node.children[1].value == "="
    )

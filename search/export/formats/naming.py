"""Names of the tensors that exported models take and give, which not every runtime lets stand."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from search.data.reading import Column
from search.export.labels import Labels
from search.export.raw import raw_shape, raw_type


def has_words(columns: Sequence[Column]) -> bool:
    """Return whether rows have words, so that a graph takes each column apart."""
    return any(column.words for column in columns)


@dataclass(frozen=True)
class NamedTensor:
    """A tensor that a SavedModel takes by its name.

    Attributes:
        name: as TensorFlow takes it.
        type: `str` for strings, else a dtype.
        shape: of one sample.
        input: the name of the input that it belongs to; empty where the model has one.
        column: the name of the column that it is; empty where it is a whole input.
    """

    name: str
    type: str
    shape: tuple[int, ...] = ()
    input: str = ""
    column: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return its entry in the record of a SavedModel."""
        found = {"input": self.input, "column": self.column, "shape": list(self.shape)}
        return {"name": self.name, "type": self.type} | {k: v for k, v in found.items() if v}


def named_tensors(labels: Labels) -> tuple[NamedTensor, ...]:
    """Return the tensors that a SavedModel takes by their names: columns, and several inputs.

    None where it takes a single one as it is.
    """
    if not labels.inputs:
        own = _tensors(labels, "") if has_words(labels.columns) else ()
        return _with_names(own, [each.column for each in own])
    found = [each for own in labels.inputs for each in _tensors(labels.part(own.name), own.name)]
    found.sort(key=lambda each: bool(each.column))  # whole inputs keep their names
    return _with_names(found, ["_".join(filter(None, (e.input, e.column))) for e in found])


def _tensors(part: Labels, name: str) -> Sequence[NamedTensor]:
    """Return those of one input, their names still to be given."""
    if part.kind == "text":
        return [NamedTensor("", "str", (), name)]
    if not has_words(part.columns):
        return [NamedTensor("", raw_type(part.encoder), raw_shape(part.encoder), name)]
    kinds = [(column.name, "str" if column.words else "float64") for column in part.columns]
    return [NamedTensor("", kind, (), name, column) for column, kind in kinds]


def _with_names(tensors: Sequence[NamedTensor], wanted: Sequence[str]) -> tuple[NamedTensor, ...]:
    both = zip(tensors, tensor_names(wanted), strict=True)
    return tuple(replace(tensor, name=name) for tensor, name in both)


def tensor_names(wanted: Sequence[str]) -> tuple[str, ...]:
    """Return a name for each tensor: TensorFlow takes letters, digits and underscores.

    Names of these signs are kept, even where another would become the same. A name with other
    signs has underscores for them, and a number where that is taken.

    Args:
        wanted: names of columns or inputs.
    """
    plain = [_plain_name(name) for name in wanted]
    found: dict[int, str] = {}
    for place in sorted(range(len(plain)), key=lambda n: plain[n] != wanted[n]):
        others = {name.lower() for name in found.values()}
        found[place] = free_name(plain[place], others)
    return tuple(found[place] for place in range(len(plain)))


def _plain_name(name: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
    if not plain[:1].isalpha() or plain == "self":  # that of the function
        return f"column_{plain}"
    return plain


def free_name(name: str, taken: Collection[str]) -> str:
    """Return a name, with a number where it is taken; upper and lower case do not differ."""
    free = (name if n == 1 else f"{name}_{n}" for n in count(1))
    return next(one for one in free if one.lower() not in taken)


def plain_outputs(labels: Labels) -> dict[str, str]:
    """Return for each of several outputs its name in ONNX, where no input has the same."""
    inputs = {name.lower() for name in plain_inputs(labels).values()} or {"inputs"}
    names = labels.outputs.names
    taken = inputs | {name.lower() for name in names}
    return {name: free_name(name, taken) if name.lower() in inputs else name for name in names}


def plain_inputs(labels: Labels) -> dict[str, str]:
    """Return for each of several inputs the name of its tensor in ONNX and TensorFlow Lite."""
    names = [each.name for each in labels.inputs]
    return dict(zip(names, tensor_names(names), strict=True))

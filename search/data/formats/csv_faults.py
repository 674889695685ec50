"""The exact line and column at which a block of a table is not as it must be.

Only a block that was refused is looked at here: slowly, field by field.
"""

import csv
from collections.abc import Iterator

import numpy as np

from search.data.formats.csv_blocks import Block
from search.data.formats.csv_header import Header
from search.data.formats.csv_numbers import EXACT, is_number, missing_fault, number_fault
from search.errors import DataError

LARGEST = float(np.finfo(np.float32).max)


def fault_in(block: Block, header: Header, classes: int | None) -> DataError:
    """Return the error that names the first fault.

    Args:
        block: lines, one of which at least is faulty.
        header: of the table.
        classes: labels must be below; None: any.
    """
    for number, line in enumerate(block.text.split(b"\n"), block.line):
        for fault in _line_faults(line.removesuffix(b"\r"), header, classes):
            return DataError(f"{header.path}, line {number}: {fault}.")
    last = block.line + block.text.rstrip(b"\n").count(b"\n")
    return DataError(
        f"{header.path}: lines {block.line} to {last} cannot be read as"
        " numbers. Look for quotes and for line ends within them."
    )


def _line_faults(line: bytes, header: Header, classes: int | None) -> Iterator[str]:
    if not line:
        return
    text = line.decode(errors="replace")
    try:
        fields = next(csv.reader([text], delimiter=header.delimiter, strict=True))
    except csv.Error as error:
        yield f"quotes must be closed on their line ({error}). Leave them out around numbers"
        return
    if len(fields) != len(header.names):
        yield (
            f"there must be {len(header.names):,} values, as in the header; there are"
            f" {len(fields):,}: the line may be cut"
        )
        return
    for index, (name, field) in enumerate(zip(header.names, fields, strict=True)):
        fault = (
            _label_fault(field, classes) if index == header.label else _value_fault(field, header)
        )
        if fault:
            yield f"`{name}` {fault}"


def _label_fault(field: str, classes: int | None) -> str:
    if fault := missing_fault(field):
        return fault
    value = float(field) if is_number(field) else -1.0
    if not (value.is_integer() and 0 <= value < EXACT):
        return (
            f"must be a whole number from 0; it is {field.strip()!r}."
            " Number the classes 0, 1, 2 and so on"
        )
    if classes is not None and value >= classes:
        return (
            f"must be one of the training part's labels, 0..{classes - 1}; it is {field.strip()}."
            " Leave the line out, or add lines of that class to the training part"
        )
    return ""


def _value_fault(field: str, header: Header) -> str:
    if fault := missing_fault(field) or number_fault(field):
        return fault
    value = float(field)
    if header.kind == "image" and not (value.is_integer() and 0 <= value <= 255):
        return (
            f"must be a pixel, a whole number within 0..255; it is {field.strip()}."
            " Give columns of other numbers other names: they are read as a table"
        )
    if abs(value) > LARGEST:
        return f"must be within the range of float32, +-3.4e38; it is {field.strip()}"
    return ""

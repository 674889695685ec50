"""Numbers as they are written in a table."""

import re

BLANKS = " \t"
EXACT = 1 << 53  # below, float64 holds every whole number
MISSING = frozenset({"", "nan", "na", "n/a", "<na>", "null", "none", "nil", "?", "-"})
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)


def is_number(text: str) -> bool:
    """Say whether a field is a finite number, as written."""
    return _NUMBER.fullmatch(text.strip(BLANKS)) is not None


def missing_fault(text: str) -> str:
    """Return that a field is missing, as an end of a sentence; empty: it is there."""
    field = text.strip(BLANKS)
    if field.lower() not in MISSING:
        return ""
    shown = f" ({field})" if field else ""
    return f"is missing{shown}. Fill it in, or leave the line out"


def number_fault(text: str) -> str:
    """Return what keeps a field from being a number, as an end of a sentence; empty: nothing."""
    field = text.strip(BLANKS)
    if _INFINITE.fullmatch(field):
        return f"must be finite; it is {field}. Replace it, or leave the line out"
    if _DECIMAL_COMMA.fullmatch(field):
        return f"must be a number; it is {field!r}. Write decimals with a point"
    if not is_number(field):
        shown = field if len(field) <= 40 else field[:40] + "..."
        return f"must be a number; it is {shown!r}. Number it, or leave the column out"
    return ""

"""Values of parameters: which are allowed, when two are the same, and how they are written as text.

A value is a whole or real number, a text, True, False, None, or a tuple of values. Two are the
same if they are equal and of the same type: 0, 0.0 and False are three values, 1 and "1" two.

As text, None is `None`, True and False are `on` and `off`, a tuple is `(1, 3)`, and a text is
unchanged, or in double quotes with JSON's escapes if it would otherwise be read as something else:
`"a,b"`, `"3"`, `"None"`, `" x"`.
"""

import json
import math
from collections.abc import Hashable, Iterable
from typing import TypeAlias

Value: TypeAlias = int | float | str | bool | tuple["Value", ...] | None

QUOTING = (
    "commas separate values; a text that holds one, or reads as something else, is written in"
    ' double quotes, as in "a,b", and a tuple in parentheses, as in (1, 3)'
)
_SWITCHES = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}
_NOTHING = object()


def plain(value: object) -> Value:
    """Return a value as a plain Python type: NumPy's numbers and subclasses are converted.

    Raises:
        ValueError: it is not a valid value; with the reason.
    """
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "shape", None) == ():
        value = item()
    match value:
        case None | bool():
            return value
        case int():
            return int(value)
        case float() if math.isfinite(value):
            return float(value)
        case str():
            text = str.__str__(value)
            if any("\ud800" <= letter <= "\udfff" for letter in text):
                raise ValueError(f"a text must hold whole characters; got {text!r}")
            return text
        case tuple():
            return tuple(map(plain, value))
        case list():
            raise ValueError(
                f"a sequence must be a tuple, {tuple(value)!r}; got the list {value!r}"
            )
        case float():
            raise ValueError(f"a number must be finite; got {value!r}")
        case _:
            raise ValueError(
                "a value must be a number, a text, True, False, None or a tuple of these; got"
                f" {value!r}. Give it a name, and let `build` translate the name"
            )


def key(value: Value) -> Hashable:
    """Return a key that is equal for the same values only."""
    if isinstance(value, tuple):
        return "tuple", tuple(map(key, value))
    return type(value).__name__, value


def same(one: object, other: object) -> bool:
    """Return whether two values are equal and of the same type."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def place_of(value: object, values: Iterable[Value]) -> int | None:
    """Return the index of a value among others, by value and type; None if it is missing."""
    return next((place for place, known in enumerate(values) if same(known, value)), None)


def equal_number(value: object, values: Iterable[Value]) -> Value | object:
    """Return the only number among the values that equals a number; `_NOTHING` for none or two."""
    if not _is_number(value):
        return _NOTHING
    found = [known for known in values if _is_number(known) and known == value]
    return found[0] if len(found) == 1 else _NOTHING


def resolved(value: object, values: Iterable[Value]) -> tuple[Value, ...]:
    """Return the matching value as a tuple of one; an empty tuple if there is none.

    It is the same value, or else the only number that equals it.
    """
    known = tuple(values)
    place = place_of(value, known)
    if place is not None:
        return (known[place],)
    number = equal_number(value, known)
    return () if number is _NOTHING else (number,)  # type: ignore[return-value]


def value_text(value: object) -> str:
    """Return a value as `--set` takes it; `read` is the inverse."""
    match value:
        case bool():
            return "on" if value else "off"
        case str():
            return json.dumps(value, ensure_ascii=False) if _needs_quotes(value) else value
        case tuple():
            inner = ", ".join(map(value_text, value))
            return f"({inner},)" if len(value) == 1 else f"({inner})"
        case float():
            return repr(value)
        case _:
            return str(value)


def short_text(value: object) -> str:
    """Return a value as text for tables: numbers have at most six significant digits."""
    return f"{value:.6g}" if isinstance(value, float) else value_text(value)


def split(text: str) -> list[str]:
    """Split a text at the commas outside quotes and parentheses.

    Raises:
        ValueError: quotes do not end, or are followed by more text.
    """
    items, place = [], 0
    while True:
        end = end_of_item(text, place)
        items.append(text[place:end].strip())
        if end == len(text):
            return items
        place = end + 1


def read(text: str) -> Value:
    """Return the value of a text without outer blanks, if nothing is declared.

    Raises:
        ValueError: quotes do not end.
    """
    if text.startswith('"'):
        return _unquoted(text)
    if text.startswith("(") and text.endswith(")"):
        inner = text[1:-1].strip().removesuffix(",")
        return tuple(map(read, split(inner))) if inner.strip() else ()
    if text == "None":
        return None
    if text.lower() in _SWITCHES:
        return _SWITCHES[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def chosen(text: str, values: Iterable[Value]) -> tuple[Value, ...]:
    """Return which of the values a text means, as a tuple of one; empty for none.

    A text in quotes is a text. Without quotes, it is the value it reads as if that is one of the
    values, else a number that equals it, also when shortened, or the text itself.

    Raises:
        ValueError: quotes do not end.
    """
    known = tuple(values)
    meant = read(text)
    found = resolved(meant, known)
    if found or text.startswith('"'):
        return found
    rounded = [value for value in known if isinstance(value, float) and short_text(value) == text]
    if len(rounded) == 1:
        return tuple(rounded)
    if text in known:
        return (text,)
    return (None,) if text.lower() in ("none", "null") and None in known else ()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _needs_quotes(text: str) -> bool:
    if not text or text != text.strip() or not text.isprintable() or set(text) & set('"(),|'):
        return True
    return not isinstance(read(text), str)


def end_of_item(text: str, place: int) -> int:
    """Return the position of the comma after the item that begins at `place`, or the text's end.

    Raises:
        ValueError: its quotes do not end, or are followed by more text.
    """
    start = place + len(text[place:]) - len(text[place:].lstrip())
    after = _after_group(text, start) if text[start : start + 1] in ('"', "(") else None
    if after is None:
        comma = text.find(",", place)
        return len(text) if comma < 0 else comma
    rest = text[after:]
    end = after + len(rest) - len(rest.lstrip())
    if end < len(text) and text[end] != ",":
        raise ValueError(f"there must be a comma after {text[start:after]}; got {text[end:]}")
    return end


def _after_group(text: str, start: int) -> int | None:
    """Return the position after quotes or parentheses; None for parentheses that do not end."""
    if text[start] == '"':
        return start + len(_quoted(text[start:]))
    depth, place = 0, start
    while place < len(text):
        if text[place] == '"':
            place += len(_quoted(text[place:]))
            continue
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        place += 1
        if depth == 0:
            return place
    return None


def _quoted(text: str) -> str:
    """Return a text up to its closing quotes."""
    place = 1
    while place < len(text) and text[place] != '"':
        place += 2 if text[place] == "\\" else 1
    if place >= len(text):
        raise ValueError(f"the double quotes of {text} do not end")
    return text[: place + 1]


def _unquoted(text: str) -> str:
    if _quoted(text) != text:
        raise ValueError(f"nothing may follow the closing quotes; got {text}")
    try:
        return str(json.loads(text, strict=False))
    except ValueError as error:
        raise ValueError(
            f"a backslash in double quotes is written twice, {text!s} is not: {error}"
        ) from None

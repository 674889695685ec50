"""HTML put together so that text stays text: whatever is no `Markup` is escaped."""

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

_EMPTY = {"meta", "link", "img", "br"}


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: str | bool | None) -> Markup:
    """Return an element.

    Args:
        name: of the element.
        children: text, which is escaped, and markup.
        attributes: `class_` for `class`, underscores for dashes; True for one without a value,
            None or False for none.
    """
    told = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _EMPTY:
        return Markup(f"<{name}{told}>")
    return Markup(f"<{name}{told}>{joined(children)}</{name}>")


def joined(parts: Iterable[str], between: str = "") -> Markup:
    """Return parts one after another, text escaped."""
    return Markup(between.join(p if isinstance(p, Markup) else escape(p) for p in parts))


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Iterable[int] = ()
) -> Markup:
    """Return a table that scrolls by itself where it is too wide.

    Args:
        head: headings of the columns.
        rows: cells, text or markup.
        numbers: columns that are aligned to the right.
    """
    right = set(numbers)

    def cells(kind: str, row: Sequence[str]) -> Markup:
        made = (tag(kind, c, class_="number" if n in right else None) for n, c in enumerate(row))
        return tag("tr", *made)

    body = joined(cells("td", row) for row in rows)
    inner = tag("table", tag("thead", cells("th", head)), tag("tbody", body))
    return tag("div", inner, class_="scroll", tabindex="0")


def json_block(identity: str, document: Any) -> Markup:
    """Return a script element of data, which no text in it can end."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(f'<script type="application/json" id="{escape(identity)}">{text}</script>')


def _attribute(key: str, value: str | bool | None) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(value)}"'

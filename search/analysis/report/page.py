"""The HTML page of the report: elements with escaped text, style sheet, script, security policy."""

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from plotly.offline import get_plotlyjs

from search.analysis.report.style import DARK, TEMPLATE

_EMPTY = {"meta", "link", "img", "br"}


class Markup(str):
    """Text that is already HTML."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: str | bool | None) -> Markup:
    """Return an element.

    Args:
        name: of the element.
        children: text, which is escaped, and markup.
        attributes: `class_` for `class`, underscores for dashes; True for an attribute without a
            value, None or False for no attribute.
    """
    attribute_text = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _EMPTY:
        return Markup(f"<{name}{attribute_text}>")
    return Markup(f"<{name}{attribute_text}>{joined(children)}</{name}>")


def prose(text: str, **attributes: str | None) -> Markup:
    """Return a paragraph; what stands between backticks is code."""
    pieces = enumerate(text.split("`"))
    return tag("p", *(tag("code", one) if n % 2 else one for n, one in pieces), **attributes)


def joined(parts: Iterable[str], between: str = "") -> Markup:
    """Join parts; text is escaped."""
    return Markup(between.join(p if isinstance(p, Markup) else escape(p) for p in parts))


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Iterable[int] = ()
) -> Markup:
    """Return a table that scrolls if it is too wide.

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
    """Return a script element with JSON data; text in it cannot close the element."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(f'<script type="application/json" id="{escape(identity)}">{text}</script>')


def _attribute(key: str, value: str | bool | None) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(value)}"'


def page(title: str, body: Markup, figures: Markup) -> str:
    """Return the whole HTML document.

    Its head forbids all network requests, and all scripts except the two in it.

    Args:
        title: of the window.
        body: the visible content.
        figures: data blocks of the charts.
    """
    own = files(__package__)
    scripts = get_plotlyjs(), own.joinpath("page.js").read_text("utf-8")
    style = own.joinpath("page.css").read_text("utf-8")
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    # Plotly's parallel coordinates compile code for their shaders, which needs 'unsafe-eval'.
    policy = (
        f"default-src 'none'; img-src data: blob:; style-src 'unsafe-inline';"
        f" script-src 'unsafe-eval' {hashes}; base-uri 'none'; form-action 'none'"
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        Markup(f"<style>{style}</style>"),
    )
    code = "".join(f"<script>{script}</script>" for script in scripts)
    blocks = json_block("dark", DARK) + json_block("template", TEMPLATE) + figures
    return f'<!DOCTYPE html>\n<html lang="en">{head}<body>{body}{blocks}{code}</body></html>\n'


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

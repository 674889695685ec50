"""The HTML page of the report: elements with escaped text, style sheet, script, security policy."""

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from html import escape
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


STYLE = """
:root { color-scheme: light dark; --ink:#1d2127; --paper:#fff; --page:#f3f5f7; --soft:#59616b;
  --edge:#dfe3e8; --accent:#0072b2; --good:#00684b; --code:#eef1f4; }
@media (prefers-color-scheme: dark) { :root { --ink:#e6e8eb; --paper:#1a1d23; --page:#111318;
  --soft:#a2aab5; --edge:#333944; --accent:#5fb3ec; --good:#3fcf9f; --code:#252a32; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 56px; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main, header { max-width: 1120px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 28px; }
h1, h2, h3, p, td, th, li, figcaption, summary { overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 6px; }
h2 { font-size: 1.35rem; margin: 40px 0 12px; }
h2.study { font-size: 1.7rem; border-top: 3px solid var(--edge); padding-top: 26px; }
h3 { font-size: 1.05rem; margin: 0 0 4px; }
p { margin: 0 0 10px; max-width: 78ch; }
a { color: var(--accent); }
.soft { color: var(--soft); }
.card { background: var(--paper); border: 1px solid var(--edge); border-radius: 10px;
  padding: 16px 18px; margin: 0 0 18px; min-width: 0; }
.verdict { border-left: 5px solid var(--accent); }
.verdict p:first-child { font-size: 1.2rem; font-weight: 600; line-height: 1.4; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(148px, 1fr)); gap: 12px;
  margin: 0 0 18px; padding: 0; }
.tiles > div { background: var(--paper); border: 1px solid var(--edge); border-radius: 10px;
  padding: 10px 14px; }
.tiles dt { color: var(--soft); font-size: .82rem; }
.tiles dd { margin: 0; font-size: 1.2rem; font-weight: 600; overflow-wrap: anywhere; }
.tiles dd small { display: block; font-size: .8rem; font-weight: 400; color: var(--soft); }
nav { position: sticky; top: 0; z-index: 20; background: var(--page);
  border-bottom: 1px solid var(--edge); margin: 14px 0 0; }
nav ul { display: flex; gap: 4px 16px; max-width: 1120px; margin: 0 auto; padding: 9px 20px;
  list-style: none; overflow-x: auto; white-space: nowrap; font-size: .92rem; }
nav ul ul { display: none; }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 5px 14px 5px 0; border-bottom: 1px solid var(--edge);
  vertical-align: top; }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
td { max-width: 72ch; }
td { min-width: 11ch; }
td b { white-space: nowrap; }
td.number, th.number { text-align: right; white-space: nowrap; overflow-wrap: normal;
  min-width: 0; }
td:last-child:not(.number) { min-width: 18ch; }
tr.best td { font-weight: 600; }
figure { margin: 0; }
figcaption { color: var(--soft); font-size: .92rem; margin: 0 0 8px; max-width: 92ch; }
.chart { min-height: 120px; position: relative; }
.chart > div { width: 100%; }
select { font: inherit; color: inherit; background: var(--paper); border: 1px solid var(--edge);
  border-radius: 6px; padding: 5px 8px; margin: 0 0 6px; max-width: 100%; }
pre { background: var(--code); border-radius: 8px; padding: 12px 14px; overflow-x: auto;
  font: .85rem/1.5 ui-monospace, "DejaVu Sans Mono", monospace; margin: 0 0 12px; }
pre.wrap { white-space: pre-wrap; overflow-wrap: anywhere; }
code { font: .9em ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.wrong { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 12px;
  margin: 0; padding: 0; list-style: none; }
.wrong.wide { grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); }
.wrong li { border: 1px solid var(--edge); border-radius: 8px; padding: 10px; font-size: .85rem;
  min-width: 0; line-height: 1.35; }
.wrong img { display: block; width: 100%; max-width: 128px; aspect-ratio: 1; object-fit: contain;
  margin: 0 auto 8px; background: #808080; border-radius: 4px; }
.wrong img.small { image-rendering: pixelated; }
.wrong blockquote { margin: 0 0 8px; font-size: .95rem; overflow-wrap: anywhere; }
.true { color: var(--good); }
details > summary { cursor: pointer; padding: 4px 0; }
@media (max-width: 560px) { main, header { padding: 0 12px; } header { padding-top: 18px; }
  nav ul { padding: 9px 12px; } h1 { font-size: 1.35rem; } h2 { font-size: 1.2rem; }
  .card { padding: 12px; } .verdict p:first-child { font-size: 1.05rem; }
  .wrong { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .wrong.wide { grid-template-columns: minmax(0, 1fr); } }
@media (max-width: 560px) { .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .tiles dd { font-size: 1.05rem; } }
@media print { nav { display: none; } .card { break-inside: avoid; } }
"""

SCRIPT = """
(() => {
"use strict";
const data = id => JSON.parse(document.getElementById(id).textContent);
const DARK = data("dark"), TEMPLATE = data("template");
const dark = matchMedia("(prefers-color-scheme: dark)");
const touch = matchMedia("(pointer: coarse)").matches;
const LEAST_PANEL = 260;

// Colours have keys that end in "color", or are in lists of colours; names never do.
function coloured(value, isColour) {
  if (typeof value === "string") return isColour && dark.matches && DARK[value] || value;
  if (Array.isArray(value)) return value.map(part => coloured(part, isColour));
  if (!value || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) =>
    [key, coloured(part, /color(scale|way)?$/.test(key))]));
}

// The layout of `set_panels`, with as many columns as fit the width.
function lay(layout, width) {
  const panels = layout.meta && layout.meta.panels;
  if (!panels) return;
  const columns = Math.max(1, Math.min(panels.columns, panels.count,
    Math.floor(width / LEAST_PANEL)));
  const rows = Math.ceil(panels.count / columns);
  const cell = (n, of, gap) => [n / (of - gap), (n + 1 - gap) / (of - gap)];
  for (let n = 0; n < panels.count; n++) {
    const suffix = n ? n + 1 : "", row = Math.floor(n / columns);
    layout["xaxis" + suffix].domain = cell(n % columns, columns, .1);
    const [top, bottom] = cell(row, rows, rows > 1 ? .36 : 0);
    layout["yaxis" + suffix].domain = [1 - bottom, 1 - top];
  }
  layout.height = rows * panels.height;
}

// Plotly gives each entry of a legend the width of the longest.
function legendRows(figure, width) {
  const names = new Set(figure.data.filter(trace => trace.showlegend !== false &&
    trace.visible !== false && trace.name).map(trace => trace.name));
  const longest = Math.max(0, ...[...names].map(name => name.length * 7.2 + 50));
  const several = Math.max(1, Math.floor((width - 30) / longest));
  return Math.ceil(names.size / several);
}

function made(box) {
  const figure = data(box.dataset.figure), layout = figure.layout;
  layout.template = TEMPLATE;
  layout.uirevision = "kept";
  delete layout.updatemenus;
  if (touch) {  // a finger on a chart scrolls the page
    layout.dragmode = false;
    for (const key of Object.keys(layout))
      if (/^[xy]axis/.test(key)) layout[key].fixedrange = true;
    for (const key of ["xaxis", "yaxis"]) layout[key] = {fixedrange: true, ...layout[key]};
  }
  const least = layout.meta && layout.meta.least_width || 0;
  box.firstElementChild.style.minWidth = least ? least + "px" : "";
  lay(layout, box.clientWidth);
  if (layout.meta && layout.meta.legend)
    layout.margin = {...layout.margin, t: 34 + 20 * legendRows(figure, box.clientWidth)};
  return coloured(figure, false);
}

const CONFIG = {responsive: true, displaylogo: false, showSendToCloud: false,
  modeBarButtonsToRemove: ["lasso2d", "select2d", "zoomIn2d", "zoomOut2d"],
  displayModeBar: touch ? false : "hover"};

function draw(box) {
  const figure = made(box), plot = box.firstElementChild;
  box.dataset.columns = columnsOf(box);
  box.dataset.drawn = "yes";
  const chosen = box.previousElementSibling;
  return Plotly.react(plot, figure.data, figure.layout, CONFIG).then(() => {
    if (chosen && chosen.tagName === "SELECT" && chosen.selectedIndex > 0) choose(chosen, box);
  });
}

const columnsOf = box => String(Math.max(1, Math.floor(box.clientWidth / LEAST_PANEL)));

function choose(list, box) {
  const menu = data(box.dataset.figure).layout.updatemenus[0];
  const [traces, layout] = menu.buttons[list.selectedIndex].args;
  if (touch) for (const axis of Object.values(layout)) axis.fixedrange = true;
  Plotly.update(box.firstElementChild, traces, layout);
}

const boxes = [...document.querySelectorAll(".chart")];
for (const box of boxes) {
  const list = box.previousElementSibling;
  if (list && list.tagName === "SELECT") list.addEventListener("change", () => choose(list, box));
}
const drawn = () => boxes.filter(box => box.dataset.drawn);
const seen = new IntersectionObserver(entries => {
  for (const {isIntersecting, target} of entries)
    if (isIntersecting) { seen.unobserve(target); draw(target); }
}, {rootMargin: "500px"});
boxes.forEach(box => seen.observe(box));
dark.addEventListener("change", () => drawn().forEach(draw));
addEventListener("resize", () => drawn().forEach(box => {
  if (box.dataset.columns !== columnsOf(box)) draw(box);
}));
addEventListener("beforeprint", () => boxes.forEach(box => box.dataset.drawn || draw(box)));
})();
"""


def page(title: str, body: Markup, figures: Markup) -> str:
    """Return the whole HTML document.

    Its head forbids all network requests, and all scripts except the two in it.

    Args:
        title: of the window.
        body: the visible content.
        figures: data blocks of the charts.
    """
    scripts = (get_plotlyjs(), SCRIPT)
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
        Markup(f"<style>{STYLE}</style>"),
    )
    code = "".join(f"<script>{script}</script>" for script in scripts)
    blocks = json_block("dark", DARK) + json_block("template", TEMPLATE) + figures
    return f'<!DOCTYPE html>\n<html lang="en">{head}<body>{body}{blocks}{code}</body></html>\n'


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

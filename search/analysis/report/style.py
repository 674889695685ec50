"""The style of figures: colours by role, literal text, panels that wrap.

Figures are made for a light page. `DARK` maps each colour to that on a dark page; the page applies
it if the reader's system prefers dark.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from plotly.graph_objects import Figure

from tracking.plots import trial_colour

INK, PAPER, GRID, GREY = "#1d2127", "#ffffff", "#e3e6ea", "#757c85"
# Okabe and Ito's colours, safe for colour-blind readers; each is used with its own symbol.
BLUE, ORANGE, GREEN, PINK, YELLOW = "#0072b2", "#d55e00", "#008a64", "#b65c90", "#b27a00"
BLUE_BAND, ORANGE_BAND, GREY_BAND = (
    "rgba(0,114,178,0.16)",
    "rgba(213,94,0,0.16)",
    "rgba(117,124,133,0.22)",
)
_FILL = ("#f4f7fa", "#c9ddec", "#8bbad9", "#3f8fc0", "#0b5c93", "#06365a")
_LINES = ("#a9b9c8", "#86b0cf", "#3f8fc0", "#0b5c93", "#06365a")
_DASHES = ("solid", "dash", "dot", "dashdot")
STOPPED = "#dcdfe3"  # lines of pruned trials, below all others

DARK = {
    INK: "#e6e8eb",
    PAPER: "#1a1d23",
    GRID: "#333944",
    GREY: "#98a0ab",
    BLUE: "#5fb3ec",
    ORANGE: "#ff9248",
    GREEN: "#3fcf9f",
    PINK: "#e69ac6",
    YELLOW: "#f0b73c",
    BLUE_BAND: "rgba(95,179,236,0.20)",
    ORANGE_BAND: "rgba(255,146,72,0.20)",
    GREY_BAND: "rgba(152,160,171,0.24)",
    STOPPED: "#3a404b",
    _LINES[0]: "#4a535f",
    _LINES[1]: "#3d6a8c",
    **dict(
        zip(_FILL, ("#22272f", "#2a4258", "#2f6186", "#3f8cc0", "#76bdf0", "#cfe9ff"), strict=True)
    ),
}

FILL_SCALE = [[i / (len(_FILL) - 1), colour] for i, colour in enumerate(_FILL)]
# Up to a tenth: trials without a score; above: from the worst to the best.
RACE_SCALE = [
    [0.0, STOPPED],
    [0.1, STOPPED],
    *([0.1 + 0.9 * i / (len(_LINES) - 1), colour] for i, colour in enumerate(_LINES)),
]

_AXIS = {
    "gridcolor": GRID,
    "linecolor": GREY,
    "zerolinecolor": GRID,
    "tickcolor": GREY,
    "automargin": True,
    "title": {"standoff": 8},
}
TEMPLATE: dict[str, Any] = {
    "layout": {
        "paper_bgcolor": PAPER,
        "plot_bgcolor": PAPER,
        "font": {"color": INK, "size": 13, "family": "system-ui, sans-serif"},
        "colorway": [BLUE, ORANGE, GREEN, PINK, YELLOW, GREY],
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "hoverlabel": {
            "align": "left",
            "bgcolor": PAPER,
            "bordercolor": GREY,
            "font": {"color": INK},
        },
        "modebar": {"color": GREY, "activecolor": BLUE, "bgcolor": "rgba(0,0,0,0)"},
        "margin": {"l": 12, "r": 14, "t": 44, "b": 12},
        "hovermode": "closest",
    }
}


def blank_figure(height: int, **layout: Any) -> Figure:
    """Return an empty figure in the report's style.

    Args:
        height: pixels.
        layout: more of Plotly's layout.
    """
    return Figure(layout={"template": TEMPLATE, "height": height, **layout})


def legend_above(figure: Figure) -> None:
    """Add space above the plot for a legend; the page adds more if the legend wraps."""
    shown = [trace.name for trace in figure.data if trace.showlegend is not False]
    figure.update_layout(
        margin_t=58,
        meta={**(figure.layout.meta or {}), "legend": [len(name or "") for name in shown]},
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "top", "yref": "container"},
    )


def trial_line(number: int) -> dict[str, Any]:
    """Return the line of a trial among others, in its colour; every tenth trial is dashed alike."""
    dash = _DASHES[number // 10 % len(_DASHES)]
    return {"color": trial_colour(number), "width": 2, "dash": dash}


def whole_numbers(largest: float, ticks: int = 8) -> dict[str, Any]:
    """Return what an axis of whole numbers from 0 or 1 needs, so that no tick is at 1.5.

    Args:
        largest: number on the axis.
        ticks: at most so many, or a few more.
    """
    steps = (factor * 10**power for power in range(9) for factor in (1, 2, 5))
    return {"dtick": next(step for step in steps if step * ticks >= largest), "tickformat": ",d"}


def plain(text: object, longest: int = 80) -> str:
    """Return text that Plotly shows literally, in one line; long text loses its middle.

    Plotly interprets some HTML in labels: `<b>` would be bold, `&lt;` a sign.
    """
    line = " ".join(str(text).split())
    if len(line) > longest:
        line = f"{line[: longest - 8]}…{line[-7:]}"
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def hover(*lines: str) -> str:
    """Join lines of hover text that are already plain."""
    return "<br>".join(line for line in lines if line)


def set_panels(figure: Figure, count: int, *, columns: int, height: int) -> None:
    """Arrange panels in rows; on a narrow screen the page repeats this with fewer columns.

    Panel `n` has the axes `xN` and `yN`. `layout.meta.panels` tells the page how.

    Args:
        figure: has the axes of all panels.
        count: number of panels.
        columns: panels in a row on a wide page.
        height: pixels of a row.
    """
    columns = min(columns, count)
    rows = -(-count // columns)
    for number in range(count):
        row, column = divmod(number, columns)
        suffix = str(number + 1) if number else ""
        figure.layout[f"xaxis{suffix}"].domain = _cell(column, columns, gap=0.10)
        top, bottom = _cell(row, rows, gap=_row_gap(rows))
        figure.layout[f"yaxis{suffix}"].domain = [1 - bottom, 1 - top]
    panels = {"count": count, "columns": columns, "height": height}
    figure.update_layout(
        height=rows * height, meta={**(figure.layout.meta or {}), "panels": panels}
    )


def _row_gap(rows: int) -> float:
    """Return the share of a row for the axis title and numbers."""
    return 0.36 if rows > 1 else 0.0


def _cell(number: int, of: int, gap: float) -> list[float]:
    """Return where cell `number` of `of` begins and ends; `gap` is the empty share of a cell."""
    size = 1 / (of - gap)
    return [number * size, min(1.0, number * size + size * (1 - gap))]


def choose_among(
    figure: Figure, traces: Mapping[str, Sequence[Any]], layouts: Mapping[str, Any] | None = None
) -> None:
    """Add sets of traces, of which the reader chooses one; the page turns that into a list.

    Args:
        figure: to add them to; it has none yet.
        traces: by the label of their set; the first set is shown at first.
        layouts: changes of the layout by the same labels; None for none.
    """
    owners = [label for label, several in traces.items() for _ in several]
    first = owners[0]
    for label, several in traces.items():
        for trace in several:
            figure.add_trace(trace.update(visible=label == first))
    layouts = layouts or {}
    figure.update_layout(layouts.get(first, {}))
    buttons = [
        {
            "label": label,
            "method": "update",
            "args": [{"visible": [owner == label for owner in owners]}, layouts.get(label, {})],
        }
        for label in traces
    ]
    if len(buttons) > 1:
        menu = {"buttons": buttons, "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}
        figure.update_layout(updatemenus=[menu])

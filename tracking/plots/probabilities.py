"""The reliability diagram, as PNG."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from tracking.plots.style import (
    BLUE,
    GREY,
    ORANGE,
    SMALL,
    TEXT,
    TITLE,
    blank,
    fitted,
    panel,
    plain,
    png,
    show_axes,
    write,
)
from tracking.records import Json, TestSetOpened

_WIDE, _HIGH, _SIDE = 560, 620, 420  # pixels
_LEFT, _BELOW = 100, 70
_COLOURS = (ORANGE, BLUE)


def reliability_png(diagrams: Sequence[tuple[str, Json]], title: str) -> bytes:
    """Draw how often what was given a probability came true, with 95 % intervals.

    Args:
        diagrams: one or two, each with its name, as `search.tasks.reliability.Reliability.to_json`
            has them.
        title: one line.
    """
    figure = blank(_WIDE, _HIGH)
    write(figure, 20 / _WIDE, 1 - 24 / _HIGH, fitted(plain(title), TITLE, _WIDE - 40), size=TITLE)
    least = min(min(found["predicted"] + found["low"]) for _, found in diagrams)
    ends = (max(0.0, least - 0.03), 1.02)
    axes = panel(figure, (_LEFT, _BELOW, _SIDE, _SIDE), ends, ends)
    show_axes(axes)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axis.set_major_formatter(PercentFormatter(1))
    axes.set(xlim=ends, ylim=ends)
    axes.plot([ends[0], 1], [ends[0], 1], color=GREY, linewidth=1.2, linestyle=":", zorder=2)
    for place, ((name, found), colour) in enumerate(zip(diagrams, _COLOURS, strict=False)):
        _draw(axes, found, colour, 5 * place)
        told = (
            f"{name}: calibration error {found['error']:.4f} (a perfect model's here:"
            f" {found['error_by_chance']:.4f})"
        )
        level = 1 - (56 + 20 * place) / _HIGH
        write(figure, 20 / _WIDE, level, fitted(told, TEXT, _WIDE - 40), colour=colour)
    _name(axes, f"probability of {plain(str(diagrams[0][1]['what']))}", "how often it was true")
    return png(figure)


def test_reliability_png(test: TestSetOpened, study: str) -> bytes:
    """Draw the reliability of a study's exported model on its test set."""
    return reliability_png([("test set", test.reliability)], f"{study}: reliability, test set")


test_reliability_png.__test__ = False  # type: ignore[attr-defined] # pytest: not a test


def _draw(axes: Axes, found: Json, colour: str, zorder: int) -> None:
    places = found["predicted"]
    axes.vlines(places, found["low"], found["high"], color=colour, linewidth=1.2, zorder=3 + zorder)
    axes.plot(
        places,
        found["observed"],
        color=colour,
        linewidth=1,
        marker="o",
        markersize=5,
        zorder=4 + zorder,
    )


def _name(axes: Axes, x: str, y: str) -> None:
    options: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False}
    write(axes, 0.5, -44 / _SIDE, fitted(x, TEXT, _SIDE), colour=GREY, align="center", **options)
    beside = write(axes, -66 / _SIDE, 0.5, y, colour=GREY, align="center", **options)
    beside.set_rotation(90)
    told = "dotted: as sure as right; below it: too sure"
    write(axes, 0.99, 0.03, told, size=SMALL, colour=GREY, align="right", **options)

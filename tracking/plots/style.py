"""How pictures look: colours by their role, sizes in pixels, text as the user wrote it.

Pictures are drawn in a background thread of a process that may be the user's own, so nothing here
goes through pyplot, and nothing depends on or changes Matplotlib's settings (`rcParams`).
"""

import io
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any
from unicodedata import bidirectional, category

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.patches import Rectangle
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.textpath import TextPath, text_to_path
from matplotlib.ticker import MaxNLocator, ScalarFormatter
from matplotlib.transforms import Affine2D, Bbox, IdentityTransform
from numpy.typing import NDArray

INK, GREY, RULE, PAPER = "#1a1a1a", "#666666", "#c8c8c8", "#ffffff"
# Okabe and Ito's colours, which colour-blind readers can tell apart.
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#008a64"
TRAINING, VALIDATION, TEST = ORANGE, BLUE, GREEN
TITLE, TEXT, SMALL = 16, 13, 11  # pixels an em
DPI, MARGIN = 100, 20  # dots an inch; pixels around all that is drawn
_ROUNDING = 1e-6  # inches; Matplotlib 3.10 rounds 89.99... pixels down

Box = tuple[float, float, float, float]  # left, bottom, width, height; pixels
Places = float | Sequence[float] | NDArray[Any]
_FAMILY = "DejaVu Sans"  # Matplotlib brings it
_CAPITAL = 0.73  # height of its capitals and digits, ems
_SLANT = 55  # degrees
_GRID, _FRAME = "#e4e4e4", "#333333"
_LINES = "#e4e4e4"  # between cells
_DIGITS = str.maketrans("123456789", "0" * 9)
_HAIRLINE = 12  # pixels; between smaller cells no line is drawn


def blank(wide: float, high: float) -> Figure:
    """Return an empty white figure of that size, pixels."""
    size = wide / DPI, high / DPI
    figure = Figure(size, dpi=DPI, facecolor=PAPER, edgecolor=PAPER)
    figure.set_layout_engine("none")
    FigureCanvasAgg(figure)
    return figure


def panel(
    figure: Figure, box: Box, x: tuple[float, float] = (0, 1), y: tuple[float, float] = (0, 1)
) -> Axes:
    """Return axes with nothing drawn of them, with these limits."""
    wide, high = figure.get_size_inches() * DPI
    left, bottom, width, height = box
    place = left / wide, bottom / high, width / wide, height / high
    axes = figure.add_axes(place, xlim=x, ylim=y, autoscale_on=False)
    axes.set_axis_off()
    return axes


def show_axes(axes: Axes) -> None:
    """Show the axes of a diagram: left and below, with a grid."""
    axes.set_axis_on()
    axes.set_facecolor(PAPER)
    axes.set_axisbelow(True)
    axes.minorticks_off()
    for side, spine in axes.spines.items():
        spine.set(visible=side in ("left", "bottom"), color=_FRAME, linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    for axis in (axes.xaxis, axes.yaxis):
        formatter = ScalarFormatter(useOffset=True, useMathText=False, usetex=False)
        formatter.set_powerlimits((-3, 4))
        axis.set_major_formatter(formatter)
        axis.get_offset_text().set(font=font(SMALL), color=GREY, usetex=False)
        # Matplotlib makes ticks when it needs them, by its settings; these are ours, and enough.
        for tick in axis.get_major_ticks(12):
            tick.label1.set(font=font(TEXT), usetex=False)
    axes.tick_params(length=0, pad=7, labelcolor=GREY, labelrotation=0)
    axes.grid(visible=True, color=_GRID, linewidth=0.6, linestyle="-", alpha=1)


def write(
    where: Figure | Axes,
    x: float,
    y: float,
    text: str,
    *,
    size: float = TEXT,
    colour: str = INK,
    align: str = "left",
    **options: Any,
) -> Text:
    """Write text as it is, centred on `y`: a dollar sign begins no formula.

    Args:
        where: to write on; places are fractions of a figure, or data of axes.
        x: where the part that `align` names lies.
        y: the text's middle.
        text: to write.
        size: pixels an em.
        colour: of the letters.
        align: "left", "center" or "right".
        options: further properties of Matplotlib's `Text`.
    """
    given: dict[str, Any] = {"va": "center", "parse_math": False, "usetex": False} | options
    return where.text(x, y, text, font=font(size), color=colour, ha=align, **given)


@lru_cache(maxsize=64)
def font(size: float) -> FontProperties:
    """Return the font of all pictures; `size` is pixels an em."""
    return FontProperties(
        family=_FAMILY,
        style="normal",
        variant="normal",
        weight="normal",
        stretch="normal",
        size=size * 72 / DPI,
    )


def text_width(text: str, size: float) -> float:
    """Return how wide a line of text is at `size` pixels an em, pixels."""
    wide, _, _ = text_to_path.get_text_width_height_descent(text, font(size), ismath=False)
    return float(wide) * DPI / 72


def fitted(text: str, size: float, most: float) -> str:
    """Return `text`, or as much of its two ends as `most` pixels hold."""
    if text_width(text, size) <= most:
        return text
    return _longest(_without_middle, text, size, most)


def folded(text: str, size: float, most: float) -> list[str]:
    """Return `text` in up to three lines of `most` pixels, with as much of it as they hold."""
    lines: list[str] = []
    while len(lines) < 2 and text_width(text, size) > most:
        line = _longest(_beginning, text, size, most)
        space = text.rfind(" ", 1, len(line) + 1)
        cut = space if space > 0 else max(1, len(line))
        lines.append(text[:cut])
        text = text[cut:].strip()
    return [*lines, fitted(text, size, most)]


def _longest(shorter: Callable[[str, int], str], text: str, size: float, most: float) -> str:
    """Return the longest of `shorter(text, 0)`, `(text, 1)` ... that `most` pixels hold."""
    short, limit = 0, len(text) - 1
    while short < limit:
        middle = (short + limit + 1) // 2
        if text_width(shorter(text, middle), size) <= most:
            short = middle
        else:
            limit = middle - 1
    return shorter(text, short)


def plain(text: str) -> str:
    r"""Return `text` on one line: a newline as `\n`, a question mark for what the font lacks."""
    shown = _escaped(text)
    return _apart("".join(letter if _has_glyph(letter) else "?" for letter in shown))


def class_names(names: Sequence[str]) -> list[str]:
    r"""Return names that can be written on one line.

    A newline is written `\n`; a name that is empty, or that the font lacks a letter of, becomes the
    class's number.
    """
    shown = [_escaped(name) for name in names]
    return [
        _apart(name) if name and all(map(_has_glyph, name)) else f"class {number}"
        for number, name in enumerate(shown)
    ]


def page(wide: float, high: float) -> tuple[Figure, Axes]:
    """Return a new figure, and axes over all of it in pixels from its upper left corner."""
    figure = blank(wide, high)
    return figure, panel(figure, (0, 0, wide, high), x=(0, wide), y=(high, 0))


def bars(
    where: Axes, left: Places, top: Places, *, wide: Places, high: Places, colour: str = BLUE
) -> None:
    """Fill rectangles of a page; one of any width is seen."""
    where.barh(
        top, np.maximum(wide, 1), high, left, align="edge", color=colour, linewidth=0, clip_on=False
    )


def image(where: Axes, pixels: NDArray[Any], left: float, top: float, scale: int = 1) -> None:
    """Put an image on a page, (height, width, 3) of 0 to 255, each pixel `scale` pixels wide."""
    high, wide = pixels.shape[0] * scale, pixels.shape[1] * scale
    extent = left, left + wide, top + high, top
    drawn = where.imshow(
        pixels, extent=extent, origin="upper", aspect="auto", interpolation="nearest"
    )
    drawn.set_clip_on(False)


def png(figure: Figure) -> bytes:
    """Return a picture of all that is drawn, whether on the figure's area or beside it."""
    drawn = figure.get_tightbbox()
    corners = drawn.get_points() * DPI + ((-MARGIN, -MARGIN), (MARGIN, MARGIN))
    whole = np.array([np.floor(corners[0]), np.ceil(corners[1])])  # or images would be moved
    buffer = io.BytesIO()
    figure.savefig(
        buffer,
        format="png",
        dpi=DPI,
        facecolor=PAPER,
        transparent=False,
        bbox_inches=Bbox(whole / DPI + ((0, 0), (_ROUNDING, _ROUNDING))),
    )
    return buffer.getvalue()


class Matrix:
    """A square matrix: coloured cells, row 0 on top, with names and numbers.

    Args:
        figure: to draw on.
        names: of rows and columns, fit to be written.
        corner: left and bottom of the cells, pixels.
        cell: side of a cell, pixels.

    Attributes:
        axes: with a cell a unit, (0, 0) the upper left corner.
        changing: what `colour` and `number` change.
    """

    def __init__(
        self, figure: Figure, names: Sequence[str], corner: tuple[float, float], cell: int
    ) -> None:
        self.names, self.cell = names, cell
        size = len(names)
        self.axes = panel(figure, (*corner, size * cell, size * cell), x=(0, size), y=(size, 0))
        self._cells: QuadMesh = self.axes.pcolormesh(
            np.ones((size, size, 3)),
            shading="flat",
            edgecolors=_LINES if cell >= _HAIRLINE else "none",
            linewidth=0.7,
            snap=True,
        )
        frame = Rectangle((0, 0), size, size, fill=False, edgecolor=RULE, linewidth=0.8)
        self.axes.add_patch(frame).set_clip_on(False)
        # Hundreds of `Text` would take half a second to lay out; outlines of digits do not.
        self._numbers = PathCollection([], offset_transform=self.axes.transData, linewidths=0)
        self._numbers.set_transform(IdentityTransform())
        self.axes.add_collection(self._numbers, autolim=False)
        self.changing: tuple[Artist, ...] = self._cells, self._numbers

    def colour(self, colours: NDArray[np.float64]) -> None:
        """Colour the cells, `(n, n, 3)`, each 0 to 1."""
        self._cells.set_array(colours)

    def number(
        self, where: NDArray[np.bool_], texts: Sequence[str], dark: NDArray[np.bool_], most: float
    ) -> None:
        """Write into cells as large as fits; where nobody could read it, nothing.

        Args:
            where: cells to write into, `(n, n)`.
            texts: for each of these, row by row.
            dark: cells that are dark, `(n, n)`: written in white.
            most: pixels an em, at most.
        """
        widest = max(map(_number_width, texts), default=0.0)
        size = min(most, 0.4 * self.cell, 0.84 * self.cell / max(widest, 1e-9))
        if size < 6.5:
            texts, where = [], np.zeros_like(where)
        self._numbers.set_paths([_outline(text, size) for text in texts])
        self._numbers.set_offsets(np.argwhere(where)[:, ::-1] + 0.5)
        self._numbers.set_facecolor([PAPER if is_dark else INK for is_dark in dark[where]])

    def name(self, size: float = TEXT) -> None:
        """Write the names left and below, every second or fewer where all do not fit."""
        for number in range(0, len(self.names), step_that_fits(self.cell, size + 1)):
            at = number + 0.5
            write(self.axes, -8 / self.cell, at, self.names[number], size=size, align="right")
        flat, bottom = names_fit_below(self.names, self.cell, size), len(self.names)
        for number in range(0, len(self.names), step_that_fits(self.cell, 1.5 * size)):
            at, name = number + 0.5, self.names[number]
            if flat:
                write(self.axes, at, bottom + 16 / self.cell, name, size=size, align="center")
            else:
                place = at + 4 / self.cell, bottom + 12 / self.cell
                text = write(self.axes, *place, name, size=size, align="right", rotation=_SLANT)
                text.set_rotation_mode("anchor")

    def name_axes(self, left: float, below: float, rows: str, columns: str) -> None:
        """Say what the rows and columns are, so many pixels left of and below the cells."""
        half = len(self.names) / 2
        beside = write(self.axes, -left / self.cell, half, rows, colour=GREY, align="center")
        beside.set_rotation(90)
        under = 2 * half + below / self.cell
        write(self.axes, half, under, columns, colour=GREY, align="center")


def step_that_fits(cell: float, room: float) -> int:
    """Return 1, or that only every second, fifth, ... of cells of a size has `room` pixels."""
    return next((step for step in (1, 2, 5, 10, 20) if step * cell >= room), 50)


def names_fit_below(names: Sequence[str], cell: float, size: float = TEXT) -> bool:
    """Tell whether names fit side by side below cells, else they are slanted."""
    room = cell * step_that_fits(cell, 1.5 * size) * 0.92
    return max(text_width(name, size) for name in names) < room


def room_below(names: Sequence[str], cell: float, size: float = TEXT) -> float:
    """Return how many pixels names take below cells."""
    if names_fit_below(names, cell, size):
        return 30.0
    return 0.82 * max(text_width(name, size) for name in names) + 26


@lru_cache(maxsize=4096)
def _outline(text: str, size: float) -> Path:
    """Return a number as a path centred on (0, 0), `size` pixels an em."""
    path = TextPath((0, 0), text, size=size, prop=font(size), usetex=False)
    middle = _number_width(text) / 2, _CAPITAL / 2
    return path.transformed(Affine2D().translate(-middle[0] * size, -middle[1] * size))


def _number_width(text: str) -> float:
    """Return how wide a number is, ems; all digits are as wide."""
    return _width_of_zeros(text.translate(_DIGITS))


@lru_cache(maxsize=256)
def _width_of_zeros(text: str) -> float:
    return text_width(text, 1000.0) / 1000


def _beginning(text: str, kept: int) -> str:
    return text[:kept]


def _without_middle(text: str, kept: int) -> str:
    # Long names mostly differ at their ends, so the middle goes.
    return f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"


def _escaped(text: str) -> str:
    return "".join(
        letter.encode("unicode_escape").decode() if category(letter) in _UNSEEN else letter
        for letter in text
    )


_UNSEEN = ("Cc", "Zl", "Zp")  # Unicode's control characters and separators of lines


def _apart(text: str) -> str:
    """Return `text` such that, written from right to left, it moves nothing around it."""
    if any(bidirectional(letter) in ("R", "AL") for letter in text):
        return f"\N{LEFT-TO-RIGHT MARK}{text}\N{LEFT-TO-RIGHT MARK}"
    return text


def _has_glyph(letter: str) -> bool:
    return bool(get_font(_font_file()).get_char_index(ord(letter)))


@lru_cache(maxsize=1)
def _font_file() -> str:
    return findfont(FontProperties(family=_FAMILY))

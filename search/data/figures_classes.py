"""The picture of how many samples each class has."""

from collections.abc import Sequence
from dataclasses import dataclass

from search.data.description import ClassCounts, Description
from search.data.figures_canvas import (
    BLUE,
    GREY,
    ORANGE,
    RULE,
    SMALL,
    TEXT,
    TITLE,
    Canvas,
    class_names,
    fitted,
    plain,
)
from tracking.plots.lettering import width

NAMES, BARS, NUMBERS = 200, 230, 130  # pixels
TOP, BOTTOM, MARGIN = 92, 48, 20
MOST, LARGEST = 100, 60


@dataclass(frozen=True)
class _Layout:
    """Where the rows and bars lie.

    Attributes:
        names: of the classes that are drawn, short enough.
        row: height of a row, pixels.
        scale: pixels of a bar whose share is 1.
        equal: the share of a class if all were equal.
    """

    names: Sequence[str]
    row: int
    scale: float
    equal: float

    @property
    def letters(self) -> float:
        return min(TEXT, self.row - 2)

    @property
    def indent(self) -> int:
        return MARGIN + 12 + int(max(width(name, self.letters) for name in self.names))

    @property
    def bottom(self) -> int:
        return TOP + self.row * len(self.names)

    def middle(self, number: int) -> float:
        return TOP + (number + 0.5) * self.row


def classes_png(description: Description) -> bytes:
    """Draw the classes' shares of the training and of the test set side by side.

    Of more than 100 classes the 60 largest and the 40 smallest are drawn.
    """
    title = f"{plain(description.dataset.title)}: share of each class"
    classes = description.classes
    if len(classes) > MOST:
        ordered = sorted(classes, key=lambda counted: -counted.train)
        classes = tuple(ordered[:LARGEST] + ordered[LARGEST - MOST :])
        title += f" (the {LARGEST} largest and {MOST - LARGEST} smallest of {len(ordered):,})"
    layout = _layout(description, classes)
    wide = layout.indent + 2 * (BARS + NUMBERS)
    canvas = Canvas(max(wide, int(width(title, TITLE)) + 2 * MARGIN), layout.bottom + BOTTOM)
    canvas.write(title, MARGIN, 26, size=TITLE)
    for number, name in enumerate(layout.names):
        place = layout.indent - 12, layout.middle(number)
        canvas.write(name, *place, size=layout.letters, align=1)
    train = [(counted.train, counted.train_share) for counted in classes]
    test = [(counted.test, counted.test_share) for counted in classes]
    _draw_bars(canvas, layout, train, (layout.indent, BLUE, f"training, {description.train:,}"))
    second = layout.indent + BARS + NUMBERS
    _draw_bars(canvas, layout, test, (second, ORANGE, f"test, {description.test:,}"))
    note = f"grey line: {100 * layout.equal:.3g} %, the share if all classes were equal"
    canvas.write(note, layout.indent, layout.bottom + 24, size=SMALL, colour=GREY)
    return canvas.png()


def _layout(description: Description, classes: tuple[ClassCounts, ...]) -> _Layout:
    row = min(34, max(15, 480 // len(classes)))
    names = class_names([counted.name for counted in description.classes])
    largest = max(max(counted.train_share, counted.test_share) for counted in classes)
    return _Layout(
        [fitted(names[counted.label], min(TEXT, row - 2), NAMES) for counted in classes],
        row,
        BARS / largest,
        1 / len(description.classes),
    )


def _draw_bars(
    canvas: Canvas,
    layout: _Layout,
    counts: Sequence[tuple[int, float]],
    panel: tuple[int, str, str],
) -> None:
    """Draw one set's bars.

    Args:
        canvas: to draw on.
        layout: of the picture.
        counts: number and share of each class.
        panel: left edge, colour and heading.
    """
    left, colour, heading = panel
    canvas.write(heading, left, TOP - 22, size=14)
    thick = max(8, layout.row - 10)
    for number, (count, share) in enumerate(counts):
        middle, wide = layout.middle(number), share * layout.scale
        if count:
            canvas.bar(left, middle - thick / 2, wide=wide, high=thick, colour=colour)
        text = f"{count:,}   {100 * share:.1f} %"
        right, size = left + BARS + NUMBERS - 24, min(12, layout.letters)
        canvas.write(text, right, middle, size=size, align=1, colour=GREY)
    edge = layout.equal * layout.scale
    canvas.bar(left + edge - 1, TOP, wide=2, high=layout.bottom - TOP, colour=RULE)

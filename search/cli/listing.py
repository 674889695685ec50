"""A table whose rows end in a list of words: beside the row, or below it where there is no room."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

GAP = "  "
# Characters that a list needs to stand beside its row; in fewer it becomes a thin, tall column.
BESIDE = 40
_LEAST = 20  # characters for a list, however narrow the place


@dataclass(frozen=True)
class Column:
    """A column of a listing.

    Attributes:
        heading: what stands above it.
        is_number: whether it is aligned to the right.
        spare: when it is left out for want of room: those of 1 first, then 2, ...; 0 for never.
    """

    heading: str
    is_number: bool = True
    spare: int = 0


class Listing:
    """Rows of cells, each with a list of words of any length. Nothing is ever cut.

    Args:
        columns: those of the cells.
        heading: of the lists; shown where they stand beside their rows.
    """

    def __init__(self, columns: Sequence[Column], heading: str = "") -> None:
        self._columns = columns
        self._heading = heading
        self._rows: list[tuple[list[Text], list[str]]] = []

    def add_row(self, cells: Sequence[str | Text], words: Sequence[str] = ()) -> None:
        """Add a row: a cell for each column, and its words, none of which is broken if it fits.

        Brackets in text are no markup; only a `Text` brings a style of its own.
        """
        texts = [Text(cell) if isinstance(cell, str) else cell for cell in cells]
        self._rows.append((texts, list(words)))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines that fit the width best."""
        width = options.max_width
        everything = range(len(self._columns))
        taken = self._width(everything) + len(GAP)
        longest = max((cell_len(word) for _, words in self._rows for word in words), default=0)
        if width - taken >= max(BESIDE, longest):
            yield from self._lines(everything, taken, width, beside=True)
        else:
            indent = self._widths([0])[0] + len(GAP)
            yield from self._lines(self._fitting(width), indent, width, beside=False)

    def _lines(
        self, shown: Sequence[int], indent: int, width: int, *, beside: bool
    ) -> Iterator[Text]:
        widths = self._widths(shown)
        headings = [Text(self._columns[n].heading) for n in shown]
        head = self._row(headings, shown, widths)
        if beside:
            head.append(GAP + self._heading)
        head.rstrip()
        head.stylize("bold")
        yield head
        for cells, words in self._rows:
            row = self._row([cells[n] for n in shown], shown, widths)
            lines = filled(words, max(_LEAST, width - indent))
            if beside and lines:
                row.append(GAP + lines.pop(0))
            row.rstrip()
            yield row
            for line in lines:
                yield Text(" " * indent + line)

    def _row(self, cells: Sequence[Text], shown: Sequence[int], widths: Sequence[int]) -> Text:
        padded = []
        for cell, number, width in zip(cells, shown, widths, strict=True):
            room = " " * (width - cell.cell_len)
            is_number = self._columns[number].is_number
            padded.append(Text.assemble(room, cell) if is_number else Text.assemble(cell, room))
        return Text(GAP).join(padded)

    def _fitting(self, width: int) -> list[int]:
        """Return the columns that fit, those left out that are spared first."""
        shown = list(range(len(self._columns)))
        spared = sorted((c.spare, n) for n, c in enumerate(self._columns) if c.spare)
        for _, number in spared:
            if self._width(shown) <= width:
                break
            shown.remove(number)
        return shown

    def _width(self, shown: Sequence[int]) -> int:
        return sum(self._widths(shown)) + len(GAP) * (len(shown) - 1)

    def _widths(self, shown: Sequence[int]) -> list[int]:
        return [
            max([cell_len(self._columns[n].heading), *(row[n].cell_len for row, _ in self._rows)])
            for n in shown
        ]


def filled(words: Sequence[str], room: int) -> list[str]:
    """Return words in lines of at most `room` characters, broken between words.

    A word that is longer than that goes on in the next line.
    """
    lines: list[str] = []
    for word in words:
        if lines and cell_len(lines[-1] + GAP + word) <= room:
            lines[-1] += GAP + word
        else:
            lines += chop_cells(word, room)
    return lines

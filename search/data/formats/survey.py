"""What the values of columns are, found out from all of them, batch after batch."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from search.data.formats.columns import (
    Mask,
    Part,
    Values,
    dates,
    first_match,
    holds,
    mask,
    matches,
    numbers,
    numbers_in,
    truths,
    typed,
    words,
)
from search.data.reading import DATE, NUMBER, TRUTH, Column, Reading
from search.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

EXACT = 1 << 53  # float64 has every whole number up to it
CAP = 100_000  # distinct values that are counted; columns with more are never categories


class Survey:
    """What the values of a column are, found out batch after batch.

    Args:
        name: of the column.
        count: count the distinct values even if all are numbers.

    Attributes:
        rows: number of values, missing ones included.
        missing: number of missing ones.
        first_missing: the first of them, a row from 0; -1: none.
        types: column types that Arrow types have said.
        wrong: for each way to read all values how many do not fit; of numbers by decimal sign.
        first_wrong: likewise the first of them: row and text.
        counts: how often each value occurs; see `complete`.
        complete: whether `counts` has all values.
        counting: whether the numbers so far are consecutive whole numbers.
        whole: whether all numbers are whole.
        are_floats: whether there are numbers that are floats by type.
        lowest: the lowest number.
        digits: whether a whole number has more digits than float64 keeps.
        examples: a text with a comma or a point between digits, by that sign.
    """

    def __init__(self, name: str, *, count: bool = False) -> None:
        self.name = name
        self.rows = self.missing = 0
        self.first_missing = -1
        self.types: set[str] = set()
        self.wrong = {".": 0, ",": 0, DATE: 0, TRUTH: 0}
        self.first_wrong: dict[str, tuple[int, str]] = {}
        self.counts: Counter[str] = Counter()
        self.complete = True
        self.counting = self.whole = True
        self.are_floats = False
        self.lowest = np.nan
        self.digits = False
        self.examples: dict[str, str] = {}
        self._count = count
        self._last: float | None = None

    @property
    def given(self) -> int:
        """Number of values that are not missing."""
        return self.rows - self.missing

    @property
    def number_sign(self) -> str | None:
        """The decimal sign if all values are numbers: `.`, `,`, or `both`; None: they are not."""
        if not self.given or self.types - {NUMBER}:
            return None
        fitting = [sign for sign in ".," if not self.wrong[sign]]
        return "both" if len(fitting) == 2 else next(iter(fitting), None)

    def is_all(self, kind: str) -> bool:
        """Return whether all values are dates, or all are truth values."""
        return self.given > 0 and not self.wrong[kind] and not self.types - {kind}

    def add(self, values: "pa.Array") -> None:
        """Look at the next values."""
        import pyarrow as pa

        start, self.rows = self.rows, self.rows + len(values)
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        if kind := typed(values.type):
            self._add_typed(values, kind)
        elif not pa.types.is_null(values.type):
            self._add_texts(words(values), start)
        else:
            self._miss(np.arange(len(values)), start)

    def _miss(self, places: NDArray[np.int64], start: int) -> None:
        if len(places) and self.first_missing < 0:
            self.first_missing = start + int(places[0])
        self.missing += len(places)

    def _add_typed(self, values: "pa.Array", kind: str) -> None:
        import pyarrow as pa

        start = self.rows - len(values)
        found = dates(values)[0] if kind == DATE else numbers(values)[0]
        absent = np.isnan(found)
        self._miss(np.flatnonzero(absent), start)
        if not absent.all():
            self.types.add(kind)
        for way in self.wrong:
            if way == TRUTH and kind == NUMBER:
                self.wrong[way] += int((~absent & (found != 0) & (found != 1)).sum())
            elif (NUMBER if way in ".," else way) != kind:
                self.wrong[way] += int((~absent).sum())
        if kind == NUMBER:
            self.are_floats |= not pa.types.is_integer(values.type)
            self._follow(found, absent, np.zeros(len(found), np.bool_))
            is_exact = not pa.types.is_floating(values.type)
            self.digits |= is_exact and bool((np.abs(found[~absent]) >= EXACT).any())
        self._tally(values, force=kind != NUMBER and kind != DATE)

    def _add_texts(self, texts: "pa.Array", start: int) -> None:
        import pyarrow.compute as pc

        absent = mask(pc.is_null(texts))
        self._miss(np.flatnonzero(absent), start)
        if absent.all():
            return
        found, wrong = numbers_in(texts)
        self._judge(".", texts, wrong, start)
        self._judge(DATE, texts, dates(texts)[1] if wrong.any() else ~absent, start)
        if not self.wrong[TRUTH]:
            self._judge(TRUTH, texts, truths(texts)[1], start)
        if wrong.any() or not _are_integers(texts):
            found, wrong = self._add_signs(texts, found, wrong, start)
        self._follow(found, absent, wrong)
        if not self.digits and (np.abs(found[~(absent | wrong)]) >= EXACT).any():
            self.digits = bool(matches(texts, r"^[+-]?\d{16,}$").any())
        self._tally(texts, force=bool(wrong.any()))

    def _add_signs(
        self, texts: "pa.Array", found: Values, wrong: Mask, start: int
    ) -> tuple[Values, Mask]:
        """Find out which sign is the decimal one; return the numbers, and which are none."""
        for sign in ".,":
            known = sign in self.examples or not holds(texts, sign)
            text = None if known else first_match(texts, rf"^[+-]?\d*\{sign}\d")
            if text:
                self.examples[sign] = text
        if self.wrong[","]:
            return found, wrong
        others, unfit = numbers_in(texts, ",")
        self._judge(",", texts, unfit, start)
        return (others, unfit) if unfit.sum() < wrong.sum() else (found, wrong)

    def _judge(self, way: str, texts: "pa.Array", wrong: Mask, start: int) -> None:
        places = np.flatnonzero(wrong)
        self.wrong[way] += len(places)
        if len(places) and way not in self.first_wrong:
            self.first_wrong[way] = start + int(places[0]), texts[int(places[0])].as_py()

    def _follow(self, found: Values, absent: Mask, wrong: Mask) -> None:
        known = found[~(absent | wrong)]
        if wrong.any() or not len(known):
            self.counting = False
        if not len(known):
            return
        is_whole = np.isfinite(known) & (known == np.floor(known))
        self.whole = self.whole and bool(is_whole.all())
        self.lowest = float(np.fmin(self.lowest, known.min()))
        if self.counting:
            chain = known if self._last is None else np.concatenate([[self._last], known])
            may_count = self.whole and not absent.any()
            self.counting = may_count and bool((np.diff(chain) == 1).all())
            self._last = float(known[-1])

    def _tally(self, values: "pa.Array", *, force: bool) -> None:
        """Count the distinct values, unless they are numbers, which need no counting."""
        import pyarrow.compute as pc

        if not (self._count or force):
            self.complete = False
            return
        if len(self.counts) > CAP:
            return
        for entry in pc.value_counts(words(values).drop_null()).to_pylist():
            self.counts[entry["values"]] += entry["counts"]


def _are_integers(texts: "pa.Array") -> bool:
    import pyarrow as pa

    try:
        texts.cast(pa.int64())
    except pa.ArrowInvalid:
        return False
    return True


def survey(part: Part, names: Sequence[str], counted: Sequence[str]) -> dict[str, Survey]:
    """Return what the values of columns are; the table is read once or twice.

    Args:
        part: the table.
        names: of the columns.
        counted: those of which distinct values are counted in any case.
    """
    found = _surveyed(part, {name: Survey(name, count=name in counted) for name in names})
    # Words that turned up late: numbers before them were not counted as words.
    again = [s.name for s in found.values() if not s.complete and s.number_sign is None]
    again = [name for name in again if not found[name].is_all(DATE)]
    if again:
        found |= _surveyed(part, {name: Survey(name, count=True) for name in again})
    return found


def _surveyed(part: Part, surveys: dict[str, Survey]) -> dict[str, Survey]:
    names = list(surveys)
    if names:
        for batch in part.read(names, {}):
            for name, values in zip(names, batch.columns, strict=True):
                surveys[name].add(values)
    return surveys


_OTHER = {".": ",", ",": "."}


class Decimals:
    """The decimal signs of a table's columns.

    A comma in `1,250` may be a decimal sign or separate thousands. Other values of the column
    decide, then other columns; if nothing does, the table is refused. Of new rows for a model the
    training file decides what their own values leave open.

    Args:
        part: the table.
        surveys: of its columns.
        reading: may give the sign.
        trained: of new rows: the columns of the model.
    """

    def __init__(
        self,
        part: Part,
        surveys: Mapping[str, Survey],
        reading: Reading,
        trained: Sequence[Column] = (),
    ) -> None:
        self._part = part
        self._given = reading.decimal
        numeric = [found for found in surveys.values() if found.number_sign is not None]
        sure = {found.number_sign: found.name for found in numeric if found.number_sign != "both"}
        self._sure = {sign: name for sign, name in sure.items() if sign}
        self._points = any(
            found.number_sign == "." and set(found.examples) == {"."} for found in numeric
        )
        self._grouped = {  # decimal signs of columns in which the other separates thousands
            found.number_sign
            for found in numeric
            if found.number_sign in _OTHER and _OTHER[found.number_sign] in found.examples
        }
        self._trained = {column.name: column for column in trained if column.decimal}
        # A column that is surely written with another sign than in training.
        self._changed = next(
            (
                found.name
                for found in numeric
                if found.number_sign not in ("both", self._sign_of(found.name, found.number_sign))
            ),
            None,
        )
        self.notices: list[str] = []

    def _sign_of(self, name: str, default: str | None) -> str | None:
        return self._trained[name].decimal if name in self._trained else default

    def sign(self, found: Survey) -> str:
        """Return the decimal sign of a column.

        Raises:
            DataError: it may be either.
        """
        if self._given is not None:
            return self._given
        if found.number_sign != "both":
            sign = found.number_sign or self._sign_of(found.name, ".") or "."
            if sign == "." and "," in found.examples and found.number_sign:
                self._tell(found, "commas separate thousands")
            elif sign == "," and found.number_sign:
                self._tell(found, "the comma is its decimal sign")
            return sign
        if found.name in self._trained and found.examples:
            return self._sign_as_trained(found, self._trained[found.name])
        if not ("," in found.examples or ("." in found.examples and set(self._sure) == {","})):
            return "."
        if set(found.examples) == {","} and len(self._sure) == 1:
            ((sign, other),) = self._sure.items()
            if sign == "," or self._points:
                what = "are decimal signs" if sign == "," else "separate thousands"
                self._tell(found, f"commas {what}, as `{other}` shows")
                return sign
        raise self._doubt(found)

    def number_column(self, found: Survey) -> Column:
        """Return a column of numbers, with the signs that its texts are read with.

        Where they show none, such as `12`, those of the other columns count, if these agree.

        Raises:
            DataError: its decimal sign may be either.
        """
        sign = self.sign(found)
        if found.types:
            return Column(found.name, NUMBER)
        if self._given is None and not found.examples:
            if len(self._sure) != 1:
                return Column(found.name, NUMBER)
            (sign,) = self._sure
        thousands = sign in self._grouped or _OTHER[sign] in found.examples
        return Column(found.name, NUMBER, decimal=sign, thousands=thousands)

    def _sign_as_trained(self, found: Survey, trained: Column) -> str:
        """Return the sign of new values that may be read in two ways, as of the training file."""
        sign = trained.decimal or "."
        name = "comma" if sign == "," else "point"
        if self._changed is not None:
            why = (
                f" In the training file its decimal sign is the {name}, but"
                f" `{self._changed}` is written with another than there."
            )
            raise self._doubt(found, why)
        if _OTHER[sign] in found.examples and not trained.thousands:
            raise self._doubt(
                found,
                f" In the training file the decimal sign is the {name}, and nothing separates"
                " thousands.",
            )
        return sign

    def _doubt(self, found: Survey, why: str = "") -> DataError:
        text = found.examples.get(",") or found.examples["."]
        mark = "comma" if "," in text else "point"
        digits = re.sub(r"[,.]", "", text)
        return DataError(
            f"{self._part.name}: `{found.name}` may be read in two ways: in {text} and in all its"
            f" other values the {mark} may separate thousands ({digits}) or be the decimal sign"
            f" ({text.replace(',', '.')}).{why} Say which sign is the decimal one: `--decimal .` or"
            " `--decimal ,`."
        )

    def _tell(self, found: Survey, what: str) -> None:
        self.notices.append(f"{self._part.name}: `{found.name}`: {what}.")

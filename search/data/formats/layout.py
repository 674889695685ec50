"""What the columns of a table are: the target, what else belongs to a sample, and their types."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from search.data.formats.columns import PAIRS, Part, Reader, is_number, shortened
from search.data.formats.survey import Decimals, Survey
from search.data.reading import CATEGORY, DATE, NUMBER, TRUTH, Column, Reading
from search.errors import DataError, near_matches
from tracking.text import joined, listed

TARGETS = ("label", "target", "class")
EXTRA_OPTIONS = {
    "groups": "groups",
    "weights": "weights",
    "time": "time",
    "folds": "fold_column",
}
_PIXEL = re.compile(r"pixel[ _]?(\d{1,9})", re.IGNORECASE)
_INDEX = ("Unnamed: 0", "__index_level_0__")  # what pandas calls a row number that it has saved


@dataclass(frozen=True)
class Roles:
    """What each column of a table is for.

    Attributes:
        targets: the columns with the targets, of which there may be several.
        features: columns of the samples, in order; for texts only the one with the text.
        extras: the columns of `arrays.EXTRAS`.
        unused: columns of a table of texts that are left out.
    """

    targets: tuple[str, ...]
    features: tuple[str, ...]
    extras: Mapping[str, str]
    unused: tuple[str, ...] = ()

    @classmethod
    def of(cls, part: Part, reading: Reading) -> "Roles":
        """Return the roles of a table's columns.

        Raises:
            DataError: a column that is named is not there, or has two roles; or the target is not
                named and cannot be told.
        """
        names = part.names
        for option in ("ignore", "types"):
            for name in getattr(reading, option):
                _column(part, name, option)
        named = {
            extra: _column(part, getattr(reading, option), option)
            for extra, option in EXTRA_OPTIONS.items()
            if getattr(reading, option) is not None
        }
        targets = _targets(part, reading)
        text = None if reading.text is None else _column(part, reading.text, "text")
        others = [*named.values(), *reading.ignore]
        twice = [name for name in (*targets, text) if name in others]
        twice += [name for name in targets if name == text or targets.count(name) > 1]
        if twice:
            raise DataError(
                f"{part.name}: `{twice[0]}` cannot be the"
                f" {'target' if twice[0] in targets else 'text'} and something else, too. Name"
                " another column for one of them."
            )
        taken = {*targets, *named.values(), *reading.ignore}
        rest = tuple(name for name in names if name not in taken)
        if text is not None:
            return cls(targets, (text,), named, tuple(name for name in rest if name != text))
        if not rest:
            raise DataError(
                f"{part.name}: a table must have columns besides `{', '.join(targets)}`; it has"
                " none, or none that are separated by comma, semicolon, tab or |"
            )
        return cls(targets, rest, named)

    @property
    def pixels(self) -> tuple[tuple[str, ...], tuple[int, ...]] | None:
        """The columns of an image's pixels and its shape `(side, side, 1 or 3)`; None: a table."""
        names = self.features[1:] if self.features[0] in _INDEX else self.features
        matches = [_PIXEL.fullmatch(name) for name in names]
        numbers = [int(match[1]) for match in matches if match]
        ordered = (list(range(first, first + len(names))) for first in (0, 1))
        if not names or numbers not in list(ordered):
            return None
        for channels in (1, 3):
            side = math.isqrt(len(names) // channels)
            if side * side * channels == len(names):
                return names, (side, side, channels)
        return None


def _column(part: Part, name: str, option: str) -> str:
    """Return a column's name as it is in the table, or raise DataError."""
    if name in part.names:
        return name
    alike = [known for known in part.names if known.lower() == name.lower()]
    if len(alike) == 1:
        return alike[0]
    raise DataError(
        f"{part.name}: `--{option.replace('_', '-')}` must name a column; there is no `{name}`:"
        f" {near_matches(name, part.names)}"
    )


def named_targets(reading: Reading, names: Sequence[str]) -> tuple[str, ...]:
    """Return the targets that a reading names: one column of this name, or several, as in `a,b`."""
    if reading.target is None or isinstance(reading.target, tuple):
        return reading.target or ()
    lowered = {name.lower() for name in names}
    if reading.target.lower() in lowered or "," not in reading.target:
        return (reading.target,)
    return tuple(name.strip() for name in reading.target.split(",") if name.strip())


def _targets(part: Part, reading: Reading) -> tuple[str, ...]:
    if named := named_targets(reading, part.names):
        return tuple(_column(part, name, "target") for name in named)
    known = [name for name in part.names if name.lower() in TARGETS and name not in reading.ignore]
    if len(known) == 1:
        return (known[0],)
    choice = "Name the column that holds the class, or the number to predict: `--target COLUMN`."
    if len(known) > 1:
        raise DataError(
            f"{part.name}: the target must be one column; {joined(f'`{n}`' for n in known)} may be"
            f" meant. {choice}"
        )
    if len(part.names) < 2:
        raise DataError(
            f"{part.name}: a table must have columns of names and values, separated by comma,"
            f" semicolon, tab or |; the first line has one: {listed(part.names) or 'none'}."
            " Separate them so, and leave out lines above the column names."
        )
    raise DataError(
        f"{part.name}: the target must be the one column called label, target or class; there are"
        f" {len(part.names):,} columns: {listed(part.names)}. {choice}"
    )


MAX_CATEGORIES = 1000
NEARLY_ALL = 0.9  # of the values are distinct: names or numbers of rows, or texts
FEW_ROWS = 10  # with fewer, values may be distinct or consecutive by chance
MOSTLY = 0.9  # of the values are numbers or dates: the others are errors or markers, not words
HALF = 0.5  # likewise, if no more than these many words are among them
MARKERS = 3
LONG_TEXT = 40  # characters
_ISO, _PLAIN = "dates as 2024-12-31 or 2024-12-31 23:59", "plain ones, such as -1250.5"
# Dates in another form than ISO's, or with a time in another form.
_OTHER_DATE = re.compile(r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}\b|\d{4}[./-]\d{1,2}[./-]\d{1,2}\b")
# Numbers with something around them: `$5.50`, `18 %`, `5 kg`, `(3)`, `1 250`, a minus sign's like.
_OTHER_NUMBER = re.compile(
    r"['\"(]?[-+\u2212\u2013<>~]? ?[$\u20ac\u00a3\u00a5]? ?[-+\u2212\u2013]?\d[\d.,'\u2019_\s]*"
    r" ?([%$\u20ac\u00a3\u00a5\u2030)'\"]|[^\W\d]{1,4})?"
)


@dataclass
class Layout:
    """How the columns of a table's samples are read.

    Attributes:
        readers: one for each column that is kept, in order.
        notices: which columns were left out, and why.
    """

    readers: tuple[Reader, ...] = ()
    notices: list[str] = field(default_factory=list)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that are kept."""
        return tuple(reader.column for reader in self.readers)


def lay_out(
    part: Part,
    features: Sequence[str],
    surveys: Mapping[str, Survey],
    decimals: Decimals,
    reading: Reading,
) -> Layout:
    """Decide the types of columns, and which are left out.

    Args:
        part: the table.
        features: the columns that are samples' values.
        surveys: of these columns.
        decimals: of all columns.
        reading: may give types.

    Raises:
        DataError: values do not fit the type that was asked for, or may be read in two ways.
    """
    kept: dict[str, Reader] = {}
    left: dict[str, list[str]] = {}
    counting: dict[str, Reader] = {}
    for position, name in enumerate(features):
        found = surveys[name]
        if name in _given(part, reading):
            kept[name] = _asked(part, found, _given(part, reading)[name], decimals)
            continue
        kind = _kind(part, found, decimals)
        if isinstance(kind, Reader):
            is_index = name in _INDEX and position == 0 and found.whole and found.lowest >= 0
            if kind.column.type == NUMBER and (is_index or _counts(found)):
                counting[name] = kind
            else:
                kept[name] = kind
        else:
            left.setdefault(kind, []).append(name)
    notices = []
    if kept:
        for name in counting:
            what = "is the row number" if name in _INDEX else "counts the rows"
            notices.append(
                f"{part.name}: `{name}` {what} ({_start_of(surveys[name])}), so it says nothing of"
                f' new rows: left out. `--types "{name}=number"` keeps it.'
            )
    else:
        kept = counting
        notices += [
            f"{part.name}: `{name}` counts the rows ({_start_of(surveys[name])}); it is kept, for"
            " there is no other column."
            for name in counting
        ]
    for why, names in left.items():
        notices.append(f"{part.name}: left out: {listed(names)} ({why}).")
    if not kept:
        raise DataError(
            f"{part.name}: no column is left to learn from. {' '.join(notices)}".rstrip()
        )
    ordered = tuple(kept[name] for name in features if name in kept)
    notices += _doubts(part, ordered, surveys)
    return Layout(ordered, [*notices, *decimals.notices])


def _given(part: Part, reading: Reading) -> dict[str, str]:
    return {_column(part, name, "types"): kind for name, kind in reading.types.items()}


def _counts(found: Survey) -> bool:
    return found.counting and found.rows >= FEW_ROWS


def _start_of(found: Survey) -> str:
    return f"{found.lowest:.0f}, {found.lowest + 1:.0f}, {found.lowest + 2:.0f} ..."


def _asked(part: Part, found: Survey, kind: str, decimals: Decimals) -> Reader:
    """Return the reader for a type that was asked for; raise DataError if a value is not of it."""
    sign = decimals.sign(found)
    column = decimals.number_column(found) if kind == NUMBER else Column(found.name, kind)
    if kind == CATEGORY:
        column = Column(found.name, kind, _sorted(found.counts))
    elif kind == TRUTH:
        column = Column(found.name, kind, _pair(found) or ("false", "true"))
    reader = Reader(column, sign)
    way = sign if kind == NUMBER else kind
    if kind != CATEGORY and found.wrong[way]:
        row, text = found.first_wrong.get(way, (0, f"a {'/'.join(sorted(found.types))}"))
        raise DataError(
            f"{part.place(row)}: `{found.name}` {reader.fault(text)}. Correct it, or give another"
            " type with `--types`."
        )
    return reader


def _kind(part: Part, found: Survey, decimals: Decimals) -> Reader | str:
    """Return the reader of a column, or why it is left out."""
    name = found.name
    if not found.given:
        return "without values"
    if found.number_sign is not None:
        return Reader(decimals.number_column(found), decimals.sign(found))
    if found.is_all(TRUTH):
        if found.types == {TRUTH}:
            return Reader(Column(name, TRUTH, ("False", "True")))
        if pair := _pair(found):
            return Reader(Column(name, TRUTH, pair))
    if found.is_all(DATE):
        return Reader(Column(name, DATE))
    _check_mixture(part, found)
    distinct = len(found.counts)
    if distinct > 2 * FEW_ROWS and all(map(_OTHER_DATE.match, found.counts)):
        return f"dates in another form, such as {next(iter(found.counts))}: write {_ISO}"
    if found.given >= FEW_ROWS and distinct >= NEARLY_ALL * found.given:
        if _are_other_numbers(found):
            return f"numbers that are written as {_example(found)}: write {_PLAIN}"
        if sum(map(len, found.counts)) > LONG_TEXT * distinct:
            return "long texts: `--text COLUMN` makes a text the sample"
        return "words that hardly ever repeat; `--types COLUMN=category` keeps it"
    if distinct > MAX_CATEGORIES:
        return f"more than {MAX_CATEGORIES:,} different words; `--types COLUMN=category` keeps it"
    return Reader(Column(name, CATEGORY, _sorted(found.counts)))


def _check_mixture(part: Part, found: Survey) -> None:
    """Raise DataError for a column of numbers or dates with a few values that are none."""
    for way, noun in ((".", "numbers"), (",", "numbers"), (DATE, "dates")):
        wrong = found.wrong[way]
        others = [text for text in found.counts if not is_number(text)] if way != DATE else []
        numeric = len(found.counts) - len(others)
        share = HALF if way != DATE and len(others) <= MARKERS else MOSTLY
        is_mixed = found.given - wrong >= share * found.given and wrong
        if is_mixed and numeric > 2 * FEW_ROWS and way in found.first_wrong:
            row, text = found.first_wrong[way]
            raise DataError(
                f"{part.place(row)}: `{found.name}` holds {noun}, but here it is"
                f" {shortened(text)!r}; so it is in {wrong:,} of {found.given:,} rows. Correct"
                f" it or leave the field empty; or read all as words with"
                f' `--types "{found.name}=category"`, or leave the column out with `--ignore`.'
            )


def _are_other_numbers(found: Survey) -> bool:
    """Return whether words are numbers with something around them, and not a few names of sizes."""
    return len(found.counts) > 2 * FEW_ROWS and all(map(_OTHER_NUMBER.fullmatch, found.counts))


def _example(found: Survey) -> str:
    return shortened(next(text for text in found.counts if not is_number(text)))


def _pair(found: Survey) -> tuple[str, str] | None:
    """Return the column's two words, false first; None if it has others, or only one."""
    for pair in (*PAIRS, ("0", "1")):
        if {text.lower() for text in found.counts} == set(pair):
            spelled = [
                max((t for t in found.counts if t.lower() == word), key=found.counts.__getitem__)
                for word in pair
            ]
            return spelled[0], spelled[1]
    return None


def _sorted(names: Mapping[str, int]) -> tuple[str, ...]:
    """Return names sorted, by value if all are numbers."""
    if all(map(is_number, names)):
        return tuple(sorted(names, key=lambda name: (float(name), name)))
    return tuple(sorted(names))


def _doubts(part: Part, readers: Sequence[Reader], surveys: Mapping[str, Survey]) -> list[str]:
    """Return notices about columns that may mean something else."""
    told = []
    large = [
        r.column.name for r in readers if r.column.type == NUMBER and surveys[r.column.name].digits
    ]
    if large:
        told.append(
            f"{part.name}: {listed(large)}: whole numbers of more than 15 digits, of which the last"
            " are lost, so that different ones may become equal. If they are names of something,"
            f" leave them out, or say `--types {large[0]}=category`; else subtract a start."
        )
    for reader in readers:
        found = surveys[reader.column.name]
        counts = found.counts
        if reader.column.type == CATEGORY and _are_other_numbers(found):
            told.append(
                f"{part.name}: `{reader.column.name}` is read as words, such as {_example(found)}."
                f" If they are numbers, write {_PLAIN}."
            )
        if reader.column.type == CATEGORY and all(map(_OTHER_DATE.match, counts)):
            told.append(
                f"{part.name}: `{reader.column.name}` looks like dates, but is read as words, for"
                f" day and month may be swapped, or the form is not known. Write {_ISO}."
            )
    return told

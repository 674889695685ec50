"""`predict`: what an exported model says of new samples."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from csv import writer as csv_writer
from functools import partial
from io import StringIO, TextIOWrapper
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.cli.output import DEFAULT_HOME, AsJson, Home

if TYPE_CHECKING:
    from search.cli.output import PlainTable
    from search.export.predict import Prediction
    from tracking.records import Json


def predict(
    model: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder that `export` wrote.")],
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Picture files, folders with some, or tables that list them or have a column for"
            " each pixel; texts, files with one text a line, or tables with a column of texts;"
            " files with rows; .npz or .npy files with sequences; or .npz files with an array for"
            " each of several inputs.",
        ),
    ],
    top: Annotated[
        int | None,
        typer.Option(min=1, help="Number of most probable classes to list. [default: 1]"),
    ] = None,
    invert: Annotated[bool, typer.Option(help="Invert the brightness of pictures first.")] = False,
    coverage: Annotated[
        float | None,
        typer.Option(
            metavar="0.9",
            help="Add a set of classes, or an interval of each number, that holds the truth in so"
            " many of all cases; of labels those that are sure and those that are not.",
        ),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.py:NAME",
            help="The space whose code a model with custom layers needs; this runs that code."
            " [default: the space of the study in --home that exported the model]",
        ),
    ] = None,
    home: Home = DEFAULT_HOME,
    column: Annotated[
        str | None,
        typer.Option(
            help="Column of a table with the paths of pictures, or with texts. [default: the only"
            " one with paths; of texts that of the training data]"
        ),
    ] = None,
    decimal: Annotated[
        str | None,
        typer.Option(
            metavar="SIGN",
            help="Decimal sign of numbers in tables, `.` or `,`. [default: as the values show, or"
            " as in the training file where they may be read in two ways]",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Write CSV to this file instead, some samples at a time, however many there are.",
        ),
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV, a line for each sample.")] = False,
    json: AsJson = False,
) -> None:
    """Predict classes or labels with their probabilities, or numbers, of samples in files.

    Files with rows may have the columns of the targets, which are left out.
    """
    from search.cli.output import console, notice, print_json
    from search.errors import SettingsError
    from search.export.predict import predict_batches, predict_samples

    def tell(text: str) -> None:
        notice(_printable(text))

    if csv and json:
        raise SettingsError("`--csv` and `--json` are two forms of the output; give one")
    options: dict[str, Any] = {"top": top, "invert": invert, "column": column, "space": space}
    options |= {"home": home, "notify": tell, "coverage": coverage, "decimal": decimal}
    if out is not None:
        if csv or json:
            raise SettingsError("`--out` writes CSV to a file; leave `--csv` and `--json` out")
        _check_out(out, inputs)
        count = _write_csv(out, predict_batches(model, inputs, **options))
        console.print(f"{count:,} predictions written to {out}", markup=False)
        return
    found = predict_samples(model, inputs, **options)
    if not invert:
        _mention_inverted([item.sample for item in found if item.inverted])
    form = _form_of(found)
    if json:
        print_json([form.json(item) for item in form.samples])
    elif csv:
        _print_csv(form)
    else:
        for heading, made in form.tables():
            if heading:
                console.print(heading, markup=False)
            console.print(made)


class _Form(ABC):
    """How predictions of one task are shown.

    Args:
        found: of one model, one or more.
    """

    def __init__(self, found: "list[Prediction]") -> None:
        self.found = found

    @abstractmethod
    def json(self, item: "Prediction") -> "Json":
        """Return a prediction as JSON."""

    @abstractmethod
    def head(self) -> tuple[str, ...]:
        """Return the names of columns of a file, after that of the input."""

    @abstractmethod
    def cells(self, item: "Prediction") -> tuple[object, ...]:
        """Return a sample's values in these columns."""

    @property
    def samples(self) -> "list[Prediction]":
        """A prediction for each sample."""
        return self.found

    @abstractmethod
    def table(self) -> "PlainTable":
        """Return a table for people."""

    def tables(self) -> "Iterator[tuple[str, PlainTable]]":
        """Yield tables with their headings, which may be empty."""
        yield "", self.table()


class _Classes(_Form):
    """The most probable classes, one a line; in a file side by side."""

    @property
    def _has_sets(self) -> bool:
        return self.found[0].held is not None

    @property
    def _heading(self) -> str:
        return "score" if self.found[0].is_scored else "probability"

    def json(self, item: "Prediction") -> "Json":
        name, value = item.values[0]
        return {
            "input": item.sample,
            "class": name,
            self._heading: value,
            "classes": dict(item.values),
            **({} if item.held is None else {"set": list(item.held)}),
            "looks_inverted": item.inverted,
        }

    def head(self) -> tuple[str, ...]:
        own = ("class", self._heading)
        ranks = range(2, len(self.found[0].values) + 1)
        others = (f"{name}_{rank}" for rank in ranks for name in own)
        return (*own, *others, *(("set",) if self._has_sets else ()))

    def cells(self, item: "Prediction") -> tuple[object, ...]:
        ranked = (cell for pair in item.values for cell in pair)
        return (*ranked, *((_joined(item.held or ()),) if self._has_sets else ()))

    def table(self) -> "PlainTable":
        sets = {"set": lambda item: ", ".join(item.held or ()) or "none"} if self._has_sets else {}
        return _named_values(self.found, "class", self._heading, lambda item: item.values, sets)


class _Labels(_Form):
    """The labels that are given, one a line; in a file the probability of each."""

    def json(self, item: "Prediction") -> "Json":
        return {
            "input": item.sample,
            "labels": [name for name, _ in item.labels],
            "probabilities": dict(item.values),
            **self._of_set(item, list),
            "looks_inverted": item.inverted,
        }

    def _of_set(self, item: "Prediction", form: "Callable[[tuple[str, ...]], Any]") -> "Json":
        if item.held is None:
            return {}
        return {"sure": form(item.held), "undecided": form(item.undecided)}

    def head(self) -> tuple[str, ...]:
        names = (name for name, _ in self.found[0].values)
        return ("labels", *names, *self._of_set(self.found[0], str))

    def cells(self, item: "Prediction") -> tuple[object, ...]:
        given = _joined(name for name, _ in item.labels)
        sets = self._of_set(item, _joined).values()
        return (given, *(value for _, value in item.values), *sets)

    def table(self) -> "PlainTable":
        sets = {name: partial(self._told, name=name) for name in self._of_set(self.found[0], str)}
        return _named_values(
            self.found, "label", "probability", lambda item: item.labels or (("none", None),), sets
        )

    def _told(self, item: "Prediction", name: str) -> str:
        return ", ".join(self._of_set(item, list)[name]) or "none"


class _Numbers(_Form):
    """A column for each number."""

    def json(self, item: "Prediction") -> "Json":
        return {
            "input": item.sample,
            "numbers": dict(item.values),
            **({"intervals": self._intervals(item)} if item.intervals else {}),
            "looks_inverted": item.inverted,
        }

    def _intervals(self, item: "Prediction") -> "dict[str, list[float]]":
        names = (name for name, _ in item.values)
        return {name: list(ends) for name, ends in zip(names, item.intervals, strict=True)}

    def head(self) -> tuple[str, ...]:
        names = tuple(name for name, _ in self.found[0].values)
        if not self.found[0].intervals:
            return names
        return tuple(f"{name}{end}" for name in names for end in ("", "_low", "_high"))

    def cells(self, item: "Prediction") -> tuple[object, ...]:
        values = tuple(value for _, value in item.values)
        if not item.intervals:
            return values
        both = zip(values, item.intervals, strict=True)
        return tuple(cell for value, (low, high) in both for cell in (value, low, high))

    def table(self) -> "PlainTable":
        from search.cli.output import table
        from search.export.scores import digits

        names = tuple(map(_printable, self.head()))
        made = table("input", *names, right=names)
        for item in self.found:
            cells = (float(str(value)) for value in self.cells(item))
            made.add_plain_row(_printable(item.sample), *map(digits, cells))
        return made


def _named_values(
    found: "list[Prediction]",
    name: str,
    heading: str,
    values: "Callable[[Prediction], tuple[tuple[str, float | None], ...]]",
    more: "Mapping[str, Callable[[Prediction], str]]",
) -> "PlainTable":
    from search.cli.output import percent, table

    made = table("input", name, heading, *more, right=(heading,))
    for item in found:
        told = [_printable(column(item)) for column in more.values()]
        for rank, (named, value) in enumerate(values(item)):
            sample = _printable(item.sample) if rank == 0 else ""
            made.add_plain_row(
                sample,
                _printable(named),
                percent(value),
                *(told if rank == 0 else [""] * len(told)),
            )
    return made


class _Outputs(_Form):
    """The values of each of several outputs, in the form of its task."""

    def __init__(self, found: "list[Prediction]") -> None:
        super().__init__(found)
        names = dict.fromkeys(item.output for item in found)
        of = {name: [item for item in found if item.output == name] for name in names}
        self._forms = {name: _FORMS[own[0].task](own) for name, own in of.items()}
        self._places = {id(item): place for place, item in enumerate(self.samples)}

    @property
    def samples(self) -> "list[Prediction]":
        return next(iter(self._forms.values())).found

    def _each(self, item: "Prediction") -> "Iterator[tuple[str, _Form, Prediction]]":
        place = self._places[id(item)]
        for name, form in self._forms.items():
            yield name, form, form.found[place]

    def json(self, item: "Prediction") -> "Json":
        outputs = {name: form.json(own) for name, form, own in self._each(item)}
        for known in outputs.values():
            del known["input"], known["looks_inverted"]
        return {"input": item.sample, "outputs": outputs}

    def head(self) -> tuple[str, ...]:
        return tuple(
            f"{name}_{column}" for name, form in self._forms.items() for column in form.head()
        )

    def cells(self, item: "Prediction") -> tuple[object, ...]:
        return tuple(cell for _, form, own in self._each(item) for cell in form.cells(own))

    def tables(self) -> "Iterator[tuple[str, PlainTable]]":
        for name, form in self._forms.items():
            for _, made in form.tables():
                yield f"Output {_printable(name)}", made

    def table(self) -> "PlainTable":
        raise NotImplementedError("there is one for each output: `tables`")


_FORMS: dict[str, type[_Form]] = {
    "classification": _Classes,
    "multi-label": _Labels,
    "regression": _Numbers,
}


def _form_of(found: "list[Prediction]") -> _Form:
    return _Outputs(found) if found[0].output else _FORMS[found[0].task](found)


def _joined(names: "Iterable[str]") -> str:
    """Return names with bars between them, as a line of CSV, so that they can be told apart."""
    line = StringIO()
    csv_writer(line, delimiter="|", lineterminator="").writerow(names)
    return line.getvalue()


def _print_csv(form: _Form) -> None:
    writer = csv_writer(sys.stdout, lineterminator="\n")
    writer.writerow(("input", *form.head()))
    _write_rows(writer, form)


def _write_rows(writer: Any, form: _Form) -> None:
    writer.writerows((item.sample, *form.cells(item)) for item in form.samples)


def _check_out(path: Path, inputs: list[str]) -> None:
    """Raise SettingsError if a file to write is one of the files to read."""
    from search.errors import SettingsError

    for given in inputs:
        with suppress(OSError, ValueError):  # texts are no files, nor are files that are not there
            if path.samefile(given):
                raise SettingsError(
                    f"`--out` must be another file than what is predicted; got {path} for both"
                )


def _write_csv(path: Path, batches: "Iterator[list[Prediction]]") -> int:
    """Write a line for each sample as it comes, and return their number.

    The file appears when all are written; what is no file, such as a pipe, gets them at once.

    Raises:
        SettingsError: the file cannot be written.
    """
    from search.errors import SettingsError
    from tracking.files import whole_file

    count = 0
    first = next(batches, [])  # errors in samples come before the file is touched
    is_file = path.is_file() or not path.exists()
    try:
        with (
            whole_file(path, to_disk=False) if is_file else path.open("wb") as binary,
            TextIOWrapper(binary, encoding="utf-8", newline="") as file,
        ):
            writer = csv_writer(file, lineterminator="\n")
            for found in chain([first] if first else [], batches):
                form = _form_of(found)
                if not count:
                    writer.writerow(("input", *form.head()))
                _write_rows(writer, form)
                count += len(form.samples)
    except OSError as error:
        why = error.strerror or str(error)
        raise SettingsError(
            f"`--out` must be a file that can be written; {path} ({why})"
        ) from error
    return count


def _printable(text: str) -> str:
    """Return text of unknown origin without control characters."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def _mention_inverted(names: list[str]) -> None:
    from search.cli.output import notice

    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        notice(
            f"{names[0]}{more}: the background is as bright as the training images' is dark, or"
            " the reverse; `--invert` swaps them"
        )

"""`predict`: what an exported model says of new samples."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from csv import writer as csv_writer
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
            help="Picture files; texts, or files with one text a line; files with rows; or .npz or"
            " .npy files with sequences.",
        ),
    ],
    top: Annotated[
        int | None,
        typer.Option(min=1, help="Number of most probable classes to list. [default: 1]"),
    ] = None,
    invert: Annotated[bool, typer.Option(help="Invert the brightness of pictures first.")] = False,
    space: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.py:NAME",
            help="The space whose code a model with custom layers needs; this runs that code."
            " [default: the space of the study in --home that exported the model]",
        ),
    ] = None,
    home: Home = DEFAULT_HOME,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV, a line for each sample.")] = False,
    json: AsJson = False,
) -> None:
    """Predict classes or labels with their probabilities, or numbers, of samples in files.

    Files with rows may have the columns of the targets, which are left out.
    """
    from search.cli.output import console, notice, print_json
    from search.errors import SettingsError
    from search.export.predict import predict_samples

    def tell(text: str) -> None:
        notice(_printable(text))

    if csv and json:
        raise SettingsError("`--csv` and `--json` are two forms of the output; give one")
    found = predict_samples(
        model, inputs, top=top, invert=invert, space=space, home=home, notify=tell
    )
    if not invert:
        _mention_inverted([item.sample for item in found if item.inverted])
    form = _FORMS[found[0].task](found)
    if json:
        print_json([form.json(item) for item in found])
    elif csv:
        _print_csv(form)
    else:
        console.print(form.table())


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

    @abstractmethod
    def table(self) -> "PlainTable":
        """Return a table for people."""


class _Classes(_Form):
    """The most probable classes, one a line; in a file the most probable alone."""

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
            "looks_inverted": item.inverted,
        }

    def head(self) -> tuple[str, ...]:
        return ("class", self._heading)

    def cells(self, item: "Prediction") -> tuple[object, ...]:
        return item.values[0]

    def table(self) -> "PlainTable":
        return _named_values(self.found, "class", self._heading, lambda item: item.values)


class _Labels(_Form):
    """The labels that are given, one a line; in a file the probability of each."""

    def json(self, item: "Prediction") -> "Json":
        return {
            "input": item.sample,
            "labels": [name for name, _ in item.labels],
            "probabilities": dict(item.values),
            "looks_inverted": item.inverted,
        }

    def head(self) -> tuple[str, ...]:
        return ("labels", *(name for name, _ in self.found[0].values))

    def cells(self, item: "Prediction") -> tuple[object, ...]:
        return ("|".join(name for name, _ in item.labels), *(value for _, value in item.values))

    def table(self) -> "PlainTable":
        return _named_values(
            self.found, "label", "probability", lambda item: item.labels or (("none", None),)
        )


class _Numbers(_Form):
    """A column for each number."""

    def json(self, item: "Prediction") -> "Json":
        return {
            "input": item.sample,
            "numbers": dict(item.values),
            "looks_inverted": item.inverted,
        }

    def head(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.found[0].values)

    def cells(self, item: "Prediction") -> tuple[object, ...]:
        return tuple(value for _, value in item.values)

    def table(self) -> "PlainTable":
        from search.cli.output import table
        from search.export.scores import digits

        names = tuple(map(_printable, self.head()))
        made = table("input", *names, right=names)
        for item in self.found:
            made.add_plain_row(
                _printable(item.sample), *(digits(value) for _, value in item.values)
            )
        return made


def _named_values(
    found: "list[Prediction]",
    name: str,
    heading: str,
    values: "Callable[[Prediction], tuple[tuple[str, float | None], ...]]",
) -> "PlainTable":
    from search.cli.output import percent, table

    made = table("input", name, heading, right=(heading,))
    for item in found:
        for rank, (named, value) in enumerate(values(item)):
            sample = _printable(item.sample) if rank == 0 else ""
            made.add_plain_row(sample, _printable(named), percent(value))
    return made


_FORMS: dict[str, type[_Form]] = {
    "classification": _Classes,
    "multi-label": _Labels,
    "regression": _Numbers,
}


def _print_csv(form: _Form) -> None:
    writer = csv_writer(sys.stdout, lineterminator="\n")
    writer.writerow(("input", *form.head()))
    for item in form.found:
        writer.writerow((item.sample, *form.cells(item)))


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

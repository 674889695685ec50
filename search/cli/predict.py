"""`predict`: use an exported model on pictures."""

from pathlib import Path
from typing import Annotated, Any

import typer

from search.cli.options import DEFAULT_HOME, AsJson, Home


def predict(
    model: Annotated[Path, typer.Argument(metavar="FOLDER", help="What `export` wrote.")],
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Picture files; texts or text files of one text a line; or CSV files.",
        ),
    ],
    top: Annotated[int, typer.Option(min=1, help="Likeliest classes to list.")] = 1,
    invert: Annotated[bool, typer.Option(help="Swap dark and bright of pictures first.")] = False,
    space: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.py:NAME",
            help="The space whose code a model with layers of its own needs; it is run."
            " [default: that of the study in --home which exported the model]",
        ),
    ] = None,
    home: Home = DEFAULT_HOME,
    json: AsJson = False,
) -> None:
    """Say what is in pictures, texts or rows of a table, with probabilities."""
    from search.cli.output import console, print_json, table
    from search.export.predict import predict_samples

    found = predict_samples(model, inputs, top=top, invert=invert, space=space, home=home)
    if not invert:
        _mention_inverted([item.sample for item in found if item.inverted])
    if json:
        print_json([_document(item) for item in found])
        return
    heading = _heading(found)
    made = table("input", "class", heading, right=(heading,))
    for item in found:
        for rank, (name, value) in enumerate(item.classes):
            sample = _printable(item.sample) if rank == 0 else ""
            made.add_plain_row(sample, _printable(name), f"{value:.4f}")
    console.print(made)


def _heading(found: list[Any]) -> str:
    return "score" if any(item.is_scored for item in found) else "probability"


def _printable(text: str) -> str:
    """Return a text or name of unknown origin without what would steer the terminal."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def _mention_inverted(names: list[str]) -> None:
    from search.cli.output import notice

    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        notice(
            f"{names[0]}{more}: the background is as bright as the training images' is dark, or"
            " the reverse; `--invert` swaps them"
        )


def _document(item: Any) -> dict[str, Any]:
    name, value = item.classes[0]
    return {
        "input": item.sample,
        "class": name,
        _heading([item]): value,
        "classes": dict(item.classes),
        "looks_inverted": item.inverted,
    }

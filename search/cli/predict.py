"""`predict`: use an exported model on pictures."""

from pathlib import Path
from typing import Annotated, Any

import typer

from search.cli.options import AsJson


def predict(
    model: Annotated[Path, typer.Argument(metavar="FOLDER", help="What `export` wrote.")],
    pictures: Annotated[list[Path], typer.Argument(metavar="PICTURE...", help="Picture files.")],
    top: Annotated[int, typer.Option(min=1, help="Likeliest classes to list.")] = 1,
    invert: Annotated[bool, typer.Option(help="Swap dark and bright first.")] = False,
    json: AsJson = False,
) -> None:
    """Say what is in pictures of any size and mode, with probabilities."""
    from search.cli.output import console, print_json, table
    from search.prediction import predict_files

    found = predict_files(model, pictures, top=top, invert=invert)
    if not invert:
        _mention_inverted([item.path for item in found if item.inverted])
    if json:
        print_json([_document(item) for item in found])
        return
    made = table("picture", "class", "probability", right=("probability",))
    for item in found:
        for rank, (name, probability) in enumerate(item.classes):
            made.add_plain_row(str(item.path) if rank == 0 else "", name, f"{probability:.4f}")
    console.print(made)


def _mention_inverted(paths: list[Path]) -> None:
    from search.cli.output import notice

    if paths:
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        notice(
            f"{paths[0]}{more}: the background is as bright as the training images' is dark, or"
            " the reverse; `--invert` swaps them"
        )


def _document(item: Any) -> dict[str, Any]:
    name, probability = item.classes[0]
    return {
        "picture": str(item.path),
        "class": name,
        "probability": probability,
        "classes": dict(item.classes),
        "looks_inverted": item.inverted,
    }

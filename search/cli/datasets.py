"""`datasets`: what there is to train on, where it would come from, and what is in it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.cli.options import DEFAULT_HOME, AsJson, DataDir, Home

if TYPE_CHECKING:
    from rich.text import Text

    from search.data.description import Description
    from search.data.figures import Pictures

OWN = (
    ("csv:TRAIN[,TEST]", "rows of numbers, or images with a pixel a column"),
    ("npz:FILE", "images, rows of numbers or texts in a NumPy file"),
    ("folder:DIR", "pictures in class folders"),
    ("tfds:NAME", "a dataset of TensorFlow Datasets"),
)

WIDE = 100  # columns of a terminal that has place for paths


def datasets(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Load and describe this dataset: a name, or for example csv:train.csv."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for pictures of the training set, PNG.")
    ] = None,
    drop_duplicates: Annotated[
        bool,
        typer.Option(
            "--drop-duplicates",
            help="Tell how many training samples would remain with `run --drop-duplicates`.",
        ),
    ] = False,
    data_dir: DataDir = None,
    home: Home = DEFAULT_HOME,
    json: AsJson = False,
) -> None:
    """List the named datasets and where they are, or describe one of them."""
    from search.errors import SettingsError

    if name is not None:
        _describe(name, home, data_dir, out, drop_duplicates=drop_duplicates, as_json=json)
    elif out is not None or drop_duplicates:
        option = "--out" if out is not None else "--drop-duplicates"
        raise SettingsError(
            f"`{option}` is for one dataset; got none. Name it: `datasets digits {option} ...`"
        )
    else:
        _list(home, data_dir, as_json=json)


def _describe(
    name: str,
    home: Path,
    data_dir: Path | None,
    out: Path | None,
    *,
    drop_duplicates: bool,
    as_json: bool,
) -> None:
    from search.cli.description import print_description
    from search.cli.output import Notices, print_json
    from search.data import load
    from search.data.description import describe

    notices = Notices(quiet=as_json)
    dataset = load(name, home=home, data_dir=data_dir, notify=notices)
    if out is not None:
        from search.data.figures import picture_folder

        picture_folder(out)  # refused before the work, not after
    description = describe(dataset)
    pictures = _write_pictures(description, out)
    if as_json:
        document = description.to_json()
        if drop_duplicates:
            document["remaining"] = description.remaining
        if pictures is not None:
            document["pictures"] = [str(path) for path in pictures.paths]
            document["notes"] += pictures.notes
        print_json({**document, "notices": notices.texts})
        return
    print_description(description, drop_duplicates=drop_duplicates)
    if pictures is not None:
        _print_pictures(pictures)


def _write_pictures(description: "Description", out: Path | None) -> "Pictures | None":
    if out is None:
        return None
    from search.data.figures import write_pictures  # Matplotlib takes a second

    return write_pictures(description, out)


def _list(home: Path, data_dir: Path | None, *, as_json: bool) -> None:
    from search.cli.output import print_json
    from search.data import known, locate

    rows = [
        {
            "dataset": entry.name,
            "what": entry.title,
            "kind": entry.kind,
            "shape": list(entry.shape),
            "train": entry.train,
            "test": entry.test,
            "classes": len(entry.classes),
            "found": locate(entry.name, home=home, data_dir=data_dir),
        }
        for entry in known()
    ]
    if as_json:
        print_json(rows)
    else:
        _print_list(rows)


def _print_list(rows: list[dict[str, Any]]) -> None:
    from search.cli.output import console, table

    numbers = ("train", "test", "classes")
    # A narrow terminal has no column for where a dataset is; lines below tell it there.
    found = ("found",) if console.width >= WIDE else ()
    made = table("dataset", "samples", *numbers, *found, right=numbers)
    for row in rows:
        made.add_plain_row(
            row["dataset"],
            " ".join([row["kind"], "x".join(map(str, row["shape"]))]).strip(),
            f"{row['train']:,}",
            f"{row['test']:,}",
            f"{row['classes']:,}",
            *([_place(row["found"])] if found else []),
        )
    console.print(made)
    if not found:
        console.print()
        for row in rows:
            console.print(_place(row["found"], f"{row['dataset']}: "), soft_wrap=True)
    console.print("\nYour own data, wherever a dataset is named:")
    own = table("dataset", "what it is")
    for reference, meaning in OWN:
        own.add_plain_row(reference, meaning)
    console.print(own)


def _place(found: str | None, before: str = "") -> "Text":
    from rich.text import Text

    if found is None:
        return Text(f"{before}not on this machine; downloaded when used", style="yellow")
    return Text(before + found)


def _print_pictures(pictures: "Pictures") -> None:
    from search.cli.output import console, say

    console.print()
    for path in pictures.paths:
        say(f"wrote {path}")
    for note in pictures.notes:
        say(note)

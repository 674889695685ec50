"""`datasets`: what there is to train on, and where it would come from."""

from typing import Annotated, Any

import typer

from search.cli.options import DEFAULT_HOME, AsJson, DataDir, Home


def datasets(
    name: Annotated[str | None, typer.Argument(help="Load this dataset and describe it.")] = None,
    data_dir: DataDir = None,
    home: Home = DEFAULT_HOME,
    json: AsJson = False,
) -> None:
    """List the named datasets and where they are, or describe one of them."""
    from search.cli.output import Notices, print_json
    from search.datasets import known, load, locate

    if name is not None:
        document = _described(load(name, home=home, data_dir=data_dir, notify=Notices(quiet=json)))
        if json:
            print_json(document)
        else:
            _print_dataset(document)
        return
    rows = [
        {
            "dataset": entry.name,
            "what": entry.title,
            "shape": list(entry.shape),
            "train": entry.train,
            "test": entry.test,
            "classes": len(entry.classes),
            "found": locate(entry.name, home=home, data_dir=data_dir),
        }
        for entry in known()
    ]
    if json:
        print_json(rows)
    else:
        _print_list(rows)


def _described(dataset: Any) -> dict[str, Any]:
    import numpy as np

    counts = np.bincount(dataset.train_labels, minlength=len(dataset.classes))
    return {
        "dataset": dataset.name,
        "source": dataset.source,
        "digest": dataset.digest,
        "folder": str(dataset.folder),
        "shape": list(dataset.train_images.shape[1:]),
        "train": len(dataset.train_labels),
        "classes": dict(zip(dataset.classes, counts.tolist(), strict=True)),
    }


def _print_list(rows: list[dict[str, Any]]) -> None:
    from rich.text import Text

    from search.cli.output import console, table

    made = table(
        "dataset", "images", "train", "test", "classes", "found", right=("train", "test", "classes")
    )
    for row in rows:
        made.add_plain_row(
            row["dataset"],
            "x".join(map(str, row["shape"])),
            f"{row['train']:,}",
            f"{row['test']:,}",
            str(row["classes"]),
            row["found"] or Text("not on this machine; downloaded when used", style="yellow"),
        )
    console.print(made)


def _print_dataset(document: dict[str, Any]) -> None:
    from search.cli.output import console, say, table

    shape = "x".join(map(str, document["shape"]))
    console.print(f"[bold]{document['dataset']}[/]: {document['train']:,} training images {shape}")
    say(f"from {document['source']}")
    say(f"kept in {document['folder']}")
    say(f"SHA-256 {document['digest']}\n")
    made = table("class", "name", "training images", right=("class", "training images"))
    for number, (label, count) in enumerate(document["classes"].items()):
        made.add_plain_row(str(number), label, f"{count:,}")
    console.print(made)

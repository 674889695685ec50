"""`datasets`: which datasets there are, where they would come from, and what they contain."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from search.cli import completing
from search.cli.output import DEFAULT_HOME, AsJson, DataDir, Home, console, say, table
from search.cli.run import with_options
from search.cli.tables import Column as Listed
from search.cli.tables import Listing
from search.data import Reading
from search.data.description import (
    LONG,
    QUANTILES,
    TEST_NOTE,
    ClassCounts,
    ColumnStatistics,
    Description,
    ImageStatistics,
    NumberStatistics,
    TableStatistics,
    TextStatistics,
)
from search.data.reading import DATE, NUMBER, Column
from search.study.settings import StudySettings, validate
from search.tasks import CLASSIFICATION, MULTI_LABEL, MULTI_OUTPUT, REGRESSION

if TYPE_CHECKING:
    from rich.text import Text

    from search.data.description import Description
    from search.data.duplicates import Repeats
    from search.data.figures import Pictures

OWN = (
    ("csv:TRAIN[,TEST]", "a table, texts in one of its columns, or images with a pixel a column"),
    ("parquet:TRAIN[,TEST]", "the same in Parquet files"),
    ("jsonl:TRAIN[,TEST]", "the same with a JSON object a line"),
    ("npz:FILE", "images, rows of numbers or texts in a NumPy file"),
    ("folder:DIR", "pictures, or texts, in class folders"),
    ("tfds:NAME", "a dataset of TensorFlow Datasets"),
)

WIDE = 100  # columns of a terminal wide enough for paths


@with_options(*(name for name in StudySettings.model_fields if name in Reading.names()))
def datasets(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Load and describe this dataset: a name, or for example csv:train.csv.",
            autocompletion=completing.datasets,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for pictures of the training set, PNG."),
    ] = None,
    drop_duplicates: Annotated[
        bool,
        typer.Option(
            "--drop-duplicates",
            help="Say how many training samples `run --drop-duplicates` would leave.",
        ),
    ] = False,
    data_dir: DataDir = None,
    home: Home = DEFAULT_HOME,
    json: AsJson = False,
    **given: Any,
) -> None:
    """List the named datasets and where they are, or describe one of them."""
    from search.errors import SettingsError

    read = {option: value for option, value in given.items() if value is not None}
    if name is not None:
        settings = validate({"space": "mlp", **read}).model_dump()
        reading = Reading.of({option: settings[option] for option in read})
        _describe(name, home, data_dir, reading, out, drop_duplicates=drop_duplicates, as_json=json)
    elif read:
        option = f"--{next(iter(read)).replace('_', '-')}"
        raise SettingsError(
            f"`{option}` is for one dataset; got none. Name it: `datasets csv:FILE {option} ...`"
        )
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
    reading: Reading,
    out: Path | None,
    *,
    drop_duplicates: bool,
    as_json: bool,
) -> None:
    from search.cli.output import Notices, print_json
    from search.data import load
    from search.data.description import describe

    notices = Notices(quiet=as_json)
    dataset = load(name, home=home, data_dir=data_dir, reading=reading, notify=notices)
    if out is not None:
        from search.data.figures import picture_folder

        picture_folder(out)  # fail before the work, not after it
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
    from search.data import known, locate, passed_to

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
    passed = [
        {
            "dataset": dataset.name,
            "what": f"from {dataset.source}",
            "kind": dataset.kind,
            "shape": list(getattr(dataset.train_samples, "shape", (0,))[1:]),
            "train": len(dataset.train_labels),
            "test": len(dataset.open_test()[1]),
            "classes": len(dataset.classes),
            "task": dataset.task.name,
            "found": str(dataset.folder),
        }
        for dataset in passed_to(home)
    ]
    if as_json:
        print_json([*rows, *passed])
    else:
        _print_list(rows, passed)


def _print_list(rows: list[dict[str, Any]], passed: list[dict[str, Any]]) -> None:
    from search.cli.output import console, table

    numbers = ("train", "test", "classes")
    # On a narrow terminal, lines below the table say where each dataset is.
    found = ("found",) if console.width >= WIDE else ()
    made = table("dataset", "samples", *numbers, *found, right=numbers)
    for row in [*rows, *passed]:
        made.add_plain_row(
            row["dataset"],
            " ".join([row["kind"], "x".join(map(str, row["shape"]))]).strip(),
            f"{row['train']:,}",
            f"{row['test']:,}",
            _targets(row["classes"], row.get("task", CLASSIFICATION)),
            *([_place(row["found"])] if found else []),
        )
    console.print(made)
    if not found:
        console.print()
        for row in rows:
            console.print(_place(row["found"], f"{row['dataset']}: "), soft_wrap=True)
    console.print("\nYour own data, wherever an option or argument takes a dataset:")
    own = table("dataset", "what it is")
    for reference, meaning in OWN:
        own.add_plain_row(reference, meaning)
    console.print(own)


def _targets(count: int, task: str) -> str:
    nouns = {MULTI_LABEL: "label", REGRESSION: "number", MULTI_OUTPUT: "output"}
    return _many(count, nouns[task]) if task in nouns else f"{count:,}"


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


MOST_CLASSES, LARGEST, SMALLEST = 20, 12, 5
MOST_COLUMNS = 20
FEW_NAMES = 8
FREQUENT = 12

Facts = list[tuple[str, str]]


def print_description(description: Description, *, drop_duplicates: bool) -> None:
    """Print a description on standard output.

    Args:
        description: of a dataset.
        drop_duplicates: also print how many training samples remain without duplicates.
    """
    dataset = description.dataset
    title = Text(dataset.title, style="bold")
    console.print(title.append(f": {_summary(description)}", style="not bold"))
    say(f"from {dataset.source}")
    say(f"stored in {dataset.folder}")
    say(f"SHA-256 {dataset.digest}\n")
    facts = [*_statistics(description), *_of_targets(description)]
    facts += _duplicates(description)
    if drop_duplicates:
        facts.append(("with --drop-duplicates", _remaining(description)))
    _print_facts(facts)
    for name, own in description.outputs or (("", description),):
        _print_targets(own, name)
    for name, own in description.inputs or (("", description),):
        _print_input(own, name)
    console.print(f"\n[dim]{TEST_NOTE.capitalize()}; all else is from the training set.[/]")


def _print_targets(description: Description, name: str) -> None:
    if name:
        say(f"\nOutput {name}: {_predicted(description)}")
        _print_facts(_of_targets(description))
    if description.numbers:
        _print_numbers(description.numbers)
    else:
        _print_classes(description.classes, description.noun)


def _print_input(description: Description, name: str) -> None:
    if name:
        say(f"\nInput {name}: {_samples(description)}")
        _print_facts(_statistics(description))
    if isinstance(description.statistics, TableStatistics):
        _print_columns(description.statistics)


def _summary(description: Description) -> str:
    counts = f"{description.train:,} training and {description.test:,} test"
    return f"{counts} {_samples(description)}, {_predicted(description)}"


def _samples(description: Description) -> str:
    kind, shape = description.dataset.kind, description.shape
    match kind:
        case "several":
            names = ", ".join(name for name, _ in description.inputs)
            return f"samples of {len(description.inputs)} inputs ({names})"
        case "image":
            return f"images of {'x'.join(map(str, shape))} pixels"
        case "text":
            return "texts"
        case "sequence":
            return f"sequences of {shape[0]:,} steps with {shape[1]:,} features"
    return f"rows of {shape[0] if shape else 0} columns"


def _predicted(description: Description) -> str:
    task, count = description.dataset.task, len(description.dataset.classes)
    targets = f"{count:,} classes"
    if description.labels_per_sample:
        targets = f"{_many(count, 'label')} (multi-label)"
    elif description.numbers:
        names = task.names if count <= FEW_NAMES else (*task.names[:FEW_NAMES], "...")
        targets = f"{', '.join(names)} to predict (regression)"
    elif description.outputs:
        names = tuple(name for name, _ in description.outputs)
        targets = f"{count:,} outputs ({', '.join(names)})"
    return targets


def _of_targets(description: Description) -> Facts:
    counts = description.labels_per_sample
    if not counts:
        return [("classes", description.balance)] if description.classes else []
    mean = sum(number * count for number, count in enumerate(counts)) / description.train
    spread = f"mean {mean:.2f}, at most {len(counts) - 1}; {_share(counts[0] / description.train)}"
    return [("labels", description.balance), ("labels a sample", f"{spread} have none")]


def _remaining(description: Description) -> str:
    left_out = len(description.duplicates.droppable)
    if not left_out:
        return f"all {description.train:,} training samples remain"
    return (
        f"{description.remaining:,} of {description.train:,} training samples remain,"
        f" {left_out:,} are left out"
    )


def _statistics(description: Description) -> Facts:
    match description.statistics:
        case ImageStatistics() as images:
            return _image_facts(images, description)
        case TextStatistics() as texts:
            return _text_facts(texts)
        case TableStatistics() as rows:
            of = "features" if description.dataset.kind == "sequence" else "columns"
            return _table_facts(rows, description.dtype, of)
    return []


def _image_facts(images: ImageStatistics, description: Description) -> Facts:
    dtype, ranged = description.dtype, description.dataset.pixel_range
    noun = description.noun
    before = [] if ranged is None else [("scale", f"{ranged} in the source is 0 to 255 here")]
    facts = [
        *before,
        ("values", f"{dtype}, {images.lowest} to {images.highest}, none missing"),
        ("pixels", f"mean {images.mean:.2f}, standard deviation {images.std:.2f}"),
    ]
    if len(images.channel_means) > 1:
        pairs = zip(images.channel_means, images.channel_stds, strict=True)
        facts.append(("by channel", ", ".join(f"{mean:.2f} ± {std:.2f}" for mean, std in pairs)))
    return [
        *facts,
        ("never changing", f"{_share(images.constant_pixels)} of the pixels"),
        (f"brightest {noun}", f"{images.brightest} (mean {images.brightest_mean:.1f})"),
        (f"darkest {noun}", f"{images.darkest} (mean {images.darkest_mean:.1f})"),
    ]


def _text_facts(texts: TextStatistics) -> Facts:
    frequent = ", ".join(f"{word} {count:,}" for word, count in texts.frequent[:FREQUENT])
    return [
        (
            "words per text",
            f"{texts.shortest:,} to {texts.longest:,}, median {texts.median:g},"
            f" mean {texts.mean:.1f}, 95 % of the texts have at most {texts.percentile_95:g}",
        ),
        (f"over {LONG} words", f"{_many(texts.long, 'text')} ({_share(texts.long_share)})"),
        ("without words", _many(texts.empty, "text")),
        ("distinct words", f"{texts.distinct_words:,} among {texts.words:,}"),
        ("most frequent", frequent),
    ]


def _table_facts(rows: TableStatistics, dtype: str, of: str) -> Facts:
    known = [each for c in rows.columns for each in (c.lowest, c.highest) if each is not None]
    span = f"{dtype}, {_number(min(known))} to {_number(max(known))}" if known else dtype
    missing = f"{rows.missing:,}" if rows.missing else "none"
    constant, names = rows.constant_columns, "none"
    if constant:
        more = f" and {len(constant) - FEW_NAMES:,} more" if len(constant) > FEW_NAMES else ""
        names = f"{len(constant):,}: {', '.join(constant[:FEW_NAMES])}{more}"
    return [
        ("values", f"{span}, {missing} missing"),
        (f"constant {of}", names),
    ]


def _duplicates(description: Description) -> Facts:
    found, shared = description.duplicates, "none"
    other = {REGRESSION: "another number", MULTI_LABEL: "other labels"}.get(
        description.dataset.task.name, "another label"
    )
    differing = {REGRESSION: "different numbers", MULTI_LABEL: "different labels"}.get(
        description.dataset.task.name, "conflicting labels"
    )
    if found.shared:
        shared = f"{_many(found.shared, 'training sample')} also in the test set"
        if found.shared_conflicting:
            shared += f", {found.shared_conflicting:,} with {other} there"
    return [
        ("duplicates in training", _repeats(found.train, differing)),
        ("duplicates in test", _repeats(found.test, differing)),
        ("in both sets", shared),
    ]


def _repeats(repeats: "Repeats", differing: str) -> str:
    if not repeats.groups:
        return "none"
    text = (
        f"{_many(repeats.surplus, 'sample')} beyond the first of {_many(repeats.groups, 'group')}"
    )
    if repeats.conflicting_groups:
        text += (
            f"; {differing} in {_many(repeats.conflicting_groups, 'group')} of"
            f" {_many(repeats.conflicting_samples, 'sample')}"
        )
    return text


def _print_facts(facts: Facts) -> None:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column()
    for name, value in facts:
        grid.add_row(Text(name), Text(value))
    console.print(grid)


# Of a column's numbers; those with a `spare` are left out on a narrow terminal, the lowest first.
_MOMENTS = (Listed("lowest"), Listed("mean", spare=2), Listed("std", spare=1), Listed("highest"))
NARROW, LONGEST_NAME = 80, 12
BLOCKS = " ▁▂▃▄▅▆▇█"  # of a histogram in one line


def _print_numbers(numbers: tuple[NumberStatistics, ...]) -> None:
    called = {0: "lowest", 50: "median", 100: "highest"}
    shares = QUANTILES if console.width >= WIDE else (0, 25, 50, 75, 100)
    heads = [called.get(share, f"{share} %") for share in shares]
    spares = {25: 1, 75: 2}  # on a narrow terminal
    made = Listing(
        [
            Listed("number", is_number=False),
            *(
                Listed(head, spare=spares.get(share, 0))
                for head, share in zip(heads, shares, strict=True)
            ),
            Listed("mean"),
            Listed("std"),
        ]
    )
    for number in numbers[:MOST_CLASSES]:
        values = (*(number.quantiles[share] for share in shares), number.mean, number.std)
        made.add_row((_short(number.name), *map(_number, values)))
    console.print()
    console.print(made)
    console.print()
    for number in numbers[:MOST_CLASSES]:
        console.print(_histogram(number), overflow="ellipsis", no_wrap=True)
    rest = len(numbers) - MOST_CLASSES
    if rest > 0:
        console.print(f"[dim]{rest:,} more numbers; `--json` has all.[/]")


def _histogram(number: NumberStatistics) -> Text:
    """Return a number's histogram in one line, from its lowest to its highest value."""
    joined = 1 if console.width >= NARROW else 2  # bins to one block
    counts = [sum(number.counts[at : at + joined]) for at in range(0, len(number.counts), joined)]
    blocks = "".join(BLOCKS[_height(count, max(counts))] for count in counts)
    low, high = _number(number.quantiles[0]), _number(number.quantiles[100])
    return Text(f"{number.name[:LONGEST_NAME]}: {low} {blocks} {high}")


def _height(count: int, largest: int) -> int:
    """Return which block shows a count; one that is not 0 is seen."""
    return max(1, round(count / largest * (len(BLOCKS) - 1))) if count else 0


def _print_classes(classes: tuple[ClassCounts, ...], noun: str) -> None:
    numbers = ("number", "training", "share", "test", "test share")
    if noun == "class":
        numbers = ("label", *numbers[1:])
    made = table(numbers[0], noun, *numbers[1:], right=numbers)
    nouns = "classes" if noun == "class" else f"{noun}s"
    shown, rest = list(classes), 0
    if len(classes) > MOST_CLASSES:
        ordered = sorted(classes, key=lambda counted: -counted.train)
        shown, rest = ordered[:LARGEST] + ordered[-SMALLEST:], len(classes) - LARGEST - SMALLEST
    console.print()
    for position, counted in enumerate(shown):
        if rest and position == LARGEST:
            made.add_plain_row("…", f"{rest:,} {nouns} between these", "", "", "", "")
        made.add_plain_row(
            str(counted.label),
            counted.name,
            f"{counted.train:,}",
            _share(counted.train_share),
            f"{counted.test:,}",
            _share(counted.test_share),
        )
    console.print(made)
    if rest:
        console.print(f"[dim]The largest and the smallest {nouns}; `--json` has all.[/]")


def _print_columns(rows: TableStatistics) -> None:
    shown = rows.columns[:MOST_COLUMNS]
    typed = any(column.missing or column.type != NUMBER for column in shown)
    more = [Listed("type", is_number=False, spare=3), Listed("missing")] if typed else []
    frequent = "most frequent" if any(column.frequent for column in shown) else ""
    heads = [Listed("column", is_number=False), *more, *_MOMENTS]
    made = Listing(heads, heading=frequent, gap=", ")
    for column in shown:
        texts = (column.type, f"{column.missing:,}")[: len(more)]
        name = column.name
        if len(name) > console.width // 2:
            made.add_caption(name)
            name = ""
        made.add_row((name, *texts, *_moments(column)), _frequent(column))
    console.print()
    console.print(made)
    rest = len(rows.columns) - MOST_COLUMNS
    if rest > 0:
        console.print(f"[dim]{rest:,} more columns; `--json` has all.[/]")


def _short(name: str) -> str:
    """Return a name that leaves room for its numbers: the middle of a long one is left out."""
    most = 40 if console.width >= WIDE else 20
    return name if len(name) <= most else f"{name[: most - 6]}…{name[-5:]}"


def _moments(column: ColumnStatistics) -> list[str]:
    """Return lowest, mean, standard deviation and highest of a column; blank where it has none."""
    values = (column.lowest, column.mean, column.std, column.highest)
    texts = ["" if value is None else _number(value) for value in values]
    if column.type == DATE and column.std is not None:
        length = None if console.width >= NARROW else len("2024-12-31")
        shown = Column(column.name, DATE).shown
        texts = ["" if v is None else shown(round(v))[:length] for v in values]
        texts[2] = f"{_number(column.std / 86400)} days"
    return texts


def _frequent(column: ColumnStatistics) -> list[str]:
    words = [f"{word} {count:,}" for word, count in column.frequent[:FEW_NAMES]]
    known = max(column.categories, len(column.frequent))
    return [*words, f"and {known - FEW_NAMES:,} more"] if known > FEW_NAMES else words


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _number(value: float) -> str:
    """Return a table's value, shortened; large values keep the digits that distinguish them."""
    return f"{value:,.1f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


def _share(share: float) -> str:
    """Return a fraction (0 to 1) as a percentage."""
    return f"{100 * share:.1f} %"

"""`compare`: which of several trials is better; `report`: one HTML file on a study or several."""

from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING, Annotated

import typer

from search.cli.output import DEFAULT_HOME, AsJson, DataDir, Home, StudyNames, TrackingUri
from tracking.text import counted

if TYPE_CHECKING:
    from search.analysis.comparison.comparison import Comparison
    from search.analysis.comparison.confusion import Cell
    from search.analysis.comparison.evidence import Entry, Pair

_LONGEST_NAME = 24  # characters; longer names get lines of their own
_MOST_PAIRS = 20


def compare(
    studies: StudyNames,
    trials: Annotated[
        str,
        typer.Option(
            "--trials",
            metavar="best|N,M",
            help="`best`: the best trial of each study; for one study, its best and its baselines."
            " Numbers: trials of one study, with commas between them.",
        ),
    ] = "best",
    objective: Annotated[
        str,
        typer.Option(
            help="Metric to compare by, one that all trials recorded; else the studies' own"
            " objective.",
            show_default=False,
        ),
    ] = "",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for pictures and all numbers.")
    ] = None,
    latency: Annotated[
        bool,
        typer.Option(
            "--latency",
            help="Measure how long one prediction takes; needs the dataset and a few seconds.",
        ),
    ] = False,
    data_dir: DataDir = None,
    home: Home = DEFAULT_HOME,
    json: AsJson = False,
) -> None:
    """Compare trials of one study, or the best trials of several studies on one dataset.

    The studies' objective is compared fold by fold with the corrected resampled t-test, and
    predictions sample by sample: with McNemar's test, or with a t-test of the samples' errors where
    numbers or labels are predicted. With three or more trials, p-values are corrected by Holm's
    method. Differences of fractions are in percentage points.
    """
    from search.analysis.comparison.comparison import compare as compare_contenders
    from search.analysis.comparison.contenders import chosen_contenders
    from search.analysis.comparison.files import document, write_comparison
    from search.cli.output import Notices, print_json, say
    from tracking.home import Home as HomeFolder
    from tracking.text import shell

    folders, notify = HomeFolder(home), Notices(quiet=json)
    contenders = chosen_contenders(folders, studies, trials)
    latencies: tuple[float, ...] = ()
    if latency:
        from search.export.refit import measured_latencies

        latencies = measured_latencies(folders, contenders, data_dir=data_dir, notify=notify)
    comparison = compare_contenders(contenders, objective=objective, latencies=latencies)
    written = write_comparison(comparison, out) if out is not None else []
    if json:
        print_json({**document(comparison), "files": [str(path) for path in written]})
        return
    _print(comparison)
    for path in written:
        say(f"wrote {path}")
    if not written:
        chosen = [] if trials == "best" else ["--trials", trials]
        chosen += ["--objective", objective] if objective else []
        chosen += ["--latency"] if latency else []
        place = () if home == DEFAULT_HOME else ("--home", str(home))
        command = shell("compare", *studies, *chosen, *place, "--out", "comparison")
        say(f"Pictures  {command}")


def _print(comparison: "Comparison") -> None:
    from search.cli.output import console, say

    say(comparison.verdict)
    for note in comparison.notes:
        say(note)
    _print_entries(comparison)
    _print_pairs(comparison)
    _print_ranking(comparison)
    _print_cells("Right, by class", comparison.differing_classes, comparison)
    _print_cells("Confused most differently", comparison.differing_pairs, comparison)
    console.print()


def _print_entries(comparison: "Comparison") -> None:
    from rich.markup import escape

    from search.analysis.measure import objective_name
    from search.cli.output import console
    from search.cli.tables import Column, Listing

    entries = comparison.entries
    folds = sorted({len(entry.folds) for entry in entries})
    many = counted(" or ".join(map(str, folds)), "fold")
    console.print(f"\n[bold]Means over {many} of {escape(comparison.dataset)}[/]", soft_wrap=True)
    beside = max(len(entry.label) for entry in entries) <= _LONGEST_NAME
    has_latency = any(entry.latency_ms is not None for entry in entries)
    columns = [
        Column("", is_number=False),
        *([Column("trial", is_number=False)] if beside else []),
        Column(objective_name(comparison.measure)),
        Column("± folds", spare=6),
        *(Column(objective_name(o), spare=4 if o.fold == "loss" else 5) for o in comparison.others),
        Column("time", spare=3),
        Column("parameters", spare=2),
        *([Column("latency ms", spare=1)] if has_latency else []),
    ]
    made = Listing(columns, "" if beside else "trial")
    for letter, entry in zip(ascii_uppercase, entries, strict=False):
        name = [entry.label]
        numbers = _numbers(entry, comparison, latency=has_latency)
        cells = [letter, *(name if beside else []), *numbers]
        made.add_row(cells, () if beside else name)
    console.print(made)


def _numbers(entry: "Entry", comparison: "Comparison", *, latency: bool) -> list[str]:
    from search.analysis.measure import score_and_spread, score_text
    from search.cli.output import duration

    cells = [
        *score_and_spread(comparison.measure, entry.score, entry.spread),
        *(score_text(o, entry.scores.get(o.fold)) for o in comparison.others),
        duration(entry.train_seconds),
        f"{entry.model_parameters:,}",
    ]
    if latency:
        cells.append("-" if entry.latency_ms is None else f"{entry.latency_ms:.2f}")
    return cells


def _print_pairs(comparison: "Comparison") -> None:
    from rich.markup import escape

    from search.analysis.measure import objective_name, unit_of
    from search.cli.output import console
    from search.cli.tables import Column, Listing

    pairs = comparison.pairs
    measure = comparison.measure
    has_holm, has_wilcoxon = len(pairs) > 1, any(p.wilcoxon_p is not None for p in pairs)
    tests = next(([test.name for test in p.errors] for p in pairs if p.errors), [])
    columns = [
        Column("", is_number=False),
        Column(unit_of(measure).strip() or "difference"),
        Column(f"{100 * comparison.level:g} % interval"),
        Column("p", spare=2 if has_holm else 0),
        *([Column("Holm p")] if has_holm else []),
        *([Column("McNemar p", spare=3)] if comparison.classes else []),
        *(Column(f"{name} p", spare=3) for name in tests),
        *([Column("Wilcoxon p", spare=1)] if has_wilcoxon else []),
    ]
    made = Listing(columns)
    for pair in pairs[:_MOST_PAIRS]:
        cells = _pair_cells(pair, comparison, holm=has_holm, wilcoxon=has_wilcoxon, tests=tests)
        made.add_row(cells)
    smaller = "" if measure.larger else "; smaller is better"
    console.print(f"\n[bold]Differences in {escape(objective_name(measure))}[/]{smaller}")
    console.print(made)
    if len(pairs) > _MOST_PAIRS:
        console.print(f"[dim]and {len(pairs) - _MOST_PAIRS} more: `--json` has all[/]")


def _pair_cells(
    pair: "Pair", comparison: "Comparison", *, holm: bool, wilcoxon: bool, tests: list[str]
) -> list[str]:
    """Return a pair's row; its difference is above zero where the first is better."""
    from search.analysis.comparison.notes import difference_texts
    from search.analysis.measure import p_text

    first, second = ascii_uppercase[pair.first], ascii_uppercase[pair.second]
    ps = {test.name: test.p for test in pair.errors}
    return [
        f"{first} - {second}" if comparison.measure.larger else f"{second} - {first}",
        *difference_texts(comparison.measure, pair),
        p_text(pair.difference.p),
        *([p_text(pair.holm_p)] if holm else []),
        *([p_text(pair.mcnemar.p if pair.mcnemar else None)] if comparison.classes else []),
        *(p_text(ps.get(name)) for name in tests),
        *([p_text(pair.wilcoxon_p)] if wilcoxon else []),
    ]


def _print_ranking(comparison: "Comparison") -> None:
    from search.analysis.measure import p_text
    from search.cli.output import say

    ranking = comparison.ranking
    if ranking is None:
        return
    ranks = ", ".join(
        f"{letter} {rank:.2f}" for letter, rank in zip(ascii_uppercase, ranking.ranks, strict=False)
    )
    say(
        f"Friedman p {p_text(ranking.p)}; mean ranks {ranks};"
        f" critical difference {ranking.critical_difference:.2f}"
    )


def _print_cells(title: str, cells: "tuple[Cell, ...]", comparison: "Comparison") -> None:
    from search.analysis.comparison.notes import points
    from search.cli.output import console, table

    if not cells:
        return
    numbers = ("A", "B", "points")
    is_diagonal = cells[0].true == cells[0].predicted
    made = table("class" if is_diagonal else "confused", *numbers, right=numbers)
    for cell in cells:
        true, predicted = comparison.classes[cell.true], comparison.classes[cell.predicted]
        made.add_plain_row(
            true if is_diagonal else f"{true} taken for {predicted}",
            f"{100 * cell.first:.1f} %",
            f"{100 * cell.second:.1f} %",
            points(cell.difference),
        )
    console.print(f"\n[bold]{title}[/], A against B, share of the true class", soft_wrap=True)
    console.print(made)


def report(
    study: StudyNames,
    out: Annotated[Path, typer.Option("--out", "-o", help="HTML file to write.")] = Path(
        "report.html"
    ),
    overwrite: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
    data_dir: DataDir = None,
    tracking_uri: TrackingUri = None,
    home: Home = DEFAULT_HOME,
    json: AsJson = False,
) -> None:
    """Write a report: one HTML file that opens without a network, also logged to MLflow.

    The best trial against the baselines, the search, the parameters, curves, what pruning saved,
    confusion matrices, the most confident mistakes, time, and how to reproduce it. Several
    studies are compared first.
    """
    from search.analysis.report.report import Written, write_report
    from search.cli.output import Notices, print_json, say
    from search.tracker import Tracker
    from tracking.home import Home as HomeFolder

    def tell(written: Written) -> None:
        if not json:
            what = "1 study" if len(written.studies) == 1 else f"{len(written.studies)} studies"
            say(f"Written: {out} ({written.size / 1e6:.1f} MB, {what})")
            say(f"Open it in a browser: {written.file.as_uri()}")

    folders = HomeFolder(home)
    notify = Notices(quiet=json)
    written = write_report(
        folders,
        study,
        target=out,
        overwrite=overwrite,
        data_dir=data_dir,
        tracker=Tracker(folders, tracking_uri),
        notify=notify,
        on_written=tell,
    )
    if json:
        print_json(
            {
                "file": str(written.file),
                "bytes": written.size,
                "studies": list(written.studies),
                "records_not_in_mlflow": written.waiting,
                "notices": notify.texts,
            }
        )

"""What predictions show, out of fold or on the test set, by class, label or number."""

from collections.abc import Sequence
from typing import Any

from search.cli.output import console, percent, say
from search.cli.tables import Column, Listing
from search.data.folds import coverage
from search.tasks import TASKS, Classification, MultiLabel, Regression
from tracking.objectives import measure_text, number_text
from tracking.records import Json, OutputReport, StudyStarted, TrialEnded

_MOST_CLASSES, _MOST_NUMBERS = 12, 6
_QUANTILES = ("5 %", "25 %", "median", "75 %", "95 %")


def print_predictions(study: StudyStarted, ended: TrialEnded) -> None:
    """Print how a trial's predictions compare with what is true; nothing without any."""
    for output in study.outputs(ended.report, ended.confusion):
        if output.name:
            say(f"Output {output.name}, {output.study.task}:")
        _print_output(output)


def print_report(output: OutputReport) -> None:
    """Print the scores on the test set by class, label or number."""
    study, report = output.study, output.report
    kind = TASKS[study.task]
    if kind is Classification:
        _print_scores("class", study.classes, report)
    elif kind is MultiLabel:
        _print_scores("label", study.classes, report["report"])
    elif kind is Regression:
        for name in study.classes:
            _print_errors(name, report["numbers"][name]["by_size"])


def _print_output(output: OutputReport) -> None:
    study, report = output.study, output.report
    kind = TASKS[study.task]
    if kind is Classification:
        _print_confusion(study, output.confusion)
    elif kind is MultiLabel and report:
        _print_labels(study, report)
    elif kind is Regression and report:
        _print_numbers(study, report["numbers"])


def _heading(study: StudyStarted, what: str, more: str = "") -> None:
    told = "; ".join(part for part in (more, coverage(study)) if part)
    say(f"Out-of-fold {what}{f' ({told})' if told else ''}")


def _print_confusion(study: StudyStarted, confusion: list[list[int]]) -> None:
    if not confusion or len(confusion) > _MOST_CLASSES:
        return
    names = study.classes
    corner, headings = "true \\ predicted", [name[:8] for name in names]
    places = len(str(max(map(max, confusion))))
    width = sum(max(len(heading), places) + 2 for heading in headings) + 16
    if width > console.width or len(set(headings)) < len(names):
        # Numbers make narrow headings that differ; the rows name their classes.
        headings = [str(number) for number in range(len(names))]
        room = console.width - sum(max(len(number), places) + 2 for number in headings)
        names = [f"{number} {name}"[: max(room, 10)] for number, name in enumerate(names)]
        corner = "true"
    made = _listing([corner, *headings])
    for name, row in zip(names, confusion, strict=True):
        made.add_row([name, *(str(count) if count else "·" for count in row)])
    _heading(study, "confusion matrix", "columns: predicted")
    console.print(made)


def _print_labels(study: StudyStarted, report: Json) -> None:
    made = _listing(
        ["label", "precision", "recall", "F1", "have it", "found", "missed", "wrongly given"]
    )
    for name in study.classes:
        scores = report["report"].get(name, {})
        (_, wrong), (missed, found) = report["confusion"][name]
        shown = [measure_text(key, scores.get(key)) for key in ("precision", "recall", "f1-score")]
        made.add_row([name, *shown, *(f"{n:,}" for n in (found + missed, found, missed, wrong))])
    _heading(study, "labels")
    console.print(made)


def _print_numbers(study: StudyStarted, numbers: Json) -> None:
    made = _listing(["number", "rmse", "mae", "r2", "bias", "samples"])
    for name, told in numbers.items():
        scores = [number_text(told[key]) for key in ("rmse", "mae", "r2", "bias")]
        made.add_row([name, *scores, f"{told['samples']:,}"])
    _heading(study, "predictions", "bias: mean of predicted less actual")
    console.print(made)
    for name, told in list(numbers.items())[:_MOST_NUMBERS]:
        say(f"Errors of {name} by its actual value (predicted less actual)")
        console.print(_by_size(told["by_size"]))


def _by_size(groups: Sequence[Any]) -> Listing:
    made = _listing(["from", "to", "samples", "mae", *_QUANTILES], names=False)
    for group in groups:
        ends = [number_text(group[key]) for key in ("from", "to")]
        errors = [number_text(error) for error in group["quantiles"]]
        made.add_row([*ends, f"{group['samples']:,}", number_text(group["mae"]), *errors])
    return made


def _listing(headings: Sequence[str], *, names: bool = True) -> Listing:
    """Return an empty listing of numbers; the first column holds names."""
    first, *others = headings
    return Listing([Column(first, is_number=not names), *map(Column, others)])


def _print_scores(what: str, names: Sequence[str], report: Json) -> None:
    made = _listing([what, "precision", "recall", "F1", "samples"])
    for name in names:
        row = report[name]
        scores = (percent(row[key]) for key in ("precision", "recall", "f1-score"))
        made.add_row([name, *scores, f"{row['support']:.0f}"])
    console.print(made)


def _print_errors(name: str, groups: Sequence[Any]) -> None:
    """Print errors of a number by the size of what is true."""
    from search.export.scores import digits, shown  # with SciPy

    made = _listing([f"{name} is", "samples", "mean error", "MAE", "5 % below", "5 % above"])
    for group in groups:
        errors = (group["bias"], group["mae"], group["quantiles"][0], group["quantiles"][-1])
        where = f"{digits(group['from'])} to {digits(group['to'])}"
        made.add_row([where, f"{group['samples']:,}", *map(shown, errors)])
    console.print(made)

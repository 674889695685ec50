"""The comparison as files: pictures, all numbers as JSON and CSV, and a table for LaTeX."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

from search.analysis.comparison.comparison import Comparison
from search.analysis.comparison.confusion import Cell
from search.analysis.comparison.evidence import Entry, Pair
from search.analysis.comparison.notes import difference_texts
from search.analysis.measure import objective_name, p_text, score_and_spread, unit_of
from search.errors import SettingsError
from tracking.objectives import Objective

DIFFERENCE, RANKS, NUMBERS = "difference.png", "critical_difference.png", "comparison.json"
CSV, LATEX = "comparison.csv", "comparison.tex"


def write_comparison(comparison: Comparison, folder: Path) -> list[Path]:
    """Write a comparison's files and return their paths; an earlier comparison's are replaced.

    Raises:
        SettingsError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refusal(folder, error) from error
    paths = []
    for name, content in _files(comparison):
        path = folder / name
        try:
            path.write_bytes(content)
        except OSError as error:
            raise _refusal(path, error) from error
        paths.append(path)
    stale = folder / RANKS  # from an earlier comparison with more contenders
    if stale not in paths and stale.is_file():
        stale.unlink()
    return paths


def _files(comparison: Comparison) -> Iterator[tuple[str, bytes]]:
    # importing Matplotlib takes a second
    from search.analysis.comparison.confusion import difference_png
    from search.analysis.comparison.ranks import critical_difference_png

    one, other = comparison.entries[:2]
    names = one.label, other.label
    if comparison.classes:
        yield DIFFERENCE, difference_png(one.confusion, other.confusion, comparison.classes, names)
    if comparison.ranking is not None:
        labels = [entry.label for entry in comparison.entries]
        yield RANKS, critical_difference_png(comparison.ranking, labels)
    yield CSV, csv_text(comparison).encode()
    yield LATEX, latex_text(comparison).encode()
    text = json.dumps(document(comparison), ensure_ascii=False, indent=1, allow_nan=False)
    yield NUMBERS, text.encode()


def _refusal(path: Path, error: OSError) -> SettingsError:
    return SettingsError(
        f"`--out` must be a folder that can be written; {path} cannot be ({error.strerror})."
        " Choose another."
    )


def document(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as a dictionary for JSON; differences are in the metric's unit."""
    labels = [entry.label for entry in comparison.entries]
    ranking = comparison.ranking
    return {
        "verdict": comparison.verdict,
        "dataset": comparison.dataset,
        "measure": comparison.measure.fold,
        "larger_is_better": comparison.measure.larger,
        "level": comparison.level,
        "entries": [_entry_json(entry) for entry in comparison.entries],
        "pairs": [_pair(pair, comparison) for pair in comparison.pairs],
        "friedman": None
        if ranking is None
        else {
            **asdict(ranking),
            "ranks": dict(zip(labels, ranking.ranks, strict=True)),
            "groups": [[labels[n] for n in group] for group in ranking.groups],
        },
        "classes": list(comparison.classes),
        "differing_classes": [_cell(c, comparison.classes) for c in comparison.differing_classes],
        "differing_pairs": [_cell(c, comparison.classes) for c in comparison.differing_pairs],
        "notes": list(comparison.notes),
    }


def _pair(pair: Pair, comparison: Comparison) -> dict[str, Any]:
    found = asdict(pair)
    return {
        **found,
        "first": comparison.entries[pair.first].label,
        "second": comparison.entries[pair.second].label,
        "claimed": pair.is_claimed(comparison.level),
    }


def _cell(cell: Cell, classes: tuple[str, ...]) -> dict[str, Any]:
    names = {"true": classes[cell.true], "predicted": classes[cell.predicted]}
    return {**asdict(cell), **names, "difference": cell.difference}


def _entry_json(entry: Entry) -> dict[str, Any]:
    """Return an entry, its scores also by their names alone, with null for what JSON lacks."""
    scores, spreads = _finite(entry.scores), _finite(entry.spreads)
    return {**scores, **asdict(entry), "scores": scores, "spreads": spreads}


def _finite(numbers: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: n if n is not None and isfinite(n) else None for name, n in numbers.items()}


def csv_text(comparison: Comparison) -> str:
    """Return one row a trial: means, spreads over the folds, and how far it is behind the first.

    Columns: `trial`, `study`, `number`, `origin`, `folds`, for each metric `NAME` and `NAME_std`
    (sample standard deviation over the folds), `train_seconds`, `model_parameters`; then of the
    difference to the first trial, in the metric's unit, `behind`, the ends of its interval, `p` and
    `holm_p`.
    """
    import pandas

    rows = []
    for entry, pair in zip(comparison.entries, _to_first(comparison), strict=True):
        row: dict[str, object] = {
            "trial": entry.label,
            "study": entry.study,
            "number": entry.trial,
            "origin": entry.origin,
            "folds": len(entry.folds),
        }
        for measure in (comparison.measure, *comparison.others):
            row[measure.fold] = entry.scores.get(measure.fold)
            row[f"{measure.fold}_std"] = entry.spreads.get(measure.fold)
        row |= {"train_seconds": entry.train_seconds, "model_parameters": entry.model_parameters}
        if pair is not None:
            found = pair.difference
            row |= {"behind": found.mean, "behind_low": found.low, "behind_high": found.high}
            row |= {"p": found.p, "holm_p": pair.holm_p}
        rows.append(row)
    return str(pandas.DataFrame(rows).to_csv(index=False))


def latex_text(comparison: Comparison) -> str:
    r"""Return a `tabular` for LaTeX's package booktabs, after a comment on what it shows."""
    import pandas

    several = len(comparison.pairs) > 1
    behind = f"behind{_in_unit(comparison.measure)}, {100 * comparison.level:g} % interval"
    rows = []
    for entry, pair in zip(comparison.entries, _to_first(comparison), strict=True):
        p = None if pair is None else pair.holm_p if several else pair.difference.p
        rows.append(
            {
                "": entry.label,
                **{
                    objective_name(measure): _score(measure, entry)
                    for measure in (comparison.measure, *comparison.others)
                },
                behind: "" if pair is None else _behind(comparison.measure, pair),
                "Holm p" if several else "p": "" if p is None else p_text(p),
            }
        )
    frame = pandas.DataFrame(rows)
    table = frame.to_latex(index=False, escape=True, column_format="l" + "r" * (len(rows[0]) - 1))
    folds = " or ".join(map(str, sorted({len(entry.folds) for entry in comparison.entries})))
    test = "corrected resampled t-test (Nadeau and Bengio 2003)"
    if not all(pair.paired for pair in comparison.pairs):
        test += "; unpaired (Welch) where folds differ"
    told = (
        f"% Mean ± standard deviation over {folds} folds of {comparison.dataset}. Intervals and p:"
        f" {test}, with allowance for choosing the best{'; p by Holm' if several else ''}."
    )
    return f"{' '.join(told.split())}\n% Needs \\usepackage{{booktabs}}.\n{table}"


def _to_first(comparison: Comparison) -> list[Pair | None]:
    """Return each entry's pair with the first; None for the first itself."""
    pairs = {pair.second: pair for pair in comparison.pairs if pair.first == 0}
    return [pairs.get(number) for number in range(len(comparison.entries))]


def _score(measure: Objective, entry: Entry) -> str:
    value, spread = entry.scores.get(measure.fold), entry.spreads.get(measure.fold)
    if value is None:
        return "-"
    text, deviation = score_and_spread(measure, value, spread)
    return text if spread is None else f"{text} ± {deviation}"


def _in_unit(measure: Objective) -> str:
    unit = unit_of(measure).strip()
    return f" ({unit})" if unit else ""


def _behind(measure: Objective, pair: Pair) -> str:
    difference, interval = difference_texts(measure, pair)
    return difference if interval == "-" else f"{difference} ({interval})"

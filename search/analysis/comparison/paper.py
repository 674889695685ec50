"""The comparison as tables: for LaTeX with the digits that are shown, as CSV with all of them."""

from typing import TYPE_CHECKING

from search.analysis.comparison.evidence import Entry, Pair
from search.analysis.comparison.notes import difference_texts
from search.analysis.measure import objective_name, score_and_spread, unit_of
from tracking.objectives import Objective

if TYPE_CHECKING:
    from search.analysis.comparison.comparison import Comparison

CSV, LATEX = "comparison.csv", "comparison.tex"


def csv_text(comparison: "Comparison") -> str:
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


def latex_text(comparison: "Comparison") -> str:
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
                "Holm p" if several else "p": "" if p is None else _p_text(p),
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


def _to_first(comparison: "Comparison") -> list[Pair | None]:
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


def _p_text(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"

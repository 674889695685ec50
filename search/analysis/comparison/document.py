"""A comparison as JSON."""

from dataclasses import asdict
from math import isfinite
from typing import Any

from search.analysis.comparison.cells import Cell
from search.analysis.comparison.comparison import Comparison
from search.analysis.comparison.entries import Pair


def document(comparison: Comparison) -> dict[str, Any]:
    """Return all of a comparison as a JSON-ready dictionary; differences are of fractions."""
    labels = [entry.label for entry in comparison.entries]
    ranking = comparison.ranking
    return {
        "verdict": comparison.verdict,
        "dataset": comparison.dataset,
        "measure": "accuracy",
        "level": comparison.level,
        "entries": [_finite(asdict(entry)) for entry in comparison.entries],
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


def _finite(entry: dict[str, Any]) -> dict[str, Any]:
    """Return an entry whose numbers that JSON lacks, as the loss of a wild model, are null."""
    return {
        name: None if isinstance(value, float) and not isfinite(value) else value
        for name, value in entry.items()
    }

"""Write a comparison as JSON, and as a folder of pictures and numbers."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

from search.analysis.comparison.comparison import Comparison
from search.analysis.comparison.confusion import Cell
from search.analysis.comparison.evidence import Pair
from search.errors import SettingsError


def document(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as a dictionary for JSON; differences are fractions."""
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
    """Return an entry with null for numbers that JSON lacks, such as an infinite loss."""
    return {
        name: None if isinstance(value, float) and not isfinite(value) else value
        for name, value in entry.items()
    }


DIFFERENCE, RANKS, NUMBERS = "difference.png", "critical_difference.png", "comparison.json"


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
    text = json.dumps(document(comparison), ensure_ascii=False, indent=1, allow_nan=False)
    yield NUMBERS, text.encode()


def _refusal(path: Path, error: OSError) -> SettingsError:
    return SettingsError(
        f"`--out` must be a folder that can be written; {path} cannot be ({error.strerror})."
        " Choose another."
    )

"""What a comparison comes to, in plain words."""

from collections.abc import Sequence

from search.analysis.comparison.entries import Entry, Pair


def verdict(entries: Sequence[Entry], pairs: Sequence[Pair], level: float) -> str:
    """Return one or two sentences: which is better and by how much, or that none can be told."""
    if len(entries) == 2:
        return _of_two(entries, pairs[0], level)
    return _of_many(entries, pairs, level)


def points(fraction: float) -> str:
    """Return a difference of fractions as percent points: `0.62`, `-1.04`."""
    text = f"{100 * fraction:.2f}"
    return "0.00" if text == "-0.00" else text


def interval_text(pair: Pair) -> str:
    """Return the interval in points, `0.20 to 1.04`; a dash where there is none."""
    low, high = pair.difference.low, pair.difference.high
    return "-" if low is None or high is None else f"{points(low)} to {points(high)}"


def _of_two(entries: Sequence[Entry], pair: Pair, level: float) -> str:
    first, second = (entries[n].label for n in (pair.first, pair.second))
    by = f"{points(pair.difference.mean)} points"
    interval = f"{100 * level:g} % interval {interval_text(pair)}"
    if pair.is_claimed(level):
        return f"{first} is better than {second} by {by} of accuracy ({interval})."
    if pair.holm_p is None:
        return (
            f"No difference between {first} and {second} can be claimed: one fold has no spread"
            f" to judge {by} of accuracy by. Search with `--folds 5`."
        )
    if pair.difference.mean == 0:
        return f"No difference between {first} and {second} can be claimed: 0 points ({interval})."
    return (
        f"No difference between {first} and {second} can be claimed: {first} is {by} of accuracy"
        f" ahead ({interval})."
    )


def _of_many(entries: Sequence[Entry], pairs: Sequence[Pair], level: float) -> str:
    best = entries[0]
    of_best = [pair for pair in pairs if pair.first == 0]
    names = {pair: entries[pair.second].label for pair in of_best}
    worse = [names[pair] for pair in of_best if pair.is_claimed(level)]
    open_ = [names[pair] for pair in of_best if not pair.is_claimed(level)]
    score = f"{best.label} has the highest mean accuracy, {best.accuracy:.4f}"
    if not open_:
        return f"{score}, and is better than {_listed(worse, 'and')}."
    if all(pair.holm_p is None for pair in of_best):
        return (
            f"{score}, but no difference to {_listed(open_, 'or')} can be claimed: one fold has"
            " no spread to judge it by. Search with `--folds 5`."
        )
    if not worse:
        return f"{score}, but no difference to {_listed(open_, 'or')} can be claimed."
    return (
        f"{score}, and is better than {_listed(worse, 'and')};"
        f" no difference to {_listed(open_, 'or')} can be claimed."
    )


def _listed(names: Sequence[str], word: str) -> str:
    *most, last = names
    return f"{', '.join(most)} {word} {last}" if most else last

"""Tables and verdicts of `probabilities.py`, from its JSON file alone."""

from collections.abc import Callable, Iterator, Sequence
from math import sqrt
from typing import Any

import numpy as np
from probability_cases import CASES
from probability_scores import LEVEL, mean_interval

Runs = list[dict[str, Any]]
Say = Callable[[str, str], float]
LESS, ECE, COVERAGE = 0.05, 0.015, 0.015  # the aims: a share of log loss, and two probabilities


def tables(kept: dict[str, Any]) -> str:
    """Return all tables and the verdicts, as Markdown."""
    by_case = {
        name: [run for run in kept["runs"] if run["case"] == name]
        for name in CASES
        if any(run["case"] == name for run in kept["runs"])
    }
    classes = {name: runs for name, runs in by_case.items() if not CASES[name].numbers}
    numbers = {name: runs for name, runs in by_case.items() if CASES[name].numbers}
    parts = [
        _classes(classes) if classes else "",
        _sets(by_case) if any(_has_sets(runs) for runs in by_case.values()) else "",
        _numbers(numbers) if numbers else "",
        _costs(by_case),
        _searches(kept.get("cost", [])) if kept.get("cost") else "",
        "\n".join(f"- {line}" for line in verdicts(classes, by_case, kept.get("cost", []))),
    ]
    return "\n\n".join(part for part in parts if part)


def verdicts(classes: dict[str, Runs], by_case: dict[str, Runs], cost: Runs) -> Iterator[str]:
    """Yield a sentence for each aim."""
    less = [name for name, runs in classes.items() if _change(runs)[0] <= -LESS]
    surely = [name for name, runs in classes.items() if _change(runs)[2] < 0]
    worse = [name for name, runs in classes.items() if _change(runs)[1] > 0]
    single = [(run["case"], run["seed"]) for run in _all(classes) if run["difference"][1] > 0]
    yield (
        f"Log loss at least {LESS:.0%} below the plain model's: {len(less)} of {len(classes)}"
        f" ({_names(less)}); significantly better over seeds: {_names(surely)}; significantly"
        f" worse over seeds: {_names(worse)}; single models significantly worse over samples:"
        f" {len(single)} of {len(_all(classes))}."
    )
    small = [name for name, runs in classes.items() if _mean(runs, "exported", "ece") <= ECE]
    by_chance = [
        name
        for name, runs in classes.items()
        if _mean(runs, "exported", "ece") <= max(ECE, _mean(runs, "exported", "ece_by_chance_95"))
    ]
    yield (
        f"Calibration error at most {ECE}: {len(small)} of {len(classes)} ({_names(small)}); at"
        f" most that, or what perfect probabilities show on as few samples 19 times of 20:"
        f" {len(by_chance)} of {len(classes)}; not: {_names(set(classes) - set(by_chance))}."
    )
    with_sets = {name: runs for name, runs in by_case.items() if _has_sets(runs)}
    if with_sets:
        yield _coverage_verdict(with_sets)
    if cost:
        yield _cost_verdict(cost)


def _coverage_verdict(with_sets: dict[str, Runs]) -> str:
    inside: list[str] = []
    in_doubt: list[str] = []
    outside: list[str] = []
    for name, runs in with_sets.items():
        off = abs(_mean(runs, "exported", "coverage") - LEVEL)
        doubt = 1.96 * sqrt(LEVEL * (1 - LEVEL) / runs[0]["samples"])
        kind = inside if off <= COVERAGE else in_doubt if off <= COVERAGE + doubt else outside
        kind.append(name)
    return (
        f"Coverage within {LEVEL - COVERAGE:.3f} to {LEVEL + COVERAGE:.3f}: {len(inside)} of"
        f" {len(with_sets)}; beyond, but not by more than the test set's size leaves in doubt:"
        f" {_names(in_doubt)}; beyond that: {_names(outside)}."
    )


def _classes(by_case: dict[str, Runs]) -> str:
    head = (
        "| classes | test samples | seeds | log loss, plain | exported | change (95 % over seeds) |"
        " better, worse over samples | accuracy | calibration error | by chance | Brier |"
    )
    return "\n".join([head, _rule(head), *(_class_row(*item) for item in by_case.items())])


def _class_row(name: str, runs: Runs) -> str:
    change, low, high = _change(runs)
    better = sum(run["difference"][2] < 0 for run in runs)
    worse = sum(run["difference"][1] > 0 for run in runs)

    def both(key: str, form: str) -> str:
        return f"{_mean(runs, 'plain', key):{form}} → {_mean(runs, 'exported', key):{form}}"

    return _row(
        name,
        f"{runs[0]['samples']:,}",
        str(len(runs)),
        f"{_mean(runs, 'plain', 'log_loss'):.4f}",
        f"{_mean(runs, 'exported', 'log_loss'):.4f}",
        f"**{change:+.1%}**" + (f" ({low:+.1%} to {high:+.1%})" if len(runs) > 1 else ""),
        f"{better}, {worse}",
        both("accuracy", ".4f"),
        both("ece", ".4f"),
        f"{_mean(runs, 'exported', 'ece_by_chance'):.4f}",
        both("brier", ".4f"),
    )


def _sets(by_case: dict[str, Runs]) -> str:
    head = (
        "| sets and intervals at 0.9 | coverage, exported | lowest, highest seed | mean size or"
        " width | plain model's own 0.9: coverage | mean size |"
    )
    rows = []
    for name, runs in by_case.items():
        if not _has_sets(runs):
            continue
        found = [run["arms"]["exported"]["coverage"] for run in runs]
        size = "width" if CASES[name].numbers else "set_size"
        own = ("own_coverage", "own_set_size")
        rows.append(
            _row(
                name,
                f"**{np.mean(found):.4f}**",
                f"{min(found):.4f}, {max(found):.4f}",
                f"{_mean(runs, 'exported', size):.4g}",
                *(
                    ("", "")
                    if CASES[name].numbers
                    else (f"{_mean(runs, 'plain', key):.4g}" for key in own)
                ),
            )
        )
    return "\n".join([head, _rule(head), *rows])


def _numbers(by_case: dict[str, Runs]) -> str:
    head = "| numbers | test samples | seeds | RMSE, plain | exported | change of squared error |"
    rows = []
    for name, runs in by_case.items():
        change, low, high = _change(runs)
        rows.append(
            _row(
                name,
                f"{runs[0]['samples']:,}",
                str(len(runs)),
                f"{_mean(runs, 'plain', 'rmse'):.4g}",
                f"{_mean(runs, 'exported', 'rmse'):.4g}",
                f"**{change:+.1%}**" + (f" ({low:+.1%} to {high:+.1%})" if len(runs) > 1 else ""),
            )
        )
    return "\n".join([head, _rule(head), *rows])


def _costs(by_case: dict[str, Runs]) -> str:
    head = (
        "| cost | search, CPU s | complete trials | export, CPU s: plain | exported | models |"
        " MB: plain | exported | ms for 1: plain | exported | ms for 256: plain | exported |"
    )
    rows = []
    for name, runs in by_case.items():
        pairs = [
            f"{_mean(runs, arm, key) / unit:.{digits}f}"
            for key, unit, digits in (("bytes", 1e6, 2), ("ms_1", 1, 2), ("ms_256", 1, 2))
            for arm in ("plain", "exported")
        ]
        rows.append(
            _row(
                name,
                f"{np.mean([run['search']['cpu_seconds'] for run in runs]):.0f}",
                f"{np.mean([run['search']['complete'] for run in runs]):.1f}",
                f"{_mean(runs, 'plain', 'cpu_seconds'):.0f}",
                f"{_mean(runs, 'exported', 'cpu_seconds'):.0f}",
                f"{_mean(runs, 'exported', 'models'):.1f}",
                *pairs,
            )
        )
    return "\n".join([head, _rule(head), *rows])


def _searches(cost: Runs) -> str:
    head = "| search again | runs of each | CPU s, earlier version | this version | change |"
    rows = []
    for name in dict.fromkeys(line["case"] for line in cost):
        earlier, this = (_cpu(cost, name, version) for version in ("earlier", "this"))
        change = np.mean(this) / np.mean(earlier) - 1
        rows.append(
            _row(
                name,
                str(len(this)),
                f"{np.mean(earlier):.1f}",
                f"{np.mean(this):.1f}",
                f"{change:+.1%}",
            )
        )
    return "\n".join([head, _rule(head), *rows])


def _cost_verdict(cost: Runs) -> str:
    names = list(dict.fromkeys(line["case"] for line in cost))
    earlier, this = (
        sum(float(np.mean(_cpu(cost, name, version))) for name in names)
        for version in ("earlier", "this")
    )
    return (
        f"Search cost: {this / earlier - 1:+.1%} processor seconds over {len(names)} cases,"
        f" searched again in turn with the version before."
    )


def _cpu(cost: Runs, name: str, version: str) -> list[float]:
    return [
        line["cpu_seconds"] for line in cost if (line["case"], line["version"]) == (name, version)
    ]


def _change(runs: Runs) -> tuple[float, float, float]:
    """Return the change of the mean loss as a share of the plain model's, and its interval."""
    plain = [_loss(run) for run in runs]
    apart = [run["difference"][0] for run in runs]
    mean, low, high = (value / float(np.mean(plain)) for value in mean_interval(apart))
    return mean, low, high


def _loss(run: dict[str, Any]) -> float:
    scores = run["arms"]["plain"]
    return float(scores["log_loss"] if "log_loss" in scores else scores["rmse"] ** 2)


def _has_sets(runs: Runs) -> bool:
    return all("coverage" in run["arms"]["exported"] for run in runs)


def _mean(runs: Runs, arm: str, key: str) -> float:
    return float(np.mean([run["arms"][arm][key] for run in runs]))


def _all(by_case: dict[str, Runs]) -> Runs:
    return [run for runs in by_case.values() for run in runs]


def _names(names: Sequence[str] | set[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _rule(head: str) -> str:
    return "|" + "---|" * (head.count("|") - 1)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"

"""Tables and verdicts of `probabilities.py`, from its JSON file alone."""

from collections.abc import Callable, Iterator, Sequence
from math import sqrt
from typing import Any

import numpy as np
from probability_cases import CASES
from probability_scores import LEVEL, mean_interval

Runs = list[dict[str, Any]]
ARMS = {"exported": "`export`", "refits": "`--refits 5 --calibrate`"}  # beside the plain model
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
        _sets(by_case),
        _numbers(numbers) if numbers else "",
        _costs(by_case),
        _searches(kept.get("cost", [])) if kept.get("cost") else "",
        "\n".join(f"- {line}" for line in verdicts(classes, by_case, kept.get("cost", []))),
    ]
    return "\n\n".join(part for part in parts if part)


def verdicts(classes: dict[str, Runs], by_case: dict[str, Runs], cost: Runs) -> Iterator[str]:
    """Yield a sentence for each aim and kind of model."""
    for arm in ARMS:
        yield from _verdicts(classes, by_case, arm)
    if cost:
        yield _cost_verdict(cost)


def _verdicts(classes: dict[str, Runs], by_case: dict[str, Runs], arm: str) -> Iterator[str]:
    changes = {name: _change(runs, arm) for name, runs in classes.items()}
    less = [name for name, (mean, _, _) in changes.items() if mean <= -LESS]
    surely = [name for name, (_, _, high) in changes.items() if high < 0]
    worse = [name for name, (_, low, _) in changes.items() if low > 0]
    single = [(run["case"], run["seed"]) for run in _all(classes) if run["difference"][arm][1] > 0]
    yield (
        f"{ARMS[arm]}: log loss at least {LESS:.0%} below the plain model's: {len(less)} of"
        f" {len(classes)}"
        f" ({_names(less)}); significantly better over seeds: {_names(surely)}; significantly"
        f" worse over seeds: {_names(worse)}; single models significantly worse over samples:"
        f" {len(single)} of {len(_all(classes))}."
    )
    small = [name for name, runs in classes.items() if _mean(runs, arm, "ece") <= ECE]
    by_chance = [
        name
        for name, runs in classes.items()
        if _mean(runs, arm, "ece") <= max(ECE, _mean(runs, arm, "ece_by_chance_95"))
    ]
    yield (
        f"{ARMS[arm]}: calibration error at most {ECE}: {len(small)} of {len(classes)}"
        f" ({_names(small)}); at most that, or what perfect probabilities show on as few samples"
        " 19 times of 20:"
        f" {len(by_chance)} of {len(classes)}; not: {_names(set(classes) - set(by_chance))}."
    )
    with_sets = {name: runs for name, runs in by_case.items() if _has_sets(runs, arm)}
    if with_sets:
        yield _coverage_verdict(with_sets, arm)


def _coverage_verdict(with_sets: dict[str, Runs], arm: str) -> str:
    inside: list[str] = []
    in_doubt: list[str] = []
    outside: list[str] = []
    for name, runs in with_sets.items():
        off = abs(_mean(runs, arm, "coverage") - LEVEL)
        doubt = 1.96 * sqrt(LEVEL * (1 - LEVEL) / runs[0]["samples"])
        kind = inside if off <= COVERAGE else in_doubt if off <= COVERAGE + doubt else outside
        kind.append(name)
    return (
        f"{ARMS[arm]}: coverage within {LEVEL - COVERAGE:.3f} to {LEVEL + COVERAGE:.3f}:"
        f" {len(inside)} of {len(with_sets)}; beyond, but not by more than the test set's size"
        " leaves in doubt:"
        f" {_names(in_doubt)}; beyond that: {_names(outside)}."
    )


def _classes(by_case: dict[str, Runs]) -> str:
    head = (
        "| classes | test samples | seeds | model | log loss, plain | this | change (95 % over"
        " seeds) | better, worse over samples | accuracy | calibration error | by chance | Brier |"
    )
    rows = [_class_row(name, runs, arm) for name, runs in by_case.items() for arm in ARMS]
    return "\n".join([head, _rule(head), *rows])


def _class_row(name: str, runs: Runs, arm: str) -> str:
    better = sum(run["difference"][arm][2] < 0 for run in runs)
    worse = sum(run["difference"][arm][1] > 0 for run in runs)

    def both(key: str, form: str) -> str:
        return f"{_mean(runs, 'plain', key):{form}} → {_mean(runs, arm, key):{form}}"

    return _row(
        name,
        f"{runs[0]['samples']:,}",
        str(len(runs)),
        ARMS[arm],
        f"{_mean(runs, 'plain', 'log_loss'):.4f}",
        f"{_mean(runs, arm, 'log_loss'):.4f}",
        _changed(runs, arm),
        f"{better}, {worse}",
        both("accuracy", ".4f"),
        both("ece", ".4f"),
        f"{_mean(runs, arm, 'ece_by_chance'):.4f}",
        both("brier", ".4f"),
    )


def _changed(runs: Runs, arm: str) -> str:
    change, low, high = _change(runs, arm)
    return f"**{change:+.1%}**" + (f" ({low:+.1%} to {high:+.1%})" if len(runs) > 1 else "")


def _sets(by_case: dict[str, Runs]) -> str:
    head = (
        "| sets and intervals at 0.9 | model | coverage | lowest, highest seed | mean size or"
        " width | plain model's own 0.9: coverage | mean size |"
    )
    rows = []
    for name, runs in by_case.items():
        for arm in ARMS:
            if not _has_sets(runs, arm):
                continue
            found = [run["arms"][arm]["coverage"] for run in runs]
            size = "width" if CASES[name].numbers else "set_size"
            own = () if CASES[name].numbers else ("own_coverage", "own_set_size")
            rows.append(
                _row(
                    name,
                    ARMS[arm],
                    f"**{np.mean(found):.4f}**",
                    f"{min(found):.4f}, {max(found):.4f}",
                    f"{_mean(runs, arm, size):.4g}",
                    *([f"{_mean(runs, 'plain', key):.4g}" for key in own] or ("", "")),
                )
            )
    return "\n".join([head, _rule(head), *rows])


def _numbers(by_case: dict[str, Runs]) -> str:
    head = "| numbers | test samples | seeds | model | RMSE, plain | this | squared error |"
    rows = [
        _row(
            name,
            f"{runs[0]['samples']:,}",
            str(len(runs)),
            ARMS[arm],
            f"{_mean(runs, 'plain', 'rmse'):.4g}",
            f"{_mean(runs, arm, 'rmse'):.4g}",
            _changed(runs, arm),
        )
        for name, runs in by_case.items()
        for arm in ARMS
    ]
    return "\n".join([head, _rule(head), *rows])


def _costs(by_case: dict[str, Runs]) -> str:
    head = (
        "| cost | search, CPU s | complete trials | model | export, CPU s | models | MB |"
        " ms for 1 | ms for 256 |"
    )
    rows = []
    for name, runs in by_case.items():
        for arm, called in {"plain": "plain", **ARMS}.items():
            of_search = [
                f"{np.mean([run['search'][key] for run in runs]):.{digits}f}"
                for key, digits in (("cpu_seconds", 0), ("complete", 1))
            ]
            rows.append(
                _row(
                    name,
                    *(of_search if arm == "plain" else ("", "")),
                    called,
                    f"{_mean(runs, arm, 'cpu_seconds'):.0f}",
                    f"{_mean(runs, arm, 'models'):.1f}",
                    f"{_mean(runs, arm, 'bytes') / 1e6:.2f}",
                    f"{_mean(runs, arm, 'ms_1'):.2f}",
                    f"{_mean(runs, arm, 'ms_256'):.2f}",
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


def _change(runs: Runs, arm: str) -> tuple[float, float, float]:
    """Return the change of the mean loss as a share of the plain model's, and its interval."""
    plain = [_loss(run) for run in runs]
    apart = [run["difference"][arm][0] for run in runs]
    mean, low, high = (value / float(np.mean(plain)) for value in mean_interval(apart))
    return mean, low, high


def _loss(run: dict[str, Any]) -> float:
    scores = run["arms"]["plain"]
    return float(scores["log_loss"] if "log_loss" in scores else scores["rmse"] ** 2)


def _has_sets(runs: Runs, arm: str) -> bool:
    return all("coverage" in run["arms"][arm] for run in runs)


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

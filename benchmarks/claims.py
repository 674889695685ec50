"""How often a comparison claims wrongly, and what it finds, in thousands of studies made of chance.

Each study has a baseline and trials whose scores are `mean + fold + noise`: `noise` is the trial's
own, has standard deviation 1 and is correlated over folds (`rho`), as training parts that overlap
make it; `fold` is the same for all. Where all means are equal, every claim that the best trial is
better than the baseline is false; where one trial's mean is higher by `delta`, a claim is right if
it is of that trial. Racing takes trials off after each fold, and leaves few that have all.

`product` is what `compare STUDY` claims; the others are:

    uncorrected   the corrected resampled t-test as if the best had not been chosen
    bonferroni    its p times the number of trials
    dunnett       the distribution of the best of so many, noise from the two trials alone
    pooled        the same, noise from all complete trials alike
    joined        confirmed: the uncorrected test over the study's and the confirmation folds
    further       confirmed: the uncorrected test over the confirmation folds alone

Run: python benchmarks/claims.py [--studies 1000] [--table null|noise|confirmed|power]
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search.analysis.comparison.comparison import compare
from search.analysis.comparison.contenders import Contender
from search.analysis.comparison.evidence import PEERS, Evidence, rivals_of
from search.analysis.comparison.selection import LEAST_SHARE, Choice, interaction, selected_p
from search.analysis.comparison.statistics import corrected_difference
from search.data.folds import share_of, validation_share
from tracking.history import FoldHistory, History, TrialHistory
from tracking.home import StudyFolder
from tracking.records import (
    FoldEnded,
    FoldStarted,
    SessionStarted,
    StudyStarted,
    TrialConfirmed,
    TrialEnded,
    TrialStarted,
)
from tracking.states import TrialState

Numbers = NDArray[np.float64]
NOWHERE = StudyFolder(Path(tempfile.gettempdir()) / "no-such-study")
CENTRE, UNIT = 0.8, 0.001  # accuracy of an average trial; what a standard deviation is
TRIALS = (8, 20, 40, 100)
LEVEL = 0.95


@dataclass(frozen=True)
class World:
    """What chance makes studies of.

    Attributes:
        trials: number of sampled trials.
        folds: number of folds.
        rho: correlation of a trial's noise on two folds.
        delta: by how much the first sampled trial is better, in standard deviations.
        noise: draws each model's standard deviation, the baseline's first.
        races: whether trials are taken off after each fold.
        confirm: number of best trials that are confirmed, with the baseline.
        afresh: whether on other samples, whose noise has nothing to do with the search's.
    """

    trials: int
    folds: int = 5
    rho: float = 0.2
    delta: float = 0.0
    noise: Callable[[np.random.Generator, int], Numbers] = lambda _, count: np.ones(count)
    races: bool = False
    confirm: int = 0
    afresh: bool = False

    def study(self, random: np.random.Generator) -> "Study":
        """Return a study; trial 0 is the baseline, trial 1 the better one if there is any."""
        count = self.trials + 1
        spread = self.noise(random, count)[:, None]
        means = np.zeros((count, 1))
        means[1] = self.delta
        shared = random.standard_normal((count, 1))
        own = self._scores(random, means, spread, shared, self.folds)
        if self.afresh:
            shared = random.standard_normal((count, 1))
        confirmation_folds = self._scores(random, means, spread, shared, 2 * self.folds)
        seen = self._raced(own) if self.races else np.full(count, self.folds)
        history = _history(own, seen)
        if self.confirm:
            best = [trial.number for trial in history.completed()[: self.confirm]]
            for number in {0, *best}:
                _confirm(history, number, confirmation_folds[number], self)
        return Study(history, own[seen == self.folds])

    def _scores(
        self, random: np.random.Generator, means: Numbers, spread: Numbers, shared: Numbers, n: int
    ) -> Numbers:
        alone = random.standard_normal((len(means), n))
        noise = np.sqrt(self.rho) * shared + np.sqrt(1 - self.rho) * alone
        folds: Numbers = 3 * random.standard_normal(n)
        return means + folds + spread * noise

    def _raced(self, scores: Numbers) -> NDArray[np.int64]:
        """Return how many folds each trial sees: 45 % go on after one, then a quarter each time."""
        seen = np.ones(len(scores), np.int64)
        seen[0] = self.folds  # the baseline
        racing = np.arange(1, len(scores))
        for level in range(1, self.folds):
            share, least = (0.45, 4) if level == 1 else (0.25, 4 if level == 2 else 2)
            stay = max(least, round(share * len(racing)))
            order = np.argsort(-scores[racing, :level].mean(axis=1))
            racing = racing[order[:stay]]
            seen[racing] = level + 1
        return seen


@dataclass(frozen=True, eq=False)
class Study:
    """A study's history, and the scores of all its complete trials, `(n_trials, n_folds)`."""

    history: History
    complete: Numbers


def _history(scores: Numbers, seen: NDArray[np.int64]) -> History:
    history = History()
    history.study = StudyStarted(
        at=0.0, id="0" * 32, study="made", space="", driver="", settings={"seed": 0},
        parameters=[], dataset={"name": "made", "digest": "", "samples": 1}, folds=scores.shape[1],
        folds_digest="",
    )  # fmt: skip
    values = [float(row[:count].mean()) for row, count in zip(scores, seen, strict=True)]
    complete = [number for number in range(len(seen)) if seen[number] == scores.shape[1]]
    looked_at = {0, *sorted(complete, key=lambda number: -values[number])[: PEERS + 2]}
    for number, row in enumerate(CENTRE + UNIT * scores):
        origin = "sampled" if number else "baseline:plain"
        started = TrialStarted(at=0.0, trial=number, parameters={}, origin=origin)
        trial = history.trials[number] = TrialHistory(started)
        if number in looked_at:  # of others a comparison asks no more than how they ended
            _add(trial.folds, number, row, first=1)
        state = "complete" if seen[number] == len(row) else "pruned"
        value = CENTRE + UNIT * values[number]
        trial.ended = TrialEnded(at=0.0, trial=number, state=state, value=value)
        trial.state = TrialState(state)
    return history


def _confirm(history: History, number: int, row: Numbers, world: World) -> None:
    trial, scores = history.trials[number], CENTRE + UNIT * row
    _add(trial.confirmation_folds, number, scores, first=world.folds + 1)
    means = {"cv_accuracy": float(scores.mean())}
    trial.confirmed = TrialConfirmed(at=0.0, trial=number, repeats=2, scores=means)
    known = {"digest": "further", "samples": 1, "unused": int(world.afresh)}
    history.sessions = [SessionStarted(at=0.0, trials=1, environment={}, confirmation=known)]


def _add(folds: dict[int, FoldHistory], trial: int, scores: Sequence[float], first: int) -> None:
    for number, score in enumerate(scores, start=first):
        ended = FoldEnded(
            at=0.0, trial=trial, fold=number, accuracy=float(score), loss=0.0, macro_f1=0.5,
            seconds=1.0, predictions="",
        )  # fmt: skip
        folds[number] = FoldHistory(FoldStarted(at=0.0, trial=trial, fold=number), ended=ended)


def claims(study: Study) -> Iterator[tuple[str, int]]:
    """Yield each rule that claims the best trial to be better than the baseline, and which it is.

    Before the trials were confirmed, the best is that of the study's own folds.
    """
    history = study.history
    best, baseline = history.best(), history.trials[0]
    if best is None or best is baseline:
        return
    evidence = [Evidence(history, trial, rivals_of(history, trial)) for trial in (best, baseline)]
    found = compare(
        [Contender(str(one.trial.number), one, NOWHERE) for one in evidence], level=LEVEL
    )
    if found.entries[0].trial == best.number and found.pairs[0].is_claimed(LEVEL):
        yield "product", best.number
    rules = _confirmed_rules if best.confirmed else _rules
    for name, p, lead in rules(study, best, baseline):
        if lead > 0 and p < 1 - LEVEL:
            yield name, best.number


def _rules(
    study: Study, best: TrialHistory, baseline: TrialHistory
) -> Iterator[tuple[str, float, float]]:
    one, other = _own(best), _own(baseline)
    folds = len(one)
    share = validation_share(folds)
    safe = max(LEAST_SHARE, share)
    rivals = rivals_of(study.history, best)
    plain = corrected_difference(one, other, test_share=share)
    yield "uncorrected", plain.p or 0.0, plain.mean
    careful = corrected_difference(one, other, test_share=safe)
    yield "bonferroni", rivals * (careful.p or 0.0), careful.mean
    choice = Choice(rivals)
    own = (1 / folds + safe) * float(np.var(np.subtract(one, other), ddof=1))
    yield "dunnett", selected_p(plain.mean / own**0.5, freedom=folds - 1, choice=choice), plain.mean
    noise, freedom = interaction(UNIT * study.complete)
    error = ((1 / folds + safe) * 2 * noise) ** 0.5
    yield "pooled", selected_p(plain.mean / error, freedom=freedom, choice=choice), plain.mean


def _confirmed_rules(
    study: Study, best: TrialHistory, baseline: TrialHistory
) -> Iterator[tuple[str, float, float]]:
    share = share_of(study.history.known_study())
    for name, folds in (
        ("further", _confirmation),
        ("joined", lambda t: [*_own(t), *_confirmation(t)]),
    ):
        found = corrected_difference(folds(best), folds(baseline), test_share=share)
        yield name, found.p or 0.0, found.mean


def _own(trial: TrialHistory) -> list[float]:
    return [fold.accuracy for fold in trial.finished_folds().values()]


def _confirmation(trial: TrialHistory) -> list[float]:
    return [fold.accuracy for fold in trial.finished_confirmation_folds().values()]


def claimed(world: World, studies: int, *, seed: int = 0) -> dict[str, float]:
    """Return for each rule in how many of a hundred studies it makes a claim.

    Where one trial is better, only right claims count.
    """
    random = np.random.default_rng(seed)
    counts: Counter[str] = Counter()
    for _ in range(studies):
        for rule, number in claims(world.study(random)):
            counts[rule] += not world.delta or number == 1
    return {rule: 100 * count / studies for rule, count in counts.items()}


def _uneven(random: np.random.Generator, count: int) -> Numbers:
    return np.exp(0.5 * random.standard_normal(count))


def _loud_baseline(_: np.random.Generator, count: int) -> Numbers:
    return np.array([2.0, *[1.0] * (count - 1)])


def _still_baseline(_: np.random.Generator, count: int) -> Numbers:
    return np.array([0.5, *[1.0] * (count - 1)])


RULES = ("uncorrected", "bonferroni", "dunnett", "pooled", "product")


def _print(title: str, rows: Sequence[tuple[str, Callable[[int], World]]], rules: Sequence[str],
           studies: int) -> None:  # fmt: skip
    print(f"\n### {title}, {studies:,} studies each\n")
    print(f"| | rule | {' | '.join(f'{count} trials' for count in TRIALS)} |")
    print(f"|---|---|{'---|' * len(TRIALS)}")
    for name, world in rows:
        found = [claimed(world(count), studies) for count in TRIALS]
        for rule in rules:
            cells = " | ".join(f"{cell.get(rule, 0.0):.1f}" for cell in found)
            print(f"| {name} | {rule} | {cells} |", flush=True)


def null(studies: int) -> None:
    """False claims by number of folds and correlation."""
    rows = [
        (
            f"{folds} folds, rho {rho:.2g}{', racing' if races else ''}",
            lambda n, k=folds, r=rho, x=races: World(n, folds=k, rho=r, races=x),
        )
        for folds, rho in ((5, 0.2), (5, 0.1), (5, 0.3), (3, 1 / 3), (10, 0.1), (10, 0.2))
        for races in (False, True)
    ]
    _print("False claims, %", rows, RULES, studies)


def noise(studies: int) -> None:
    """False claims where models differ in noise."""
    laws = (("uneven", _uneven), ("baseline twice", _loud_baseline), ("half", _still_baseline))
    rows = [
        (
            f"noise {name}{', racing' if races else ''}",
            lambda n, w=law, x=races: World(n, noise=w, races=x),
        )
        for name, law in laws
        for races in (False, True)
    ]
    _print("False claims of models that differ in noise, %", rows, RULES, studies)


def confirmed(studies: int) -> None:
    """False and right claims where the best were confirmed."""
    for delta in (0.0, 1.0, 2.0, 3.0):
        rows = [
            (
                f"{count} confirmed on {'other' if afresh else 'the same'} samples",
                lambda n, c=count, a=afresh, d=delta: World(n, confirm=c, afresh=a, delta=d),
            )
            for count in (1, 3)
            for afresh in (False, True)
        ]
        title = f"Right claims, delta {delta:g}, %" if delta else "False claims, %"
        _print(title, rows, ("joined", "further", "product"), studies)


def power(studies: int) -> None:
    """Right claims of a trial that is better."""
    rows = [
        (
            f"delta {delta}{', racing' if races else ''}",
            lambda n, d=delta, x=races: World(n, delta=d, races=x),
        )
        for delta in (1, 2, 3)
        for races in (False, True)
    ]
    _print("Right claims, 5 folds, rho 0.2, %", rows, RULES, studies)


TABLES = {"null": null, "noise": noise, "confirmed": confirmed, "power": power}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--table", choices=TABLES, action="append")
    options = parser.parse_args()
    for name in options.table or TABLES:
        TABLES[name](options.studies)


if __name__ == "__main__":
    main()

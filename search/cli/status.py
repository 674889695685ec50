"""The state of a running study for its displays: what is trained, the best, the time left."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from search.cli.output import duration, params_texts
from search.cli.remaining import Pace, RemainingWork, range_text
from search.cli.tables import chosen_text, origin_text, score_text
from search.data.folds import confirmation_numbers
from search.study.budget import NONE_CONFIRMED, Confirmation
from search.study.pruners import make_pruner
from tracking.history import History, TrialHistory
from tracking.objectives import objectives_of
from tracking.records import (
    AttemptFailed,
    EpochEnded,
    FoldEnded,
    FoldPaused,
    FoldStarted,
    Record,
    SessionStarted,
    StudyStarted,
    TrialConfirmed,
    TrialEnded,
    TrialStarted,
)
from tracking.stages import count_waiting, newly_waiting, score_so_far
from tracking.text import counted

if TYPE_CHECKING:
    from search.study.opening import OpenStudy

_ANEW = 1.0  # seconds between two reckonings: with thousands of trials one takes a twentieth
_LONG = 2 * 3600  # seconds from which on a shorter study is suggested
_FAR, _WORTH_TELLING = 1.5, 60.0  # beyond an estimate: times as long, seconds
_FINITE = ("grid", "baselines")  # samplers that may have nothing left to propose


@dataclass
class Place:
    """How far a running trial is.

    Attributes:
        fold: its fold, from 1; numbers above the study's folds are confirmation folds; 0: its first
            one is about to begin.
        epoch: of that fold; 0 until the first ends.
        epochs: of that fold in all.
        scores: the first objective on the validation part after each of them, as far as it is
            measured then.
    """

    trial: int
    fold: int
    epoch: int
    epochs: int
    scores: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Left:
    """The time left.

    Attributes:
        least: seconds, if all are pruned as early as those that were.
        most: seconds, if all go on.
    """

    least: float
    most: float

    def __str__(self) -> str:
        """Return it in words."""
        return range_text(self.least, self.most)


class Board:
    """Takes records and gives the progress of the study.

    Args:
        history: the running study's, kept current by others.
        start: the study's first record, which `history` may not have yet.
        trials: the total that this session aims for.
        confirm: which trials are confirmed; what the session's record says goes first.
        baselines: how many of the trials are baselines.
        limit: seconds after which the session ends in any case; what its record says goes first.
        is_new: whether the study begins with this session.
        now: tells the time, seconds since 1970.

    Attributes:
        history: the running study's.
        newly_waiting: trials that the last record made wait.
        has_begun: whether any fold has started in this session.
        doing: what goes on while nothing is trained.
    """

    def __init__(
        self,
        history: History,
        start: StudyStarted,
        *,
        trials: int,
        confirm: Confirmation = NONE_CONFIRMED,
        baselines: int = 0,
        limit: float | None = None,
        is_new: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.history = history
        self.objectives = objectives_of(start)
        self.start = start
        self.total = trials
        self.folds = start.folds
        self.searched = [p["name"] for p in start.parameters if p["searched"]]
        self.newly_waiting: list[TrialHistory] = []
        self.has_begun = False
        self.doing = ""
        self.now = now
        self.began = now()
        self._limit = limit
        self._is_new = is_new
        self._foretold: tuple[float, float] | None = None  # when, and the most seconds from then on
        self._places: dict[tuple[int, int], Place] = {}  # by trial and fold
        self._waits_seen = len(history.tally.waits)
        self._rate = 0.0  # samples a second, as measured for the execution plan
        self._pace = Pace()
        self._left: tuple[int, float, Left | None] = (-1, 0.0, None)
        self._epochs = int(
            start.parameter("epochs").get("default") or start.settings.get("epochs") or 1
        )
        pruner, is_single = start.settings.get("pruner") or "none", len(self.objectives) == 1
        judge = make_pruner(pruner, self.objectives[0], winners=confirm.winners)
        rungs = judge.rungs(start.folds) if is_single else ()
        self._ahead = RemainingWork(
            trials=trials,
            baselines=baselines,
            folds=start.folds,
            epochs=self._epochs,
            rungs=rungs,
            places=tuple(judge.places(n, trials, start.folds) for n in range(len(rungs))),
            prunes=is_single and pruner != "none",
            may_end=start.settings.get("sampler") in _FINITE,
            confirm=confirm,
        )

    @classmethod
    def of(cls, opened: "OpenStudy") -> "Board":
        """Return the board of a study that is about to run."""
        settings = opened.settings
        return cls(
            opened.reader.history,
            opened.start,
            trials=settings.trials,
            confirm=Confirmation.asked(settings.confirm),
            baselines=len(opened.narrowed.baselines) if settings.baselines else 0,
            limit=settings.timeout,
            is_new=opened.is_new,
        )

    def take(self, record: Record) -> None:
        """Take a record that the history already has."""
        self.newly_waiting = []
        self._pace.take(record)
        if isinstance(record, SessionStarted):
            self._plan(record)
        if isinstance(record, TrialStarted | FoldStarted | EpochEnded):
            self._go_on(record)
        if isinstance(record, TrialEnded | TrialConfirmed | AttemptFailed):
            self._leave(record.trial, record.fold if isinstance(record, AttemptFailed) else 0)
        if isinstance(record, TrialEnded | TrialConfirmed):
            self._pace.leave(record.trial)
        if isinstance(record, FoldStarted | FoldPaused | FoldEnded):
            self._tidy(record)
        if isinstance(record, TrialStarted | FoldStarted):
            self._see_who_waits()

    def join(self, session: SessionStarted) -> None:
        """Take in what a session that is under way has recorded before anybody watched."""
        self.began = session.at
        trials = list(self.history.trials.values())
        groups = (trial.folds | trial.confirmation_folds for trial in trials)
        folds = [fold for group in groups for fold in group.values()]
        ends = [fold.ended or fold.paused for fold in folds if fold.rests]
        known: list[Record] = [session, *(one for one in ends if one is not None)]
        known += [record for fold in folds for record in (*fold.before, fold.started)]
        known += [epoch for fold in folds for epoch in fold.epochs.values()]
        known += [trial.ended for trial in trials if trial.ended is not None]
        for record in sorted(known, key=lambda record: record.at):
            if record.at >= session.at:
                self.take(record)
        over = {(ended.trial, ended.fold) for ended in ends if ended is not None}
        self._places = {key: place for key, place in self._places.items() if key not in over}
        self.newly_waiting = []

    @property
    def waiting(self) -> int:
        """The number of trials that wait for the others."""
        return count_waiting(self.history)

    @property
    def confirmation_folds(self) -> range:
        """The numbers of the confirmation folds."""
        return confirmation_numbers(self.folds, self._ahead.confirm.repeats(self.history))

    @property
    def places(self) -> list[Place]:
        """How far the running trials are, in the order they started."""
        return list(self._places.values())

    @property
    def elapsed(self) -> float:
        """Seconds since the session began."""
        return max(0.0, self.now() - self.began)

    @property
    def idle(self) -> str:
        """What goes on while no fold is trained, in words."""
        return self.doing or ("choosing the next trial" if self.has_begun else "starting")

    @property
    def starting(self) -> str:
        """What a trial waits for none of whose folds has begun, in words."""
        return "starting" if self.has_begun else "loading TensorFlow"

    def best(self) -> tuple[str, list[str]] | None:
        """Return a phrase on the best trial, and its params; None where no fold is over.

        Where no trial is complete, it is on the one that leads after the folds it has seen.
        """
        history, first = self.history, self.objectives[0]
        best = history.best()
        if best is not None:
            confirmed = best.confirmed_score(first.name)
            score = chosen_text(history, best)
            if confirmed is not None:
                score = f"{score_text(first, confirmed)} (confirmed)"
            return f"best so far  trial {best.number}  {score}", self._words(best)
        known = [t for t in list(history.trials.values()) if t.ended is None and t.level]
        scores = [(score_so_far(trial, first), trial) for trial in known]
        values = [(first.oriented(score), trial) for score, trial in scores if score is not None]
        if not values:
            return None
        value, leader = max(values, key=lambda pair: pair[0])
        folds = counted(len(leader.finished_folds()), "fold")
        score = score_text(first, first.oriented(value))
        return f"leading  trial {leader.number}  {score} after {folds}", self._words(leader)

    def _words(self, trial: TrialHistory) -> list[str]:
        origin = origin_text(trial).strip()
        params = params_texts(trial.started.parameters, self.searched)
        return [origin, *params] if origin else params

    def is_confirming(self, fold: int) -> bool:
        """Return whether a fold confirms a complete trial."""
        return fold > self.folds

    def fold_text(self, fold: int) -> str:
        """Return `2/5`, of a confirmation fold `confirm 2/10`, of one still to begin a dash."""
        if not self.is_confirming(fold):
            return f"{fold}/{self.folds}" if fold else "-"
        return f"confirm {fold - self.folds}/{len(self.confirmation_folds)}"

    def count(self, state: str) -> int:
        """Return the number of trials in a state."""
        return sum(trial.state == state for trial in list(self.history.trials.values()))

    def counts(self) -> list[str]:
        """Return how many trials are over, pruned, wait and have failed, a phrase each."""
        done = f"{len(self.history.finished())} of {counted(self.total, 'trial')}"
        others = [(self.count("pruned"), "pruned"), (self.waiting, "waiting")]
        others.append((self.count("failed"), "failed"))
        return [
            done,
            *(f"{number} {word}" for number, word in others if number or word == "pruned"),
        ]

    def times(self) -> str:
        """Return the time that has passed and that is left, in words."""
        left = self.left()
        after = "" if left is None or not left.most else f"  left {left}"
        return f"elapsed {duration(self.elapsed)}{after}"

    def left(self) -> Left | None:
        """Return the time left; None before anything is known of how long an epoch takes.

        While nothing new is known, the least time passes.
        """
        records, at, known = self._left
        is_new = records != self.history.tally.records
        if is_new and (known is None or self.now() - at >= _ANEW):
            at, known = self.now(), self._reckoned()
            self._left = self.history.tally.records, at, known
        if known is None:
            return None
        left = Left(max(0.0, known.least - max(0.0, self.now() - at)), known.most)
        if self._limit is None:
            return left
        limit = max(0.0, self._limit - self.elapsed)
        return Left(min(left.least, limit), min(left.most, limit))

    def estimate(self) -> str:
        """Return a line on how long the session will take, as soon as that can be said.

        Then nothing, unless its epochs show that it takes far longer than that.
        """
        left = self.left()
        if left is None or not (self._pace.is_settled or self._rate or left.most >= _LONG):
            return ""
        is_first = self._foretold is None
        if not is_first and not self._takes_longer(left):
            return ""
        self._foretold = self.now(), left.most
        source = "by its first epochs" if self._pace.is_known else f"at {self._rate:,.0f} samples/s"
        if not is_first:
            source = "longer than estimated, by its epochs so far"
        told = f"{left}{'' if is_first else ' more'}, {source}"
        if self._limit is not None:
            return f"{told}; --timeout ends it after {duration(self._limit)}"
        return f"{told}{self._shorter() if left.most >= _LONG else ''}"

    def _takes_longer(self, left: Left) -> bool:
        if self._foretold is None or not self._pace.is_settled:
            return False
        at, most = self._foretold
        return self.now() - at + left.least > max(_FAR * most, most + _WORTH_TELLING)

    def _shorter(self) -> str:
        """Return what makes a study of hours shorter; a study's samples are settled for good."""
        samples = int(self.start.dataset.get("samples", 0))
        fewer = (
            f"`--limit-samples {max(1000, samples // 10000 * 1000)}` or " if samples > 5000 else ""
        )
        return f". Shorter with {fewer if self._is_new else ''}`--timeout 1h`"

    def _plan(self, session: SessionStarted) -> None:
        plan = session.plan.get("way") or {}
        self._ahead = replace(self._ahead, confirm=Confirmation.of(session))
        self._rate = float(plan.get("rate") or 0.0)
        self._pace = Pace(int(plan.get("workers") or 1))
        if session.deadline is not None:
            self._limit = session.deadline - self.began

    def _reckoned(self) -> Left | None:
        if not self._pace.is_known and not self._rate:
            return None
        least, most = self._ahead.least(self.history), self._ahead.most(self.history)
        if self._pace.is_known:
            trials = max(1, self.total - len(self.history.finished()))
            fold = float(self._epochs)
            return Left(*self._pace.seconds(least, most, trials=trials, fold=fold))
        samples = self._samples_of_fold()
        return Left(least.epochs * samples / self._rate, most.epochs * samples / self._rate)

    def _samples_of_fold(self) -> float:
        """Return about how many samples a fold's training part has."""
        samples = float(self.start.dataset.get("samples", 0))
        share = self.start.split.get("share")  # validation samples per training sample
        if share:
            return samples / (1 + float(share))
        return samples * (1 - 1 / self.folds) if self.folds > 1 else samples

    def _go_on(self, record: TrialStarted | FoldStarted | EpochEnded) -> None:
        self.doing = ""
        self.has_begun |= not isinstance(record, TrialStarted)
        parameters = self.history.trials[record.trial].started.parameters
        epochs = int(parameters.get("epochs", 1))
        if isinstance(record, TrialStarted):
            self._places[record.trial, 0] = Place(record.trial, 0, 0, epochs)
            return
        self._places.pop((record.trial, 0), None)
        key = record.trial, record.fold
        if isinstance(record, FoldStarted) or key not in self._places:
            self._places[key] = Place(record.trial, record.fold, 0, epochs)
            if isinstance(record, FoldStarted) and record.kept:
                self._keep(self._places[key])
        if isinstance(record, EpochEnded):
            place, score = self._places[key], record.metrics.get(self.objectives[0].epoch)
            place.epoch = record.epoch
            if score is not None:
                place.scores.append(score)

    def _keep(self, place: Place) -> None:
        """Show what a fold that goes on has trained before."""
        known, name = self.history.trials[place.trial].folds, self.objectives[0].epoch
        shown = known[place.fold].epochs if place.fold in known else {}
        place.epoch = max(shown, default=0)
        scores = (epoch.metrics.get(name) for _, epoch in sorted(shown.items()))
        place.scores += [score for score in scores if score is not None]

    def _leave(self, trial: int, fold: int = 0) -> None:
        for key in [key for key in self._places if key == (trial, fold or key[1])]:
            del self._places[key]

    def _tidy(self, record: FoldStarted | FoldPaused | FoldEnded) -> None:
        """Forget folds of a trial that rest or are over, where another of it is in training."""
        folds = self.history.folds_of(record)
        known = [key for key in self._places if key[0] == record.trial]
        training = [key for key in known if key[1] in folds and not folds[key[1]].rests]
        for key in known if training else ():
            if key not in training:
                del self._places[key]

    def _see_who_waits(self) -> None:
        self.newly_waiting = newly_waiting(self.history, self._waits_seen)
        self._waits_seen = len(self.history.tally.waits)
        for trial in self.newly_waiting:
            self._leave(trial.number)

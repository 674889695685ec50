"""How much a session is to do, and how much of its time is left."""

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from search.data.folds import CONFIRMATIONS, share_of
from search.study.execution import AUTO
from search.study.pruners.base import Rung, Scoreboard
from spaces import Params
from tracking.files import whole_file
from tracking.history import History, TrialHistory
from tracking.home import StudyFolder
from tracking.records import SessionStarted
from tracking.text import Notify

MARGIN = 1.25  # of the time that is kept for the race of the waiting trials


_LOOK_EVERY = 0.5  # seconds between two looks for a request to stop


class StopRequest:
    """What `stop` asks of the process that runs a study, by a file in the study's folder.

    Args:
        folder: the study's files.
        notify: takes a notice once the request is seen.
    """

    FOLDS, NOW = "after the folds in training, if there are any", "at the next epoch's end"

    def __init__(self, folder: StudyFolder, notify: Notify = lambda _: None) -> None:
        self._path = folder.stop_request
        self._notify = notify
        self._seen = ""
        self._looked = float("-inf")

    def write(self, when: str) -> None:
        """Ask the process to end.

        Args:
            when: `FOLDS` or `NOW`.

        Raises:
            OSError: the folder cannot be written.
        """
        with whole_file(self._path) as file:
            file.write(when.encode())

    def withdraw(self) -> None:
        """Remove it; one that nobody took in must not end the next session."""
        self._path.unlink(missing_ok=True)

    def seen(self) -> str:
        """Return when the process is to end, `FOLDS` or `NOW`; empty if nobody asks it to."""
        if self._seen != self.NOW and time.monotonic() >= self._looked + _LOOK_EVERY:
            self._looked = time.monotonic()
            before, self._seen = self._seen, self._read()
            if self._seen not in ("", before):
                self._notify(f"`stop` has asked this study to end: it ends {self._seen}")
        return self._seen

    def _read(self) -> str:
        try:
            return self._path.read_text()
        except (OSError, ValueError):
            return ""


@dataclass(frozen=True)
class Confirmation:
    """Which trials prove themselves on folds that did not choose them, and on how many.

    Attributes:
        best: number of best trials, beside the best baseline, which they are measured by.
        is_auto: whether it was chosen for the user. Then all folds are cut anew once instead of
            twice, and of the best only those that the study's folds cannot tell from the first,
            and none where that is a baseline.
    """

    best: int = 0
    is_auto: bool = False

    @classmethod
    def asked(cls, confirm: int | str) -> "Confirmation":
        """Return what the setting asks for, before it is known what `auto` is worth."""
        return cls(is_auto=True) if confirm == AUTO else cls(int(confirm))

    @classmethod
    def of(cls, session: SessionStarted) -> "Confirmation":
        """Return what a session has recorded."""
        return cls(session.confirm, session.auto_confirm)

    @property
    def winners(self) -> int:
        """How many trials should see all folds for it; one, where it was not asked for."""
        return 1 if self.is_auto else max(1, self.best)

    def repeats(self, history: History) -> int:
        """Return how many times all folds are cut anew; not less than was done before."""
        before = [t.confirmed.repeats for t in history.trials.values() if t.confirmed]
        return max(1 if self.is_auto else CONFIRMATIONS, *before, 1)

    def trials(self, history: History) -> list[TrialHistory]:
        """Return the trials that are, or are to be, confirmed."""
        completed = history.completed()
        if not self.best or (self.is_auto and completed and completed[0].started.is_baseline):
            return []
        best, rest = completed[: self.best], completed[self.best :]
        if self.is_auto:
            best = [trial for trial in best if _is_near(trial, best[0], history)]
            rest = [trial for trial in completed if trial not in best]
        if any(t.started.is_baseline for t in best):
            return best
        return [*best, *(t for t in rest if t.started.is_baseline)][: len(best) + 1]


def _is_near(trial: TrialHistory, leader: TrialHistory, history: History) -> bool:
    """Say whether folds cannot tell a trial from the leader: it is within a standard error."""
    scoreboard = Scoreboard(history.objectives[0])
    mine, best = scoreboard.folds(trial), scoreboard.folds(leader)
    differences = [best[n] - mine[n] for n in best.keys() & mine.keys()]
    if trial is leader or len(differences) < 2:
        return True
    error = math.sqrt(1 / len(differences) + share_of(history.known_study()))
    return statistics.fmean(differences) <= error * statistics.stdev(differences)


NONE_CONFIRMED = Confirmation()


@dataclass(frozen=True)
class Budget:
    """How much a session is to do.

    Attributes:
        baselines: complete settings by name, evaluated first.
        trials: total number of trials, those of the history included.
        confirm: which trials to evaluate once more, on confirmation folds.
        retry_failed: whether failed trials are tried once more.
        deadline: `time.monotonic()` at which to stop, None for never.
        stop: a request to end that may come; None for none.
        stops_early: whether nothing more is proposed once more trials would gain too little.
    """

    trials: int
    baselines: Mapping[str, Params] = field(default_factory=dict)
    confirm: Confirmation = NONE_CONFIRMED
    retry_failed: bool = False
    deadline: float | None = None
    stop: StopRequest | None = None
    stops_early: bool = False

    @property
    def ends_at(self) -> float | None:
        """The same deadline as other processes know it, seconds since 1970."""
        return None if self.deadline is None else time.time() + self.deadline - time.monotonic()

    def is_done(self, history: History) -> bool:
        """Say whether nothing is left to do."""
        finished = len(history.finished())
        all_over = finished >= self.trials and finished == len(history.trials)
        to_retry = self.retry_failed and any(t.state == "failed" for t in history.finished())
        return all_over and not to_retry and not self.to_confirm(history)

    def to_confirm(self, history: History) -> list[TrialHistory]:
        """Return the trials that are still to be confirmed, the best first.

        One whose confirmation failed is among them: a later session tries again.
        """
        due, repeats = self.confirm.trials(history), self.confirm.repeats(history)
        return [
            t
            for t in due
            if t.confirmed is None or t.confirmed.error or t.confirmed.repeats < repeats
        ]

    def is_used_up(self, reserve: float = 0.0) -> bool:
        """Say whether nothing more is to begin: the time is up, or will be within some seconds.

        Args:
            reserve: so many seconds.
        """
        is_late = self.deadline is not None and time.monotonic() + reserve >= self.deadline
        return is_late or self.is_stopped()

    def is_stopped(self) -> bool:
        """Say whether somebody has asked the session to end."""
        return self.stop is not None and bool(self.stop.seen())

    def breaks_off(self) -> bool:
        """Say whether even what is in training is to end: the time is up, or it must be now."""
        is_late = self.deadline is not None and time.monotonic() >= self.deadline
        return is_late or (self.stop is not None and self.stop.seen() == StopRequest.NOW)


def seconds_to_race(history: History, rungs: Sequence[Rung], places: Sequence[int]) -> float:
    """Return about the time of one more fold, and then of the race of the waiting trials.

    Args:
        history: the study's.
        rungs: where its trials pause.
        places: how many go on from each.
    """
    tally = history.tally
    # Baselines see all folds anyhow, and take nobody's place.
    trials = [trial for trial in history.trials.values() if not trial.started.is_baseline]
    if not rungs or not tally.folds:
        return 0.0
    folds, targets = 1.0, [*rungs[1:], Rung(history.known_study().folds)]
    for rung, target, count in zip(rungs, targets, places, strict=True):
        beyond = sum(map(target.is_reached, trials))
        span = target.fold + target.share - rung.fold - rung.share
        folds += max(0, min(len(trials), count) - beyond) * span
    return folds * tally.fold_seconds / tally.folds * MARGIN

"""How much training a study has before it, in epochs."""

from dataclasses import dataclass
from statistics import fmean

from search.data.folds import CONFIRMATIONS
from search.study.budget import confirmed_by
from tracking.history import History, TrialHistory


@dataclass(frozen=True)
class Ahead:
    """What a study is to do, as far as time depends on it.

    Attributes:
        trials: total number.
        baselines: how many of them are baselines, which see all folds.
        folds: number of folds.
        epochs: of a fold, as long as no trial says.
        waits: whether sampled trials wait after their first fold for a race.
        finalists: how many go on after each fold of a race at least, about.
        confirm: number of trials that are evaluated once more.
    """

    trials: int
    baselines: int
    folds: int
    epochs: int
    waits: bool
    finalists: int
    confirm: int

    def epochs_ahead(self, history: History) -> float:
        """Return the epochs still to train, judged by those trained so far."""
        trials = list(history.trials.values())
        epochs = fmean([int(t.started.parameters["epochs"]) for t in trials] or [self.epochs])
        turn = self._turn(history, epochs)
        full = epochs * self.folds
        baselines = sum(t.started.origin != "sampled" for t in trials)
        still = max(0, self.trials - len(trials))
        still_baselines = min(still, max(0, self.baselines - baselines))
        ahead = still_baselines * full + (still - still_baselines) * turn
        for trial in trials:
            if trial.ended is None and not self._is_through(trial):
                whole = turn if trial.started.origin == "sampled" else full
                ahead += max(0.0, whole - _trained(trial))
        return ahead + (self._race(history) + self._confirmation(history)) * epochs

    def _turn(self, history: History, epochs: float) -> float:
        """Return the epochs of a sampled trial's own turn."""
        over = [
            min(_trained(trial), epochs) if self.waits else _trained(trial)
            for trial in history.trials.values()
            if trial.started.origin == "sampled"
            and (trial.ended is not None or self._is_through(trial))
        ]
        return fmean(over) if over else epochs * (1 if self.waits else self.folds)

    def _race(self, history: History) -> float:
        """Return the folds that the trials that wait, or will, have before them."""
        if not self.waits or self.folds < 2:
            return 0.0
        sampled = [t for t in history.trials.values() if t.started.origin == "sampled"]
        racing = [t for t in sampled if t.ended is None and self._is_through(t)]
        tried = [t for t in sampled if t.ended is not None or self._is_through(t)]
        wanted = self.trials - (len(history.trials) - len(sampled))
        more = max(1.0, wanted / len(tried)) if tried else 0.0
        contenders = len(racing) * more
        entered = sum(bool(t.finished_folds()) for t in sampled) * more
        level = min((trial.level for trial in racing), default=1)
        return sum(
            min(contenders, max(self.finalists, entered / 4.0**after))
            for after in range(level, self.folds)
        )

    def _confirmation(self, history: History) -> int:
        """Return the folds that confirm the best trials there can be, and the best baseline."""
        of_one = CONFIRMATIONS * self.folds
        trials = list(history.trials.values())
        lost = sum(trial.state in ("pruned", "failed") for trial in trials)
        possible = max(self.trials, len(trials)) - lost
        due = min(self.confirm, possible)
        chosen = confirmed_by(history, self.confirm)
        if len(chosen) > self.confirm or (self.baselines and due and len(chosen) < self.confirm):
            due = min(due + 1, possible)
        done = sum(
            of_one if _is_confirmed(trial, history) else len(trial.finished_more_folds())
            for trial in chosen
        )
        return max(0, due * of_one - done)

    def _is_through(self, trial: TrialHistory) -> bool:
        takes_turns = trial.started.origin == "sampled" and not trial.reopened
        return self.waits and takes_turns and trial.level > 0


def _is_confirmed(trial: TrialHistory, history: History) -> bool:
    """Say whether a confirmation is over; one that failed is tried again in the next session."""
    if trial.confirmed is None or not trial.confirmed.error:
        return trial.confirmed is not None
    return bool(history.sessions) and trial.confirmed.at > history.sessions[-1].at


def _trained(trial: TrialHistory) -> int:
    return sum(len(fold.epochs) for fold in trial.folds.values())

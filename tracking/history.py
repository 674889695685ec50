"""A study's records gathered into what is known of it now."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

from tracking.objectives import DEFAULT, OBJECTIVES, Objective, objectives_of
from tracking.records import (
    AttemptFailed,
    EpochEnded,
    FoldEnded,
    FoldPaused,
    FoldStarted,
    JournalRepaired,
    Json,
    ModelExported,
    Notice,
    Record,
    SessionEnded,
    SessionStarted,
    StudyRenamed,
    StudyStarted,
    TestSetOpened,
    TrialConfirmed,
    TrialEnded,
    TrialEnqueued,
    TrialReopened,
    TrialStarted,
    TrialTold,
)
from tracking.states import Event, TrialState, after, outcome
from tracking.tally import Tally, rung_of
from tracking.text import counted

RACING = "racing"  # in earlier journals, the pruner whose trials wait for each other

_INSTANT = 1e-6  # seconds; the least that a time of today can grow by
_OF_TRIALS = (
    FoldStarted,
    EpochEnded,
    FoldPaused,
    FoldEnded,
    AttemptFailed,
    TrialEnded,
    TrialConfirmed,
    TrialReopened,
)


@dataclass(repr=False)
class FoldHistory:
    """One fold of one trial: its epochs so far and, once over, its score.

    Attributes:
        started: when it began, or went on last.
        paused: that it rests; None while it is trained, and once it is over.
        before: starts and pauses of the training that it went on with, in order.
        earlier: epochs that it had shown where it paused, and which are trained once more as the
            state of the model was not kept.
        repeated: how many epochs were trained again, so far.
        paused_seconds: how long it was trained until it paused, each time.
        began_at: when training began whose epochs it has, all of them and no others.
    """

    started: FoldStarted
    epochs: dict[int, EpochEnded] = field(default_factory=dict)
    ended: FoldEnded | None = None
    paused: FoldPaused | None = None
    before: tuple[FoldStarted | FoldPaused, ...] = ()
    earlier: dict[int, EpochEnded] = field(default_factory=dict)
    repeated: int = 0
    paused_seconds: float = 0.0
    began_at: float = 0.0

    def __post_init__(self) -> None:
        self.began_at = self.began_at or self.started.at

    def __repr__(self) -> str:
        epochs = counted(len(self.epochs), "epoch")
        end = "" if self.ended is None else f", over: loss {self.ended.loss:.4g}"
        return f"<fold {self.started.fold} of trial {self.started.trial}: {epochs}{end}>"

    @property
    def last(self) -> FoldStarted | EpochEnded | FoldPaused | FoldEnded:
        """What was reported of it last."""
        shown = next(reversed(self.epochs.values()), None)
        is_new = shown is not None and shown.at > self.started.at
        return self.ended or self.paused or (shown if shown and is_new else self.started)

    @property
    def rests(self) -> bool:
        """Whether nothing is trained of it now, as it has paused or is over."""
        return self.paused is not None or self.ended is not None

    @property
    def waited(self) -> float:
        """Seconds for which it has rested between pauses and going on, since `began_at`."""
        return sum(
            now.at - before.at
            for before, now in pairwise((*self.before, self.started))
            if isinstance(before, FoldPaused) and now.at > self.began_at
        )

    @property
    def kept(self) -> int:
        """How many of its epochs stay whatever becomes of its training now: where it paused."""
        return self.started.kept if self.paused is None else self.paused.epoch

    @property
    def trained(self) -> int:
        """How many epochs were trained, those included that were trained again."""
        return self.repeated + max(self.epochs, default=0)

    def epoch(self, number: int) -> EpochEnded | None:
        """Return what an epoch showed; None where it is not known."""
        return self.epochs.get(number) or self.earlier.get(number)

    def has_reached(self, epoch: int) -> bool:
        """Say whether it is over, or has paused at an epoch or after it."""
        return self.ended is not None or epoch <= max(self.kept, max(self.earlier, default=0))

    def going_on(self, record: FoldStarted) -> "FoldHistory":
        """Return the fold as it goes on, or begins again, with a record."""
        kept = {n: shown for n, shown in self.epochs.items() if n <= record.kept}
        paused = () if self.paused is None else (self.paused,)
        return FoldHistory(
            record,
            epochs=kept,
            before=(*self.before, self.started, *paused) if record.kept else (),
            earlier={n: e for n, e in (self.earlier | self.epochs).items() if n <= self._shown},
            repeated=self.repeated + max(0, self.kept - record.kept),
            paused_seconds=self.paused_seconds,
            began_at=self.began_at if record.kept and len(kept) == len(self.epochs) else record.at,
        )

    @property
    def _shown(self) -> int:
        """The last epoch at which it ever paused."""
        return max(self.kept, max(self.earlier, default=0))


@dataclass(repr=False)
class TrialHistory:
    """One trial: its setting, its folds by number (from 1) and, once over, its outcome.

    Attributes:
        state: where it stands, by the study's records.
        ended: its outcome. One that calls the trial complete counts while all of the study's folds
            are over: it is None again when one was lost.
        confirmation_folds: those it was confirmed on, by number; no part of its scores.
        confirmed: how that ended; None while it has not, or where one of these folds was lost.
        failures: of its tasks that broke off, in order.
        reopened: whether it was complete once and has lost folds since. These are trained again,
            whatever a pruner would say, and it ends anew.
        retried_at: when it was last tried once more after it had failed; 0 for never.
        sessions: numbers, from 0, of the study's sessions that began some of its folds.
        model: what is trained, as in `EpochEnded`; empty while it is not known.
        device: what TensorFlow computed on.
        objective: the study's first, which `value` is of.
    """

    started: TrialStarted
    folds: dict[int, FoldHistory] = field(default_factory=dict)
    state: TrialState = TrialState.PROPOSED
    ended: TrialEnded | None = None
    confirmation_folds: dict[int, FoldHistory] = field(default_factory=dict)
    confirmed: TrialConfirmed | None = None
    failures: list[AttemptFailed] = field(default_factory=list)
    reopened: bool = False
    retried_at: float = 0.0
    sessions: set[int] = field(default_factory=set)
    model: Json = field(default_factory=dict)
    device: str = ""
    objective: Objective = OBJECTIVES[DEFAULT]

    def __repr__(self) -> str:
        from tracking.html import params_line, score_line

        return f"<trial {self.number}: {score_line(self)}; {params_line(self)}>"

    def _repr_html_(self) -> str:
        from tracking.html import trial_html

        return trial_html(self)

    @property
    def number(self) -> int:
        """The trial's number, from 0."""
        return self.started.trial

    @property
    def setting(self) -> Json:
        """The name of `params` in earlier versions."""
        return self.params

    @property
    def params(self) -> Json:
        """What it is trained with: as proposed, with half the batch size once memory ran out."""
        parameters = self.started.parameters
        size = int(parameters.get("batch_size", 1))
        if size < 2 or all(failure.cause != "memory" for failure in self.failures):
            return parameters
        return {**parameters, "batch_size": size // 2}

    @property
    def rung(self) -> int:
        """The epoch of its first fold after which racing compares it; also where none does."""
        return self.started.compared_after or rung_of(self.started.parameters)

    @property
    def value(self) -> float | None:
        """The study's first objective of a complete trial, else None."""
        return self.ended.value if self.ended and self.ended.state == "complete" else None

    def score(self, name: str) -> float | None:
        """Return a complete trial's score or size of that name, None where it has none."""
        if self.ended is None or self.ended.state != "complete":
            return None
        if name == "model_parameters":
            return float(self.ended.model_parameters)
        return self.ended.scores.get(name)

    def confirmed_score(self, name: str) -> float | None:
        """Return the score on the folds the trial was confirmed on, None without them."""
        return self.confirmed.scores.get(name) if self.confirmed else None

    def finished_folds(self) -> dict[int, FoldEnded]:
        """Return the study's folds that are over, by number, in order.

        Those that a trial trained beyond where racing dropped it are left out.
        """
        most = self.ended.compared_folds if self.ended else 0
        folds = [(n, fold.ended) for n, fold in sorted(self.folds.items())]
        return {n: ended for n, ended in folds if ended and (not most or n <= most)}

    @property
    def level(self) -> int:
        """How many of the study's first folds are over, up to the first that is not."""
        folds = self.finished_folds()
        return next(number for number in range(len(folds) + 1) if number + 1 not in folds)

    @property
    def regular_level(self) -> int:
        """The same, up to the first that began before racing had let the trial go on to it."""
        ahead = (n for n, fold in sorted(self.folds.items()) if fold.started.ahead)
        return min(self.level, next(ahead, self.level + 1) - 1)

    def finished_confirmation_folds(self) -> dict[int, FoldEnded]:
        """Return the folds it was confirmed on that are over, by number, in order."""
        more = sorted(self.confirmation_folds.items())
        return {n: fold.ended for n, fold in more if fold.ended is not None}

    def last_fold_at(self) -> float:
        """Return when the last of its finished folds was over; 0 where there is none."""
        folds = [*self.folds.values(), *self.confirmation_folds.values()]
        return max((fold.ended.at for fold in folds if fold.ended is not None), default=0.0)

    def trained_seconds(self) -> float:
        """Return how long its folds were trained, unfinished ones up to their last epoch.

        The time in which it waited, for other trials or for a session, has no part in it.
        """
        if self.ended is not None:
            return self.ended.train_seconds
        return sum(map(_seconds, self.folds.values()))

    def position(self) -> tuple[int, int]:
        """Return the last fold it began and the last epoch it trained there; 0 for none."""
        if not self.folds:
            return 0, 0
        last = max(self.folds)
        return last, max(self.folds[last].epochs, default=0)

    def last_report(self) -> FoldStarted | EpochEnded | FoldPaused | FoldEnded | None:
        """Return what was reported last of any of its folds; None before the first began."""
        reports = (fold.last for fold in self.folds.values())
        return max(reports, key=lambda report: report.at, default=None)

    def mean_curves(self) -> list[dict[str, float]]:
        """Return, per epoch from 1, each metric's mean over the folds that trained that epoch."""
        curves = []
        for epoch in range(
            1, max((max(f.epochs, default=0) for f in self.folds.values()), default=0) + 1
        ):
            rows = [f.epochs[epoch].metrics for f in self.folds.values() if epoch in f.epochs]
            names = [name for name in rows[0] if all(name in row for row in rows)] if rows else []
            curves.append({name: sum(row[name] for row in rows) / len(rows) for name in names})
        return curves


@dataclass(frozen=True)
class Decision:
    """Which trial is the best where a baseline stands against others.

    Attributes:
        best: the trial's number.
        text: why, one sentence.
    """

    best: int
    text: str


@dataclass(repr=False)
class History:
    """Everything a journal tells, kept current by `add`.

    Attributes:
        notices: what was found out about the study's numbers, each text once.
        repairs: of the journal, in order.
        enqueued: params that wait to be evaluated, in their order.
        told: trials of elsewhere that the driver is told of, in order.
        requests: the ids of all that was ever enqueued or told.
        tally: sums and orders over all trials.
        decision: which trial is the best, as the last session's end says; None while a session
            is under way or was killed, and where the best score decides.
        session_seconds: how long its sessions took, those that are over; one that was killed up to
            what it recorded last of a trial.
    """

    study: StudyStarted | None = None
    sessions: list[SessionStarted] = field(default_factory=list)
    last_end: SessionEnded | None = None
    trials: dict[int, TrialHistory] = field(default_factory=dict)
    exports: list[ModelExported] = field(default_factory=list)
    test_openings: list[TestSetOpened] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    repairs: list[JournalRepaired] = field(default_factory=list)
    enqueued: list[TrialEnqueued] = field(default_factory=list)
    told: list[TrialTold] = field(default_factory=list)
    requests: set[str] = field(default_factory=set)
    tally: Tally = field(default_factory=Tally)
    decision: Decision | None = None
    session_seconds: float = 0.0
    _latest: float = 0.0
    _trained_at: float = 0.0  # the latest record of a trial

    def __repr__(self) -> str:
        from tracking.html import study_line

        if self.study is None:
            return "<history of no study>"
        return f"<history of study {self.study.study!r}: {study_line(self)}>"

    def _repr_html_(self) -> str | None:
        from tracking.html import study_html

        return None if self.study is None else study_html(self)

    @classmethod
    def of(cls, records: Iterable[Record]) -> "History":
        """Return the history that `records`, in order, tell."""
        history = cls()
        for record in records:
            history.add(record)
        return history

    def add(self, record: Record) -> Record:
        """Take in the next record, and return it as it is kept.

        Its time is later than that of any before it, also where the machine's clock was set back.
        A fold that starts again drops the epochs of its unfinished first try, but for those that it
        goes on after.

        Raises:
            KeyError: it tells of a trial or a fold that never began.
        """
        record = self.stamped(record)
        self._take(record)
        self._latest = record.at
        if isinstance(record, (TrialStarted, *_OF_TRIALS)):
            self._trained_at = record.at
            self.tally.touch(record.trial)
        self.tally.records += 1
        return record

    def stamped(self, record: Record) -> Record:
        """Return a record with the time `add` will give it; add nothing.

        Raises:
            KeyError: it tells of a trial or a fold that never began.
        """
        if isinstance(record, _OF_TRIALS) and record.trial not in self.trials:
            raise KeyError(record.trial)
        match record:
            case EpochEnded() | FoldPaused() | FoldEnded():
                if record.fold not in self.folds_of(record):
                    raise KeyError(record.fold)
        if record.at > self._latest:
            return record
        return replace(record, at=self._latest + _INSTANT)

    def _take(self, record: Record) -> None:
        match record:
            case StudyStarted():
                self.study = record
            case StudyRenamed():
                self.study = replace(self.known_study(), study=record.study)
            case SessionStarted():
                self._count_session(self._trained_at)
                self.sessions.append(record)
                self.last_end = self.decision = None
                if record.accepted:
                    self._begin_anew()
            case SessionEnded():
                self._count_session(record.at)
                self.last_end = record
                if record.best is not None:
                    self.decision = Decision(record.best, record.verdict)
            case TrialStarted():
                trial = TrialHistory(record, objective=self.objectives[0])
                self.trials.setdefault(record.trial, trial)
                self._begin(record)
                self.enqueued = [e for e in self.enqueued if not _are_same(e, record)]
            case TrialEnqueued():
                self.requests.add(record.id)
                if not any(_are_same(record, trial.started) for trial in self.trials.values()):
                    self.enqueued.append(record)
            case TrialTold():
                self.requests.add(record.id)
                self.told.append(record)
            case FoldStarted():
                self._begin_fold(record)
            case EpochEnded():
                self.folds_of(record)[record.fold].epochs[record.epoch] = record
                trial = self.trials[record.trial]
                trial.model = trial.model or record.model
            case FoldPaused():
                self._pause_fold(record)
            case FoldEnded():
                self._end_fold(record)
            case AttemptFailed():
                trial = self.trials[record.trial]
                trial.failures.append(record)
                trial.model = trial.model or record.model
            case TrialEnded():
                self._end_trial(record)
            case TrialReopened():
                self._retry(record)
            case TrialConfirmed():
                trial, folds = self.trials[record.trial], self._number_of_folds
                confirmation_folds = range(folds + 1, folds * (1 + record.repeats) + 1)
                is_whole = bool(record.error) or _are_over(
                    trial.confirmation_folds, confirmation_folds
                )
                trial.confirmed = record if is_whole else None
            case Notice():
                self.notices.append(record)
            case JournalRepaired():
                self.repairs.append(record)
            case ModelExported():
                self.exports.append(record)
            case TestSetOpened():
                self.test_openings.append(record)

    def _count_session(self, until: float) -> None:
        if self.sessions and self.last_end is None:
            self.session_seconds += max(0.0, until - self.sessions[-1].at)

    def _begin_anew(self) -> None:
        """Forget the folds of trials that are not over: folds of two codes have no mean."""
        for trial in self.trials.values():
            if trial.ended is None:
                self._forget_folds(trial)
            elif trial.confirmed is None:
                trial.confirmation_folds.clear()

    def _forget_folds(self, trial: TrialHistory) -> None:
        trial.folds.clear()
        trial.sessions.clear()
        trial.state = after(trial.state, Event.FORGOTTEN)
        trial.model = {}
        self.tally.leave(trial.number)
        self.tally.touch(trial.number)

    def _retry(self, record: TrialReopened) -> None:
        """Take back that a trial failed; without folds of other code than it goes on with."""
        trial = self.trials[record.trial]
        if trial.state is not TrialState.FAILED:
            return
        self._reopen(trial)
        trial.retried_at = record.at
        since = self.sessions[min(trial.sessions, default=0) + 1 :]
        if any(session.accepted for session in since):
            self._forget_folds(trial)

    def _begin_fold(self, record: FoldStarted) -> None:
        folds, trial = self.folds_of(record), self.trials[record.trial]
        known = folds.get(record.fold)
        if known is None or known.ended is not None:
            folds[record.fold] = FoldHistory(record)
        else:
            folds[record.fold] = known.going_on(record)
        trial.device = trial.device or record.device
        if self.sessions:
            trial.sessions.add(len(self.sessions) - 1)
        if folds is trial.confirmation_folds:
            trial.confirmed = None
        elif trial.state is TrialState.COMPLETE:
            self._reopen(trial)
        self._begin(record)
        if folds is trial.folds:
            trial.state = after(trial.state, Event.FOLD_BEGAN)

    def _begin(self, record: TrialStarted | FoldStarted) -> None:
        """Take note that a trial or a fold begins: in a race, those at rest wait from now on."""
        for number in self.tally.begin(record):
            if self.races:
                trial = self.trials[number]
                trial.state = after(trial.state, Event.OTHERS_BEGAN)

    @property
    def races(self) -> bool:
        """Whether the study's trials wait for each other."""
        if self.study is None:
            return False
        if self.study.waits is not None:
            return self.study.waits
        return bool(self.study.settings.get("pruner", RACING) == RACING)

    def _pause_fold(self, record: FoldPaused) -> None:
        folds, trial = self.folds_of(record), self.trials[record.trial]
        fold = folds[record.fold]
        length = int(trial.started.parameters.get("epochs", 1))
        self.tally.train(record.seconds, (record.epoch - fold.started.kept) / length)
        fold.repeated += max(0, max(fold.epochs, default=0) - record.epoch)
        dropped = [number for number in fold.epochs if number > record.epoch]
        for number in dropped:
            del fold.epochs[number]
        fold.began_at = record.at if dropped else fold.began_at
        fold.paused = record
        fold.paused_seconds += record.seconds
        self._let_rest(trial)

    def _end_fold(self, record: FoldEnded) -> None:
        folds, trial = self.folds_of(record), self.trials[record.trial]
        fold = folds[record.fold]
        fold.ended, fold.paused = record, None
        if folds is trial.folds:
            length = int(trial.started.parameters.get("epochs", 1))
            share = 1 - fold.started.kept / length
            self.tally.train(record.seconds - fold.paused_seconds, share)
            self._let_rest(trial)

    def _let_rest(self, trial: TrialHistory) -> None:
        """Take note of a trial that rests until it is gone on with."""
        can_wait = trial.ended is None and not trial.started.is_baseline
        can_wait &= not trial.reopened
        is_gapless = len(trial.folds) == max(trial.folds)
        if can_wait and is_gapless and all(fold.rests for fold in trial.folds.values()):
            self.tally.rest(trial.number)

    def _end_trial(self, record: TrialEnded) -> None:
        trial = self.trials[record.trial]
        if trial.ended is not None:
            self._reopen(trial)
        self.tally.leave(record.trial)
        if record.state == "complete" and not _are_over(
            trial.folds, range(1, self._number_of_folds + 1)
        ):
            trial.reopened = True
            return
        trial.ended, trial.reopened = record, False
        trial.state = after(trial.state, outcome(record.state))
        self.tally.end(record, self.objectives[0])

    def _reopen(self, trial: TrialHistory) -> None:
        """Take back an outcome: another follows, or one of its folds is trained again."""
        trial.reopened |= trial.state is TrialState.COMPLETE
        trial.ended, trial.state = None, after(trial.state, Event.REOPENED)
        values = [t.value for t in self.trials.values() if t.value is not None]
        self.tally.reopen(values, self.objectives[0])

    @property
    def _number_of_folds(self) -> int:
        return self.study.folds if self.study else 0

    def folds_of(
        self, record: FoldStarted | EpochEnded | FoldPaused | FoldEnded
    ) -> dict[int, FoldHistory]:
        """Return the folds of its trial that a record belongs to: the study's, or further ones."""
        trial = self.trials[record.trial]
        is_confirmation = self.study is not None and record.fold > self.study.folds
        return trial.confirmation_folds if is_confirmation else trial.folds

    def trial_records(self) -> list[Record]:
        """Return what is known of the study's trials, in order, without confirmation folds."""
        records: list[Record] = []
        for trial in self.trials.values():
            records.append(trial.started)
            for fold in trial.folds.values():
                records += [*fold.before, fold.started, *fold.epochs.values()]
                records += [fold.paused] if fold.paused else []
                records += [fold.ended] if fold.ended else []
            records += [trial.ended] if trial.ended else []
        return sorted(records, key=lambda record: record.at)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What the study searches for, the most important first."""
        return objectives_of(self.study)

    @property
    def confirmation(self) -> Json:
        """What is known of the folds that confirm trials; see `SessionStarted`."""
        known = (session.confirmation for session in reversed(self.sessions))
        return next((found for found in known if found), {})

    def known_study(self) -> StudyStarted:
        """Return what the study is.

        Raises:
            ValueError: nothing was recorded of it.
        """
        if self.study is None:
            raise ValueError("the first record of a study must be StudyStarted; there is none")
        return self.study

    def finished(self) -> list[TrialHistory]:
        """Return the trials that are over, by number."""
        return [t for _, t in sorted(self.trials.items()) if t.ended is not None]

    def completed(self) -> list[TrialHistory]:
        """Return the complete trials, best value first, earlier ones first among equals."""
        first = self.objectives[0]
        done = [(t.value, t) for _, t in sorted(self.trials.items()) if t.value is not None]
        return [t for _, t in sorted(done, key=lambda pair: -first.oriented(pair[0]))]

    def confirmed(self) -> list[TrialHistory]:
        """Return the trials that hold scores on confirmation folds, best of these first."""
        first = self.objectives[0]
        scored = [(t.confirmed_score(first.name), t) for t in self.completed()]
        done = [(score, trial) for score, trial in scored if score is not None]
        return [t for _, t in sorted(done, key=lambda pair: -first.oriented(pair[0]))]

    def ranked(self) -> list[TrialHistory]:
        """Return the complete trials, the best first.

        Where the one with the best value was confirmed, the confirmed ones come first, in the order
        of their scores on the confirmation folds; see `best`.
        """
        completed, confirmed = self.completed(), self.confirmed()
        if not completed or completed[0] not in confirmed:
            return completed
        return [*confirmed, *(trial for trial in completed if trial not in confirmed)]

    def leader(self) -> TrialHistory | None:
        """Return the complete trial with the best score, None while there is none.

        Where the one with the best value was confirmed, it is the best of the confirmed ones on
        their confirmation folds: the highest of many scores is partly luck, and those folds did not
        choose.
        """
        return next(iter(self.ranked()), None)

    def best(self) -> TrialHistory | None:
        """Return the best complete trial, None while there is none.

        Where a baseline stands against others, the `decision` says which it is; the leader
        otherwise.
        """
        decided = None if self.decision is None else self.trials.get(self.decision.best)
        if decided is None or decided.value is None:  # or repaired since
            return self.leader()
        return decided

    def front(self) -> list[TrialHistory]:
        """Return the complete trials that no other one equals or beats in all objectives.

        Of trials with equal values the earliest stands for all. Best first objective first.
        """
        values = {trial.number: self._oriented(trial) for trial in self.completed()}
        known = {number: value for number, value in values.items() if value is not None}

        def is_beaten(number: int) -> bool:
            return any(
                rival != number
                and all(a >= b for a, b in zip(known[rival], known[number], strict=True))
                and (known[rival] != known[number] or rival < number)
                for rival in known
            )

        return [self.trials[number] for number in known if not is_beaten(number)]

    def _oriented(self, trial: TrialHistory) -> tuple[float, ...] | None:
        scores = [(o, trial.score(o.name)) for o in self.objectives]
        values = tuple(o.oriented(score) for o, score in scores if score is not None)
        return values if len(values) == len(scores) else None


def _seconds(fold: FoldHistory) -> float:
    if fold.ended is not None:
        return fold.ended.seconds
    now = 0.0 if fold.paused else fold.last.at - fold.started.at
    return fold.paused_seconds + now


def _are_over(folds: Mapping[int, FoldHistory], numbers: Iterable[int]) -> bool:
    return all(number in folds and folds[number].ended is not None for number in numbers)


def _are_same(one: TrialEnqueued, other: TrialStarted) -> bool:
    """Say whether both have the same params, by value and type."""
    known = [sorted(record.parameters.items()) for record in (one, other)]
    return known[0] == known[1] and repr(known[0]) == repr(known[1])

"""A study for its figures: the history, and values that several figures use."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

from search.analysis.comparison.decision import with_decision
from search.analysis.measure import fold_value, objective_name, score_text
from search.analysis.report.importance import Importance, importances
from search.analysis.report.style import hover, plain
from search.analysis.report.words import (
    Axis,
    axes_of,
    origin_of,
    params_pairs,
    trial_name,
    trial_score_text,
)
from search.tasks import Task, task_of_study
from spaces import short_text
from tracking.history import History, TrialHistory
from tracking.objectives import OBJECTIVES, Objective
from tracking.records import Json, OutputReport, TestSetOpened, TrialEnded

_ENOUGH = 8  # complete trials, to show the effect of a parameter
_DETAILED = 1500  # trials; with more, hover texts leave the params out


class NothingToDraw(Exception):
    """A figure makes no sense for a study; the message is a sentence that says why."""


@dataclass(frozen=True)
class Compared:
    """Trials that are compared by a score that all of them have.

    Attributes:
        values: the score by trial number; trials in order.
        name: of the score.
        word: which trials they are: `complete`, or `after fold 1`.
        note: a sentence if it is not the score over all folds, else empty.
    """

    values: dict[int, float]
    name: str
    word: str = "complete"
    note: str = ""

    def __contains__(self, trial: TrialHistory) -> bool:
        return trial.number in self.values


@dataclass(frozen=True)
class Subject:
    """A study's history and values that figures share."""

    history: History

    @property
    def first(self) -> Objective:
        """The study's first objective."""
        return self.history.objectives[0]

    @property
    def name(self) -> str:
        """The name of the first objective."""
        return objective_name(self.first)

    @property
    def axis_title(self) -> str:
        """The name of the first objective on an axis, with its direction if that is not up."""
        return self.name if self.first.larger else f"{self.name} (lower is better)"

    @cached_property
    def task(self) -> Task:
        """What the study predicts."""
        return task_of_study(self.history.known_study())

    @cached_property
    def outputs(self) -> dict[str, "Subject"]:
        """The same study for each of several outputs as if it had that alone; empty for one."""
        return {name: Subject(_of_output(self.history, name)) for name in self.task.outputs}

    @cached_property
    def names(self) -> list[str]:
        """The names of the classes, labels or numbers; one without a name is `class 3`."""
        return [name.strip() or f"class {number}" for number, name in enumerate(self.task.names)]

    @cached_property
    def others(self) -> list[Objective]:
        """The task's metrics, the loss and further objectives, without the first one."""
        from search.tasks.metrics import objective_of

        own = [objective_of(name, self.task)[0] for name in self.task.scored]
        found: dict[str, Objective] = {}
        for known in (OBJECTIVES["cv_loss"], *own, *self.history.objectives[1:]):
            if known.name not in (self.first.name, "model_parameters"):
                found.setdefault(known.name, known)
        return list(found.values())

    @cached_property
    def complete(self) -> list[TrialHistory]:
        """Complete trials with a finite value, by number."""
        trials = self.history.completed()
        return sorted((t for t in trials if _is_finite(t.value)), key=lambda t: t.number)

    @cached_property
    def pruned(self) -> list[TrialHistory]:
        """Pruned trials, by number."""
        return [trial for trial in self.history.finished() if trial.state == "pruned"]

    @cached_property
    def compared(self) -> Compared:
        """The trials of slices and contours: complete ones, or all on fold 1 if these are few.

        After racing few trials are complete; most have seen the first fold with all its epochs, so
        that it compares them fairly.
        """
        values = {trial.number: self.value(trial) for trial in self.complete}
        if len(values) >= _ENOUGH:
            return Compared(values, self.name)
        first = {
            trial.number: found
            for trial in sorted(self.history.trials.values(), key=lambda t: t.number)
            for ended in [trial.finished_folds().get(1)]
            for found in [fold_value(ended, self.first) if ended else None]
            if found is not None and math.isfinite(found)
        }
        if len(first) <= len(values):
            return Compared(values, self.name)
        note = (
            f" Because few trials are complete, it is the {self.name} on fold 1 of all trials that"
            " finished it."
        )
        return Compared(first, f"{self.name} on fold 1", "after fold 1", note)

    @cached_property
    def best(self) -> TrialHistory:
        """The best trial.

        Raises:
            NothingToDraw: none is complete.
        """
        best = with_decision(self.history).best()
        if best is None:
            raise NothingToDraw("No trial is complete yet.")
        return best

    @cached_property
    def baselines(self) -> list[TrialHistory]:
        """Complete baselines, the best first."""
        return [trial for trial in self.history.completed() if origin_of(trial)]

    @cached_property
    def rival(self) -> TrialHistory | None:
        """The best baseline apart from the best trial; None without one."""
        return next((t for t in self.baselines if t.number != self.best.number), None)

    @cached_property
    def described(self) -> dict[str, TrialEnded | TestSetOpened]:
        """What reports on predictions there are, by label.

        They are those of the best trial and the best baseline, out of fold, and of the test set.
        """
        trials = [trial for trial in (self.best, self.rival) if trial is not None]
        found: dict[str, TrialEnded | TestSetOpened] = {
            f"{plain(trial_name(trial), 40)}, out of fold": trial.ended
            for trial in trials
            if trial.ended is not None
        }
        for last in self.history.test_openings[-1:]:
            found[f"trial {last.trial}, on the test set"] = last
        return found

    @cached_property
    def axes(self) -> list[Axis]:
        """The searched parameters in which trials differ, the most important first if known.

        Importance that chance explains does not count.

        Raises:
            NothingToDraw: there are none.
        """
        axes = axes_of(self.history)
        if not axes:
            raise NothingToDraw("The trials do not differ in any searched parameter.")
        places = {found.name: place for place, found in enumerate(self.importances)}
        return sorted(axes, key=lambda axis: places.get(axis.name, len(places)))

    @cached_property
    def importances(self) -> list[Importance]:
        """The importance of each searched parameter; empty if unknown."""
        return importances(self.history, axes_of(self.history))

    def value(self, trial: TrialHistory) -> float:
        """Return a complete trial's value of the first objective."""
        return trial.value or 0.0

    def label(self, trial: TrialHistory, *lines: str) -> str:
        """Return a trial's hover text: name, score, params."""
        score = trial_score_text(self.first, trial) if trial.state == "complete" else trial.state
        pairs = params_pairs(trial, self.history) if len(self.history.trials) < _DETAILED else []
        params = [plain(f"{name} = {value}") for name, value in pairs[:14]]
        return hover(f"<b>{plain(trial_name(trial))}</b>", f"{self.name} {score}", *lines, *params)

    def brief(self, trial: TrialHistory, *axes: Axis) -> str:
        """Return a short hover text for figures with many points per trial: name, score, values."""
        score = (
            score_text(self.first, trial.value) if trial.value is not None else trial.state.shown
        )
        values = (f"{axis.name} = {short_text(trial.params[axis.name])}" for axis in axes)
        return hover(f"{plain(trial_name(trial))}: {score}", *map(plain, values))


def _of_output(history: History, name: str) -> History:
    """Return a history whose reports are those of one of several outputs."""
    study = history.known_study()

    def own(report: Json) -> OutputReport:
        return next(output for output in study.outputs(report) if output.name == name)

    trials = {}
    for number, trial in history.trials.items():
        ended = trial.ended
        if ended is not None:
            of = own(ended.report)
            ended = replace(ended, report=of.report, confusion=of.confusion)
        trials[number] = replace(trial, ended=ended)
    openings = [
        replace(opening, report=of.report, confusion=of.confusion)
        for opening in history.test_openings
        for of in [own(opening.report)]
    ]
    return replace(history, study=own({}).study, trials=trials, test_openings=openings)


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)

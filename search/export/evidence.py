"""What out-of-fold predictions say of a final model before it is trained.

Which trials it averages, how its probabilities are calibrated, and the scores that sets and
intervals are made of.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.analysis.calibration import (
    NONE,
    TEMPERATURE,
    Calibrated,
    Calibration,
    calibrate,
)
from search.analysis.coverage import Conformal, conformal, conformal_of
from search.analysis.ensembles import Selection, select
from search.analysis.library import Library
from search.data import Dataset
from search.errors import DataError, SettingsError
from search.export.calibrating import NOT_ASKED, with_calibration
from search.export.extent import ALIKE, about
from search.export.formats.base import new_input, set_apart, with_values
from search.export.held_out import HeldOut
from search.export.labels import Labels, values_of
from search.export.members import AUTO, NO_ENSEMBLE, FinalModel, Member
from search.tasks import CLASSIFICATION, MULTI_LABEL, REGRESSION
from search.tasks.thresholds import DecidingOutputs
from tracking.history import History, TrialHistory
from tracking.home import StudyFolder
from tracking.records import Json
from tracking.text import Notify

FEW = 100  # independent samples that tell little of a calibration
BELIEVED = (CLASSIFICATION, MULTI_LABEL, REGRESSION)  # tasks whose models' values are


@dataclass(frozen=True)
class Evidence:
    """The out-of-fold predictions of a study.

    Attributes:
        history: of the study.
        folder: its files.
        dataset: its data, for the weights of samples.
    """

    history: History
    folder: StudyFolder
    dataset: Dataset

    @cached_property
    def library(self) -> Library:
        """The predictions of all complete trials.

        Raises:
            DataError: none can be used.
        """
        return Library.read(self.history, self.folder, weights=self._weights)

    @property
    def _weights(self) -> NDArray[Any] | None:
        known = self.dataset.train_extra("weights")
        return None if known is None else np.asarray(known)

    def members(
        self, ensemble: str, refits: int, trial: TrialHistory, notify: Notify
    ) -> tuple[Member, ...]:
        """Return the trials whose models the final one averages, the largest weight first.

        Args:
            ensemble: as `ExportRequest` has it.
            refits: how many seeds of each are trained.
            trial: that is exported where there is no ensemble.
            notify: takes what was found of an ensemble.

        Raises:
            SettingsError: there are too few trials for a number that was asked for.
        """
        alone = (Member(trial.number, 1.0, refits),)
        if ensemble == NO_ENSEMBLE:
            return alone
        try:
            found = select(self.library, most="auto" if ensemble == AUTO else int(ensemble))
        except DataError as error:
            if ensemble == AUTO:
                return alone
            raise SettingsError(f"`--ensemble {ensemble}` cannot be chosen: {error}") from error
        if len(found.ensemble) > 1:
            notify(_told(found, ensemble, refits))
        elif ensemble != AUTO:
            notify(f"{found.reason} One trial is exported")
        if not found.is_taken:
            return alone
        return tuple(Member(m.trial.number, m.weight, refits) for m in found.members)

    def belief(self, members: Sequence[Member], *, samples: int, searched: int) -> "Belief":
        """Return how far the average of some trials can be believed, and a calibration of it.

        Args:
            members: whose models are averaged.
            samples: that they are trained on.
            searched: samples that the study used.
        """
        trials = [self.history.trials[member.trial] for member in members]
        task = self.library_task
        if task not in BELIEVED:
            return Belief(why="several outputs at once are not calibrated")
        try:
            only = Library.read(self.history, self.folder, only=trials, weights=self._weights)
        except DataError as error:
            return Belief(why="" if task == REGRESSION else str(error))
        try:
            shares = [m.weight for m in members]
            values = only.mean_values(list(zip(trials, shares, strict=True)))
        except DataError as error:  # of classes, whose true one is known all the same
            truth = np.average(_ordered(only, trials), axis=0, weights=shares)
            scores = conformal_of(1 - truth, task, weights=only.weights, groups=only.ids)
            return Belief(conformal=scores, why=str(error))
        if task == REGRESSION:
            return Belief(conformal=_conformal(only, values))
        if why := unlike(members, samples, searched):
            return Belief(conformal=_conformal(only, values), why=why)
        return _calibrated(only, values)

    @property
    def library_task(self) -> str:
        """The name of the study's task."""
        return self.history.known_study().task


@dataclass(frozen=True)
class Belief:
    """How far a final model can be believed.

    Attributes:
        calibrated: the calibration and what it does out of fold; None where there is none to be.
        conformal: the scores of sets or intervals; None where there are none.
        plain: the same of what is not calibrated.
        why: why it is not calibrated, in words; empty where it was tried, and of numbers.
        held_out: samples that models trained as the final one had not seen, by which it is known;
            0 where it is known from predictions out of fold.
    """

    calibrated: Calibrated | None = None
    conformal: Conformal | None = None
    plain: Conformal | None = None
    why: str = ""
    held_out: int = 0

    @classmethod
    def of_held_out(cls, tried: HeldOut) -> "Belief":
        """Return what models trained without a part of the samples show of the final one."""
        count = tried.samples
        if tried.task.name == REGRESSION:
            return cls(conformal=_conformal(tried, tried.values), held_out=count)
        return replace(_calibrated(tried, tried.values), held_out=count)

    @property
    def calibration(self) -> Calibration:
        """What is built into the model."""
        return Calibration() if self.calibrated is None else self.calibrated.calibration

    def uncalibrated(self, why: str = NOT_ASKED) -> "Belief":
        """Return the same without calibration; sets are then of the model as it is.

        Args:
            why: a clause.
        """
        if self.calibrated is None:
            return self
        return replace(self, calibrated=None, conformal=self.plain, why=why)

    @property
    def told(self) -> str:
        """A sentence on the calibration for the user; empty where there is nothing to tell."""
        if self.why:
            return f"its probabilities are not calibrated: {self.why}" if self._has_shares else ""
        found = self.calibrated
        if found is None or found.calibration.kind == NONE:
            return ""
        how = "isotonic regression"
        if found.calibration.kind == TEMPERATURE:
            how = f"a temperature of {found.calibration.temperature:.3g}"
        which = f"of {self.held_out:,} samples held out" if self.held_out else "out of fold"
        return (
            f"its probabilities are calibrated by {how}, which lowers the log loss {which} from"
            f" {found.loss_before:.4f} to {found.loss:.4f} (nested){self._caution}"
        )

    @property
    def _caution(self) -> str:
        """What speaks against a calibration, in words; empty where nothing does."""
        found, known = self.calibrated, self.conformal
        if found is None:
            return ""
        if found.calibration.is_extreme:
            return "; that is the end of what is tried, so that they may still be off"
        if known is not None and known.samples < FEW:
            return f"; {known.samples:,} independent samples are few for that"
        return ""

    @property
    def _has_shares(self) -> bool:
        return self.conformal is None or self.conformal.task != REGRESSION

    def applied(self, model: Any, labels: Labels, encoded: Any) -> tuple[Any, Labels]:
        """Return a model with its calibration as a part, and labels with all that is known.

        Args:
            model: from encoded samples to outputs.
            labels: of that model.
            encoded: a few samples as it takes them.
        """
        import keras

        known = replace(labels, conformal=self.conformal if self._fits(labels) else None)
        calibration = self.calibration
        if calibration.kind == NONE or not labels.outputs.are_probabilities:
            return model, known
        inputs = new_input(model, encoded, labels.kind)
        set_apart(model, inputs)
        values = with_values(model, inputs, labels.outputs)
        made = keras.Model(inputs, with_calibration(values, calibration, labels.task))
        outputs = values_of(labels.outputs, labels.task)
        if isinstance(outputs, DecidingOutputs) and outputs.thresholds:
            cuts = enumerate(outputs.thresholds)
            moved = tuple(calibration.threshold(cut, label) for label, cut in cuts)
            outputs = replace(outputs, thresholds=moved)  # type: ignore[type-var] # dataclasses
        return made, replace(known, outputs=outputs)

    def _fits(self, labels: Labels) -> bool:
        return self.conformal is not None and labels.outputs.are_probabilities

    def applied_to(self, made: FinalModel, encoded: Any) -> FinalModel:
        """Return a trained model with all that is known of it."""
        model, labels = self.applied(made.model, made.labels, encoded)
        return replace(made, model=model, labels=labels)

    def to_json(self) -> Json:
        """Return what `ModelExported.calibration` has; empty where nothing was calibrated."""
        found = self.calibrated
        if found is None and not self._has_shares:
            return {"held_out": self.held_out} if self.held_out else {}
        if found is None:
            return {"kind": NONE, "why": self.why} if self.why else {}
        return {
            "kind": found.calibration.kind,
            "temperature": found.calibration.temperature,
            "loss_before": found.loss_before,
            "loss": found.loss,
            "ece_before": found.before.error,
            "ece": found.after.error,
            "brier_before": found.brier_before,
            "brier": found.brier,
            "held_out": self.held_out,
        }


def _ordered(library: Library, trials: Sequence[TrialHistory]) -> NDArray[Any]:
    """Return the columns of some trials, `(trials, n, columns)`, in their order."""
    places = {trial.number: place for place, trial in enumerate(library.trials)}
    return library.columns[[places[trial.number] for trial in trials]]


def _calibrated(known: Library | HeldOut, values: NDArray[Any]) -> Belief:
    found = calibrate(values, known.targets, known.task, known.splits(), known.weights)
    return Belief(found, _conformal(known, found.values), _conformal(known, values))


def _conformal(known: Library | HeldOut, values: NDArray[Any]) -> Conformal:
    ids, weights = known.ids, known.weights
    return conformal(values, known.targets, known.task, weights=weights, groups=ids)


def unlike(members: Sequence[Member], samples: int, searched: int) -> str:
    """Return why models out of fold are unlike the final one in how sure they are."""
    if any(member.refits > 1 for member in members):
        return (
            "averages of several seeds are less sure than the single models that predicted out of"
            " fold"
        )
    if samples > ALIKE * searched:
        return (
            f"it sees {samples:,} samples, where the search that it is known from saw {searched:,}"
        )
    return ""


def _told(found: Selection, ensemble: str, refits: int) -> str:
    """Return what is known of an ensemble and what it costs with all refits, in words."""
    low, high = found.difference.low, found.difference.high
    interval = "" if low is None or high is None else f", 95 % interval {low:.4f} to {high:.4f}"
    cost = found.cost
    parts = [
        f"{found.reason} Its nested loss is {found.loss:.4f}, that of the single one"
        f" {found.single_loss:.4f} (difference {found.difference.mean:.4f}{interval})"
    ]
    if found.is_taken:
        asked = "" if ensemble == AUTO else f"as `--ensemble {ensemble}` asks for it, "
        seconds, single = refits * cost.train_seconds, refits * cost.single_seconds
        parts.append(
            f"{asked}it is exported, which takes {about(seconds)} of training for {about(single)},"
            f" by the time of a fold, and {refits * cost.parameters:,} parameters at prediction,"
            f" for {refits * cost.single_parameters:,}"
        )
    elif ensemble == AUTO:
        parts.append(f"one trial is exported; `--ensemble {len(found.ensemble)}` takes it anyway")
    return "; ".join(parts)

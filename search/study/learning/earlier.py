"""What earlier studies of the same space found: gathered from a home, kept beside the new study.

One file in the new study's folder holds it all, so that the study continues, and can be repeated,
without the others; the journal has the file's digest. Where the home has no study to learn from,
this project's spaces start from recordings of their own (`benchmarks/portfolios.py`).
"""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from search.errors import FoldwiseError, SettingsError
from search.studies import known_study, study_history
from search.study.drivers import FixedDriver, is_reference
from search.study.feedback import Feedback
from search.study.pruners import make_pruner
from search.study.settings import (
    AUTO_LEARNING,
    NO_LEARNING,
    SHIPPED_LEARNING,
    StudySettings,
)
from spaces import Params, Space
from tracking.files import whole_file
from tracking.history import History
from tracking.home import Home
from tracking.journal import JournalError, JournalReader
from tracking.records import Json, StudyStarted
from tracking.text import Notify, counted

SHIPPED = Path(__file__).with_name("portfolios.json")
FEWEST = 5  # settings with scores that a study must have to be learned from
MOST_STUDIES, MOST_TRIALS = 20, 100  # that are learned from
_OVER = ("complete", "exhausted", "timeout")  # how a session ends that leaves its study finished
# Samplers whose proposals depend on values, whoever proposed the settings.
_LEARNING = ("tpe", "gp", "cmaes", "bayesian")


@dataclass(frozen=True)
class EarlierStudy:
    """What a study of the same space found.

    Attributes:
        study: its name; of what is shipped the name of a table.
        id: its own.
        dataset: its name.
        task: what is predicted.
        objective: what the values are of.
        trials: complete params, and values on one scale; larger is better.
    """

    study: str
    id: str
    dataset: str
    task: str
    objective: str
    trials: tuple[tuple[Params, float], ...] = field(repr=False)


@dataclass(frozen=True)
class Learned:
    """What a study has learned from others.

    Attributes:
        studies: those that it learned from.
        shipped: whether they are this project's own recordings, for want of studies.
    """

    studies: tuple[EarlierStudy, ...] = ()
    shipped: bool = False

    @classmethod
    def from_json(cls, found: Any) -> "Learned":
        """Return what a file holds.

        Raises:
            ValueError: it holds something else.
        """
        try:
            studies = [
                EarlierStudy(**{**one, "trials": tuple(map(_trial, one["trials"]))})
                for one in found["studies"]
            ]
            return cls(tuple(studies), bool(found["shipped"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"it has no studies in it ({error!r})") from error

    @cached_property
    def text(self) -> str:
        """The file's content: JSON, a line for each setting."""
        studies = []
        for one in self.studies:
            head = {name: value for name, value in asdict(one).items() if name != "trials"}
            rows = ",\n".join(f"  {json.dumps([params, value])}" for params, value in one.trials)
            studies.append(f'{json.dumps(head)[:-1]}, "trials": [\n{rows}\n]}}')
        return f'{{"shipped": {json.dumps(self.shipped)}, "studies": [\n{",".join(studies)}\n]}}\n'

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def described(self) -> Json:
        """Return what the journal's first record says of it; empty where nothing was learned."""
        if not self.studies:
            return {}
        studies = [
            {"study": s.study, "id": s.id, "dataset": s.dataset, "settings": len(s.trials)}
            for s in self.studies
        ]
        return {"digest": self.digest, "shipped": self.shipped, "studies": studies}

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all; nothing where nothing was learned."""
        if self.studies:
            with whole_file(path) as file:
                file.write(self.text.encode())


def _trial(entry: Sequence[Any]) -> tuple[Params, float]:
    params, value = entry
    if not math.isfinite(value):
        raise TypeError(f"{value} is no score")
    return {name: _with_tuples(one) for name, one in params.items()}, float(value)


def _with_tuples(value: Any) -> Any:
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def learned_by(
    settings: StudySettings, study: StudyStarted, space: Space, home: Home, notify: Notify
) -> Learned:
    """Return what a new study learns.

    Args:
        settings: its own.
        study: its first record, which is not written yet.
        space: narrowed.
        home: where earlier studies are.
        notify: told of studies that cannot be read.

    Raises:
        SettingsError: a study that is named cannot be learned from, or the sampler does not learn.
    """
    asked = settings.learn_from
    if asked == NO_LEARNING:
        return Learned()
    is_automatic = asked == AUTO_LEARNING
    reason = _why_not(settings, study, space)
    if reason and is_automatic:
        return Learned()
    if reason:
        raise SettingsError(f"`--learn-from {','.join(asked)}`: {reason}")
    if asked == SHIPPED_LEARNING:
        found = shipped(study.space)
        if found.studies:
            return found
        raise SettingsError(
            f"`--learn-from shipped` needs a space that this project has recordings of; got"
            f" {study.space}"
        )
    if not is_automatic:
        return Learned(tuple(_named(home, name, study) for name in asked))
    latest = sorted(_finished(home, study, notify), key=lambda one: -one[0])[:MOST_STUDIES]
    return Learned(tuple(one for _, one in latest)) if latest else shipped(study.space)


def _why_not(settings: StudySettings, study: StudyStarted, space: Space) -> str:
    sampler = str(settings.sampler)
    if not (sampler in _LEARNING or is_reference(sampler)):
        return (
            f"needs a sampler that learns, such as tpe; got {sampler}, which proposes the same"
            " whatever is known"
        )
    if len(study.objectives) > 1:
        return "needs one objective; got two, for which no order of settings is the right one"
    return "" if space.searched() else "nothing is searched, so there is nothing to learn"


def _named(home: Home, name: str, study: StudyStarted) -> EarlierStudy:
    _, history = known_study(home, name)
    before = history.known_study()
    if before.space != study.space:
        raise SettingsError(
            f"`--learn-from {name}` must be a study of space {study.space}; got one of"
            f" {before.space}"
        )
    found = earlier_study(history)
    if len(found.trials) < FEWEST:
        raise SettingsError(
            f"`--learn-from {name}` must have scores of at least {FEWEST} settings; got"
            f" {len(found.trials)}"
        )
    return found


def _finished(
    home: Home, study: StudyStarted, notify: Notify
) -> Iterator[tuple[float, EarlierStudy]]:
    """Yield the finished studies of a space, each after the time of its end."""
    for name, folder in home.studies().items():
        try:
            first = next(JournalReader(folder.journal).read(), None)
            if not isinstance(first, StudyStarted) or first.space != study.space:
                continue
            history = study_history(folder)
        except (FoldwiseError, JournalError) as error:
            notify(f"study {name} is not learned from: {error}")
            continue
        end = history.last_end
        if end is None or end.reason not in _OVER:
            continue
        found = earlier_study(history)
        if len(found.trials) >= FEWEST:
            yield end.at, found


def earlier_study(history: History) -> EarlierStudy:
    """Return what a study found: its settings with values that compare, whatever each trial saw."""
    study, objective = history.known_study(), history.objectives[0]
    pruner = make_pruner(str(study.settings.get("pruner") or "none"), objective)
    feedback = Feedback(FixedDriver(()), history, pruner.rungs(study.folds))
    outcomes = [(t.started.parameters, feedback.outcome(t)) for t in history.finished()]
    trials = [
        (params, outcome.values[0])
        for params, outcome in outcomes
        if outcome is not None and outcome.values and math.isfinite(outcome.values[0])
    ]
    return EarlierStudy(
        study=study.study,
        id=study.id,
        dataset=str(study.dataset["name"]),
        task=study.task,
        objective=objective.name,
        trials=tuple(_fewer(trials)),
    )


def _fewer(trials: list[tuple[Params, float]]) -> list[tuple[Params, float]]:
    """Return all of a few trials; of many the best half that may be kept, and some of the rest."""
    if len(trials) <= MOST_TRIALS:
        return trials
    ranked = sorted(range(len(trials)), key=lambda place: -trials[place][1])
    half = MOST_TRIALS // 2
    rest = ranked[half:]
    kept = ranked[:half] + [rest[n * (len(rest) - 1) // (half - 1)] for n in range(half)]
    return [trials[place] for place in sorted(kept)]


def shipped(space: str) -> Learned:
    """Return the recordings that come with a space of this project; nothing of others."""
    known = json.loads(SHIPPED.read_text("utf-8"))["spaces"]
    return Learned.from_json({"shipped": True, **known[space]}) if space in known else Learned()


def learned_before(path: Path, study: StudyStarted, notify: Notify) -> Learned:
    """Return what a study learned when it began.

    Args:
        path: of its file.
        study: its first record.
        notify: is told where the file is not there, or not the one it was.
    """
    if not study.learned:
        return Learned()
    try:
        found = Learned.from_json(json.loads(path.read_text("utf-8")))
        if found.digest == study.learned.get("digest"):
            return found
        why = "is not the one that it began with"
    except OSError as error:
        why = f"cannot be read ({error.strerror})"
    except ValueError as error:
        why = f"is damaged ({error})"
    notify(
        f"{path}, what the study learned from others, {why}: it goes on from its trials, but not as"
        " an uninterrupted one would"
    )
    return Learned()


def learned_text(study: StudyStarted) -> str:
    """Say what a study learned from, to stand after `learned`."""
    studies = study.learned["studies"]
    if study.learned["shipped"]:
        most, datasets = max(one["settings"] for one in studies), {s["dataset"] for s in studies}
        return (
            f"from {counted(len(datasets), 'dataset')} recorded by this project, up to"
            f" {counted(most, 'setting')} of {study.space} on each"
        )
    names = ", ".join(one["study"] for one in studies)
    total = sum(one["settings"] for one in studies)
    return (
        f"from {counted(len(studies), 'study')} of {study.space}: {names}"
        f" ({counted(total, 'setting')})"
    )

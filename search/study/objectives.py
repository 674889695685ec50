"""What a study searches for and what else it records, settled once its task is known."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.errors import SettingsError, near_matches
from search.study.settings import StudySettings
from search.tasks import CLASSIFICATION, TASKS, Metric, Task, task_of
from search.tasks.metrics import (
    UnfitMetricError,
    UnknownMetricError,
    direction_of,
    objective_of,
    unknown_metric,
)
from spaces import absolute
from tracking.objectives import OBJECTIVES, Objective, objective_names, other_name

_DIRECTIONS = {"max": True, "min": False}
_MADE_NAMES = (("a", "b"), ("a", "b", "c"), ("a",))  # of tasks of which only the kind is known


@dataclass(frozen=True)
class Goals:
    """What a study searches for and what it records of every trial.

    Attributes:
        objectives: the most important first.
        objective: their texts, as the setting has them.
        metrics: texts of the metrics that neither are the task's nor an objective's.
    """

    objectives: tuple[Objective, ...]
    objective: str
    metrics: tuple[str, ...]

    @classmethod
    def of(
        cls, objective: str | None, metrics: Sequence[str], task: Task, *, began: str = ""
    ) -> "Goals":
        """Return the goals that a user's texts name, each in the words a study records.

        Args:
            objective: one or two; None for the task's.
            metrics: further ones.
            task: of the dataset.
            began: the objective as the study recorded it when it began; empty for a new one.

        Raises:
            SettingsError: there is no such metric, or it does not fit the task.
        """
        found = []
        for text in objective_names(objective or task.objective):
            if text in objective_names(began):
                found.append((text, _settled(text, task, "--objective")[1]))
            else:
                found.append(_settled(_of_folds(text), task, "--objective"))
        objectives = tuple(objective for _, objective in found)
        if len({objective.name for objective in objectives}) < len(objectives):
            raise SettingsError(f"`--objective`: must be two different ones; got {objective}")
        if not objectives[0].fold:
            raise SettingsError(f"`--objective`: must begin with a score; got {objectives[0].name}")
        texts = [text for text, _ in found]
        further = tuple(_further(metrics, objectives, task))
        _check_names([*texts, *further], task)
        return cls(objectives, ",".join(texts), further)

    def asked(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a user gave with objective and metrics in the words a study records."""
        words = {"objective": self.objective, "metrics": self.metrics}
        return {**asked, **{name: text for name, text in words.items() if name in asked}}


def settle(
    settings: StudySettings, task: Task, *, began: str = ""
) -> tuple[StudySettings, tuple[Objective, ...]]:
    """Return the settings with objective and metrics as they are recorded, and the objectives.

    Args:
        settings: of the study.
        task: of the dataset.
        began: as of `Goals.of`.

    Raises:
        SettingsError: as of `Goals.of`.
    """
    goals = Goals.of(settings.objective, settings.metrics, task, began=began)
    update = {"objective": goals.objective, "metrics": goals.metrics}
    return settings.model_copy(update=update), goals.objectives


def measured(settings: StudySettings, task: Task) -> tuple[Objective, ...]:
    """Return the scores that every complete trial has beside its loss, the task's main one first.

    Args:
        settings: with what is settled.
        task: of the dataset.
    """
    texts = ("cv_accuracy", "macro_f1") if task.name == CLASSIFICATION else task.scored
    found = (objective_of(text, task)[0] for text in (*texts, *texts_of(settings)))
    return tuple({each.fold: each for each in found if each.fold not in ("", "loss")}.values())


def check_known(settings: StudySettings) -> None:
    """Raise SettingsError where there is no such objective or metric; before data are read."""
    tasks = [task_of(kind, names) for names in _MADE_NAMES for kind in TASKS]
    for option, texts in (
        ("--objective", objective_names(settings.objective or "")),
        ("--metrics", settings.metrics),
    ):
        for text in texts:
            if text and "@" not in text:
                _check_any(text, tasks, option)


def texts_of(settings: StudySettings) -> tuple[str, ...]:
    """Return what a worker computes beyond the task's own, as `objective_of` reads it."""
    return (*objective_names(str(settings.objective)), *settings.metrics)


def _check_any(text: str, tasks: list[Task], option: str) -> None:
    faults = []
    for asked in (text, *_without_output(text)):
        for task in tasks:
            try:
                _settled(asked, task, option)
            except UnfitMetricError:
                return  # the data decide: of more classes it may tell something
            except UnknownMetricError:
                continue
            except SettingsError as error:
                faults.append(error)
            else:
                return
    raise (
        faults[0]
        if faults
        else SettingsError(f"`{option}`: {unknown_metric(text, *tasks)}{_hint(text)}")
    )


def _hint(name: str) -> str:
    meant = other_name(name)
    return f"; did you mean {meant}?" if meant and meant != name else ""


def _without_output(text: str) -> Iterator[str]:
    """Yield what a text may ask of one of several outputs, whose names are not known yet.

    `cv_price_rmse` may be the `rmse` of `price`.
    """
    direction, sign, name = text.rpartition(":")
    if direction in ("", *_DIRECTIONS):
        words = name.removeprefix("cv_").split("_")
        yield from (f"{direction}{sign}{'_'.join(words[at:])}" for at in range(1, len(words)))


def _further(metrics: Sequence[str], objectives: Sequence[Objective], task: Task) -> Iterator[str]:
    """Yield the metrics to record that neither are the task's nor an objective's."""
    known = {*task.scored, "loss", *(objective.fold for objective in objectives)}
    for asked in metrics:
        text, objective = _settled(asked, task, "--metrics")
        if not objective.fold:
            raise SettingsError(
                f"`--metrics`: {objective.name} is no metric of predictions; make it the second"
                f" objective: `--objective {objectives[0].name},{objective.name}`"
            )
        if objective.fold not in known:
            known.add(objective.fold)
            yield text.removeprefix("cv_")


def _of_folds(text: str) -> str:
    """Return the objective by which a new study goes where a user names `macro_f1`.

    An objective is the mean of what the folds have, also while a trial is under way. Studies begun
    earlier go by the macro F1 of all out-of-fold predictions together, which is recorded anyway.
    """
    direction, sign, name = text.rpartition(":")
    is_plain = name == "macro_f1" and direction in ("", *_DIRECTIONS)
    return f"{direction}{sign}cv_{name}" if is_plain else text


def _settled(text: str, task: Task, option: str) -> tuple[str, Objective]:
    """Return an objective's text as it is recorded, and the objective."""
    direction, _, rest = text.partition(":")
    larger = _DIRECTIONS.get(direction)
    plain = absolute(text if larger is None else rest)
    asked = plain if larger is None else f"{direction}:{plain}"
    try:
        objective, _ = objective_of(asked, task)
        if ":" in plain:
            _check_function(plain)
    except SettingsError as error:
        raise type(error)(f"`{option}`: {error}{_hint(plain)}") from error
    if larger not in (None, objective.larger):
        way = "larger" if objective.larger else "smaller"
        raise SettingsError(
            f"`{option}`: of {objective.name} a {way} value is better; leave out `{direction}:`"
        )
    recorded = _recorded(plain, objective)
    return recorded, objective_of(recorded, task)[0]


def _recorded(plain: str, objective: Objective) -> str:
    """Return the text by which an objective is found again, with its direction where needed."""
    needed = ":" in plain
    if plain.startswith("val_"):
        needed = direction_of(plain.removeprefix("val_")) is not objective.larger
    elif not needed:
        known = objective == OBJECTIVES.get(plain)
        return plain if known else f"cv_{plain.removeprefix('cv_')}"
    return f"{'max' if objective.larger else 'min'}:{plain}" if needed else plain


def _check_function(place: str) -> None:
    """Raise SettingsError unless a file has a function of the name, which is not run yet."""
    file, _, name = place.rpartition(":")
    if not file.endswith(".py"):
        raise SettingsError(f"a metric of one's own must be FILE.py:FUNCTION; got {place}")
    try:
        body = ast.parse(Path(file).read_bytes()).body
    except (OSError, SyntaxError, ValueError) as error:
        raise SettingsError(f"metric {place}: the file cannot be read ({error})") from error
    names = {name for statement in body for name in _names_in(statement)}
    if name not in names and "*" not in names:
        raise SettingsError(f"{file} has no function {name}; {near_matches(name, names)}")


def _names_in(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement of a module defines, in branches, too."""
    for node in ast.walk(statement):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).partition(".")[0]


def _check_names(texts: list[str], task: Task) -> None:
    """Raise SettingsError where two metrics would be recorded by the same name."""
    known = {name: (name, _key(task.metric(name))) for name in task.scored}
    for text in texts:
        objective, metric = objective_of(text, task)
        other, key = known.setdefault(objective.fold, (text, _key(metric)))
        if metric is not None and key != _key(metric):
            raise SettingsError(
                f"{text} and {other} would both be recorded as {objective.fold!r}; give one of them"
                " another name"
            )


def _key(metric: Metric | None) -> tuple[object, ...]:
    return type(metric), getattr(metric, "name", ""), getattr(metric, "place", "")

"""Trials of a KerasTuner project or an Optuna study, brought to a study of this project.

What they measured, they measured under another evaluation, so it is never a score here; decision
0025. The best of them are enqueued, to be evaluated here; the driver may be told of the rest.

KerasTuner's files are JSON since its version 1.0: `trial_*/trial.json` has `trial_id`,
`hyperparameters` (`space`, `values`), `metrics` (each with `direction` and `observations`),
`score` and `status`; the objective's name is in none of them. Nothing is unpickled. Optuna reads
its own storages, with SQLite files opened for reading alone.

Source: `keras_tuner/src/engine/trial.py` and `metrics_tracking.py` of 1.4.8; those of 1.0.0, 1.0.2,
1.1.0 and 1.2.0 write the same.
"""

import json
import math
import statistics
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from search.errors import SettingsError, near_matches
from search.study.enqueuing import Entry, fitting_value
from spaces import Parameter, Params, Space, SpaceError, Value, value_text
from tracking.objectives import Objective
from tracking.secrets import secrets_in, shown_address, without_secrets

COMPLETE = "complete"
KERAS_TUNER, OPTUNA = "KerasTuner project", "Optuna study"
_OF_TUNER = "tuner/"  # Hyperband's notes on its rounds
_SQLITE = b"SQLite format 3\0"


@dataclass(frozen=True)
class SourceTrial:
    """A trial as its tool recorded it.

    Attributes:
        name: what the tool calls it.
        params: its params, by their names there.
        value: of the source's objective; None if there is none, or none that is finite.
        state: `complete`, or the tool's word for another one.
    """

    name: str
    params: Mapping[str, Any]
    value: float | None
    state: str = COMPLETE


@dataclass(frozen=True)
class Source:
    """A KerasTuner project or an Optuna study.

    Attributes:
        kind: which of the two.
        name: where it is, fit to be shown and recorded.
        objective: what its values are, by its own name; empty if it does not say.
        larger: whether larger values are better.
        trials: in the order in which they began.
        objectives: how many it has; the first one counts.
    """

    kind: str
    name: str
    objective: str
    larger: bool
    trials: tuple[SourceTrial, ...]
    objectives: int = 1

    def ranked(self) -> list[SourceTrial]:
        """Return the complete trials that have a value, the best first."""
        known = [t for t in self.trials if t.state == COMPLETE and t.value is not None]
        return sorted(known, key=lambda t: -(t.value or 0.0) if self.larger else (t.value or 0.0))


def read_source(address: str, *, study: str = "", objective: str = "") -> Source:
    """Read the trials of another tool; nothing of theirs is changed.

    Args:
        address: folder of a KerasTuner project, or of Optuna a storage's URL or the path of its
            SQLite or journal file.
        study: name of the Optuna study; may be left out if the storage holds one.
        objective: what its values are, if it does not say so itself; of a KerasTuner project the
            metric to go by.

    Raises:
        SettingsError: there is nothing of the kind.
    """
    path = Path(address).expanduser()
    if "://" in address:
        return _optuna(address, study, objective)
    if path.is_dir():
        if study:
            raise SettingsError(
                f"`--source-study` is for Optuna's storages; {address} is a folder, as KerasTuner's"
            )
        return _keras_tuner(path, objective)
    if not path.is_file():
        raise SettingsError(
            f"there is no {address}; name a KerasTuner project's folder, or an Optuna storage:"
            " sqlite:///FILE, or a journal file"
        )
    return _optuna(address, study, objective)


# KerasTuner.


def _keras_tuner(folder: Path, objective: str) -> Source:
    name = str(folder.resolve())  # the same from wherever it is imported
    files = sorted(folder.glob("trial_*/trial.json"))
    if not files:
        inside = sorted(found.parent for found in folder.glob("*/oracle.json"))
        hint = f"; did you mean {inside[0]}?" if inside else ""
        raise SettingsError(
            f"{name} holds no trials of KerasTuner, files such as trial_0000/trial.json{hint}"
        )
    documents = [_document(file) for file in files]
    chosen, larger = _metric(name, documents, objective)
    trials = tuple(_tuner_trial(one, chosen if objective else "") for one in documents)
    return Source(KERAS_TUNER, name, chosen, larger, trials)


def _document(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text("utf-8"))
        values = dict(found["hyperparameters"]["values"])
        metrics = dict(found["metrics"]["metrics"])
        curves = {metric: _curve(known) for metric, known in metrics.items()}
        directions = {metric: str(known["direction"]) for metric, known in metrics.items()}
        score = found.get("score")
        return {
            "name": str(found.get("trial_id") or file.parent.name),
            "values": {key: one for key, one in values.items() if not key.startswith(_OF_TUNER)},
            "best": {key: _best(curves[key], directions[key]) for key in metrics},
            "directions": directions,
            "score": None if score is None else float(score),
            "state": str(found.get("status") or "").upper(),
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SettingsError(
            f"{file} cannot be read as a trial of KerasTuner ({type(error).__name__}: {error})"
        ) from error


def _curve(metric: Mapping[str, Any]) -> list[float]:
    """Return a metric's value at each step, as a mean over executions."""
    listed = [observation["value"] for observation in metric["observations"]]
    values = [one if isinstance(one, list) else [one] for one in listed]
    return [statistics.fmean(map(float, one)) for one in values if one]


def _best(curve: Sequence[float], direction: str) -> float | None:
    known = [value for value in curve if math.isfinite(value)]
    return (max if direction == "max" else min)(known, default=None)


def _metric(name: str, documents: Sequence[Mapping[str, Any]], asked: str) -> tuple[str, bool]:
    """Return by which metric a project's trials were scored, and whether larger is better.

    It is the one whose best value is each trial's score.
    """
    scored = [one for one in documents if one["score"] is not None]
    known = {metric: way for one in documents for metric, way in one["directions"].items()}
    if asked:
        if asked not in known:
            raise SettingsError(
                f"`--source-objective`: {name} has no metric {asked!r};"
                f" {near_matches(asked, known)}"
            )
        return asked, known[asked] == "max"
    fitting = [
        metric
        for metric in known
        if all(_is_close(one["best"].get(metric), one["score"]) for one in scored)
    ]
    if scored and len(fitting) == 1:
        return fitting[0], known[fitting[0]] == "max"
    if not scored:
        raise SettingsError(f"{name} has no trial with a score, so there is nothing to import")
    raise SettingsError(
        f"which metric the scores of {name} are cannot be told from its files; name it with"
        f" `--source-objective`: {', '.join(fitting or known)}"
    )


def _is_close(one: float | None, other: float) -> bool:
    return one is not None and math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


def _tuner_trial(document: Mapping[str, Any], metric: str) -> SourceTrial:
    value = document["best"].get(metric) if metric else document["score"]
    finite = value is not None and math.isfinite(value)
    is_over = document["state"] == "COMPLETED"
    state = COMPLETE if is_over else document["state"].lower() or "unknown"
    return SourceTrial(document["name"], document["values"], value if finite else None, state)


# Optuna.


def _optuna(address: str, name: str, objective: str) -> Source:
    import optuna

    shown = shown_address(address)
    try:
        path = _path_of(address)
        storage = _server(address) if path is None else _file(path)
        names = [summary.study_name for summary in optuna.get_all_study_summaries(storage)]
        chosen = _one_of(names, name, shown)
        study = optuna.load_study(study_name=chosen, storage=storage, sampler=None)
        trials = study.get_trials(deepcopy=False)
        named = study.metric_names
    except SettingsError:
        raise
    except Exception as error:  # of Optuna, SQLAlchemy or a database's driver
        reason = without_secrets(str(error).splitlines()[0], secrets_in(address))
        raise SettingsError(f"{shown} cannot be read as a storage of Optuna: {reason}") from error
    if objective and named and objective != named[0]:
        raise SettingsError(
            f"`--source-objective`: study {chosen!r} calls its objective {named[0]!r};"
            f" got {objective!r}"
        )
    return Source(
        OPTUNA,
        f"{path.resolve() if path else shown}#{chosen}",
        objective or (named[0] if named else ""),
        study.directions[0].name == "MAXIMIZE",
        tuple(_optuna_trial(trial) for trial in trials),
        objectives=len(study.directions),
    )


def _path_of(address: str) -> Path | None:
    """Return the file of a storage; None if it is on a server.

    Raises:
        SettingsError: there is no such file, which Optuna would make.
    """
    scheme, mark, rest = address.partition("://")
    if mark and not scheme.startswith("sqlite"):
        return None
    path = Path(rest.removeprefix("/").partition("?")[0] if mark else address).expanduser()
    if not path.is_file():
        raise SettingsError(f"there is no file {path}, which {address} names")
    return path


def _server(address: str) -> Any:
    from optuna.storages import RDBStorage

    return RDBStorage(address, skip_table_creation=True)


def _file(path: Path) -> Any:
    """Return a storage in a file that is only read."""
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    with path.open("rb") as file:
        begins = file.read(len(_SQLITE))
        if begins == _SQLITE:
            url = f"sqlite:///file:{quote(str(path.resolve()))}?mode=ro&uri=true"
            return RDBStorage(url, skip_table_creation=True)
        first = json.loads(begins + file.readline(1_000_000))
    if not isinstance(first, dict) or "op_code" not in first:
        raise ValueError("it is neither a SQLite database nor a journal")
    return JournalStorage(JournalFileBackend(str(path)))


def _one_of(names: Sequence[str], asked: str, shown: str) -> str:
    if not names:
        raise SettingsError(f"{shown} holds no study")
    if asked in names:
        return asked
    if asked:
        hint = near_matches(asked, names)
        raise SettingsError(f"`--source-study`: {shown} holds no study {asked!r}; {hint}")
    if len(names) > 1:
        raise SettingsError(
            f"{shown} holds {len(names)} studies; name one with `--source-study`:"
            f" {', '.join(names)}"
        )
    return names[0]


def _optuna_trial(trial: Any) -> SourceTrial:
    value = trial.values[0] if trial.values else None
    finite = value is not None and math.isfinite(value)
    state = trial.state.name.lower()
    return SourceTrial(str(trial.number), trial.params, value if finite else None, state)


# To a study's space.


@dataclass(frozen=True)
class Translation:
    """A trial's params in the space of a study.

    Attributes:
        trial: as its tool recorded it.
        params: complete params of the space; None if it is left out.
        why: what keeps it out, one phrase.
        notes: what is otherwise than in the source, a phrase each.
    """

    trial: SourceTrial
    params: Params | None = None
    why: str = ""
    notes: tuple[str, ...] = ()


def translate(
    trial: SourceTrial,
    space: Space,
    *,
    rename: Mapping[str, str] | None = None,
    without: Collection[str] = (),
) -> Translation:
    """Return a trial's params in a space.

    Params that the trial lacks take their defaults, and those that are not in use are left out;
    both is noted. A param that the space does not have, or a value outside its range, keeps the
    trial out: it was another model.

    Args:
        trial: of another tool.
        space: the study's, narrowed.
        rename: names in the space by those in the source.
        without: names in the source that are left out.
    """
    names = {**_originals(space), **(rename or {})}
    given: dict[str, Value] = {}
    for original, value in trial.params.items():
        name = names.get(original, original)
        if original in without:
            continue
        if name not in space.names():
            hint = near_matches(name, space.names())
            return Translation(
                trial, why=f"the space has no parameter `{original}`, which was {value!r}; {hint}"
            )
        try:
            given[name] = fitting_value(space[name], value)
        except SpaceError as error:
            return Translation(trial, why=str(error))
    params = space.decide(lambda parameter: given.get(parameter.name, parameter.default))
    return Translation(trial, params, notes=tuple(_notes(given, params, space.parameters)))


def _originals(space: Space) -> dict[str, str]:
    """Return the names in a space by those that its hypermodel has for them."""
    pairs: Sequence[tuple[str, str]] = getattr(space.build, "originals", ())
    return {original: name for name, original in pairs}


def _notes(
    given: Mapping[str, Value], params: Params, parameters: Sequence[Parameter]
) -> Iterator[str]:
    searched = [p.name for p in parameters if p.name in params and not p.fixed]
    for name in searched:
        if name not in given:
            yield f"`{name}` is missing and takes its default, {value_text(params[name])}"
    for name in sorted(given.keys() - params.keys()):
        yield f"`{name}` is left out, as it is not in use with the other values"


@dataclass(frozen=True)
class Import:
    """What comes of a source's trials in a study.

    Attributes:
        source: the source.
        translations: of its complete trials, the best first.
        entries: what is enqueued, or told to the driver.
    """

    source: Source
    translations: tuple[Translation, ...]
    entries: tuple[Entry, ...]

    @property
    def left_out(self) -> list[Translation]:
        """The trials that do not fit the space."""
        return [one for one in self.translations if one.params is None]

    @property
    def notes(self) -> dict[str, list[str]]:
        """What is otherwise than in the source, with the names of the trials it holds for."""
        found: dict[str, list[str]] = {}
        for one in self.translations:
            for note in one.notes:
                found.setdefault(note, []).append(one.trial.name)
        return found

    @property
    def unfinished(self) -> dict[str, int]:
        """How many trials are not complete, by their state, or have no finite value."""
        without = [t for t in self.source.trials if t.state != COMPLETE or t.value is None]
        return dict(Counter("without a value" if t.state == COMPLETE else t.state for t in without))


def plan_import(
    source: Source,
    space: Space,
    *,
    best: int,
    told: Objective | None = None,
    rename: Mapping[str, str] | None = None,
    without: Collection[str] = (),
) -> Import:
    """Return what to enqueue of a source's trials, and what to tell the driver.

    Args:
        source: the source.
        space: the study's, narrowed.
        best: how many to enqueue.
        told: the study's objective, if the driver is to be told of the others' values.
        rename: names in the space by those in the source.
        without: names in the source that are left out.

    Raises:
        SettingsError: none of the trials fits, or what they measured is not the objective.
    """
    if told is not None:
        _check_same_objective(source, told)
    _check_names(source, space, rename or {}, without)
    translations = tuple(
        translate(trial, space, rename=rename, without=without) for trial in source.ranked()
    )
    if not translations:
        raise SettingsError(f"{source.name} has no complete trial, so there is nothing to import")
    fitting: dict[Any, tuple[Params, SourceTrial]] = {}
    for one in translations:  # of equal params the better counts
        if one.params is not None:
            fitting.setdefault(space.identity(one.params), (one.params, one.trial))
    if not fitting:
        reasons = Counter(one.why for one in translations).most_common(5)
        listed = "\n".join(f"{why} ({count} of {len(translations)})" for why, count in reasons)
        raise SettingsError(
            f"no trial of {source.name} fits the study's space:\n{listed}\n"
            "`--rename OLD=NEW` and `--without NAME` adapt names."
        )
    origin = f"imported:{source.name}"
    ranked = list(fitting.values())
    entries = [Entry(params, origin) for params, _ in ranked[:best]]
    if told is not None:
        entries += [
            Entry(params, origin, objective=source.objective, value=float(trial.value or 0.0))
            for params, trial in ranked[best:]
        ]
    return Import(source, translations, tuple(entries))


def _check_names(
    source: Source, space: Space, rename: Mapping[str, str], without: Collection[str]
) -> None:
    there = {name for trial in source.trials for name in trial.params}
    faults = [
        f"`{option} {name}`: no trial of {source.name} has it; {near_matches(name, there)}"
        for option, names in (("--rename", rename), ("--without", without))
        for name in names
        if name not in there
    ]
    faults += [
        f"`--rename {old}={new}`: {space.name} has no parameter `{new}`;"
        f" {near_matches(new, space.names())}"
        for old, new in rename.items()
        if new not in space.names()
    ]
    if faults:
        raise SettingsError("\n".join(faults))


def _check_same_objective(source: Source, objective: Objective) -> None:
    """Raise SettingsError unless a source measured what a study searches for."""
    alike = [name for name in (objective.name, objective.epoch, objective.fold) if name]
    if source.objectives > 1:
        raise SettingsError(
            f"`--told` is for sources with one objective; {source.name} has {source.objectives}"
        )
    if source.objective not in alike:
        got = f"is {source.objective}" if source.objective else "has no name"
        say = (
            "" if source.objective else "; if it is one of these, say so with `--source-objective`"
        )
        raise SettingsError(
            f"`--told`: the source's objective must be the study's, {' or '.join(alike)};"
            f" that of {source.name} {got}{say}. Without `--told` its best params are evaluated"
            " here."
        )
    if source.larger is not objective.larger:
        raise SettingsError(
            f"`--told`: larger values of {objective.name} are"
            f" {'better' if objective.larger else 'worse'} here, and"
            f" {'better' if source.larger else 'worse'} in {source.name}"
        )

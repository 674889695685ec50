"""The identity of a study: its first record, and whether code, space and data still match it."""

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data import Dataset, known
from search.data.duplicates import find_duplicates
from search.data.folds import Folds
from search.errors import SettingsError
from search.study.objectives import measured
from search.study.pruners import PRUNERS
from search.study.settings import StudySettings
from search.tasks import MultiOutput, parts_to_json
from search.tasks.metrics import OF_METRICS
from spaces import (
    Choice,
    Fingerprint,
    ImageInput,
    NarrowedSpace,
    Parameter,
    SequenceInput,
    SeveralInputs,
    Space,
    SpaceError,
    TableInput,
    TextInput,
    get_space,
    given_pixels,
    is_built_in,
    names,
    narrow,
    value_text,
)
from tracking.history import History
from tracking.objectives import Objective
from tracking.provenance import code_changes, last_code
from tracking.records import FORMAT, Json, StudyStarted
from tracking.text import Notify, joined


def first_record(
    settings: StudySettings,
    space: Space,
    dataset: Dataset,
    folds: Folds,
    *,
    split: Json,
    objectives: Sequence[Objective],
) -> StudyStarted:
    """Return the first record of a new study.

    Args:
        settings: the study's.
        space: for the dataset.
        dataset: whose training samples are used.
        folds: of the study.
        split: see `StudyStarted`.
        objectives: what is searched for, the most important first.
    """
    return StudyStarted(
        at=time.time(),
        id=uuid.uuid4().hex,
        study=str(settings.study),
        space=settings.space,
        driver=settings.driver,
        settings=settings.identity(),
        parameters=[describe_parameter(parameter) for parameter in space.parameters],
        dataset={
            "name": dataset.name,
            "source": dataset.source,
            "digest": dataset.digest,
            "classes": list(dataset.classes),
            "kind": dataset.kind,
            "samples": folds.samples,
            **_several(dataset),
        }
        | ({} if dataset.train_extra("weights") is None else {"weighted": True}),
        folds=len(folds),
        folds_digest=folds.digest,
        waits=PRUNERS[str(settings.pruner)].waits,
        pixels=(given_pixels(space) or "") if dataset.kind == "image" else "",
        format=FORMAT,
        split=split,
        task=dataset.task.name,
        objectives=[objective.to_json() for objective in objectives],
        metrics=[metric.to_json() for metric in measured(settings, dataset.task)],
        adapts_baselines=True,
        baseline_first=True,
    )


def _several(dataset: Dataset) -> Json:
    """Return the tasks of several outputs; nothing for a single one."""
    task = dataset.task
    return {"outputs": parts_to_json(task.parts)} if isinstance(task, MultiOutput) else {}


def study_pixels(study: StudyStarted) -> str:
    """Return the value of `--pixels` with which a study's models get the same pixels as before."""
    return str(study.settings.get("pixels", "legacy"))


def weighs_metrics(study: StudyStarted) -> bool:
    """Say whether samples' weights count in a study's metrics; earlier versions had no such."""
    return bool(study.dataset.get("weighted", False))


def describe_parameter(parameter: Parameter) -> dict[str, Any]:
    """Return a parameter as JSON: name, kind, range, whether it is searched, default, condition.

    A choice also has its values.
    """
    when = parameter.when
    values = {"values": _json(parameter.values)} if isinstance(parameter, Choice) else {}
    return {
        "name": parameter.name,
        "kind": parameter.kind,
        "range": _held(parameter) if parameter.fixed else parameter.describe(),
        "searched": not parameter.fixed,
        "default": _json(parameter.default),
        "when": None if when is None else f"{when[0]}={when[1]}",
        **values,
    }


def _held(parameter: Parameter) -> str:
    is_choice = isinstance(parameter, Choice)
    return value_text(parameter.default) if is_choice else str(parameter.default)


def _json(value: Any) -> Any:
    return [_json(one) for one in value] if isinstance(value, tuple) else value


def check_code(history: History, now: Fingerprint, *, accept: bool) -> list[str]:
    """Return how a space's code differs from that of the study's last session, if accepted.

    Raises:
        SettingsError: it differs, and this is not accepted.
    """
    changes = code_changes(last_code(history), now)
    if changes and not accept:
        study = history.known_study()
        of_space = any(not change.startswith(OF_METRICS) for change in changes)
        whose = f"space {study.space}" if of_space else "metrics"
        raise SettingsError(
            f"the code of {whose} has changed since study {study.study!r} was last run:"
            f" {'; '.join(changes)}. Scores of different code cannot be compared. Restore the"
            " old code, name another study with `--study`, or continue anyway with"
            " `--accept-changed-code`, which is recorded and shown at each trial."
        )
    return changes


def check_same(before: StudyStarted, now: StudyStarted) -> None:
    """Raise SettingsError if data, folds or space have changed since the study began."""
    faults = []
    if before.dataset["digest"] != now.dataset["digest"]:
        faults.append(
            f"the content of dataset {now.dataset['name']} has changed since study"
            f" {before.study!r} began (digest {before.dataset['digest'][:12]},"
            f" now {now.dataset['digest'][:12]})"
        )
    elif before.folds_digest != now.folds_digest:
        faults.append(f"the folds are not those study {before.study!r} began with")
    if before.pixels and before.pixels != now.pixels:
        faults.append(
            f"the models of space {now.space} now expect {now.pixels or 'other'} pixels, but the"
            f" study gives them {before.pixels} ones"
        )
    if not _are_same(before.parameters, now.parameters):
        faults.append(f"the parameters of space {now.space} have changed since it began")
    if faults:
        raise SettingsError("\n".join([*faults, "Name another study with `--study`."]))


def _are_same(before: list[Json], now: list[Json]) -> bool:
    return len(before) == len(now) and all(map(_is_same, before, now))


def _is_same(before: Json, now: Json) -> bool:
    """Return whether a parameter is still the same, including the types of its values."""
    if "values" in now and "values" not in before:  # from an earlier version, which wrote no values
        now = {name: value for name, value in now.items() if name != "values"} | {
            "range": _range_before(now)
        }
        before = {**before, "range": before["range"].removesuffix(" | FILE")}
    return json.dumps(before, sort_keys=True) == json.dumps(now, sort_keys=True)


def _range_before(entry: Json) -> str:
    """Return a choice's range as earlier versions wrote it."""
    values = entry["values"] if entry["searched"] else [entry["default"]]
    return " | ".join(str(_tuples(value)) for value in values)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def check_kind(space: Space, dataset: Dataset) -> None:
    """Raise SettingsError unless the space takes the dataset's samples and targets."""
    if dataset.kind in space.kinds:
        _check_inputs(space, dataset)
        if dataset.task.outputs and is_built_in(space):
            raise SettingsError(
                f"space {space.name} has models with one output; dataset {dataset.title} has"
                f" targets of several: {joined(dataset.task.outputs)}. Search a function or"
                " hypermodel of your own that returns a model with an output of each name, as"
                " `keras.Model(inputs, {name: output})`"
            )
        return
    if dataset.inputs:
        given = ", ".join(f'"{one.name}": {_INPUTS[one.kind]}()' for one in dataset.inputs)
        raise SettingsError(
            f"space {space.name} takes {' or '.join(space.kinds)} data; dataset {dataset.title} has"
            f" several inputs: {joined(one.name for one in dataset.inputs)}. Search a function or"
            " hypermodel of your own whose models have a `keras.Input` of each name, or declare"
            f" `inputs={{{given}}}` in a Space of your own"
        )
    others = [name for name in names() if dataset.kind in get_space(name).kinds]
    fitting = [entry.name for entry in known() if entry.kind in space.kinds]
    own = "a build function, a hypermodel, or a Space of your own that declares it"
    raise SettingsError(
        f"space {space.name} takes {' or '.join(space.kinds)} data; dataset {dataset.title} holds"
        f" {dataset.kind} data. Spaces for it: {', '.join(others) or own}; datasets for"
        f" {space.name}: {', '.join(fitting) or 'your own'}."
    )


_INPUTS = {
    taken.kind: taken.__name__ for taken in (ImageInput, TextInput, TableInput, SequenceInput)
}


def _check_inputs(space: Space, dataset: Dataset) -> None:
    """Raise SettingsError unless the data have each input that a space names, of its kind."""
    taken = space.input_for(dataset.kind)
    if not isinstance(taken, SeveralInputs):
        return
    kinds = {one.name: one.kind for one in dataset.inputs}
    for name, own in taken.inputs:
        if kinds.get(name) != own.kind:
            has = joined(f"{known} ({kind})" for known, kind in kinds.items())
            raise SettingsError(
                f"space {space.name} takes an input {name} of {own.kind} samples; dataset"
                f" {dataset.title} has the inputs {has}. Give them the same names and kinds"
            )


def without_flip(
    narrowed: NarrowedSpace, overrides: Mapping[str, str], dataset: Dataset, notify: Notify
) -> NarrowedSpace:
    """Fix `flip` to off if a mirror image means something else, as with digits.

    Args:
        narrowed: the space.
        overrides: the user's `--set` options.
        dataset: says whether its images may be flipped.
        notify: takes a notice if a searched `flip` is fixed.

    Raises:
        SettingsError: the user set it.
    """
    space = narrowed.space
    mirrored = next((e.mirrored for e in known() if e.name == dataset.name), True)
    if mirrored or dataset.kind != "image" or "flip" not in space.names():
        return narrowed
    if overrides.get("flip", "off") != "off":
        raise SettingsError(
            f"`--set flip`: images of {dataset.name} change their meaning when mirrored; leave it"
            " out"
        )
    if space["flip"].fixed:
        return narrowed
    notify(f"flip is fixed to off: mirrored images of {dataset.name} mean something else")
    without = narrow(replace(space, baselines=narrowed.baselines), {"flip": "off"})
    return replace(
        without,
        skipped={**narrowed.skipped, **without.skipped},
        adapted=narrowed.adapted,
    )


def check_needs(space: Space) -> None:
    """Raise SettingsError if something that a space's models need is not available."""
    if space.check is not None:
        try:
            space.check(space)
        except SpaceError as error:
            raise SettingsError(str(error)) from error


def left_out(dataset: Dataset, notify: Notify) -> NDArray[np.int64]:
    """Return the sorted indices of the training samples that `--drop-duplicates` leaves out."""
    droppable = find_duplicates(dataset).droppable
    notify(
        f"--drop-duplicates leaves out {len(droppable):,} of {len(dataset.train_labels):,} training"
        f" samples of {dataset.title}"
    )
    return droppable

"""What a study's first record says, and whether a study is still the one that began."""

import time
import uuid
from typing import Any

from search.datasets import Dataset
from search.errors import SettingsError
from search.folds import Folds
from search.settings import StudySettings
from spaces import Parameter, Space
from tracking.records import FORMAT, StudyStarted


def first_record(
    settings: StudySettings, space: Space, dataset: Dataset, folds: Folds
) -> StudyStarted:
    """Return what identifies a study that begins now."""
    samples = len(folds.train[0]) + len(folds.validation[0])
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
            "samples": samples,
        },
        folds=settings.folds,
        folds_digest=folds.digest,
        format=FORMAT,
    )


def describe_parameter(parameter: Parameter) -> dict[str, Any]:
    """Return a parameter as JSON: name, kind, range, whether it is searched, default, condition."""
    when = parameter.when
    return {
        "name": parameter.name,
        "kind": parameter.kind,
        "range": str(parameter.default) if parameter.fixed else parameter.describe(),
        "searched": not parameter.fixed,
        "default": parameter.default,
        "when": None if when is None else f"{when[0]}={when[1]}",
    }


def check_same(before: StudyStarted, now: StudyStarted) -> None:
    """Raise where data, folds or space are not those the study began with."""
    faults = []
    if before.dataset["digest"] != now.dataset["digest"]:
        faults.append(
            f"the content of dataset {now.dataset['name']} has changed since study"
            f" {before.study!r} began (digest {before.dataset['digest'][:12]},"
            f" now {now.dataset['digest'][:12]})"
        )
    elif before.folds_digest != now.folds_digest:
        faults.append(f"the folds are not those study {before.study!r} began with")
    if before.parameters != now.parameters:
        faults.append(f"the parameters of space {now.space} have changed since it began")
    if faults:
        raise SettingsError("\n".join([*faults, "Name another study with `--study`."]))

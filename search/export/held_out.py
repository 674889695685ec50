"""A final model's training, tried without a part of its samples, of which it is asked then.

Predictions out of fold say too little of a model that averages several seeds, or that sees many
more samples than the search. Models that are trained as it is, but for a part of the samples, say
more.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.analysis.library import parts_of, splits_of
from search.data import Dataset
from search.data.folds import Folds, Indices
from search.data.splits import Split, make_folds
from search.export.extent import about, expected_seconds
from search.export.members import Member
from search.export.refit import Final
from search.study.identity import left_out
from search.tasks import Task
from tracking.history import History
from tracking.records import StudyStarted
from tracking.text import counted, unheard

ENOUGH = 1000  # samples held out that tell enough
MOST = 20_000  # of a part that are predicted

Cut = tuple[Indices, Indices]
OnEpoch = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True)
class HeldOut:
    """What models that are trained as the final one say of samples that they have not seen.

    Attributes:
        values: means of the models' values, `(n, units)`, in the form of the task.
        targets: the truth, `(n, ...)`.
        task: what is predicted.
        weights: `(n,)`, by which samples count; None if all count the same.
        ids: `(n,)`, of which one must not be on both sides of a cut: groups, else samples, of which
            some may be held out several times.
        parts: `(n,)`, parts for nested fits, from 0.
        samples: how many different ones these are.
    """

    values: NDArray[Any]
    targets: NDArray[Any]
    task: Task
    weights: NDArray[Any] | None
    ids: Indices
    parts: Indices
    samples: int

    def splits(self) -> Iterator[Cut]:
        """Yield for each part the rows to fit on and those to measure on, which share nothing."""
        return splits_of(self.parts, self.ids, self.weights)


def cuts(study: StudyStarted, dataset: Dataset, folds: Folds, used: Indices) -> list[Cut]:
    """Return training and held-out parts for a model that is trained on some samples.

    They are the study's folds where it is trained on their samples, and else cut as those are; so
    many of them as hold out `ENOUGH` samples. What is ordered by time has its latest part held out.

    Args:
        study: its first record.
        dataset: of the study.
        folds: of the study.
        used: samples that the final model is trained on.
    """
    settings = study.settings
    count = int(settings["folds"])
    split = Split.parse(str(settings.get("split", Split().name)), int(settings.get("gap") or 0))
    if len(used) != folds.samples:
        given, time = dataset.train_extra("folds"), dataset.train_extra("time")
        folds = make_folds(
            np.asarray(dataset.train_labels),
            task=dataset.task,
            folds=count,
            seed=int(settings["seed"]),
            split=split,
            leave_out=left_out(dataset, unheard) if settings.get("drop_duplicates") else None,
            groups=folds.groups,
            time=None if time is None else np.asarray(time),
            given=None if given is None else np.asarray(given),
        )
    pairs = list(zip(folds.train, folds.validation, strict=True))
    pairs = pairs[: len(pairs) // max(1, split.repeats)]
    if folds.time is not None:
        pairs.reverse()
    parts: list[Cut] = []
    for train, own in pairs:
        parts.append((train, _some(own)))
        if _held(parts) >= ENOUGH:
            break
    return parts


def _held(parts: Sequence[Cut]) -> int:
    """Return how many different samples are held out."""
    return len(np.unique(np.concatenate([own for _, own in parts])))


def _some(rows: Indices) -> Indices:
    if len(rows) <= MOST:
        return rows
    return np.asarray(rows[np.linspace(0, len(rows) - 1, MOST).astype(int)])


def told_before(
    history: History, finals: Sequence[Final], members: Sequence[Member], parts: Sequence[Cut]
) -> str:
    """Return what trying a training takes, in words."""
    seconds = sum(
        member.refits
        * expected_seconds(
            history.trials[member.trial], final.folds, samples=len(train), length=final.length
        )
        for train, _ in parts
        for final, member in zip(finals, members, strict=True)
    )
    models = len(parts) * sum(member.refits for member in members)
    held = _held(parts)
    time = f", which takes {about(seconds)} more" if seconds else ""
    return (
        f"`--calibrate`: {counted(models, 'model')} trained first, each without a part of the"
        f" samples, to be asked about these: {held:,} samples in all{time}"
    )


def try_out(
    finals: Sequence[Final],
    members: Sequence[Member],
    parts: Sequence[Cut],
    on_epoch: OnEpoch,
) -> HeldOut:
    """Train models as the final one is, without parts of its samples, and ask them about these.

    Args:
        finals: the trial of each member, on the same samples.
        members: of each trial.
        parts: from `cuts`.
        on_epoch: as `refit` takes it.
    """
    rows = np.concatenate([own for _, own in parts])
    fold = np.concatenate([np.full(len(own), number) for number, (_, own) in enumerate(parts)])
    first, made, values = finals[0], 0, []
    for train, own in parts:
        without = [replace(final, rows=train, source=final.source or final) for final in finals]
        total: NDArray[Any] = np.zeros(())
        for final, member in zip(without, members, strict=True):
            for seed in member.seeds(final.seed):
                made += 1
                share = member.weight / member.refits
                total = total + share * _asked(final, seed, own, made, on_epoch)
        values.append(total)
    known, groups = first.dataset.train_extra("weights"), first.folds.groups
    ids = rows if groups is None else groups[rows]
    return HeldOut(
        np.concatenate(values),
        np.asarray(first.dataset.train_labels)[rows],
        first.dataset.task,
        None if known is None else np.asarray(known)[rows],
        ids,
        parts_of(fold, ids),
        _held(parts),
    )


def _asked(final: Final, seed: int, rows: Indices, number: int, on_epoch: OnEpoch) -> NDArray[Any]:
    """Train a model and return its values for samples, float64 `(n, units)`."""
    import keras

    from search.training.fit import predict

    keras.backend.clear_session(free_memory=False)
    name = f"held-out-{number}"
    trained, _, outputs = final.train(
        seed, lambda epoch, metrics: on_epoch(number, epoch, metrics), name=name
    )
    model = final.in_float32(trained)
    found = predict(model, final.inputs.take(final.encoder, rows), outputs)
    return np.asarray(found, np.float64)

"""The models that a final model averages: of one trial or several, of one seed or several."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Any

from search.errors import SettingsError
from search.export.averaging import Trained, averaged, widest
from search.export.extent import about, expected_seconds
from search.export.labels import Labels
from search.export.refit import Curves, Final
from search.seeds import derive
from tracking.history import History
from tracking.records import Json
from tracking.text import counted

OnEpoch = Callable[[int, int, dict[str, float]], None]
MOST_REFITS = 100
NO_ENSEMBLE, AUTO = "none", "auto"


@dataclass(frozen=True)
class Member:
    """A trial whose model is part of the final one.

    Attributes:
        trial: its number.
        weight: of its values in the average; those of all members sum to 1.
        refits: how many seeds of it are trained, which share its weight.
    """

    trial: int
    weight: float = 1.0
    refits: int = 1

    def seeds(self, study: int) -> tuple[int, ...]:
        """Return the seeds of its trainings, of which the first is that of a single one.

        Args:
            study: the study's seed.
        """
        return tuple(
            derive(study, "final", number) if number else derive(study, "final")
            for number in range(self.refits)
        )


def check_ensemble(ensemble: str, trial: int | None = None) -> None:
    """Check which ensemble is asked for.

    Raises:
        SettingsError: it is neither `none`, `auto` nor a number of trials from 2; or a single trial
            is named, too.
    """
    if ensemble in (NO_ENSEMBLE, AUTO):
        return
    if ensemble.isdecimal() and int(ensemble) > 1:
        if trial is None:
            return
        raise SettingsError(
            f"`--trial {trial}` exports that trial alone, `--ensemble {ensemble}` averages several;"
            " give one of them"
        )
    raise SettingsError(
        f"`--ensemble` must be none, auto or a number of trials from 2; got {ensemble!r}. To"
        " average several trainings of one trial, which has taken the place of the average of its"
        " folds' models, give `--refits 5`"
    )


def told_before(
    history: History, finals: Sequence[Final], members: Sequence[Member]
) -> Iterator[str]:
    """Yield on what and for how long models are trained, before they are."""
    first = finals[0]
    samples, searched = len(first.used), first.folds.samples
    more = ""
    if samples > searched:
        more = f"; the search used {searched:,} (`--searched-samples` trains on these alone)"
    seconds, known = 0.0, []
    for final, member in zip(finals, members, strict=True):
        trial = history.trials[member.trial]
        seconds += member.refits * expected_seconds(
            trial, final.folds, samples=samples, length=final.length
        )
        if final.length is not None and final.length.why:
            which = f"trial {member.trial}: " if len(members) > 1 else ""
            known.append(f"{which}{counted(final.length.most, 'epoch')}, {final.length.why}")
    models = sum(member.refits for member in members)
    what = f"the model of trial {first.trial}"
    if models > 1:
        what = f"{models} models, whose values are averaged,"
    time_text = f", which takes {about(seconds)} by the folds of the search" if seconds else ""
    yield (
        f"training {what} on {'all ' if samples >= len(first.dataset.train_labels) else ''}"
        f"{samples:,} training samples{time_text}{more}"
    )
    yield from known


def check_refits(refits: int) -> None:
    """Raise SettingsError unless it is a number of trainings."""
    if not 1 <= refits <= MOST_REFITS:
        raise SettingsError(f"`--refits` must be between 1 and {MOST_REFITS}; got {refits}")


@dataclass(frozen=True)
class FinalModel:
    """A model to be written.

    Attributes:
        model: the Keras model, in float32; of numbers one that gives them in their own unit.
        labels: the meaning of its inputs and outputs.
        curves: for each epoch what the model measured on the training data, such as `loss`; with
            several models, the means of those that trained that epoch.
        train_seconds: wall time of building and training.
        models: number of models it averages.
        samples: number of samples it was trained on.
        members: as `ModelExported` has them.
    """

    model: Any
    labels: Labels
    curves: Curves
    train_seconds: float
    models: int = 1
    samples: int = 0
    members: tuple[Json, ...] = ()


def refit(finals: Sequence[Final], on_epoch: OnEpoch, members: Sequence[Member] = ()) -> FinalModel:
    """Train the models of trials on all samples; of several, average their values.

    Args:
        finals: the trial of each member, on the same samples.
        on_epoch: called after each epoch with the number of the model, from 1 (0 where there is
            one), the epoch's number and its metrics.
        members: of each trial; one that is trained once by default.

    Raises:
        SettingsError: the trials' models cannot have one input.
    """
    import keras

    members = members or [Member(final.trial) for final in finals]
    began, first = time.monotonic(), finals[0]
    total = sum(member.refits for member in members)
    if total == 1:
        trained, curve, outputs = first.train(members[0].seeds(first.seed)[0], partial(on_epoch, 0))
        model, labels = first.finished(first.in_float32(trained), outputs)
        curves = [curve]
    else:
        parts, curves = _trained(finals, members, on_epoch)
        keras.backend.clear_session(free_memory=False)
        model, labels = averaged(parts)
        labels = tuned(finals, model, labels)
    return FinalModel(
        model,
        labels,
        _mean_curves(curves),
        time.monotonic() - began,
        total,
        len(first.used),
        _described(members, first.seed, curves),
    )


def _trained(
    finals: Sequence[Final], members: Sequence[Member], on_epoch: OnEpoch
) -> tuple[list[Trained], list[Curves]]:
    import keras

    parts: list[Trained] = []
    curves: list[Curves] = []
    for final, member in zip(finals, members, strict=True):
        for number, seed in enumerate(member.seeds(final.seed), start=1):
            keras.backend.clear_session(free_memory=False)
            model, curve, outputs = final.train(
                seed, partial(on_epoch, len(parts) + 1), name=f"final-{number}"
            )
            weight = member.weight / member.refits
            parts.append(Trained(final, weight, outputs, model.get_weights()))
            curves.append(curve)
    return parts, curves


def tuned(finals: Sequence[Final], model: Any, labels: Labels) -> Labels:
    """Return labels with the thresholds of an average of models, tuned on all their samples."""
    return widest(finals).tuned(model, labels)


def untrained(finals: Sequence[Final], members: Sequence[Member]) -> tuple[Any, Labels]:
    """Return what `refit` returns, with models that are not trained."""
    compiled = [final.compiled() for final in finals]
    meanings = [f.outputs_of(model) for f, model in zip(finals, compiled, strict=True)]
    if sum(member.refits for member in members) == 1:
        return finals[0].finished(compiled[0], meanings[0])
    parts = [
        Trained(final, member.weight / member.refits, outputs)
        for final, member, outputs in zip(finals, members, meanings, strict=True)
        for _ in range(member.refits)
    ]
    return averaged(parts)


def _mean_curves(curves: Sequence[Curves]) -> Curves:
    longest = max(map(len, curves))
    rows = [[curve[epoch] for curve in curves if epoch < len(curve)] for epoch in range(longest)]
    names = [[name for name in at[0] if all(name in row for row in at)] for at in rows]
    return [
        {name: fmean(row[name] for row in at) for name in own}
        for at, own in zip(rows, names, strict=True)
    ]


def _described(members: Sequence[Member], seed: int, curves: Sequence[Curves]) -> tuple[Json, ...]:
    """Return the members as `ModelExported` has them."""
    lengths = iter(map(len, curves))
    return tuple(
        {
            "trial": member.trial,
            "seeds": list(member.seeds(seed)),
            "weight": member.weight,
            "epochs": [next(lengths) for _ in range(member.refits)],
        }
        for member in members
    )

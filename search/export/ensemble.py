"""The models of a trial's folds, trained anew and joined in one that averages them."""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import Any

from search.errors import SettingsError
from search.export.refit import Curves, Final, FinalModel, OnEpoch
from search.seeds import derive
from search.tasks.outputs import PROBABILITIES, SCORES, Outputs


def check_folds(folds: int) -> None:
    """Check that a study has models to average.

    Raises:
        SettingsError: it has one fold.
    """
    if folds < 2:
        raise SettingsError(
            "`--ensemble` averages the models of several folds; the study has 1. Leave it out to"
            " train one model on all training samples."
        )


def refit_folds(final: Final, on_epoch: OnEpoch) -> FinalModel:
    """Train the setting on each fold's training part as the search did, and average.

    Each model has its fold's own seed. The encoder is learned on all samples in use, so that one
    input fits all of them; for images that is what the search had, too.

    Args:
        final: the trial and its data.
        on_epoch: called after each epoch with the fold's number, the epoch's and its metrics.
    """
    import keras

    began = time.monotonic()
    weights, curves = [], []
    outputs = Outputs(PROBABILITIES, len(final.dataset.classes))
    for fold, indices in enumerate(final.folds.train, start=1):
        keras.backend.clear_session(free_memory=False)
        seed = derive(final.seed, "fold", fold)
        trained, curve, outputs = final.train(indices, seed, partial(on_epoch, fold))
        weights.append(trained.get_weights())  # without what the optimizer gathered
        curves.append(curve)
    keras.backend.clear_session(free_memory=False)
    model = _averaged(final, weights, outputs)
    meaning = SCORES if outputs.meaning == SCORES else PROBABILITIES
    labels = final.labels(replace(outputs, meaning=meaning))
    seconds = time.monotonic() - began
    return FinalModel(model, labels, _mean_curves(curves), seconds, models=len(weights))


def _averaged(final: Final, weights: Sequence[Sequence[Any]], outputs: Outputs) -> Any:
    """Return one model that gives the mean of all models' values a class."""
    import keras

    from search.export.formats.probabilities import new_input, with_values

    inputs, found = None, []
    encoded, kind = final.samples().encoded, final.dataset.kind
    for number, of_fold in enumerate(weights, start=1):
        with keras.name_scope(f"fold_{number}"):  # so that no two weights have one name
            member = final.build()
        member.name = f"fold_{number}"
        member.set_weights(list(of_fold))
        inputs = new_input(member, encoded, kind) if inputs is None else inputs
        found.append(with_values(member, inputs, outputs))
    mean = keras.layers.Average(name="probabilities", dtype="float32")(found)
    return keras.Model(inputs, mean, name="ensemble")


def _mean_curves(curves: Sequence[Curves]) -> Curves:
    longest = max(map(len, curves))
    rows = [[curve[epoch] for curve in curves if epoch < len(curve)] for epoch in range(longest)]
    return [{name: fmean(row[name] for row in at) for name in at[0]} for at in rows]

"""Measure the latency of one prediction for the models of several trials."""

from collections.abc import Sequence
from pathlib import Path

from search.analysis.comparison.contenders import Contender
from search.data.folds import Folds
from search.export.final import same_dataset
from search.quiet import load_tensorflow
from search.studies import study_history
from search.text import Notify
from tracking.home import Home


def measured_latencies(
    home: Home, contenders: Sequence[Contender], *, data_dir: Path | None, notify: Notify
) -> tuple[float, ...]:
    """Return the milliseconds of one prediction at batch size 1 on this machine, for each.

    The models are built, not trained: weights do not matter. Imports TensorFlow.

    Args:
        home: the home, with cached datasets.
        contenders: the trials to measure, each in the precision of its training.
        data_dir: folder with the user's datasets.
        notify: takes notices for the user.

    Raises:
        DataError: the dataset is not available or has changed since the study began.
        SettingsError: a study's space is not available or has changed.
    """
    load_tensorflow()
    from search.export.refit import Final
    from search.training.latency import latency_ms

    found = []
    for contender in contenders:
        history, folds = study_history(contender.folder), Folds.load(contender.folder.folds)
        dataset = same_dataset(history, home, data_dir, notify)
        model = Final.of(history, contender.trial, dataset, folds, home=home)
        sample = model.inputs.take(model.encoder, folds.used[:1])
        found.append(latency_ms(model.build(model.precision), sample))
    return tuple(found)

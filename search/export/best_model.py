"""A study's model in the user's own process: loaded or trained, it predicts samples as they are."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from search.data.folds import Folds
from search.errors import DataError, FoldwiseError
from search.export.evidence import Evidence
from search.export.folder import ModelFolder
from search.export.formats.writing import exportable
from search.export.labels import Labels
from search.export.loading import load_model, predicted_values
from search.export.members import Member, refit, told_before
from search.export.refit import Final, chosen_trial, same_dataset
from search.export.samples import encoded_samples
from search.notices import warnings_at_caller
from search.quiet import load_tensorflow
from search.studies import known_reader
from search.tasks import MultiOutput
from search.tasks.models import side_by_side
from spaces import Passed
from tracking.history import History, TrialHistory
from tracking.home import Home
from tracking.text import Notify

if TYPE_CHECKING:
    import keras


class OfSamples:
    """What a Keras model has besides, so that `predict` takes samples as they are.

    All else is Keras's: `model(x)`, `fit` and `evaluate` take `encode(samples)`: numbers as they
    are, words as numbers. `save` writes the plain Keras model.

    Attributes:
        labels: the meaning of its inputs and outputs.
    """

    labels: Labels

    @property
    def target_names(self) -> list[str]:
        """The classes, labels or numbers that the columns of `predict` are of, in order."""
        return [str(name) for name in self.labels.task.names]

    def encode(self, samples: Any) -> Any:
        """Return the Keras model's input, `(n, ...)`, for samples as they were passed to the study.

        What no training sample had, such as an unknown category, is told by a `search.Notice`.

        Args:
            samples: arrays, a frame with the study's columns (others are ignored), texts, or of
                several inputs a dictionary by their names. Columns of frames are taken by their
                names, those of arrays by their places.

        Raises:
            DataError: they are not like those of the study.
        """
        return encoded_samples(samples, self.labels, warnings_at_caller())

    def predict(self, samples: Any, **options: Any) -> Any:
        """Predict samples as they were passed to the study.

        Args:
            samples: as `encode` takes them.
            options: of Keras's `predict`, such as `batch_size`; `verbose` is 0 where it is not
                given. Without effect where the input is float64, which Keras's `predict` rounds:
                Foldwise's own batches are predicted then.

        Returns:
            Float `(n, units)`: of classes the probability of each in the order of `target_names`
            (scores where the model has no probabilities), also for two classes; the probability of
            each label; numbers in their own unit. Of several outputs a dictionary by their names.

        Raises:
            DataError: the samples are not like those of the study.
        """
        inputs, outputs, model = self.encode(samples), self.labels.outputs, cast(Any, self)
        if _is_wide(inputs):  # Keras's own would round them to float32
            values = predicted_values(model, inputs, self.labels)
        else:
            found = super().predict(inputs, **{"verbose": 0, **options})  # type: ignore[misc]
            values = outputs.values(np.asarray(side_by_side(model, found, outputs.names)))
        task = self.labels.task
        return task.split_values(values) if isinstance(task, MultiOutput) else values

    def save(self, *args: Any, **options: Any) -> None:
        """Write the plain Keras model, which takes what `encode` returns, as Keras does."""
        with _plain(self):
            self.save(*args, **options)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what copies and pickles are made of: Keras's own, and the labels."""
        with _plain(self):
            return _made_again, (self.__reduce__(), self.labels)


def _is_wide(inputs: Any) -> bool:
    """Say whether a model's input, or one of several, is float64."""
    return any(
        each.dtype == np.float64
        for each in (inputs.values() if isinstance(inputs, dict) else [inputs])
    )


@contextmanager
def _plain(model: Any) -> Iterator[None]:
    """Have a model be of Keras's class alone meanwhile."""
    own = model.__class__
    model.__class__ = own.__mro__[2]
    try:
        yield
    finally:
        model.__class__ = own


def _made_again(parts: tuple[Any, ...], labels: Labels) -> Any:
    make, arguments = parts
    return for_samples(make(*arguments), labels)


def for_samples(model: "keras.Model", labels: Labels) -> Any:
    """Return a Keras model that is an `OfSamples` as well; it is the same object.

    Its class has the module of Keras's, and the name by which that is registered: files that Keras
    writes refer to these, so that what they hold is the plain model.
    """
    import keras

    kind = type(model)
    name = keras.saving.get_registered_name(kind)
    model.__class__ = type(name, (OfSamples, kind), {"__module__": kind.__module__})
    model.compiled = False  # what it was compiled for took encoded samples, and other targets
    model.labels = labels
    return model


def best_model(
    home: Home,
    study: str,
    trial: int,
    *,
    callbacks: Passed | None = None,
    accept_changed_code: bool = False,
    data_dir: Path | None,
    notify: Notify,
) -> Any:
    """Return a trial's Keras model for this process, which is an `OfSamples`.

    It is the one that was exported last, where there is one; else it is trained on all training
    samples, as `export` does it. The test set is not opened, and nothing is written.

    Args:
        home: where the study is.
        study: its name.
        trial: the trial's number.
        callbacks: that were passed from Python; None without.
        accept_changed_code: train even if the space's code has changed since the trial.
        data_dir: where the user's own copies of datasets are.
        notify: takes notices for the user.

    Raises:
        SettingsError: no such study or trial, or the space's code is not the one the trial was
            trained with.
        DataError: the dataset is not the one the study began with.
    """
    reader = known_reader(home, study)
    history, folder = reader.history, reader.folder
    chosen = chosen_trial(history, trial)
    load_tensorflow(folder.worker_log())
    loaded = _exported(history, chosen, home, notify)
    if loaded is not None:
        return loaded
    dataset = same_dataset(history, home, data_dir, notify)
    final = Final.of(
        history,
        chosen,
        dataset,
        Folds.load(folder.folds, digest=history.known_study().folds_digest),
        home=home,
        accept_changed_code=accept_changed_code,
        callbacks=callbacks,
    )
    alone = [Member(chosen.number)]
    first, *others = told_before(history, [final], alone)
    notify(f"{first}. It is kept in memory only, while `export` writes and tests it")
    for sentence in others:
        notify(sentence)
    belief = Evidence(history, folder, dataset).belief(
        alone, samples=len(final.used), searched=final.folds.samples
    )
    if belief.told:
        notify(belief.told)
    made = belief.applied_to(refit([final], lambda *_: None), final.samples().encoded)
    whole = exportable(made.model, made.labels, final.samples())
    return for_samples(whole.model, whole.labels)


def _exported(history: History, trial: TrialHistory, home: Home, notify: Notify) -> Any:
    """Return the trial's model that was exported last; None without one that can be used."""
    own = [export for export in history.exports if export.trial == trial.number]
    if not own:
        return None
    export = own[-1]
    folder = ModelFolder(Path(export.folder))
    try:
        if folder.model_sha256() != export.model_sha256:
            raise DataError(f"{folder.model} is not the file that `export` wrote")
        labels = folder.labels()
        return for_samples(load_model(folder, labels, space=None, home=home.root), labels)
    except FoldwiseError as error:
        notify(f"the exported model of trial {trial.number} cannot be used: {error}")
        return None

"""What the folds of a study share in a worker: space, samples, labels, folds."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from search.data import Dataset
from search.data.arrays import Array
from search.data.folds import Folds, Indices
from search.data.inputs import Encoder, Inputs, make_inputs, space_on, spec_of
from search.executors.protocol import Work
from search.tasks import Task
from search.tasks.thresholds import FIXED
from search.training.batches import Part
from search.training.building import Built, Models, untouched_state
from search.training.program import Programs
from search.training.scoring import Scoring, check_metrics
from search.training.streaming import Streamed, encoded
from search.training.targets import AUTO_SCALING
from spaces import Params, Passed, Space, adopt, code_of
from tracking.home import StudyFolder

TRIED_SAMPLES = 4  # that the first model is tried on


@dataclass(frozen=True)
class FoldData:
    """All that the folds of a study share, loaded once in a worker.

    Attributes:
        space: builds the models.
        kind: of the samples: `image`, `text` or `table`.
        inputs: the training samples as the models receive them.
        labels: targets in the form of the task, `(n, ...)`.
        task: what is predicted.
        folds: the study's.
        confirmation_folds: folds that confirm trials; their numbers come after the study's.
        objectives: names of what the study searches for, the most important first.
        scaling: `auto` or `off`, how numbers to predict are standardised.
        metrics: objectives and further metrics, as `Work.metrics`.
        precision: Keras's dtype policy of the models.
        models: builds them.
        weights: float64 `(n,)`, of the training samples in losses; None if all count the same.
        weighs_metrics: whether they count in metrics, too.
        memory: bytes that this process may hold; None for any. Samples that do not fit are read
            while a model is trained.
        callbacks: Keras callbacks that were passed from Python, for every fold.
        tries_exports: whether this worker is the one that tries if models can be exported.
    """

    space: Space
    kind: str
    inputs: Inputs
    labels: Array
    task: Task
    folds: Folds
    confirmation_folds: Folds | None
    folder: StudyFolder
    seed: int
    objectives: tuple[str, ...]
    models: Models
    precision: str = "float32"
    weights: Array | None = None
    weighs_metrics: bool = True
    memory: int | None = None
    metrics: tuple[str, ...] = ()
    scaling: str = AUTO_SCALING
    threshold: str = FIXED
    callbacks: Passed | None = None
    tries_exports: bool = True

    @cached_property
    def scoring(self) -> Scoring:
        """Which metrics are computed of each fold."""
        return Scoring.of(self.task, self.objectives, self.metrics, self.threshold)

    @cached_property
    def programs(self) -> Programs:
        """What was traced for the last params."""
        return Programs()

    @classmethod
    def open(cls, work: Work, *, place: int = 0) -> "FoldData":
        """Load what `work` names, and choose a GPU if any.

        Args:
            work: what to load.
            place: this worker's among those of the machine, from 0: the GPUs take turns.
        """
        choose_gpu(place)
        if work.passed is not None:
            adopt(work.passed)
        dataset = Dataset.open(Path(work.dataset))
        with untouched_state():
            space = space_on(work.space, dataset, Path(work.declarations), pixels=work.pixels)
        models = Models(space, code_of(work.space), expected=work.code, seed=work.seed)
        models.open()
        check_metrics(work.metrics, work.code)
        folder = StudyFolder(Path(work.folder))
        return cls(
            space=space,
            kind=dataset.kind,
            inputs=make_inputs(dataset, space.input_for(dataset.kind)),
            labels=np.asarray(dataset.train_labels),
            task=dataset.task,
            folds=Folds.load(folder.folds),
            confirmation_folds=Folds.load(folder.confirmation_folds)
            if folder.confirmation_folds.exists()
            else None,
            folder=folder,
            seed=work.seed,
            objectives=work.objectives,
            models=models,
            precision=work.precision,
            weights=dataset.train_extra("weights"),
            weighs_metrics=work.weighs_metrics,
            memory=work.memory,
            metrics=work.metrics,
            scaling=work.target_scaling,
            threshold=work.threshold,
            callbacks=work.callbacks,
            tries_exports=place == 0,  # one on each machine is enough
        )

    def built(
        self, params: Params, encoder: Encoder, *, seed: int | None = None
    ) -> AbstractContextManager[Built]:
        """Return the context of a model for a setting, in this precision.

        Args:
            params: a complete one.
            encoder: learned on the samples that the model is trained on.
            seed: decides its initial weights; None for the study's.
        """
        data = spec_of(encoder, self.kind, self.task)
        return self.models.built(params, data, seed=seed, precision=self.precision)

    def export_doubt(self, params: Params) -> str:
        """Return why `export` will refuse models of some params, or nothing; tried once."""
        from search.export.formats.keras_archive import doubt_about

        if self._tried or not self.tries_exports:
            return ""
        self._tried.append(params)
        try:
            encoder = self.learn(1, params)
            some = self.inputs.take(encoder, self.folds.train[0][:TRIED_SAMPLES])
            with self.built(params, encoder) as built:
                model = built.model
                model(some, training=False)  # one that takes its shapes from the data gets weights
                return doubt_about(model, some) if isinstance(model, keras.Model) else ""
        except Exception:  # noqa: BLE001 # the space's own; the trial itself will tell of it
            return ""
        finally:
            keras.backend.clear_session(free_memory=False)

    @cached_property
    def _tried(self) -> list[Params]:
        return []

    def learn(self, fold: int, params: Params) -> Encoder:
        """Return the encoder learned on the training part of a fold (from 1)."""
        return self.inputs.learn(self._indices(fold)[0], params)

    def parts(self, fold: int, encoder: Encoder) -> tuple[Part, Part]:
        """Return the training and the validation part of a fold (from 1)."""
        train, validation = (np.searchsorted(self._used, rows) for rows in self._indices(fold))
        inputs = self._encoded.of(encoder, self.inputs, self._used, self.memory)
        weights = None if self.weights is None else self.weights[self._used]
        beside = self.folds.beside(self._used)
        part = partial(
            Part, inputs, self._labels, weights=weights, weighs_metrics=self.weighs_metrics
        )
        return part(train, *beside), part(validation)

    @cached_property
    def _used(self) -> Indices:
        used = self.folds.used
        return (
            used
            if self.confirmation_folds is None
            else np.union1d(used, self.confirmation_folds.used)
        )

    @cached_property
    def _labels(self) -> Array:
        return self.labels[self._used]

    @cached_property
    def _encoded(self) -> "_Encoded":
        return _Encoded()

    def _indices(self, fold: int) -> tuple[Indices, Indices]:
        folds, place = self.folds, fold - 1
        if place >= len(self.folds):
            if self.confirmation_folds is None:
                raise IndexError(f"fold {fold} of {len(self.folds)}")
            folds, place = self.confirmation_folds, place - len(self.folds)
        return folds.train[place], folds.validation[place]


def choose_gpu(place: int) -> None:
    """Let TensorFlow compute on one GPU, where there are any, and take memory as it needs it."""
    found = tf.config.list_physical_devices("GPU")
    if found:
        chosen = found[place % len(found)]
        tf.config.set_visible_devices(chosen, "GPU")
        tf.config.experimental.set_memory_growth(chosen, True)  # others may be on it


class _Encoded:
    """The samples in use, encoded as they were needed last: in TensorFlow's memory if they fit."""

    def __init__(self) -> None:
        self._encoder: Encoder | None = None
        self._samples: tf.Tensor | Streamed | None = None

    def of(
        self, encoder: Encoder, inputs: Inputs, used: Indices, memory: int | None
    ) -> "tf.Tensor | Streamed":
        if self._samples is None or encoder != self._encoder:
            self._samples = None  # let go of it first
            found = encoded(inputs, encoder, used, memory)
            self._samples = (
                found if isinstance(found, Streamed) else tf.nest.map_structure(tf.constant, found)
            )
            self._encoder = encoder
        return self._samples

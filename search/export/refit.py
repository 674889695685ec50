"""A trial's model built again: trained on all training data or on its folds, or only timed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from search.analysis.comparison.contenders import Contender
from search.data import Dataset, Reading, load
from search.data.arrays import rows_at
from search.data.encoders import ImageEncoder, SeveralEncoder
from search.data.folds import Folds, Indices
from search.data.inputs import Encoder, Inputs, columns_of, make_inputs, spec_of
from search.data.pictures import background, dark_limit
from search.data.reading import began_with
from search.errors import DataError, FoldwiseError, SettingsError
from search.executors import Limits
from search.export.extent import Length, all_samples, length_of
from search.export.formats.base import Samples, valued_model
from search.export.labels import InputLabels, Labels, values_of
from search.export.scores import metric_of_threshold, texts_in
from search.quiet import load_tensorflow
from search.studies import study_history
from search.study.opening import code_now, study_space, with_callbacks, with_metrics
from search.tasks import Metric, NumberOutputs, OutputMeaning, SeveralOutputs
from search.tasks.metrics import OF_METRICS
from search.tasks.models import output_units
from search.tasks.thresholds import DecidingOutputs
from search.training.batches import Part, spread
from spaces import (
    OF_CALLBACKS,
    Code,
    Fingerprint,
    Params,
    Passed,
    Space,
    SpaceError,
    code_of,
    fold_callbacks,
)
from tracking.history import History, TrialHistory
from tracking.home import Home
from tracking.provenance import code_changes, code_of_trial
from tracking.text import Notify, listed, shell

if TYPE_CHECKING:
    from search.training.building import Built, Models

CHECKED_SAMPLES = 64  # samples on which every format is compared
TRIED_SAMPLES = 8  # with which is found out what a model's outputs mean

Curves = list[dict[str, float]]
OnEpoch = Callable[[int, int, dict[str, float]], None]


class NothingToExport(FoldwiseError):
    """The study has no complete trial."""


@dataclass(frozen=True)
class Final:
    """A trial to be trained again, with its data and space.

    Attributes:
        dataset: of the study; its test set stays closed.
        folds: of the study; their samples are used, unless `rows` names others.
        space: for the dataset.
        params: the params of the trial.
        seed: of the study.
        precision: of the study, a Keras dtype policy.
        code: of the space; None for a space of this project.
        fingerprint: of the code to run; empty to run any code.
        accepted: accepted differences from the code that the trial was trained with.
        reading: how the data were read, as far as new rows must be read alike.
        trial: its number.
        callbacks: that were passed from Python; None without.
        scaling: of numbers to predict, the study's `target_scaling`.
        tuned_by: the metric that thresholds are tuned by; None for no tuning.
        rows: sorted indices of the samples to train on; None for those of the folds.
        length: how long it trains; None: as the params say.
        source: another trial of the study, whose samples and builder of models this one uses.
    """

    dataset: Dataset
    folds: Folds
    space: Space
    params: Params
    seed: int
    precision: str
    code: Code | None = None
    fingerprint: Fingerprint = field(default_factory=dict)
    accepted: tuple[str, ...] = ()
    reading: Reading = field(default_factory=Reading)
    trial: int = 0
    callbacks: Passed | None = None
    scaling: str = "auto"
    tuned_by: Metric | None = None
    rows: Indices | None = None
    length: Length | None = None
    source: "Final | None" = field(default=None, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        history: History,
        trial: TrialHistory,
        dataset: Dataset,
        folds: Folds,
        *,
        home: Home,
        accept_changed_code: bool = False,
        callbacks: Passed | None = None,
        trains: bool = True,
        searched_samples: bool = False,
    ) -> "Final":
        """Prepare a trial of a study.

        Args:
            history: of the study.
            trial: one of its trials.
            dataset: of the study.
            folds: of the study.
            home: the home, with cached declarations.
            accept_changed_code: continue even if the space's code has changed since the trial.
            callbacks: that were passed from Python, which count as code; None without.
            trains: whether it is to be trained, for which the callbacks must be the trial's.
            searched_samples: whether it is trained on the samples of the folds alone; else on all
                that `all_samples` names.

        Raises:
            SettingsError: the study's space is not available or has changed.
        """
        start, space = study_space(history, dataset, home)
        own = code_now(start.space, space, dataset, home)
        code = with_metrics(with_callbacks(own, callbacks), texts_in(start))
        changes = code_changes(code_of_trial(history, trial), code)
        if not trains:
            beside = OF_CALLBACKS, OF_METRICS
            changes = [change for change in changes if not change.startswith(beside)]
        if changes and not accept_changed_code:
            raise SettingsError(
                f"the code of space {start.space} is not the one that trial {trial.number} of study"
                f" {start.study!r} was trained with: {'; '.join(changes)}. Its score says nothing"
                " about models of other code. Restore the old code, or continue anyway with"
                " `--accept-changed-code`, which is recorded."
            )
        settings = start.settings
        rows = all_samples(start, dataset, folds) if trains and not searched_samples else folds.used
        made = cls(
            dataset,
            folds,
            space,
            trial.params,
            int(settings["seed"]),
            str(settings.get("precision", "float32")),
            code_of(start.space),
            own,
            tuple(changes),
            Reading.of(settings).of_rows,
            trial.number,
            callbacks,
            str(settings.get("target_scaling", "auto")),
            metric_of_threshold(start),
            rows,
        )
        replays = made._stops_early_alone()
        length = length_of(trial, made.params, ratio=len(rows) / folds.samples, replays=replays)
        return replace(made, length=length)

    def _stops_early_alone(self) -> bool:
        """Say whether early stopping, if it is on, is all that looks at an inner part.

        Callbacks are not asked what they look at before their code may run: any may. Thresholds are
        tuned on the inner part where there is one, as the model has not trained on it.
        """
        space = self.space
        is_own = space.fit is not None or space.callbacks is not None or self.callbacks is not None
        unfreezes = space.unfreeze is not None and self.params.get("frozen_epochs", 0)
        tunes = self.tuned_by is not None
        return not (is_own or unfreezes or tunes or self.params.get("schedule") == "plateau")

    @property
    def used(self) -> Indices:
        """Sorted indices of the samples that it is trained on."""
        return self.folds.used if self.rows is None else self.rows

    def sharing(self, other: "Final") -> "Final":
        """Return this trial with the samples and the builder of models of another of its study."""
        return self if self is other else replace(self, source=other)

    @cached_property
    def models(self) -> "Models":
        """The builder of the space's models.

        Raises:
            SettingsError: its code cannot be run, or has changed since the study was opened.
        """
        from search.training.building import Models

        if self.source is not None:
            return self.source.models
        made = Models(self.space, self.code, expected=self.fingerprint, seed=self.seed)
        try:
            made.open()
        except SpaceError as error:
            raise SettingsError(str(error)) from error
        return made

    @cached_property
    def inputs(self) -> Inputs:
        """The models' inputs for the training samples."""
        if self.source is not None:
            return self.source.inputs
        return make_inputs(self.dataset, self.space.input_for(self.dataset.kind))

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder, fitted on all samples in use."""
        return self.inputs.learn(self.used, self.params)

    def samples(self) -> Samples:
        """Return some of the training samples, evenly spread."""
        used = self.used
        some = used[np.linspace(0, len(used) - 1, min(len(used), CHECKED_SAMPLES)).astype(int)]
        raw = self.dataset.train_samples
        picked = rows_at(raw, some)
        spread = self.dataset.task.spread(np.asarray(self.dataset.train_labels[used]))
        return Samples(picked, self.inputs.take(self.encoder, some), spread)

    def labels(self, outputs: OutputMeaning) -> Labels:
        """Return the meaning of a model's inputs and outputs."""
        data = self.dataset
        return Labels(
            task=data.task,
            encoder=_for_new_samples(self.encoder, data),
            background=background(data.train_images) if data.kind == "image" else 0.0,
            columns=columns_of(data) if data.kind == "table" else (),
            outputs=outputs,
            reading=self.reading,
            width=self.dataset.width,
            stretches=data.was_resized if data.kind == "image" else None,
            whole_files=data.kind == "text" and data.is_of_files,
            inputs=tuple(_labels_of_input(data.input(one.name), one.name) for one in data.inputs),
        )

    def finished(self, model: Any, outputs: OutputMeaning) -> tuple[Any, Labels]:
        """Return a model as it is exported, with the meaning of its inputs and outputs.

        Numbers leave it in their own unit, so that their scaling is nobody else's business; several
        outputs are a dictionary of values by their names.
        """
        labels = self.labels(outputs)
        if not isinstance(outputs, NumberOutputs | SeveralOutputs):
            return model, labels
        whole = valued_model(model, labels, self.samples().encoded)
        return whole, self.labels(values_of(outputs, labels.task))

    def tuned(self, model: Any, labels: Labels) -> Labels:
        """Return labels with the thresholds of an average of models, tuned on all their samples."""
        from search.training.fit import FOR_THRESHOLD, predict

        outputs = labels.outputs
        if self.tuned_by is None or not isinstance(outputs, DecidingOutputs):
            return labels
        used = spread(self.used, FOR_THRESHOLD)
        known = self.dataset.train_extra("weights")
        weights = None if known is None else known[used]
        values = predict(model, self.inputs.take(self.encoder, used), outputs)
        targets = np.asarray(self.dataset.train_labels[used])
        return replace(labels, outputs=outputs.tuned(self.tuned_by, values, targets, weights))

    def build(self, precision: str = "float32") -> Any:
        """Return a new model with weights, not trained."""
        with self._built(precision) as built:
            return built.model

    @contextmanager
    def _built(self, precision: str, seed: int | None = None) -> "Iterator[Built]":
        """Yield a new model with weights, in the process state that its code set."""
        data = spec_of(self.encoder, self.dataset.kind, self.dataset.task)
        with self.models.built(self.params, data, seed=seed, precision=precision) as built:
            some = self.inputs.take(self.encoder, self.used[:1])
            output_units(built.model, self.dataset.task, some)
            yield built

    def compiled(self) -> Any:
        """Return a new model, compiled and not trained."""
        from search.training.compiling import compile_model

        model = self.build()
        some = self.inputs.take(self.encoder, self.used[:1])
        compile_model(model, self.params, self.dataset.task, some, steps=1)
        return model

    def outputs_of(self, model: Any) -> OutputMeaning:
        """Return the meaning of a compiled model's outputs, were it trained on all samples."""
        from search.training.targets import targets_for

        used = self.used
        some = self.inputs.take(self.encoder, used[:TRIED_SAMPLES])
        targets = np.asarray(self.dataset.train_labels[used])
        found = targets_for(
            model, self.dataset.task, some, targets, self._weights, scaling=self.scaling
        )
        return found.outputs

    def train(
        self,
        seed: int,
        on_epoch: Callable[[int, dict[str, float]], None],
        *,
        name: str = "final",
    ) -> tuple[Any, Curves, OutputMeaning]:
        """Return a model trained in the study's precision, its curves and its outputs' meaning.

        Args:
            seed: decides weights, order, augmentation and the inner part.
            on_epoch: called after each epoch with its number and metrics.
            name: what callbacks' paths have for `{fold}`.
        """
        from search.training.fit import Epoch, StopAfter
        from search.training.own_fit import fit_built

        params = self._params_of_training()
        ends = [] if self.length is None or self.length.until is None else [self.length.until]
        curves: Curves = []

        def keep(epoch: Epoch) -> None:
            curves.append(epoch.metrics)
            on_epoch(epoch.number, epoch.metrics)

        with self._built(self.precision, seed) as built:
            fitted = fit_built(
                built,
                self._part(),
                None,
                params,
                task=self.dataset.task,
                seed=seed,
                on_epoch=keep,
                scaling=self.scaling,
                tuned_by=self.tuned_by,
                callbacks=[
                    *fold_callbacks(built.space, self.callbacks, params, self.trial, name),
                    *map(StopAfter, ends),
                ],
            )
            return built.model, curves, fitted.outputs

    def _params_of_training(self) -> Params:
        """Return the params with the epochs of the final training."""
        if self.length is None:
            return self.params
        params = {**self.params, "epochs": self.length.epochs}
        if self.length.until is None:
            return params
        return {name: v for name, v in params.items() if name != "patience"} | {
            "early_stopping": False
        }

    def _part(self) -> Part:
        from search.training.streaming import encoded

        used = self.used
        inputs = encoded(self.inputs, self.encoder, used, Limits().on_share(1).memory)
        targets, beside = np.asarray(self.dataset.train_labels[used]), self.folds.beside(used)
        return Part(inputs, targets, None, *beside, weights=self._weights)

    @property
    def _weights(self) -> Any:
        known = self.dataset.train_extra("weights")
        return None if known is None else known[self.used]

    def in_float32(self, trained: Any) -> Any:
        """Return a trained model whose layers compute in float32, with the same weights."""
        if self.precision == "float32":
            return trained
        model = self.build()
        model.set_weights(trained.get_weights())
        return model


def _for_new_samples(encoder: Encoder, data: Dataset) -> Encoder:
    """Return an encoder that knows how dark the training images are."""
    match encoder:
        case ImageEncoder(pixel_range=None):
            return replace(encoder, dark=dark_limit(data.train_images))
        case SeveralEncoder():
            parts = encoder.inputs
            return SeveralEncoder(
                tuple((name, _for_new_samples(own, data.input(name))) for name, own in parts)
            )
    return encoder


def _labels_of_input(data: Dataset, name: str) -> InputLabels:
    return InputLabels(
        name,
        background(data.train_images) if data.kind == "image" else 0.0,
        columns_of(data) if data.kind == "table" else (),
    )


def chosen_trial(history: History, number: int | None) -> TrialHistory:
    """Return the trial to export: the one with a number, or the best by `History.best`.

    Raises:
        NothingToExport: there is no complete trial.
        SettingsError: no complete trial has that number.
    """
    from search.analysis.comparison.decision import with_decision

    completed = {trial.number: trial for trial in history.completed()}
    best = with_decision(history).best()
    if best is None:
        name = history.known_study().study
        trials = str(2 * max(10, len(history.trials)))
        raise NothingToExport(
            f"study {name!r} has no complete trial to export; continue it with"
            f" `{shell('run', '--study', name, '--trials', trials)}`"
        )
    if number is None:
        return best
    if number not in completed:
        known = listed(sorted(completed))
        raise SettingsError(f"`--trial` must be a complete trial ({known}); got {number}")
    return completed[number]


def same_dataset(history: History, home: Home, data_dir: Path | None, notify: Notify) -> Dataset:
    """Return the dataset that a study began with.

    Raises:
        DataError: it cannot be had, or is another one by now.
    """
    if history.study is None:
        raise SettingsError("the study has not begun")
    recorded = history.study.dataset
    dataset = load(
        recorded["name"],
        home=home.root,
        data_dir=data_dir,
        reading=Reading.of(began_with(history.study.settings)),
        digest=recorded["digest"],
        notify=notify,
    )
    if dataset.digest != recorded["digest"]:
        raise DataError(
            f"dataset {dataset.name} is not the one the study began with"
            f" (digest {recorded['digest'][:12]}, now {dataset.digest[:12]});"
            " point `--data-dir` to that one"
        )
    return dataset


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
    from search.training.fold import latency_ms

    found = []
    for contender in contenders:
        history, folds = study_history(contender.folder), Folds.load(contender.folder.folds)
        dataset = same_dataset(history, home, data_dir, notify)
        model = Final.of(history, contender.trial, dataset, folds, home=home, trains=False)
        sample = model.inputs.take(model.encoder, folds.used[:1])
        found.append(latency_ms(model.build(model.precision), sample))
    return tuple(found)

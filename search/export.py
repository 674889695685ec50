"""The best setting, trained on all training data and written to a folder."""

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.datasets import Dataset
from search.datasets.images import background
from search.environment import package_versions
from search.errors import FoldwiseError, SettingsError
from search.folds import Folds
from search.inputs import make_inputs, spec_of
from search.model_folder import LABELS, Labels, ModelFolder
from search.opening import study_space
from search.seeds import derive
from tracking.history import History, TrialHistory
from tracking.home import Home
from tracking.records import ModelExported

REQUIREMENTS = ("tensorflow", "keras", "numpy")

OnEpoch = Callable[[int, dict[str, float]], None]


class NothingToExport(FoldwiseError):
    """The study has no complete trial."""


@dataclass(frozen=True)
class FinalModel:
    """A model trained on all training data.

    Attributes:
        model: the Keras model.
        labels: what its inputs and outputs mean.
        curves: per epoch `loss` (nats) and `accuracy` (fraction) over the training data.
        train_seconds: wall time of building and training.
    """

    model: Any
    labels: Labels
    curves: list[dict[str, float]]
    train_seconds: float


def chosen_trial(history: History, number: int | None) -> TrialHistory:
    """Return the trial to export: the best one, as `History.best` says, or the one of a number.

    Raises:
        NothingToExport: there is no complete trial.
        SettingsError: no complete trial has that number.
    """
    completed = {trial.number: trial for trial in history.completed()}
    best = history.best()
    if best is None:
        raise NothingToExport(
            "the study has no complete trial to export; let it run on with"
            " `python -m search run --study NAME --trials N`"
        )
    if number is None:
        return best
    if number not in completed:
        known = ", ".join(map(str, sorted(completed)))
        raise SettingsError(f"`--trial` must be a complete trial ({known}); got {number}")
    return completed[number]


def refit(
    history: History,
    trial: TrialHistory,
    dataset: Dataset,
    folds: Folds,
    *,
    home: Home,
    on_epoch: OnEpoch,
) -> FinalModel:
    """Train the trial's setting on all of the study's training samples, folds joined.

    TensorFlow is imported here.

    Args:
        history: the study's.
        trial: whose setting is used.
        dataset: the study's dataset; its test set stays closed.
        folds: the study's; their samples are used.
        home: where the study is.
        on_epoch: called after each epoch with its number and metrics.
    """
    import keras

    from search.fit import Epoch, Part, fit
    from search.targets import Targets, output_units

    start, space = study_space(history, dataset, home)
    settings, setting = start.settings, trial.setting
    keras.config.set_dtype_policy(settings["precision"])
    keras.utils.set_random_seed(derive(settings["seed"], "final"))
    began = time.monotonic()
    inputs = make_inputs(dataset, space.input_for(dataset.kind))
    used = folds.used
    encoder = inputs.learn(used, setting)
    classes = len(dataset.classes)
    model = space.build(setting, spec_of(encoder, dataset.kind, classes))
    output_units(model, classes, inputs.take(encoder, used[:1]))
    _check_writable(model)
    curves: list[dict[str, float]] = []

    def keep(epoch: Epoch) -> None:
        curves.append(epoch.metrics)
        on_epoch(epoch.number, epoch.metrics)

    fit(
        model,
        Part(inputs.take(encoder, used), dataset.train_labels[used]),
        None,
        setting,
        classes=classes,
        seed=derive(settings["seed"], "final"),
        on_epoch=keep,
        thaw=space.thaw,
    )
    targets = Targets.of(model, classes, inputs.take(encoder, used[:1]))
    labels = Labels(
        classes=dataset.classes,
        encoder=encoder,
        background=background(dataset.train_images) if dataset.kind == "image" else 0.0,
        columns=dataset.columns,
        outputs="logits" if targets.logits else "probabilities",
    )
    return FinalModel(model, labels, curves, time.monotonic() - began)


def write_model(final: FinalModel, trial: TrialHistory, target: Path) -> ModelExported:
    """Write the model and its labels into a folder that `prepare_target` has made ready.

    Each file is replaced whole; others in the folder stay as they are.

    Raises:
        SettingsError: the target cannot be written.
    """
    folder = ModelFolder(target)
    partial = target / ".partial.keras"
    try:
        final.model.save(partial)
        folder.write(LABELS, json.dumps(final.labels.to_json(), indent=2) + "\n")
        partial.replace(folder.model)
    except OSError as error:
        raise _not_writable(target, error) from error
    finally:
        partial.unlink(missing_ok=True)
    lines: list[str] = []
    final.model.summary(print_fn=lines.append)
    return ModelExported(
        at=time.time(),
        trial=trial.number,
        folder=str(target.resolve()),
        model_sha256=folder.model_sha256(),
        curves=final.curves,
        train_seconds=final.train_seconds,
        model_parameters=final.model.count_params(),
        requirements=[f"{name}=={found}" for name, found in package_versions(REQUIREMENTS).items()],
        summary="\n".join(lines),
    )


def prepare_target(target: Path, *, overwrite: bool) -> None:
    """Make a target folder ready, before any training.

    Raises:
        SettingsError: it holds a model that is not to be overwritten, or other things, or cannot
            be written.
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target):
            pass
        holds_model, is_empty = ModelFolder(target).model.is_file(), not any(target.iterdir())
    except OSError as error:
        raise _not_writable(target, error) from error
    if not holds_model and not is_empty:
        raise SettingsError(f"`--to {target}` holds other things; name a new folder")
    if holds_model and not overwrite:
        raise SettingsError(
            f"`--to {target}` holds a model already; replace it with `--overwrite`"
            " or name a new folder"
        )


def _check_writable(model: Any) -> None:
    """Raise SettingsError unless the model can be read again once it is written."""
    import keras

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        try:
            model.save(path)
            keras.saving.load_model(path, safe_mode=True)
        except Exception as error:  # Keras raises all kinds
            raise SettingsError(
                "the models of this space cannot be exported: what is written cannot be read again"
                f" ({type(error).__name__}: {str(error).splitlines()[0]}). Models made of Keras's"
                " own layers and losses, as Sequential or functional, can."
            ) from error


def _not_writable(target: Path, error: OSError) -> SettingsError:
    why = error.strerror or str(error)
    return SettingsError(f"`--to {target}` cannot be written ({why}); name another folder")

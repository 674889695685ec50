"""An exported model in use: whose code it may run, what it computes, and predictions with it.

An exported folder may come from anybody, so no module is imported because the folder names it. Only
two kinds of code run: a space that the user names, and the space of a study in the home whose
journal records this archive by its SHA-256.
"""

import math
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from search.data.arrays import Array
from search.data.encoders import ImageEncoder, TableEncoder, TextEncoder
from search.data.formats.archives import array_names, check_file, read_array, read_samples
from search.data.formats.columns import Reader, is_number, is_supported
from search.data.formats.frames import is_frame, new_rows
from search.data.formats.tables import NewRows, check_width, read_rows
from search.data.inputs import spec_of
from search.data.pictures import (
    depth_of_picture,
    flattened,
    open_picture,
    quiet_pillow,
    read_head,
    values_of,
)
from search.data.ranges import BLACK, BYTES, WHITE, PixelRange, depth_of, told_clipped
from search.data.reading import CATEGORY, DATE, NUMBER, Column
from search.errors import DataError, FoldwiseError, SettingsError
from search.export.folder import CHECKED, Code, Labels, ModelFolder, NeedsCode
from search.quiet import load_tensorflow
from search.studies import study_folder, study_history
from search.tasks import (
    Classification,
    LabelOutputs,
    MultiLabel,
    MultiOutput,
    OutputMeaning,
    Regression,
    SeveralOutputs,
    Task,
)
from search.tasks.models import count_of, first_of
from search.tasks.multi_label import THRESHOLD
from spaces import absolute, cause_of, run_code
from tracking.home import Home
from tracking.text import Notify, listed, shell

DIFFERENCE = 1e-3  # of one value; rounding on other machines and versions is smaller

# What arrays of sequences to predict may be called, where a file has several.
SAMPLE_NAMES = ("x", "X", "x_test", "x_new")
# Of 255: images that stay below and are not uint8 may be on a scale of their own.
_DARK = 128
_CONTRAST = 64  # borders that differ by this much, of 255, have opposite polarity
MAX_FILE_BYTES = 256 << 20  # of a file of texts or rows
MAX_INPUT_BYTES = 2 << 30  # bytes of the model's input for all samples


def code_of(reference: str, labels: Labels) -> Code:
    """Return a function that runs the code of a space: imports it, then builds one of its models.

    Args:
        reference: of the space.
        labels: of the exported model.
    """
    spec = spec_of(labels.encoder, labels.kind, labels.task)
    return partial(run_code, absolute(reference), spec)


def checked(model: Any, labels: Labels) -> Labels:
    """Return the labels with a model's outputs for made-up samples."""
    found = _tried(model, labels)
    return labels if found is None else replace(labels, check=tuple(map(tuple, found.tolist())))


def open_model(folder: ModelFolder, labels: Labels, code: Code | None) -> Any:
    """Return a folder's Keras model, which computes the same as when it was written.

    Args:
        folder: written by `export`.
        labels: of the same folder.
        code: registers custom objects, as `ModelFolder.load` takes it.

    Raises:
        DataError: there is no model, it is damaged, or its code is unknown or has changed.
    """
    model = folder.load(code)
    if labels.check:
        found, expected = _tried(model, labels), np.array(labels.check)
        if found is None or not np.allclose(found, expected, DIFFERENCE, DIFFERENCE):
            own = ", ".join(folder.own_names())
            gave = "fails" if found is None else f"is off by {np.abs(found - expected).max():.2g}"
            raise DataError(
                f"{folder.model} must give the same outputs as when it was exported; for made-up"
                f" samples it {gave}. Its custom objects ({own}) have changed since: restore the"
                " code it was exported with, or export again."
            )
    return model


def predicted_values(model: Any, inputs: Any, labels: Labels) -> Any:
    """Return a loaded model's values, float `(n, units)`, in the form of its task.

    The labels give the meaning of its outputs, because its loss is not loaded.

    Args:
        model: from `ModelFolder.load`.
        inputs: the model's input, `(n, ...)`, or several by their names.
        labels: of the same export.

    Raises:
        ValueError: there is not one output for each value, or one for two classes.
    """
    from search.training.fit import predict

    try:
        found = predict(model, inputs, labels.outputs)
    except Exception:
        if model.run_eagerly:
            raise
        model.run_eagerly = True  # as its `compile` had asked for, perhaps
        return predicted_values(model, inputs, labels)
    if found.shape != (count_of(inputs), labels.task.units):
        raise ValueError(f"it gives {found.shape} for {count_of(inputs):,} samples")
    return found


def _tried(model: Any, labels: Labels) -> Any:
    """Return a model's values for made-up samples; None if it gives no numbers."""
    try:
        some = first_of(made_up(labels), len(labels.check) or CHECKED)
        found = predicted_values(model, some, labels)
    except Exception:  # noqa: BLE001 # made-up samples may be invalid for the model
        return None
    return found if np.isfinite(found).all() else None


def made_up(labels: Labels) -> Any:
    """Return a model's input of made-up samples, the same on all machines and versions."""
    encoder, chance = labels.encoder, np.random.RandomState(0)  # its stream never changes
    if labels.inputs:
        return {each.name: made_up(labels.part(each.name)) for each in labels.inputs}
    shape = (CHECKED, *encoder.input_shape)
    match encoder:
        case ImageEncoder():
            return encoder.scale(chance.randint(0, 256, shape, np.uint8))
        case TextEncoder(size=size):
            return chance.randint(0, size, shape, np.int32)
        case _:
            return chance.standard_normal(shape).astype(np.float32)


def load_model(folder: ModelFolder, labels: Labels, *, space: str | None, home: Path | None) -> Any:
    """Return the Keras model of a folder of unknown origin.

    Args:
        folder: written by `export`.
        labels: of the same folder.
        space: reference of the space whose code may run, named by the user.
        home: the home whose studies are trusted; None: no home.

    Raises:
        NeedsCode: it has custom classes, and neither `space` nor `home` has their code.
        DataError: there is no model, or it is damaged.
    """
    reference = space or _space_in(home, folder)
    try:
        return open_model(folder, labels, code_of(reference, labels) if reference else None)
    except NeedsCode as error:
        raise error.with_remedy(_remedy(folder)) from error


def _space_in(home: Path | None, folder: ModelFolder) -> str | None:
    """Return the space of the study in a home that exported this archive."""
    if home is None or not home.is_dir():
        return None
    try:
        history = study_history(study_folder(Home(home), str(folder.metrics().get("study", ""))))
    except FoldwiseError:
        return None
    digest = folder.model_sha256()
    known = any(export.model_sha256 == digest for export in history.exports)
    return history.known_study().space if known else None


def _remedy(folder: ModelFolder) -> str:
    named = str(folder.metrics().get("space", ""))
    origin = f" (the folder says: {named[:200]!r})" if ":" in named else ""
    return (
        "Where it was exported, name its home with `--home`; elsewhere, get the file with the space"
        f"{origin} and, if you trust it, name it, which runs it:"
        f" `{shell('predict', str(folder.path), 'INPUT', '--space', 'FILE.py:NAME')}`."
    )


@dataclass(frozen=True)
class Picture:
    """A picture file prepared for a model.

    Attributes:
        pixels: the model's input of one image.
        inverted: whether its border is as bright as the training images' is dark, or the reverse.
        notices: on values outside the training images' range.
    """

    pixels: Array
    inverted: bool
    notices: tuple[str, ...] = ()


def read_picture(path: Path, labels: Labels, *, invert: bool = False) -> Picture:
    """Read a picture and convert it to a model's input.

    It is turned upright, gets the training images' background behind transparent parts, becomes
    grey or colour, is fitted into the training images' size with its proportions, and is padded or
    resized like them.

    Args:
        path: a file in any format Pillow reads.
        labels: what the model expects.
        invert: swap dark and bright first.

    Raises:
        DataError: no such file, no image, more than 50 million pixels, or values on another scale
            than those of the training images.
    """
    encoder = labels.encoder
    if not isinstance(encoder, ImageEncoder):
        raise TypeError("a picture can only be read for a model of images")
    height, width, channels = encoder.native_shape
    mode = "L" if channels == 1 else "RGB"
    with quiet_pillow():
        image = open_picture(path)
        ranged = _range_for(path, image, encoder)
        try:
            told = [*_cut(path, image), *_outside(path, image, ranged, mode)]
            image = flattened(image, backdrop=round(labels.background), mode=mode, ranged=ranged)
        except ValueError as error:  # a mode that Pillow cannot convert
            raise DataError(
                f"{path}: {error}; save it as a PNG or JPEG in grey or colour"
            ) from error
    if invert:
        image = ImageOps.invert(image)
    border = _border_mean(np.asarray(image))
    fitted = ImageOps.pad(
        image,
        (width, height),
        method=Image.Resampling.BILINEAR,
        color=round(border) if channels == 1 else (round(border),) * 3,
    )
    pixels = np.asarray(fitted, dtype=np.uint8).reshape(1, height, width, channels)
    inverted = _opposite(border, labels.background)
    return Picture(encoder.encode(pixels)[0], inverted, tuple(told))


def _range_for(path: Path, image: Image.Image, encoder: ImageEncoder) -> PixelRange | None:
    """Return which values of a picture become black and white; None for all that it can have.

    Raises:
        DataError: it is of another depth than the training images, whose range is only theirs.
    """
    ranged, depth = encoder.pixel_range, depth_of_picture(image)
    if ranged is None or depth == ranged.depth:
        return ranged
    if ranged.is_usual:  # white is white
        return None
    raise DataError(
        f"{path} must hold {ranged.depth} on the scale of the training images, {ranged}; it holds"
        f" {depth}. Save it as they are."
    )


def _cut(path: Path, image: Image.Image) -> list[str]:
    """Return the notice on a picture of which not all bits are read."""
    if not read_head(path).is_cut:
        return []
    highest = int(np.asarray(image.convert("RGB")).max())
    return [
        f"{path} has 16 bits a colour, of which the upper 8 are read: they reach {highest} of 255."
        " If the pictures use fewer bits, save them as PNGs of 8."
    ]


def _outside(path: Path, image: Image.Image, ranged: PixelRange | None, mode: str) -> list[str]:
    if ranged is None:
        return []
    is_bytes = depth_of_picture(image) == BYTES
    values = np.asarray(image.convert(mode)) if is_bytes else values_of(image)
    return told_clipped(str(path), ranged, ranged.outside(values), values.size)


def _border_mean(pixels: Array) -> float:
    edges = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    return float(np.mean([np.mean(edge) for edge in edges]))


def _opposite(border: float, background_mean: float) -> bool:
    middle = 127.5
    far = abs(border - background_mean) > 2 * _CONTRAST
    return far and (border > middle) != (background_mean > middle)


def _ignored(_: str) -> None:
    """Take no notice."""


@dataclass(frozen=True)
class Prediction:
    """A model's prediction for one sample.

    Attributes:
        sample: the picture's file, the text, or file and line of a table's row.
        task: what is predicted, by the task's name.
        values: of classes the most probable with their probabilities or scores, highest first (by a
            tuned threshold of two classes the one that it names); of
            labels all with their probabilities, of numbers all, in the model's order.
        inverted: whether a picture looks inverted compared with the training images.
        is_scored: whether the values are scores, of which only the order counts.
        output: the name of the output; empty for a model with one.
        thresholds: of the labels, where they were tuned; empty for 0.5.
    """

    sample: str
    task: str
    values: tuple[tuple[str, float], ...]
    inverted: bool = False
    is_scored: bool = False
    output: str = ""
    thresholds: tuple[float, ...] = ()

    @property
    def labels(self) -> tuple[tuple[str, float], ...]:
        """The labels that are given, with their probabilities: highest first."""
        cuts = self.thresholds or (THRESHOLD,) * len(self.values)
        both = zip(self.values, cuts, strict=True)
        given = [(name, value) for (name, value), cut in both if value > cut]
        return tuple(sorted(given, key=lambda pair: -pair[1]))


@dataclass(frozen=True)
class _Sample:
    name: str
    encoded: Any
    inverted: bool = False


@dataclass(frozen=True)
class _Asked:
    labels: Labels
    invert: bool
    notify: Notify


def predict_samples(
    folder: Path,
    given: Sequence[str],
    *,
    top: int | None = None,
    invert: bool = False,
    space: str | None = None,
    home: Path | None = None,
    notify: Notify = _ignored,
) -> list[Prediction]:
    """Predict samples with an exported model.

    All samples are read before TensorFlow is loaded, so that errors in them come at once.

    Args:
        folder: written by `export`.
        given: picture files for a model of images; texts, or files with one text a line, for a
            model of texts; tables with the model's columns, in any order, as training reads them;
            .npz or .npy files with sequences; for several inputs .npz files with an array for each,
            or where all are rows tables with all their columns.
        top: number of classes to list; None for one.
        invert: invert the brightness of pictures first.
        space: reference of the space with the code of the model's custom classes; that code runs.
        home: the home whose studies are trusted to name that code, for models exported from it.
        notify: takes notices on rows unlike those of the training.

    Returns:
        One a sample; with several outputs one a sample for the first, then for the next.

    Raises:
        DataError: there is no exported model, or a sample cannot be read.
        SettingsError: `top` for a model that has no classes.
    """
    model_folder = ModelFolder(folder)
    labels = model_folder.labels()
    _check_top(labels, top)
    samples: list[_Sample] = []
    asked = _Asked(labels, invert, notify)
    for text in given:
        samples += _READERS[labels.kind](text, asked)
        _check_amount(len(samples), labels)
    load_tensorflow()
    model = load_model(model_folder, labels, space=space, home=home)
    inputs = _stacked([sample.encoded for sample in samples])
    values = _values(model_folder, model, inputs, labels)
    return [
        Prediction(
            sample.name,
            task.name,
            _named(task, row, decided, top or 1),
            sample.inverted,
            not outputs.are_probabilities,
            name,
            outputs.thresholds if isinstance(outputs, LabelOutputs) else (),
        )
        for name, task, outputs, rows in _by_output(labels, values)
        for sample, row, decided in zip(samples, rows, outputs.decided(rows), strict=True)
    ]


def predict_arrays(
    folder: Path,
    given: Mapping[str, Any],
    *,
    space: str | None = None,
    home: Path | None = None,
) -> dict[str, Array]:
    """Predict samples of several inputs with an exported model.

    Args:
        folder: written by `export`, of a model with several inputs.
        given: the samples of each input by its name, as they were passed to the study: arrays of
            images, rows or sequences, or texts.
        space: reference of the space with the code of the model's custom classes; that code runs.
        home: the home whose studies are trusted to name that code.

    Returns:
        The values of each output by its name, float `(n, units)`: probabilities or scores of
        classes, probabilities of labels, numbers in their own unit. With one output its name is
        what the values are: `probabilities`, `scores` or `numbers`.

    Raises:
        DataError: there is no exported model of several inputs, or a sample cannot be used.
    """
    model_folder = ModelFolder(folder)
    labels = model_folder.labels()
    if not labels.inputs:
        raise DataError(
            f"{folder} has a model with one input, of kind {labels.kind}; `predict_samples` takes"
            " samples for it"
        )
    arrays = {name: np.asarray(values) for name, values in given.items()}
    inputs = _encoded_inputs(arrays, labels, "what was passed")
    load_tensorflow()
    model = load_model(model_folder, labels, space=space, home=home)
    values = _values(model_folder, model, inputs, labels)
    return {name or labels.returns: rows for name, _, _, rows in _by_output(labels, values)}


def encoded_samples(samples: Any, labels: Labels) -> Any:
    """Return a model's input for samples as they were passed to the study.

    Args:
        samples: arrays of images, rows or sequences; a frame with the model's columns; texts; of
            several inputs the samples of each by its name.
        labels: of the model.

    Raises:
        DataError: they are not like those of the study.
    """
    if not labels.inputs:
        return _encoded_like_training(samples, labels, "the samples")
    if not isinstance(samples, Mapping):
        raise DataError(
            "the samples must be a dictionary with those of each input,"
            f" {listed(each.name for each in labels.inputs)}; got a {type(samples).__name__}"
        )
    return _encoded_inputs({n: np.asarray(v) for n, v in samples.items()}, labels, "the samples")


def _encoded_like_training(samples: Any, labels: Labels, origin: str) -> Array:
    columns = labels.columns
    if labels.kind != "table":
        return _encoded_input(np.asarray(samples), labels, origin)
    frame = samples
    if not is_frame(samples):
        rows = np.asarray(samples)
        if rows.ndim != 2 or rows.shape[1] != len(columns):
            raise DataError(
                f"{origin} must be rows of {len(columns)} columns, (n, {len(columns)}), or a frame"
                f" that has them; got {rows.dtype} {rows.shape}"
            )
        if rows.dtype.kind in "biuf" and all(column.type == NUMBER for column in columns):
            return _encoded_input(rows, labels, origin)
        frame = {column.name: rows[:, n].tolist() for n, column in enumerate(columns)}
    return _encoded(new_rows(frame, columns, labels.reading).values, labels, origin)


def _by_output(labels: Labels, values: Array) -> list[tuple[str, Task, OutputMeaning, Array]]:
    """Return each output's name, task, meaning and values; of a single one the name is empty."""
    task, outputs = labels.task, labels.outputs
    if not (isinstance(task, MultiOutput) and isinstance(outputs, SeveralOutputs)):
        return [("", task, outputs, values)]
    own, known = task.split_values(values), {name: found for name, _, found in outputs.parts}
    return [(part.name, part.task, known[part.name], own[part.name]) for part in task.parts]


def _stacked(samples: Sequence[Any]) -> Any:
    if isinstance(samples[0], dict):
        return {name: np.stack([each[name] for each in samples]) for name in samples[0]}
    return np.stack(samples)


def _check_top(labels: Labels, top: int | None) -> None:
    if isinstance(labels.task, MultiOutput):
        if top is None or any(isinstance(part.task, Classification) for part in labels.task.parts):
            return
        raise SettingsError("`--top` lists the most probable classes; no output predicts any")
    if top is not None and not isinstance(labels.task, Classification):
        told = (
            "labels, of which all that are more probable than not are listed"
            if isinstance(labels.task, MultiLabel)
            else f"numbers, {listed(labels.task.names)}, of which all are listed"
        )
        raise SettingsError(f"`--top` lists the most probable classes; the model predicts {told}")


def _named(task: Task, row: Array, decided: Array, top: int) -> tuple[tuple[str, float], ...]:
    order = (
        np.lexsort((-row, -decided))[:top]
        if isinstance(task, Classification)
        else np.arange(len(row))
    )
    return tuple((task.names[index], float(row[index])) for index in order)


def _pictures(given: str, asked: _Asked) -> list[_Sample]:
    picture = read_picture(Path(given), asked.labels, invert=asked.invert)
    for notice in picture.notices:
        asked.notify(notice)
    return [_Sample(given, picture.pixels, picture.inverted)]


def _several(given: str, asked: _Asked) -> list[_Sample]:
    path, labels = Path(given), asked.labels
    check_file(path)
    has_arrays = zipfile.is_zipfile(path)
    if not has_arrays and all(labels.part(each.name).kind == "table" for each in labels.inputs):
        return _rows_of_inputs(path, asked)
    held = array_names(path) if has_arrays else ()
    wanted = [each.name for each in labels.inputs]
    lacking = [name for name in wanted if name not in held]
    if lacking:
        raise DataError(
            f"{path} must be an .npz file with an array for each input of the model,"
            f" {listed(wanted)}; it lacks {listed(lacking)}"
        )
    arrays = {name: read_array(path, name) for name in wanted}
    inputs = _encoded_inputs(arrays, labels, str(path))
    return [
        _Sample(f"{path}, sample {n + 1}", {name: each[n] for name, each in inputs.items()})
        for n in range(count_of(inputs))
    ]


def _rows_of_inputs(path: Path, asked: _Asked) -> list[_Sample]:
    """Return rows of a table that has the columns of all inputs."""
    parts = {each.name: asked.labels.part(each.name) for each in asked.labels.inputs}
    whole = replace(
        asked.labels,
        columns=tuple(column for part in parts.values() for column in part.columns),
    )
    values = _read_rows(path, whole)
    encoded, start = {}, 0
    for name, part in parts.items():
        own = values[:, start : start + len(part.columns)]
        start += len(part.columns)
        encoded[name] = _encoded(own, part, str(path))
        for doubt in _doubts(own, part):
            asked.notify(f"{path}: {doubt}")
    return [
        _Sample(f"{path}, row {n + 1}", {name: rows[n] for name, rows in encoded.items()})
        for n in range(len(values))
    ]


def _encoded_inputs(given: Mapping[str, Array], labels: Labels, origin: str) -> dict[str, Array]:
    """Return the model's inputs for arrays as they were passed to the study, by name."""
    wanted = [each.name for each in labels.inputs]
    if set(given) != set(wanted):
        raise DataError(
            f"{origin} must have the inputs of the model, {listed(wanted)}; got {listed(given)}"
        )
    found = {
        name: _encoded_input(given[name], labels.part(name), f"{origin}, {name}") for name in wanted
    }
    counts = {name: len(encoded) for name, encoded in found.items()}
    if len(set(counts.values())) > 1 or not count_of(found):
        told = listed(f"{count:,} of {name}" for name, count in counts.items())
        raise DataError(f"{origin} must have as many samples of each input, and some; got {told}")
    return found


def _encoded_input(values: Array, labels: Labels, origin: str) -> Array:
    """Return the model's input for an array of one kind, as training reads it."""
    encoder, kind = labels.encoder, labels.kind
    if kind == "text":
        if values.ndim != 1 or values.dtype.kind not in "UO":
            raise DataError(f"{origin} must hold texts, (n,); got {values.dtype} {values.shape}")
        return encoder.encode([str(text) for text in values])
    shape = _raw_shape(labels)
    if values.shape[1:] != shape and (*values.shape[1:], 1) == shape:
        values = values[..., np.newaxis]
    if values.dtype.kind not in "biuf" or values.shape[1:] != shape:
        sizes = ", ".join(map(str, shape))
        raise DataError(
            f"{origin} must hold {kind} samples of numbers, (n, {sizes}); got {values.dtype}"
            f" {values.shape}"
        )
    if not isinstance(encoder, ImageEncoder):
        wrong = np.argwhere(~np.isfinite(values))
        if len(wrong) and kind != "table":
            place = tuple(wrong[0].tolist())
            raise DataError(f"{origin} must hold finite numbers; {list(place)} is {values[place]}")
        return _encoded(values.astype(np.float64), labels, origin)
    ranged = encoder.pixel_range
    if ranged is not None and depth_of(values.dtype) == ranged.depth:
        return encoder.encode(ranged.pixels(values))
    is_whole = bool((values == np.rint(values)).all())  # neither of which NaN is
    if ranged is None and is_whole and values.dtype != np.uint8 and 0 < values.max() < _DARK:
        raise DataError(
            f"{origin} must hold images on the scale of the training images, pixels from {BLACK} to"
            f" {WHITE}; got {values.dtype} that reach {values.max():.6g}. If these are dark pixels,"
            " pass them as uint8; else scale them."
        )
    if ranged is not None or not is_whole or values.min() < BLACK or values.max() > WHITE:
        wanted = (
            f"pixels from {BLACK} to {WHITE}" if ranged is None else f"{ranged.depth}, {ranged}"
        )
        raise DataError(
            f"{origin} must hold images on the scale of the training images, {wanted}; got"
            f" {values.dtype}, {values.min():.6g} to {values.max():.6g}"
        )
    return encoder.encode(values.astype(np.uint8))


def _raw_shape(labels: Labels) -> tuple[int, ...]:
    """Return the shape of one sample as it was passed to the study."""
    if isinstance(labels.encoder, ImageEncoder):
        return labels.encoder.native_shape
    return (len(labels.columns),) if labels.kind == "table" else labels.encoder.input_shape


def _sequences(given: str, asked: _Asked) -> list[_Sample]:
    path, labels = Path(given), asked.labels
    values, shape = read_samples(path, SAMPLE_NAMES), labels.encoder.input_shape
    if values.shape == shape or (shape[1] == 1 and values.shape[1:] == shape[:1]):
        values = values.reshape(-1, *shape)
    if values.dtype.kind not in "biuf" or values.ndim != 3 or values.shape[1:] != shape:
        raise DataError(
            f"{path} must hold sequences of numbers, (n, {shape[0]}, {shape[1]}): the model takes"
            f" {shape[0]:,} steps with {shape[1]:,} features; got {values.dtype} {values.shape}"
        )
    if not len(values):
        raise DataError(f"{path} holds no sequence")
    _check_amount(len(values), labels)
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        where = ", ".join(map(str, wrong[0].tolist()))
        raise DataError(f"{path} must hold finite numbers; [{where}] is {values[tuple(wrong[0])]}")
    encoded = _encoded(values, labels, str(path))
    return [_Sample(f"{path}, sequence {n}", one) for n, one in enumerate(encoded, start=1)]


def _texts(given: str, asked: _Asked) -> list[_Sample]:
    texts, labels = [given], asked.labels
    if os.path.isfile(given):  # noqa: PTH113 - Path.is_file raises for a text of many words
        texts = [line for line in _content(Path(given)).splitlines() if line.strip()]
    if not texts:
        raise DataError(f"{given} holds no text")
    _check_amount(len(texts), labels)
    tokens = labels.encoder.encode(texts)
    return [_Sample(text, row) for text, row in zip(texts, tokens, strict=True)]


def _rows(given: str, asked: _Asked) -> list[_Sample]:
    path, labels = Path(given), asked.labels
    rows = _read_rows(path, labels)
    encoded = _encoded(rows, labels, str(path))
    for doubt in _doubts(rows, labels):
        asked.notify(f"{path}: {doubt}")
    return [_Sample(f"{path}, row {n}", row) for n, row in enumerate(encoded, start=1)]


def _read_rows(path: Path, labels: Labels) -> Array:
    if path.is_file() and path.stat().st_size > MAX_FILE_BYTES:
        raise _too_large(path)
    found = read_rows(path, labels.columns, labels.reading)
    _check_places(str(path), found, labels)
    _check_amount(len(found.values), labels)
    return found.values


def _check_places(given: str, found: NewRows, labels: Labels) -> None:
    """Raise DataError if a file without a header seems to lack the column of the targets.

    Its columns are known by their places alone: without that column, those behind it would be taken
    for their neighbours. The number of columns tells, where the model knows it; else a value that
    is no target, where the column must be.
    """
    target = labels.reading.target
    if labels.reading.header != "none" or not target:
        return
    targets = (target,) if isinstance(target, str) else target
    if max(int(column.name) for column in labels.columns) < min(map(int, targets)):
        return  # what is lacking lies behind all values
    if labels.width:
        check_width(given, found.width, labels.width)
    if labels.width or not isinstance(target, str):
        return
    fits, wanted = _of_target(labels.task)
    for place, label in zip(found.places, found.labels or (), strict=bool(found.labels)):
        if label is not None and not fits(label.strip()):
            raise DataError(
                f"{place}: column {target} must hold {wanted}, or nothing, as in the training file,"
                f" which has no header; it is {label[:40]!r}. Keep that column, if only empty"
            )


def _of_target(task: Task) -> tuple[Callable[[str], bool], str]:
    """Return what says whether a text may be a target, and what targets are."""
    match task:
        case Classification():
            return task.names.__contains__, f"a class, {listed(task.names)}"
        case Regression():
            return lambda text: is_number(text.replace(",", ".")), "a number"
        case _:
            return bool, "labels"  # words with signs between them


def _encoded(rows: Array, labels: Labels, origin: str) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        encoded = labels.encoder.encode(rows)
    if not np.isfinite(encoded).all():
        raise DataError(f"{origin}: a value is too far from those the model was trained on")
    return encoded


def _doubts(rows: Array, labels: Labels) -> Iterator[str]:
    """Yield what rows have that no training row had."""
    encoder = labels.encoder
    if not isinstance(encoder, TableEncoder):
        raise TypeError("rows can only be encoded for a model of tables")
    missing, unknown = np.isnan(rows).sum(axis=0), (rows == -1).sum(axis=0)
    for number, column in enumerate(labels.columns):
        if missing[number] and encoder.shares[number] is None:
            stands = "as no category" if column.type == CATEGORY else "as the mean"
            yield (
                f"{missing[number]:,} of {len(rows):,} rows lack {column.name}, which no training"
                f" sample does; it counts {stands}"
            )
        if unknown[number] and column.type == CATEGORY:
            yield (
                f"{unknown[number]:,} of {len(rows):,} rows have a {column.name} that is none of"
                f" the {len(column.categories):,} categories known from training; it counts as none"
            )


def encode_images(folder: Path, images: Any) -> Array:
    """Return images in the dataset's own size as `model.keras` takes them.

    Args:
        folder: written by `export`, of a model for images.
        images: `(n, height, width, channels)`; without channels where they are grey. Whole numbers
            0..255; of any other type than uint8 also fractions 0..1: an image without a value above
            1 has these. Where the training images were no pixels, values on their scale.

    Returns:
        `(n, *input_shape)`, uint8, or float32 where the model takes 0..1.

    Raises:
        DataError: they have another shape, or values that are no pixels.
    """
    labels = ModelFolder(folder).labels()
    encoder = labels.encoder
    if not isinstance(encoder, ImageEncoder):
        raise DataError(f"{folder} is a model for samples of kind {labels.kind}, not for images")
    given = np.asarray(images)
    if given.ndim == 3 and encoder.native_shape[-1] == 1:
        given = given[..., np.newaxis]
    if given.shape[1:] != encoder.native_shape:
        raise DataError(
            f"images must be of shape (n, {', '.join(map(str, encoder.native_shape))}), as the"
            f" training images were; got {given.shape}"
        )
    if encoder.pixel_range is not None:
        return encoder.encode(encoder.pixel_range.pixels(given))
    if given.dtype == np.uint8:
        return encoder.encode(given)
    highest = given.max(axis=(1, 2, 3), keepdims=True, initial=0)
    pixels = np.rint(np.where(highest <= 1, given * float(WHITE), given))
    if not ((pixels >= BLACK) & (pixels <= WHITE)).all():
        raise DataError(
            f"pixels must be numbers 0..{WHITE}, or fractions 0..1; got {given.min():g} to"
            f" {given.max():g}"
        )
    return encoder.encode(pixels.astype(np.uint8))


def encode_rows(folder: Path, rows: Mapping[str, Any]) -> Array:
    """Return a table's rows as `model.keras`, `model.tflite` and `model.onnx` take them.

    Args:
        folder: written by `export`, of a model for tables.
        rows: the values of each column by its name, as a dictionary of sequences or a pandas data
            frame: numbers; words; dates as datetimes, texts in ISO 8601 or numbers of seconds since
            1970 (UTC). None, NaN and blank texts are missing values. Other columns are ignored.

    Returns:
        float32 (n, inputs).

    Raises:
        DataError: a column is missing, or has a value of another type.
    """
    import pyarrow as pa

    labels = ModelFolder(folder).labels()
    if labels.kind != "table":
        raise DataError(f"{folder} is a model for samples of kind {labels.kind}, not for rows")
    lacking = [column.name for column in labels.columns if column.name not in rows]
    if lacking:
        raise DataError(f"rows must have the model's columns; missing: {', '.join(lacking)}")
    stored = []
    for column in labels.columns:
        given = rows[column.name]
        try:
            values = pa.array(given, from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            values = None
        if values is None or not is_supported(values.type):
            raise DataError(
                f"`{column.name}` must be a sequence of numbers, texts, truth values or dates, all"
                " of one type; it is not"
            )
        # Numbers are seconds, as dates are stored.
        is_stored = column.type == DATE and pa.types.is_primitive(values.type)
        is_stored = is_stored and not pa.types.is_temporal(values.type)
        reader = Reader(Column(column.name, NUMBER) if is_stored else column)
        found, wrong = reader.read(values)
        if wrong.any():
            row = int(wrong.argmax())
            fault = reader.fault(str(values[row].as_py()))
            raise DataError(f"rows, row {row + 1}: `{column.name}` {fault}.")
        stored.append(found)
    if len({len(values) for values in stored}) > 1:
        counts = ", ".join(f"{len(values):,}" for values in stored)
        raise DataError(f"rows must have as many values in each column; got {counts}")
    return _encoded(np.column_stack(stored), labels, "rows")


def _content(path: Path) -> str:
    """Return a text file's content; reading is bounded, even for an endless device."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise _too_large(path)
        return content.decode("utf-8-sig")
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or a name with a zero byte
        raise DataError(f"{path} must be a text file in UTF-8; {error}") from error


def _too_large(path: Path) -> DataError:
    return DataError(f"{path} must have at most {MAX_FILE_BYTES:,} bytes; it has more. Split it.")


def _check_amount(count: int, labels: Labels) -> None:
    parts = [labels.part(each.name) for each in labels.inputs] or [labels]
    size = sum(4 * math.prod(part.encoder.input_shape) for part in parts)
    if count * size > MAX_INPUT_BYTES:
        raise DataError(
            f"at most {MAX_INPUT_BYTES // size:,} samples can be predicted at once with this model;"
            f" got {count:,} or more. Predict them in several parts."
        )


_READERS = {
    "image": _pictures,
    "text": _texts,
    "table": _rows,
    "sequence": _sequences,
    "several": _several,
}


def _values(folder: ModelFolder, model: Any, inputs: Any, labels: Labels) -> Any:
    try:
        return predicted_values(model, inputs, labels)
    except Exception as error:  # a model of unknown origin may fail in any way
        raise DataError(
            f"{folder.path}: labels.json must fit model.keras; it has input"
            f" {labels.encoder.input_shape} and {labels.task.size}, the"
            " model has"
            f" {_shapes(model)} ({cause_of(error)}). Export again."
        ) from error


def _shapes(model: Any) -> str:
    try:
        return f"input {model.input_shape[1:]} and {model.output_shape[-1]} outputs"
    except (AttributeError, ValueError, TypeError, LookupError):
        return "other shapes"  # a model of a custom class

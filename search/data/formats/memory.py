"""Data that are passed from Python: arrays, lists, tensors, frames, and datasets of batches."""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from search.data.answers import Found, Surroundings
from search.data.arrays import write_extras
from search.data.checks import Contents, InputContents
from search.data.folds import held_out, joined_groups
from search.data.formats.columns import dates
from search.data.formats.frames import Frame, as_table, is_frame, write_frames
from search.data.formats.layout import EXTRA_OPTIONS
from search.data.formats.npz import Samples, samples_of, write_samples
from search.data.formats.pairs import Pair, places_of, unweighted
from search.data.formats.several import SeveralSamples
from search.data.ranges import BYTES, depth_of
from search.data.reading import Column, Reading
from search.data.targets import (
    Targets,
    is_missing,
    is_one_hot,
    named_as_known,
    names_of,
)
from search.errors import DataError
from search.tasks import MULTI_LABEL, REGRESSION, MultiOutput
from tracking.text import joined as phrase

KIND = "memory"
FORMS = "arrays (X, y), a table with target=COLUMN, a tf.data.Dataset or a keras.utils.PyDataset"

Array = NDArray[Any]


def find(rest: str, _: Surroundings) -> Found:
    """Return the source that `memory:NAME` names; it can only be had from the cache."""

    def refuse(_: object) -> NoReturn:
        raise DataError(
            f"the data {rest} were passed from Python and are no longer in the cache (`datasets` in"
            " the home): pass the same data again, with `run_study(..., data=...)`"
        )

    return Found("Python", (), refuse)


@dataclass(frozen=True)
class Part:
    """Samples with what there is of each.

    Attributes:
        samples: (n, ...); of several inputs by their names.
        labels: (n,) or (n, k), of any kind; of several outputs by their names.
        groups: (n,), of any kind.
        weights: (n,), numbers.
        time: (n,), numbers or dates.
        names: of the columns of the labels, where they have any.
        columns: of several inputs those that were passed as frames, with the names of their
            columns.
    """

    samples: Array | dict[str, Array]
    labels: Array | dict[str, Array]
    groups: Array | None = None
    weights: Array | None = None
    time: Array | None = None
    names: tuple[str, ...] = ()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def extras(self) -> dict[str, Array]:
        """What there is of `arrays.EXTRAS`, as it is stored."""
        found = {}
        if self.groups is not None:
            found["groups"] = np.unique(_plain(self.groups), return_inverse=True)[1].reshape(-1)
        if self.weights is not None:
            found["weights"] = self.weights.astype(np.float64)
        if self.time is not None:
            found["time"] = _seconds(self.time)
        return found

    def __len__(self) -> int:
        return len(_any_input(self.labels))

    @property
    def names_of_one_hot(self) -> str:
        """The names of one-hot labels, which classes do not have, but labels and numbers do."""
        if not self.names or isinstance(self.labels, dict) or self.labels.ndim != 2:
            return ""
        return repr(self.names) if is_one_hot(self.labels) else ""

    def labels_as(self, train: "Part") -> Array | dict[str, Array]:
        """Return the labels with columns in the order of a training part's, where both have names.

        Raises:
            DataError: the names differ.
        """
        labels = self.labels
        if isinstance(labels, dict) or labels.ndim != 2 or labels.shape[1] < 2:
            return labels
        if not self.names or not train.names:
            return labels
        return labels[:, places_of(self.names, train.names)]

    def samples_as(self, train: "Part") -> Array | dict[str, Array]:
        """Return the samples with the columns of each frame in the order of a training part's.

        Raises:
            DataError: a frame lacks some, or only one of both is a frame.
        """
        if not isinstance(self.samples, dict):
            return self.samples
        found = dict(self.samples)
        for name in dict.fromkeys([*train.columns, *self.columns]):
            own, wanted = self.columns.get(name), train.columns.get(name)
            if name not in found or (wanted is None and name not in _names(train.samples)):
                continue  # told where inputs are compared
            if own is None or wanted is None:
                named = "`data`" if own is None else "`test`"
                raise DataError(
                    f"`test` must be of the same form as `data`: X[{name!r}] of both with named"
                    f" columns, or both arrays; only {named} has names"
                )
            if lacking := [column for column in wanted if column not in own]:
                raise DataError(
                    f"test: X[{name!r}] must have the columns of the training part; missing:"
                    f" {_some(lacking)}. It has {_some(own)}"
                )
            found[name] = found[name][:, [own.index(column) for column in wanted]]
        return found

    def feed(self, digest: Any) -> None:
        """Add all it holds to a digest."""
        for name in ("samples", "labels", "groups", "weights", "time"):
            array = getattr(self, name)
            if isinstance(array, dict):
                for of_input in sorted(array):
                    _feed(digest, f"{name} {of_input}", array[of_input])
            elif array is not None:
                _feed(digest, name, array)
        if self.columns:
            digest.update(repr(sorted(self.columns.items())).encode())
        is_matrix = not isinstance(self.labels, dict) and self.labels.ndim == 2
        if self.names and is_matrix and not self.names_of_one_hot:
            digest.update(repr(self.names).encode())


@dataclass(frozen=True)
class Given:
    """Data as they were passed, brought to arrays.

    Attributes:
        train: the training part, or all of it: arrays, or a frame.
        test: the test part, likewise; None to hold a fifth out.
        has_test: False to use all samples for training, and have no test part.
        title: what the user calls the data; empty for what they are.
        notices: what the user should know.
        width: number of columns of an array that became a frame, of which some may be left out.
    """

    train: Part | Frame
    test: Part | Frame | None = None
    has_test: bool = True
    title: str = ""
    notices: tuple[str, ...] = ()
    width: int = 0

    @classmethod
    def of(
        cls,
        data: Any,
        *,
        test: Any = None,
        groups: Any = None,
        weights: Any = None,
        time: Any = None,
        title: str = "",
    ) -> "Given":
        """Bring what a user passes to arrays.

        Args:
            data: (X, y), a frame, or a dataset that yields batches or samples with their labels.
            test: the same for the test part; None to hold a fifth out; False for no test part.
            groups: for each sample; samples of one group are never on both sides of a split.
            weights: for each sample.
            time: for each sample.
            title: what the user calls the data.

        Raises:
            DataError: they are of no form that can be used, or do not fit together.
        """
        notices: list[str] = []
        train = _part(data, "data", notices, groups=groups, weights=weights, time=time)
        part = None
        if test is not None and test is not False:
            part = _part(test, "test", notices)
            if isinstance(part, Frame) != isinstance(train, Frame):
                named = "`data`" if isinstance(train, Frame) else "`test`"
                raise DataError(
                    "`test` must be of the same form as `data`: both with named columns, or both"
                    f" arrays; only {named} has names"
                )
        width = 0
        if isinstance(train, Frame) and not is_frame(data) and not is_frame(_alone(data[0])):
            width = as_array(_alone(data[0]), "X").shape[1]
        told = tuple(dict.fromkeys(notices))
        return cls(train, part, test is not False, title, told, width)

    @property
    def source(self) -> str:
        """A description for people."""
        return f"passed from Python, {len(self.train):,} samples"

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of all that was passed."""
        digest = hashlib.sha256(b"" if self.has_test else b"without a test part")
        self.train.feed(digest)
        if self.test is not None:
            digest.update(b"test")
            self.test.feed(digest)
            if self._is_matched:
                digest.update(f"matched {self.train.names} {self.test.names}".encode())
        return digest.hexdigest()

    @property
    def _is_matched(self) -> bool:
        """Whether the test part was once brought without regard to its weights or names."""
        if isinstance(self.test, Part) and isinstance(self.train, Part):
            several = len(self.test.names) > 1 and len(self.train.names) > 1
            is_other = several and self.test.names != self.train.names
            return is_other or self.test.weights is not None
        if isinstance(self.test, Frame) and isinstance(self.train, Frame):
            own, others = self.test.roles, self.train.roles
            return any(own.get(role) != others.get(role) for role in ("target", "weights"))
        return False

    def name(self, reading: Reading) -> str:
        """Return the dataset's name: it is the same for equal data that are read alike."""
        named = f"{self.digest} {reading.key}"
        if reading.task in (MULTI_LABEL, REGRESSION) and isinstance(self.train, Part):
            named += self.train.names_of_one_hot
        digest = hashlib.sha256(named.encode()).hexdigest()
        kind = "table"
        if isinstance(self.train, Part):
            samples = self.train.samples
            if isinstance(samples, dict):
                return f"{KIND}:{self.title or 'inputs'}-{digest[:12]}"
            kinds = {1: "texts", 2: "table"}
            # Three axes that are no bytes may be images or sequences.
            either = (
                "arrays" if samples.ndim == 3 and depth_of(samples.dtype) != BYTES else "images"
            )
            kind = kinds.get(samples.ndim, either)
        title = self.title or kind
        return f"{KIND}:{title}-{digest[:12]}"

    def write(self, reading: Reading, folder: Any) -> Contents:
        """Check the data and write their arrays.

        Raises:
            DataError: they are of a kind that cannot be used.
        """
        if isinstance(self.train, Frame):
            test = self.test if isinstance(self.test, Frame) else None
            pair = Pair.of(self.train, test, reading)
            made = write_frames(pair.train, pair.test, pair.reading, folder, has_test=self.has_test)
            notices = (*self.notices, *pair.notices, *made.notices)
            return replace(made, notices=notices, width=self.width)
        options = ("target", "ignore", "types", "text", "input")
        named: list[str] = [name for name in options if name in reading.given]
        named += [name for name in EXTRA_OPTIONS.values() if name in reading.given]
        if named:
            raise DataError(
                f"`{named[0]}` names a column, but `data` are arrays without names; pass a data"
                " frame, or the values themselves"
            )
        return self._write_arrays(self.train, reading, folder)

    def _write_arrays(self, train: Part, reading: Reading, folder: Path) -> Contents:
        samples = _kinds_of(train.samples, "X", None, reading)
        if isinstance(train.labels, dict):
            targets = Targets.of_outputs(train.labels, "y", reading.task)
        else:
            targets = Targets.of(train.labels, "y", reading.task, train.names)
        labels, notices = targets.values, [*self.notices, *targets.notices]
        everything = np.arange(len(labels))
        chosen = {"train": everything, "test": everything[:0]}
        test_labels: Array | dict[str, Array] | None = None
        if isinstance(self.test, Part):
            test_labels = self.test.labels_as(train)
            if train.weights is None and self.test.weights is not None:
                train = replace(train, weights=np.ones(len(train)))
                notices.append(unweighted("data"))
        extras = train.extras
        if self.test is None and self.has_test:
            groups = _together(samples, extras.get("groups"), reading)
            chosen, notice = held_out(
                labels,
                "what was passed",
                task=targets.task,
                groups=groups,
                time=extras.get("time"),
            )
            notices.append(notice)
        samples = samples.fitted(chosen["train"])
        notices = [*samples.notices, *notices]
        for split, rows in chosen.items():
            _write(folder, split, samples, labels, rows)
            write_extras(folder, split, {name: held[rows] for name, held in extras.items()})
        if isinstance(self.test, Part):
            test = _kinds_of(self.test.samples_as(train), "test X", samples, reading)
            rows = np.arange(len(self.test))
            known = targets.like(test_labels, "test y")
            _write(folder, "test", test, known, rows)
            weights = {"weights": np.ones(len(rows))} if "weights" in extras else {}
            if weights and self.test.weights is None:
                notices.append(unweighted("test"))
            write_extras(folder, "test", weights | self.test.extras)
            notices += test.notices
        columns: tuple[Column, ...] = ()
        if isinstance(samples, Samples) and samples.kind == "table":
            columns = tuple(Column(f"x{i}") for i in range(samples.shape[0]))
        task = named_as_known(targets.task, labels, samples.kind)
        return Contents(
            samples.kind,
            task.names,
            columns,
            tuple(notices),
            tuple(extras),
            self.has_test,
            samples.range if isinstance(samples, Samples) else None,
            task=task.name,
            outputs=task.parts if isinstance(task, MultiOutput) else (),
            inputs=_inputs_of(samples, train.columns),
        )


def _kinds_of(
    given: Array | dict[str, Array],
    what: str,
    like: Samples | SeveralSamples | None,
    reading: Reading,
) -> Samples | SeveralSamples:
    if isinstance(given, dict):
        if isinstance(like, Samples):
            raise DataError(f"{what} must be one array, as the training samples are")
        return SeveralSamples.of(given, what, like, reading.kind)
    if isinstance(like, SeveralSamples):
        raise DataError(f"{what} must be a dictionary of arrays, as the training samples are")
    return samples_of(given, what, like, reading.kind)


def _inputs_of(
    samples: Samples | SeveralSamples, columns: Mapping[str, tuple[str, ...]]
) -> tuple[InputContents, ...]:
    """Return what is stored of several inputs, with the names of a frame's columns."""
    if not isinstance(samples, SeveralSamples):
        return ()
    return tuple(
        replace(each, columns=tuple(map(Column, columns[each.name])))
        if each.kind == "table" and each.name in columns
        else each
        for each in samples.contents
    )


def _write(
    folder: Path,
    split: str,
    samples: Samples | SeveralSamples,
    labels: Array,
    rows: NDArray[np.int64],
) -> None:
    if isinstance(samples, SeveralSamples):
        samples.write(folder, split, labels, rows)
    else:
        write_samples(folder, split, samples, labels, rows)


def _together(
    samples: Samples | SeveralSamples, groups: Array | None, reading: Reading
) -> Array | None:
    """Return groups in which equal samples are together."""
    related = None if reading.allow_duplicates else samples.groups()
    return groups if related is None else joined_groups(groups, related)


def _part(data: Any, what: str, notices: list[str], **extras: Any) -> Part | Frame:
    if is_frame(data):
        _check_order(data, extras, what)
        _tell_of_index(data, what, notices)
        return Frame.of(data, f"`{what}`", _beside(extras))
    is_pair = isinstance(data, tuple | list) and len(data) in (2, 3) and not _is_plain(data[0])
    if is_pair:
        data = (_alone(data[0]), *data[1:])
        for each in data[0].values() if isinstance(data[0], Mapping) else data[:1]:
            _check_order(each, {"y": data[1], **extras}, what)
            _tell_of_index(each, what, notices)
    if is_pair and (is_frame(data[0]) or _needs_types(data[0])):
        _take_weights(extras, data[2] if len(data) == 3 else None, what)
        if isinstance(data[1], Mapping):
            raise DataError(
                f"{what}: with targets of several outputs, X must be an array or a dictionary of"
                " arrays, not a frame"
            )
        targets = as_array(data[1], f"{what}: y")
        frame = data[0] if is_frame(data[0]) else _named(as_array(data[0], f"{what}: X"))
        return Frame.of(
            frame, f"`{what}`", {"target": targets} | _beside(extras), names_of(data[1])
        )
    names: tuple[str, ...] = ()
    samples: Array | dict[str, Array]
    labels: Array | dict[str, Array]
    if _yields(data):
        samples, labels, weights = _collected(data, what, notices)
        _take_weights(extras, weights, what)
    elif is_pair:
        _take_weights(extras, data[2] if len(data) == 3 else None, what)
        samples, labels = _samples(data[0], f"{what}: X"), _labels(data[1], f"{what}: y")
        names = names_of(data[1])
    else:
        files = ". Files are named with `dataset`" if isinstance(data, str | Path) else ""
        raise DataError(f"`{what}` must be {FORMS}; got {described(data)}{files}")
    every = [*_arrays_of(samples, "X"), *_arrays_of(labels, "y")]
    if any(array.ndim == 0 or len(array) != len(every[-1][1]) for _, array in every):
        shapes = [f"{called} {_shape(array)}" for called, array in every]
        raise DataError(f"`{what}` must have one label for each sample; got {phrase(shapes)}")
    given = {
        name: _extra(values, name, len(_any_input(labels)), what)
        for name, values in extras.items()
        if values is not None
    }
    _check_not_samples(samples, labels, what)
    columns = _frames_in(data[0]) if is_pair else {}
    return Part(samples, labels, **given, names=names, columns=columns)


def _alone(samples: Any) -> Any:
    """Return the samples of an only input, which may be in a dictionary by its name."""
    if isinstance(samples, Mapping) and len(samples) == 1 and not is_frame(samples):
        return next(iter(samples.values()))
    return samples


def _frames_in(samples: Any) -> dict[str, tuple[str, ...]]:
    """Return the names of the columns of several inputs that are frames."""
    if not isinstance(samples, Mapping):
        return {}
    found = {str(name): each for name, each in samples.items() if is_frame(each)}
    return {
        name: tuple(as_table(each, f"X[{name!r}]").column_names) for name, each in found.items()
    }


def _names(samples: Array | dict[str, Array]) -> tuple[str, ...]:
    return tuple(samples) if isinstance(samples, dict) else ()


def _take_weights(extras: dict[str, Any], weights: Any, what: str) -> None:
    """Add weights that were passed with the data to what else there is of each sample."""
    if weights is None:
        return
    if extras.get("weights") is not None:
        raise DataError(
            f"{what}: weights are given twice, with the data and by themselves: leave one out"
        )
    extras["weights"] = weights


def _check_not_samples(samples: Array | dict[str, Array], given: Any, what: str) -> None:
    for _, labels in _arrays_of(given, "y"):
        if labels.ndim <= 2:
            continue
        is_own = isinstance(samples, np.ndarray) and labels.shape == samples.shape
        is_same = "the samples' own shape" if is_own else _shape(labels)
        raise DataError(
            f"`{what}`: y must be a class, labels or numbers for each sample, (n,) or (n, k);"
            f" targets of {is_same}, as an autoencoder's, are not supported"
        )


def _check_order(samples: Any, others: Mapping[str, Any], what: str) -> None:
    """Raise DataError if pandas' labels of rows say that values are in another order."""
    for name, values in others.items():
        if not (hasattr(samples, "iloc") and hasattr(values, "iloc")):
            continue
        own, other = samples.index, values.index
        if len(own) == len(other) and not own.equals(other) and not len(own.difference(other)):
            raise DataError(
                f"`{what}` and `{name}` have the same index in another order, and values are taken"
                f" in the order in which they are: pass {name}.loc[X.index], or"
                f" {name}.reset_index(drop=True) if their order is right"
            )


def _tell_of_index(samples: Any, what: str, notices: list[str]) -> None:
    """Tell of an index of pandas' that has a name, and so says something."""
    index = samples.index.names if hasattr(samples, "iloc") else ()
    names = [str(name) for name in index if name is not None]
    if names:
        notices.append(
            f"`{what}`: the index ({_some(names)}) is left out; `reset_index()` makes it a column."
        )


def _beside(extras: Mapping[str, Any]) -> dict[str, Array | None]:
    return {
        name: None if values is None else as_array(values, f"`{name}`")
        for name, values in extras.items()
    }


def _needs_types(samples: Any) -> bool:
    """Return whether an array is a table whose columns differ in type, or have gaps."""
    if isinstance(samples, Mapping) or hasattr(samples, "toarray"):
        return False
    try:
        array = as_array(samples, "X")
    except DataError:
        return False  # told when it is used
    if array.ndim != 2:
        return False
    return array.dtype.kind in "OUM" or bool(array.dtype.kind == "f" and np.isnan(array).any())


def _named(array: Array) -> dict[str, Any]:
    """Return the columns of an array by the names that they get."""
    return {f"x{at}": array[:, at].tolist() for at in range(array.shape[1])}


def _extra(values: Any, name: str, count: int, what: str) -> Array:
    shown = "sample_weight" if name == "weights" else name
    array = as_array(values, f"`{shown}`")
    if array.shape != (count,):
        raise DataError(
            f"`{shown}` must have one value for each of the {count:,} samples of `{what}`; got"
            f" {_shape(array)}"
        )
    if name == "weights" and array.dtype.kind not in "biuf":
        raise DataError(f"`{shown}` must be numbers; got {_shape(array)}")
    if name == "weights" and not (np.isfinite(array) & (array >= 0)).all():
        wrong = int((~(np.isfinite(array) & (array >= 0))).argmax())
        raise DataError(
            f"`{shown}` of `{what}` must be finite numbers from 0; number {wrong + 1:,} is"
            f" {array[wrong]}. Correct it, or leave the sample out."
        )
    if name == "groups" and array.dtype.kind in "fO" and any(map(is_missing, array.tolist())):
        raise DataError(f"`{shown}` must have a value for each sample; some are missing (NaN)")
    return array


def _arrays_of(samples: Array | dict[str, Array], what: str) -> list[tuple[str, Array]]:
    """Return what arrays are called, and the arrays."""
    if isinstance(samples, dict):
        return [(f"{what}[{name!r}]", array) for name, array in samples.items()]
    return [(what, samples)]


def _samples(given: Any, what: str) -> Array | dict[str, Array]:
    if isinstance(given, Mapping) and len(given) > 1:
        return {str(name): _one(each, f"{what}[{name!r}]") for name, each in given.items()}
    return _one(next(iter(given.values())) if isinstance(given, Mapping) else given, what)


def _labels(given: Any, what: str) -> Array | dict[str, Array]:
    if isinstance(given, Mapping) and len(given) > 1:
        return {str(name): as_array(each, f"{what}[{name!r}]") for name, each in given.items()}
    return as_array(next(iter(given.values())) if isinstance(given, Mapping) else given, what)


def _one(given: Any, what: str) -> Array:
    array = as_array(given, what)
    if array.dtype.kind == "O" and array.ndim == 1:
        wrong = next((at for at, one in enumerate(array) if not isinstance(one, str)), None)
        if wrong is not None:
            raise DataError(
                f"{what} must hold texts, or numbers in an array of one shape; number"
                f" {wrong + 1:,} is of type {type(array[wrong]).__name__}"
            )
        return array.astype(str)
    return array


def as_array(given: Any, what: str) -> Array:
    """Return arrays, lists, tensors, columns of frames as a NumPy array.

    Raises:
        DataError: it is none of these.
    """
    if hasattr(given, "toarray") and hasattr(given, "nnz"):
        raise DataError(
            f"{what} must be a dense array; got a sparse {type(given).__name__} of shape"
            f" {tuple(given.shape)}: pass X.toarray()"
        )
    if isinstance(given, np.ma.MaskedArray):
        given = _unmasked(given, what)
    if hasattr(given, "detach"):  # Torch
        given = given.detach().cpu()
    try:
        if hasattr(given, "to_numpy"):  # pandas, Polars
            array = np.asarray(given.to_numpy())
        elif hasattr(given, "numpy") and not isinstance(given, np.ndarray):  # TensorFlow, Torch
            array = np.asarray(given.numpy())
        elif isinstance(given, list | tuple) or hasattr(given, "__array__"):
            array = np.asarray(given)
        else:
            raise TypeError("no array")
    except ValueError as error:
        raise DataError(f"{what} must be an array: its rows are of different shapes") from error
    except TypeError as error:
        raise DataError(f"{what} must be an array; got {described(given)}") from error
    if array.dtype.kind == "S" or (array.dtype.kind == "O" and _is_bytes(array)):
        array = np.char.decode(array.astype(bytes), "utf-8")  # texts of TensorFlow
    if array.dtype.kind == "T":  # NumPy's variable-length texts
        array = array.astype(str)
    return array


def _unmasked(given: Any, what: str) -> Array:
    """Return a masked array with NaN for what is masked."""
    if not np.ma.is_masked(given):
        return np.asarray(given)
    if given.dtype.kind not in "biuf":
        raise DataError(f"{what} must not mask values unless they are numbers; got {given.dtype}")
    return np.asarray(given.astype(np.result_type(given.dtype, np.float16)).filled(np.nan))


def _is_bytes(array: Array) -> bool:
    return array.size > 0 and all(isinstance(one, bytes) for one in array.reshape(-1).tolist())


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str | bytes)


def _yields(data: Any) -> bool:
    """Return whether it is a dataset that yields samples: TensorFlow's or Keras's."""
    kinds = {f"{kind.__module__}.{kind.__name__}" for kind in type(data).__mro__}
    return any(
        (name.startswith("tensorflow.") and name.endswith("DatasetV2"))
        or (name.startswith("keras.") and name.endswith((".PyDataset", ".Sequence")))
        for name in kinds
    )


def _collected(data: Any, what: str, notices: list[str]) -> tuple[Any, Array, Array | None]:
    """Return samples, labels and weights of a dataset, taken in one pass."""
    elements, batched = (
        _of_tensorflow(data, what) if hasattr(data, "element_spec") else _of_keras(data, what)
    )
    found: list[tuple[Any, ...]] = []
    for element in elements:
        if not isinstance(element, tuple | list) or len(element) not in (2, 3):
            raise DataError(
                f"`{what}` must yield (samples, labels), or (samples, labels, weights); it yields"
                f" {described(element)}"
            )
        x, *rest = element
        _check_named(x, what)
        found.append((_samples(x, f"{what}: X"), *(_labels(one, what) for one in rest)))
    if not found:
        raise DataError(f"`{what}` must yield samples; it is empty")
    columns = list(zip(*found, strict=True))
    if batched is None:  # every batch has the same size, or there are no batches
        batched = _is_batched(columns, what)
    join: Callable[[Any], Array] = np.concatenate if batched else np.stack
    try:
        joined = [_joined(column, join) for column in columns]
    except ValueError as error:
        raise DataError(f"`{what}` must yield samples of one shape; {error}") from error
    notices.append(
        f"the {type(data).__name__.strip('_')} is gone through once; what it draws at random stays"
        " as it was then"
    )
    return joined[0], joined[1], joined[2] if len(joined) == 3 else None


def _any_input(samples: Any) -> Array:
    found: Array = next(iter(samples.values())) if isinstance(samples, dict) else samples
    return found


def _joined(column: Sequence[Any], join: Callable[[Any], Array]) -> Any:
    if not isinstance(column[0], dict):
        return join(column)
    return {name: join([one[name] for one in column]) for name in column[0]}


def _of_tensorflow(data: Any, what: str) -> tuple[Iterator[Any], bool | None]:
    """Return the elements, and whether they are batches where their shapes say it.

    A first axis of unknown length is that of batches, as Keras's `fit` takes them.
    """
    if int(data.cardinality()) == -1:
        raise DataError(f"`{what}` must end; the dataset repeats for ever: leave out .repeat()")
    spec = data.element_spec
    shapes = [shape for one in spec for shape in _shapes(one)] if isinstance(spec, tuple) else []
    known = [shape for shape in shapes if shape.rank is not None]
    if any(shape.rank == 0 for shape in known):
        return iter(data), False
    if known and all(shape[0] is None for shape in known):
        return iter(data), True
    return iter(data), None


def _shapes(spec: Any) -> list[Any]:
    """Return the shapes of an element's part: of an array, or of a dictionary of them."""
    if isinstance(spec, Mapping):
        return [shape for one in spec.values() for shape in _shapes(one)]
    shape = getattr(spec, "shape", None)
    return [] if shape is None else [shape]


def _of_keras(data: Any, what: str) -> tuple[Iterator[Any], bool | None]:
    try:
        count = len(data)
    except TypeError:
        count = data.num_batches
    if count is None or not math.isfinite(count):
        raise DataError(f"`{what}` must end; the {type(data).__name__} has no number of batches")
    return (data[at] for at in range(int(count))), True


def _check_named(samples: Any, what: str) -> None:
    """Raise DataError for several inputs without names, which would become one array."""
    if isinstance(samples, tuple | list) and any(hasattr(one, "shape") for one in samples):
        raise DataError(
            f"`{what}` must yield one array of samples, or a dictionary of arrays with the names of"
            f" the model's inputs; it yields {described(samples)} without names"
        )


def _is_batched(columns: Sequence[Sequence[Any]], what: str) -> bool:
    """Find out whether the elements of a dataset are batches, from what only one of both can be.

    Args:
        columns: samples, labels and perhaps weights of every element.
        what: the dataset in messages.

    Raises:
        DataError: they may be both.
    """
    elements = [
        [array for one in element for _, array in _arrays_of(one, "")]
        for element in zip(*columns, strict=True)
    ]
    arrays = elements[0]
    if any(len({one.shape[:1] for one in each}) > 1 or not each[0].ndim for each in elements):
        return False  # a batch has as many samples as labels
    shapes = {tuple(one.shape for one in each) for each in elements}
    if len(shapes) > 1 or len(elements) == 1 or len(columns) == 3:
        return True  # samples are alike and more than one, and have one weight each
    samples = [array for _, array in _arrays_of(columns[0][0], "")]
    labels = [array for _, array in _arrays_of(columns[1][0], "")]
    if any(array.ndim == 1 and array.dtype.kind != "U" for array in samples):
        return False  # a sample is no single number
    if not (all(map(_is_sample, samples)) and all(map(_is_target, labels))):
        return True
    count = len(arrays[0])
    raise DataError(
        f"`{what}` must show whether it yields batches: samples and targets of an element have"
        f" {count:,} rows each, so it may be a batch of {count:,} samples, or one sample with"
        f" {count:,} targets. Of batches leave out drop_remainder=True, or add .rebatch(32); to"
        " single samples add .batch(32); or pass arrays (X, y)"
    )


def _is_sample(array: Array) -> bool:
    """Return whether an array may be one sample: a text, a row, a sequence or an image."""
    if array.dtype.kind == "U":
        return array.ndim == 0
    return array.ndim < 3 or (array.ndim == 3 and array.shape[2] in (1, 3))


def _is_target(array: Array) -> bool:
    """Return whether an array may be one sample's target: several numbers, or labels."""
    return array.ndim == 1 and array.dtype.kind != "U"


def described(value: Any) -> str:
    """Return what a value is, without what it holds."""
    shape = getattr(value, "shape", None)
    kind = type(value)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    if shape is not None:
        return f"a {name} of shape {tuple(shape)}"
    if isinstance(value, list | tuple | dict):
        return f"a {name} of {len(value):,} entries"
    return f"a {name}" if value is not None else "nothing"


def _shape(array: Array) -> str:
    return f"{array.dtype} {array.shape}"


def _some(names: Any) -> str:
    listed = list(names)
    return ", ".join(map(str, listed[:8])) + (", ..." if len(listed) > 8 else "")


def _plain(values: Array) -> Array:
    return values.astype(str) if values.dtype.kind == "O" else values


def _seconds(values: Array) -> Array:
    if values.dtype.kind == "M":
        found = values.astype("datetime64[ns]").astype(np.int64) / 1e9
    elif values.dtype.kind in "biuf":
        found = values.astype(np.float64)
    elif values.dtype.kind == "m":
        found = values.astype("timedelta64[ns]").astype(np.int64) / 1e9
    else:
        found = _moments(values)
    if not np.isfinite(found).all() or (values.dtype.kind in "mM" and np.isnat(values).any()):
        raise DataError("`time` must be known for each sample; some are missing")
    return found


def _moments(values: Array) -> Array:
    """Return dates as seconds since 1970; objects with or without a zone, or texts in ISO 8601."""
    import pyarrow as pa

    rule = (
        "`time` must be numbers or dates: datetime or numpy.datetime64 values, or texts such as"
        f" 2024-12-31 23:59; got {_shape(values)}"
    )
    try:
        found, wrong = dates(pa.array(values.tolist(), from_pandas=True))
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise DataError(rule) from error
    if wrong.any():
        raise DataError(f"{rule}, such as {str(values[int(wrong.argmax())])!r}")
    return found


def _feed(digest: Any, name: str, array: Array) -> None:
    if array.dtype.kind in "OU":
        digest.update(f"{name} texts {array.shape}\n".encode())
        for one in array.reshape(-1).tolist():
            said = str(one).encode(errors="surrogatepass")
            digest.update(f"{type(one).__name__} {len(said)} ".encode() + said)
        return
    digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
    rows = max(1, (1 << 22) * len(array) // max(1, array.nbytes))
    for start in range(0, len(array), rows):
        digest.update(array[start : start + rows].tobytes())

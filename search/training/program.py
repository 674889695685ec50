"""A compiled model with the TensorFlow programs that train it for an epoch and predict with it.

Programs are kept from one fold to the next, so that params are traced once, not once a fold.
"""

import itertools
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from search.data.arrays import Array
from search.executors.protocol import MOST_PROGRAMS
from search.tasks.models import first_of, side_by_side
from search.training.batches import (
    Augmentation,
    Batches,
    ignores_padding,
    in_turn,
    lengths_of,
)
from search.training.compiling import traced_lightly
from search.training.scoring import numbers_in
from search.training.streaming import chunks_of, count_of
from search.training.targets import Targets

_OF_A_STEP = ("train_step", "compute_loss", "compute_metrics")


class Program:
    """Runs a model's `train_step` over whole epochs within TensorFlow.

    Samples lie in TensorFlow's memory; a batch is gathered from them by row numbers, within the
    same program. So nothing passes through Python between two steps, and no samples are copied
    for a fold. Samples that do not fit there come in chunks, each of which the program runs over. A
    model that asks for `run_eagerly` gets its steps one by one.

    Args:
        model: built and compiled.
        inputs: samples as the model receives them, `(n, ...)`; some are tried on it.
        augmentation: how images are moved before each step, if they are.
        names: of several outputs, in the order in which `outputs` has them.
    """

    def __init__(
        self,
        model: keras.Model,
        inputs: Any,
        augmentation: Augmentation | None = None,
        names: Sequence[str] = (),
    ) -> None:
        self.model = model
        self._names = names
        self._augmentation = augmentation
        self._is_new = True
        # What a step of one's own returns are its metrics, as in Keras's `fit`.
        self._tells = _is_own(model, "train_step")
        self._trims = ignores_padding(model, inputs)
        self._train = self._made(self._epoch)
        self._predict = self._made(self._outputs)

    @property
    def tells(self) -> bool:
        """Whether a step of the model's own says what its metrics are."""
        return self._tells

    @property
    def trims(self) -> bool:
        """Whether sequences are cut to the longest of their batch."""
        return self._trims

    def train(
        self,
        inputs: Any,
        targets: tuple[Any, ...],
        batches: Batches,
        *,
        seed: int,
        fill: float = 0.0,
    ) -> dict[str, float]:
        """Train for an epoch and return the metrics over it.

        Args:
            inputs: `(n, ...)`, all samples; an array, a tensor or `Streamed`.
            targets: labels as the loss wants them, and weights if samples have any, `(n, ...)`.
            batches: order and batches.
            seed: decides the augmentation.
            fill: what comes into moved images from outside.
        """
        if self._is_new:
            self._make_variables(inputs, targets)
        self.model.reset_metrics()
        told: dict[str, Any] = {}
        for chunk in chunks_of(inputs, batches):
            longest = chunk.batches.longest
            told = self._train(
                chunk.inputs,
                chunk.of(targets),
                tf.constant(chunk.batches.order, tf.int64),
                tf.constant(chunk.batches.ends, tf.int64),
                tf.constant(
                    np.zeros(len(chunk.batches), np.int64) if longest is None else longest, tf.int64
                ),
                tf.constant(chunk.first, tf.int64),
                tf.constant(seed % 2**32, tf.int64),
                tf.constant(fill, tf.float32),
            )
        return dict(numbers_in(told or self.model.get_metrics_result()))

    def outputs(self, inputs: Any, rows: Array | None = None) -> Array:
        """Return the model's outputs `(m, units)` for all or some rows of `inputs`.

        They are float32, or float64 where the model computes them so.
        """
        rows = np.arange(count_of(inputs)) if rows is None else rows
        lengths = lengths_of(inputs) if self._trims else None
        pieces = [
            piece
            for chunk in chunks_of(inputs, in_turn(rows, lengths))
            for piece in self._predicted(chunk.inputs, chunk.batches)
        ]
        found = np.concatenate(pieces)
        if found.dtype != np.float64:
            found = found.astype(np.float32, copy=False)
        if lengths is None:
            return found
        places = np.argsort(np.argsort(lengths[rows], kind="stable"), kind="stable")
        return found[places]

    def _predicted(self, inputs: Any, batches: Batches) -> Iterator[Array]:
        longest = itertools.repeat(0) if batches.longest is None else batches.longest
        for (start, end), length in zip(itertools.pairwise(batches.ends), longest, strict=False):
            rows = tf.constant(batches.order[start:end], tf.int64)
            yield self._predict(inputs, rows, tf.constant(length, tf.int64)).numpy()

    def _make_variables(self, inputs: Any, targets: tuple[Any, ...]) -> None:
        """Let loss, metrics and optimizer make theirs, for which TensorFlow would trace twice."""
        self._is_new = False
        model, some = self.model, _tensors(first_of(inputs, 1))
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        if any(_is_own(model, name) for name in _OF_A_STEP):  # they are called by the step alone
            return
        first = tf.nest.map_structure(lambda each: tf.convert_to_tensor(each[:1]), list(targets))
        wanted, weights = first if len(first) > 1 else (first[0], None)
        with states_kept(model):
            predicted = _placeholders(model)
            predicted = model(some, training=False) if predicted is None else predicted
            model.compute_loss(some, wanted, predicted, weights, training=False)
            model.compute_metrics(some, wanted, predicted, weights)

    def _epoch(
        self,
        inputs: Any,
        targets: Any,
        order: Any,
        ends: Any,
        longest: Any,
        first: Any,
        seed: Any,
        fill: Any,
    ) -> Any:
        def train(step: Any) -> Any:
            rows = order[ends[step] : ends[step + 1]]
            batch = self._gathered(inputs, rows, longest[step])
            if self._augmentation is not None:
                batch = self._augmentation.apply(batch, tf.stack([seed, first + step]), fill)
            wanted = tf.nest.map_structure(lambda each: tf.gather(each, rows), targets)
            with traced_lightly(getattr(self.model, "optimizer", None)):
                return self.model.train_step((batch, *wanted))

        steps = tf.size(longest, out_type=tf.int64)
        before_last = steps - 1 if self._tells else steps  # a loop cannot hand out what a step says
        for step in tf.range(before_last):
            train(step)
        return train(before_last) if self._tells else {}

    def _outputs(self, inputs: Any, rows: Any, longest: Any) -> Any:
        found = self.model(self._gathered(inputs, rows, longest), training=False)
        return side_by_side(self.model, found, self._names)

    def _gathered(self, inputs: Any, rows: Any, longest: Any) -> Any:
        batch = tf.nest.map_structure(lambda each: tf.gather(each, rows), inputs)
        return batch[:, :longest] if self._trims else batch

    def _made(self, body: Callable[..., Any]) -> Callable[..., Any]:
        if self.model.run_eagerly:
            return body
        return _Traced(body)


@contextmanager
def states_kept(model: keras.Model) -> Iterator[None]:
    """Have what is tried on a model leave no trace in what it draws at random afterwards.

    A recurrent layer with dropout draws masks at every call, also where it does not train.
    """
    weights = {id(weight) for weight in model.weights}
    states = [one for one in model.non_trainable_variables if id(one) not in weights]
    before = [(state, state.numpy()) for state in states]
    yield
    for state, value in before:
        state.assign(value)


def _placeholders(model: keras.Model) -> Any:
    """Return zeros of the form of a model's output for one sample; None if that is not known.

    They are for what takes its shapes from it. To compute outputs costs TensorFlow as much as to
    trace some layers. The form is known of models of Keras's own classes with one output that is
    not in a list or a dictionary, which Keras takes apart when it calls them.
    """
    if not type(model).__module__.startswith("keras."):
        return None
    form = getattr(getattr(model, "_functional", None) or model, "_outputs_struct", None)
    if not isinstance(form, keras.KerasTensor) or None in form.shape[1:]:
        return None
    return tf.zeros((1, *form.shape[1:]), form.dtype)


def _is_own(model: keras.Model, name: str) -> bool:
    """Say whether a model has a method of its own in place of Keras's."""
    return getattr(type(model), name) is not getattr(keras.Model, name)


class _Traced:
    """A function of tensors, traced at its first call, for any number of rows."""

    def __init__(self, body: Callable[..., Any]) -> None:
        self._body = body
        self._made: Callable[..., Any] | None = None

    def __call__(self, *tensors: Any) -> Any:
        if self._made is None:
            self._made = self._traced(tensors)
        return self._made(*tensors)

    def _traced(self, tensors: Any) -> Callable[..., Any]:
        specs = tf.nest.map_structure(_any_rows, tensors)
        made: Callable[..., Any] = tf.function(self._body).get_concrete_function(*specs)
        return made


def _tensors(samples: Any) -> Any:
    return tf.nest.map_structure(tf.convert_to_tensor, samples)


def _any_rows(tensor: Any) -> Any:
    shape = tensor.shape
    return tf.TensorSpec((None, *shape[1:]) if shape.rank else shape, tensor.dtype)


MOST_WEIGHTS = 20_000_000  # of all models that are kept


class Programs:
    """The programs of the last settings, with their models.

    A model built anew for the next fold lends its initial values to the one that is kept, which
    then trains as the new one would have. Kept are models whose every layer is Keras's own and no
    `Lambda`: code of one's own may hold state that cannot be set back.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()

    def take(self, key: Hashable, model: keras.Model) -> tuple[Program, Targets] | None:
        """Return the program kept under a key, set back to a new model's values; None without one.

        Args:
            key: names everything that the program depends on but the model's initial values.
            model: built as the kept one was, not compiled.
        """
        kept = self._kept.get(key)
        if kept is None or model.compiled or not kept.resembles(model):
            return None
        self._kept.move_to_end(key)
        kept.set_back(model)
        return kept.program, kept.targets

    def keep(self, key: Hashable, program: Program, targets: Targets) -> None:
        """Keep a program that has not trained yet; the oldest ones make room."""
        model = program.model
        if model.count_params() > MOST_WEIGHTS // 2 or not is_keras_own(model):
            return
        self._kept[key] = _Kept(program, targets)
        while len(self._kept) > MOST_PROGRAMS or self._weights() > MOST_WEIGHTS:
            self._kept.popitem(last=False)

    def _weights(self) -> int:
        return sum(kept.program.model.count_params() for kept in self._kept.values())


class _Kept:
    def __init__(self, program: Program, targets: Targets) -> None:
        self.program = program
        self.targets = targets
        optimizer = program.model.optimizer
        optimizer.build(program.model.trainable_variables)
        self._optimizer: list[Array] = [variable.numpy() for variable in optimizer.variables]

    def resembles(self, model: keras.Model) -> bool:
        return _shapes(self.program.model) == _shapes(model)

    def set_back(self, model: keras.Model) -> None:
        """Give the kept model a new one's weights and random states, and a new optimizer's."""
        kept = self.program.model
        for mine, new in zip(kept.variables, model.variables, strict=True):
            mine.assign(new)
        for variable, value in zip(kept.optimizer.variables, self._optimizer, strict=True):
            variable.assign(value)


def _shapes(model: keras.Model) -> list[tuple[Any, ...]]:
    return [(tuple(v.shape), v.dtype, v.trainable) for v in model.variables]


def is_keras_own(model: keras.Model) -> bool:
    """Say whether model and layers are of Keras's own classes, those inside others included."""
    return all(
        type(one).__module__.startswith("keras.") and not isinstance(one, keras.layers.Lambda)
        for one in (model, *_layers(model))
    )


def _layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    return list(layer._flatten_layers(include_self=False))

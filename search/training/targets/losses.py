"""A compiled model's loss by itself: what it wants and what it ignores, found out by trying it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from inspect import getclosurevars, isfunction, signature
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from search.data.arrays import Array

# Of labels in their form, outputs, and weights if samples have any.
Loss = Callable[..., float]

ROWS = 7  # in a trial of a loss; with as many rows as classes a wrong form may pass unnoticed
_CLOSE = 1e-4  # relative; losses are computed in float32


class _LossAlone(keras.Model):  # type: ignore[misc] # Keras is untyped
    """A model without weights, whose compiled loss can be called as often as one likes."""

    def call(self, inputs: Any) -> Any:
        return inputs


def loss_of(model: keras.Model, sample: Array) -> tuple[Loss | None, str]:
    """Return a model's loss as a function of labels and outputs, and what it is called.

    That is the model's own `compute_loss` where it has one, whatever loss it was compiled with.
    Else the compiled loss is called apart from the model, whose own decides at its first call which
    losses and metrics names like "accuracy" stand for.
    """
    if has_own_loss(model):
        return _called(model, sample, model), "the model's `compute_loss`"
    leaves = [leaf for leaf in keras.tree.flatten(model.loss) if leaf is not None]
    if len(leaves) > 1:
        raise ValueError(
            f"a model must have one loss for its one output; it was compiled with {len(leaves)}"
        )
    if leaves:
        alone = _LossAlone()
        alone.compile(loss=leaves[0])
        return _called(alone, None, leaves[0]), _name_of(leaves[0])
    return None, ""


def _called(model: keras.Model, sample: Array | None, owner: Any) -> Loss:
    """Return a model's loss; what its owner remembers of a call is undone after it."""
    takes_training = "training" in signature(model.compute_loss).parameters
    more = {"training": False} if takes_training else {}

    def loss(labels: Array, outputs: Array, weights: Array | None = None) -> float:
        some = None
        if sample is not None:
            some = repeated(sample, len(labels))
        given = {"x": some, "y": tf.constant(labels), "y_pred": tf.constant(outputs)}
        with _undone(owner):
            found = model.compute_loss(**given, sample_weight=weights, **more)
            return float(tf.reduce_mean(found))

    return loss


def repeated(sample: Any, count: int) -> Any:
    """Return so many samples, the given ones over and over, of one input or of several by name."""

    def of(each: Any) -> Any:
        return tf.gather(each, np.arange(count) % len(each))

    return tf.nest.map_structure(of, sample)


@contextmanager
def _undone(owner: Any) -> Iterator[None]:
    """Undo what a call changes in the variables and attributes of a loss or a model."""
    owners = [owner]
    compiled = getattr(owner, "_compile_loss", None)  # of a model that was compiled with a loss
    if compiled is not None:
        # It decides at its first call what a name stands for, so another is called.
        owner._compile_loss = type(compiled)(
            compiled._user_loss, compiled._user_loss_weights, output_names=compiled.output_names
        )
        owners += keras.tree.flatten(owner.loss)
    losses = [each for each in owners if isinstance(each, keras.losses.Loss)]
    attributes = [dict(vars(each)) for each in losses]
    before = [(found, found.numpy()) for each in owners for found in _variables_of(each)]
    try:
        yield
    finally:
        if compiled is not None:
            owner._compile_loss = compiled
        for each, known in zip(losses, attributes, strict=True):
            vars(each).update(known)
        for variable, value in before:
            variable.assign(value)


def _variables_of(owner: Any) -> list[Any]:
    """Return the variables that a loss, a function or a model holds, also in lists and closures."""
    if isinstance(owner, keras.Model):
        return [*owner.variables, *_variables_in(vars(owner))]
    if isinstance(owner, partial):
        held = [owner.args, owner.keywords, *_variables_of(owner.func)]
    elif isfunction(owner):
        known = getclosurevars(owner)
        held = [dict(known.nonlocals), dict(known.globals)]
    else:
        held = [getattr(owner, "__dict__", {}), getattr(getattr(owner, "fn", None), "__dict__", {})]
    return _variables_in(held)


def _variables_in(held: Any) -> list[Any]:
    if isinstance(held, tf.Variable | keras.Variable):
        return [held]
    if isinstance(held, tf.Module | keras.layers.Layer):
        return list(held.variables)
    if isinstance(held, dict):
        return [found for one in held.values() for found in _variables_in(one)]
    if isinstance(held, list | tuple):
        return [found for one in held for found in _variables_in(one)]
    return []


def _name_of(loss: Any) -> str:
    if isinstance(loss, str):
        return f"loss {loss!r}"
    inner = getattr(loss, "func", loss)  # of a partial
    return f"loss {getattr(inner, '__name__', type(inner).__name__)}"


def declares_logits(model: keras.Model) -> bool:
    """Say whether a loss was told `from_logits=True`."""
    for loss in keras.tree.flatten(model.loss):
        config: dict[str, Any] = {}
        if isinstance(loss, keras.losses.Loss):
            try:
                config = loss.get_config()
            except Exception:  # noqa: BLE001 # an own class need not have one
                config = vars(loss)
        if config.get("from_logits") or getattr(loss, "keywords", {}).get("from_logits"):
            return True
    return False


def has_own_loss(model: keras.Model) -> bool:
    """Say whether a model computes its loss by a `compute_loss` of its own."""
    return type(model).compute_loss is not keras.Model.compute_loss


def has_own_step(model: keras.Model) -> bool:
    """Say whether a model trains by a step of its own, which need not use its loss."""
    return type(model).train_step is not keras.Model.train_step


def multiple(pairs: Callable[[np.random.Generator], tuple[float, float]]) -> float | None:
    """Return how many times the second of random pairs of numbers the first is; None if it varies.

    Args:
        pairs: makes a pair; where it raises, the loss refuses what it is tried on.
    """
    random, factors = np.random.default_rng(0), []
    for _ in range(3):
        try:
            value, known = pairs(random)
        except Exception:  # noqa: BLE001 # it may refuse in any way
            return None
        if not known:
            return None
        factors.append(value / known)
    is_fixed = factors[0] > 0 and np.allclose(factors, factors[0], rtol=_CLOSE)
    return factors[0] if is_fixed else None


def ignores(loss: Loss, labels: Array, outputs: Array, changed: tuple[Array, Array]) -> bool:
    """Say whether a loss stays the same when labels and outputs are changed so."""
    before, after = loss(labels, outputs), loss(*changed)
    return bool(np.isclose(before, after, rtol=_CLOSE, atol=0))


def is_keras_own(model: keras.Model) -> bool:
    """Say whether a model's loss is one of Keras's own."""
    if has_own_loss(model):
        return False
    leaves = [leaf for leaf in keras.tree.flatten(model.loss) if leaf is not None]
    return bool(leaves) and all(
        isinstance(leaf, str) or _place(leaf).startswith("keras.") for leaf in leaves
    )


def _place(loss: Any) -> str:
    inner = getattr(loss, "func", loss)  # of a partial
    return str(getattr(inner, "__module__", None) or type(inner).__module__)

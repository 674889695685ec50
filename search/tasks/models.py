"""What can be seen of a model, whatever it predicts: its outputs, and how they are bounded.

Keras is imported where it is needed: only workers and exports have models.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from search.quiet import without_displays
from search.tasks.base import Array, Task
from tracking.text import listed

if TYPE_CHECKING:
    import keras

_BOUNDED = frozenset({"softmax", "sigmoid", "hard_sigmoid", "sparsemax", "sparse_sigmoid"})
_UNBOUNDED = frozenset({"linear", "tanh", "relu"})
_SHARES = frozenset({"softmax", "sparsemax"})
_TOLERANCE, _ROUNDING = 2e-2, 1e-3  # above 1, as bfloat16 rounds; below 0
_SPREADS = (3.0, 1000.0, 3.0, 1000.0, 3.0, 1000.0)  # of weights drawn at random, one draw each
_SAMPLES = 8  # that outputs are looked at for
_FAR = 3.0  # that numbers must reach, both ways, to count as unbounded


def first_of(samples: Any, count: int) -> Any:
    """Return the first samples, of one input or of several by name."""
    if isinstance(samples, dict):
        return {name: each[:count] for name, each in samples.items()}
    return samples[:count]


def count_of(samples: Any) -> int:
    """Return the number of samples, of one input or of several by name."""
    return len(next(iter(samples.values())) if isinstance(samples, dict) else samples)


def output_units(model: "keras.Model", task: Task, sample: Array) -> int:
    """Return the number of a model's outputs a sample; a model without weights yet gets them.

    Raises:
        ValueError: it has several outputs, or their number does not fit the task.
    """
    if task.outputs:
        check_names(model, task, sample)
        return task.units
    shapes = _shapes_in(_output_shape(model, sample))
    rule = f"a model must have one output of shape {task.shapes} for {task.size}"
    if len(shapes) != 1:
        told = ", ".join(map(str, shapes))
        raise ValueError(
            f"{rule}; it has {len(shapes)} outputs, of shapes {told}. Return the one that names the"
            f" {task.unit}"
        )
    (shape,) = shapes
    if len(shape) == 1 and 0 in task.ranks:
        return 1
    if len(shape) != 2:
        raise ValueError(
            f"{rule}; it has {shape}. Does a Flatten or a pooling layer come before its last layer?"
        )
    units = int(shape[-1] or 0)
    if fault := task.misfit(units):
        raise ValueError(fault)
    return units


def _output_shape(model: "keras.Model", sample: Array) -> Any:
    import keras

    try:
        return model.output_shape
    except (AttributeError, ValueError):  # it has no input layer, or is a class of its own
        return keras.tree.map_structure(
            lambda found: tuple(found.shape), model(first_of(sample, 1))
        )


def _shapes_in(shape: Any) -> list[tuple[int | None, ...]]:
    """Return the shapes in a structure of lists, dictionaries and tuples of them."""
    if isinstance(shape, dict):
        return [one for part in shape.values() for one in _shapes_in(part)]
    if isinstance(shape, list | tuple) and any(isinstance(p, list | tuple | dict) for p in shape):
        return [one for part in shape for one in _shapes_in(part)]
    return [tuple(shape)]


def summary_of(model: "keras.Model") -> str:
    """Return Keras's summary of a model as text."""
    lines: list[str] = []
    with without_displays():  # rich shows an empty cell even of what is captured
        model.summary(print_fn=lines.append)
    return "\n".join(lines)


def single(outputs: Any) -> Any:
    """Return the one tensor of a model's outputs, which may lie in a list or a dictionary."""
    import keras

    return outputs if hasattr(outputs, "shape") else keras.tree.flatten(outputs)[0]


def by_name(model: "keras.Model", outputs: Any) -> dict[str, Any]:
    """Return a model's several outputs by their names.

    Raises:
        ValueError: they have no names.
    """
    import keras

    if isinstance(outputs, dict):
        return outputs
    flat, names = keras.tree.flatten(outputs), getattr(model, "output_names", None)
    if not names or len(names) != len(flat):
        raise ValueError(
            "a model with several outputs must name them: return a dictionary of them, or build it"
            " as `keras.Model(inputs, {name: output, ...})`"
        )
    return dict(zip(names, flat, strict=True))


def check_names(model: "keras.Model", task: Task, sample: Any) -> None:
    """Check that a model's outputs are called as the targets are.

    Raises:
        ValueError: they are not.
    """
    outputs = by_name(model, model(first_of(sample, 1), training=False))
    if set(outputs) != set(task.outputs):
        raise ValueError(
            "a model must have an output for each target, of the same name:"
            f" {listed(task.outputs)}; its outputs are {listed(outputs)}. Name them in"
            " `keras.Model(inputs, {name: output})`, or name the layers they come from"
        )


def side_by_side(model: "keras.Model", outputs: Any, names: Sequence[str]) -> Any:
    """Return a model's output, or several of them in the order of their names, `(n, k)`.

    Several are float32, or float64 where one of them is.
    """
    import keras

    if not names:
        return single(outputs)
    found = by_name(model, outputs)
    kind = "float64" if any("float64" in str(found[name].dtype) for name in names) else "float32"
    flat = [
        keras.ops.cast(keras.ops.reshape(found[name], (keras.ops.shape(found[name])[0], -1)), kind)
        for name in names
    ]
    return keras.ops.concatenate(flat, axis=1)


def are_probabilities(model: "keras.Model", sample: Array) -> bool:
    """Say whether a model's outputs are bounded as probabilities are, whatever its weights.

    The activation of the last layer tells, where it is one of Keras's; else the model is tried with
    its own weights and with weights drawn at random, which are put back.

    Args:
        model: with weights.
        sample: one sample or more as the model receives them.
    """
    known = last_activation(model)
    if known in _BOUNDED | _UNBOUNDED:
        return known in _BOUNDED
    telling = _tried(model, sample)
    return bool(telling) and all(map(are_bounded, telling))


def are_shares(model: "keras.Model", sample: Array) -> bool:
    """Say whether the outputs of each sample sum to 1, whatever the weights, as of a softmax.

    Args:
        model: with weights.
        sample: one sample or more as the model receives them.
    """
    known = last_activation(model)
    if known in _BOUNDED | _UNBOUNDED:
        return known in _SHARES
    telling = _tried(model, sample)
    sums = [found.sum(axis=-1) for found in telling]
    return bool(telling) and all(np.allclose(each, 1, atol=_TOLERANCE) for each in sums)


def are_unbounded(model: "keras.Model", sample: Array) -> bool:
    """Say whether every output of a model may become any number, positive or negative.

    Args:
        model: with weights.
        sample: one sample or more as the model receives them.
    """
    if last_activation(model) == "linear":
        return True
    found = [each.reshape(len(each), -1) for each in _tried(model, sample)]
    if not found:
        return False
    values = np.concatenate(found)
    return bool((values.min(axis=0) < -_FAR).all() and (values.max(axis=0) > _FAR).all())


def _tried(model: "keras.Model", sample: Array) -> list[Array]:
    """Return outputs of a few samples, with the model's own weights and with random ones.

    Outputs that are all alike, as zeros behind a ReLU, tell nothing and are left out.
    """
    some = first_of(sample, _SAMPLES)
    found = [called(model, some)]
    for draw, spread in enumerate(_SPREADS):
        with other_weights(model, spread=spread, seed=draw):
            found.append(called(model, some))
    return [each for each in found if np.isfinite(each).all() and _tells(each)]


def _tells(outputs: Array) -> bool:
    return bool(np.ptp(outputs) > 0 or (outputs.size == 1 and outputs.any()))


@contextmanager
def other_weights(model: "keras.Model", *, spread: float, seed: int = 0) -> Iterator[None]:
    """Give a model weights drawn at random, of which none is zero, for a moment.

    Args:
        model: with weights.
        spread: standard deviation of the weights.
        seed: of the draw.
    """
    variables = [v for v in model.weights if "float" in str(v.dtype)]
    before = [variable.numpy() for variable in variables]
    random = np.random.default_rng(seed)
    try:
        for variable in model.trainable_variables or variables:
            drawn = random.normal(0, spread, tuple(variable.shape))
            variable.assign(drawn.astype(np.float32))
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)


@contextmanager
def without_weights(model: "keras.Model") -> Iterator[None]:
    """Set a model's kernels to 0 for a moment; biases and other vectors stay."""
    kernels = [v for v in model.weights if "float" in str(v.dtype) and len(v.shape) > 1]
    before = [variable.numpy() for variable in kernels]
    try:
        for variable, value in zip(kernels, before, strict=True):
            variable.assign(np.zeros_like(value))
        yield
    finally:
        for variable, value in zip(kernels, before, strict=True):
            variable.assign(value)


def called(model: "keras.Model", some: Array) -> Array:
    """Return a model's outputs as it predicts, float32 `(n, ...)`."""
    import keras

    found = single(model(some, training=False))
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(found, "float32")))


def are_bounded(values: Array) -> bool:
    """Say whether values lie between 0 and 1, but for rounding."""
    return bool(values.min() >= -_ROUNDING and values.max() <= 1 + _TOLERANCE)


def last_activation(model: "keras.Model") -> str | None:
    """Return the name of the activation that a model ends with; None where it cannot be read."""
    import keras

    layer: Any = model
    while isinstance(layer, keras.Sequential) and layer.layers:
        layer = layer.layers[-1]
    if isinstance(layer, keras.Model):
        outputs = keras.tree.flatten(getattr(layer, "outputs", None) or [])
        history = getattr(outputs[0], "_keras_history", None) if len(outputs) == 1 else None
        operation = getattr(history, "operation", None)
        if operation is None or operation is layer:
            return None
        return (
            last_activation(operation) if isinstance(operation, keras.Model) else _named(operation)
        )
    return _named(layer)


def without_sigmoid(model: "keras.Model") -> "keras.Model | None":
    """Return a model that gives the logits of one that ends with a sigmoid; None where it cannot.

    It has the same layers and weights, but for the last layer's, which are copied.

    Args:
        model: with weights, and one output.
    """
    import keras

    outputs = getattr(model, "outputs", None) or []
    if last_activation(model) != "sigmoid" or len(outputs) != 1:
        return None
    layer, node, _ = outputs[0]._keras_history
    given = layer._inbound_nodes[node].input_tensors[0]
    if isinstance(layer, keras.Model):
        inner = without_sigmoid(layer) if len(layer.inputs) == 1 else None
        found = None if inner is None else inner(given)
    else:
        found = _logits(layer, given)
    if found is None:
        return None
    inputs = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    return keras.Model(inputs, found, name=model.name)


def _logits(layer: Any, given: Any) -> Any:
    import keras

    if type(layer) is keras.layers.Activation:
        return given
    if type(layer) is not keras.layers.Dense or len(layer.get_weights()) > 1 + layer.use_bias:
        return None  # such as a quantized one
    plain = keras.layers.Dense(
        layer.units, use_bias=layer.use_bias, dtype=layer.dtype_policy, name=layer.name
    )
    found = plain(given)
    plain.set_weights(layer.get_weights())
    return found


def _named(layer: Any) -> str | None:
    import keras

    if not type(layer).__module__.startswith("keras."):
        return None
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    if isinstance(layer, keras.layers.Dense | keras.layers.Activation):
        activation = layer.activation
        if getattr(activation, "__module__", "").startswith("keras."):
            return str(getattr(activation, "__name__", ""))
    return None

"""Optimizer, schedule, loss and penalties, as params say."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from search.data.arrays import Array
from search.tasks import MULTI_LABEL, REGRESSION, Task
from search.tasks.models import are_probabilities, output_units
from search.tasks.multi_output import MultiOutput
from search.training.targets.several import views_of
from spaces import Params

# What a weight penalty applies to; biases and normalisation stay free.
_KERNELS = frozenset({"kernel", "depthwise_kernel", "pointwise_kernel", "recurrent_kernel"})


def compile_model(
    model: keras.Model,
    params: Params,
    task: Task,
    sample: Array,
    *,
    steps: int,
    factor: float | None = None,
) -> None:
    """Compile a model with the params' training choices; a compiled one keeps its own.

    The loss is the cross-entropy of classes, that of each label, or the mean squared error of
    numbers. XLA is off: on CPUs it was slower than oneDNN for the models tried.

    Args:
        model: its outputs fit the task; those that are no probabilities, whatever its weights, are
            logits.
        params: its `optimizer`, `learning_rate`, `schedule`, `ema`, `l2` and what belongs to them.
        task: what it is to predict.
        sample: one sample or more, better eight, as the model receives them.
        steps: number of batches it will be trained on, which is how long a schedule lasts.
        factor: the learning rate is multiplied by it, and a compiled model is compiled anew; None
            for the first time.

    Raises:
        ValueError: its outputs do not fit the task.
    """
    several = views_of(model, task, sample) if isinstance(task, MultiOutput) else {}
    units = 0 if several else output_units(model, task, sample)
    if model.compiled and factor is None:
        return
    penalise(model, float(params.get("l2", 0.0)))
    if isinstance(task, MultiOutput):
        loss: Any = {
            part.name: _measures(
                several[part.name],
                params,
                part.task,
                output_units(several[part.name], part.task, sample),
                sample,
            )[0]
            for part in task.parts
        }
        metrics: list[Any] = []
        weights = {part.name: part.weight for part in task.parts}
    else:
        loss, metrics = _measures(model, params, task, units, sample)
        weights = None
    model.compile(
        optimizer=_optimizer(params, steps, 1.0 if factor is None else factor),
        loss=loss,
        loss_weights=weights,
        metrics=metrics,
        jit_compile=False,
    )


def _measures(
    model: keras.Model, params: Params, task: Task, units: int, sample: Array
) -> tuple[Any, list[Any]]:
    """Return the loss of a task, and metrics of the training part."""
    if task.name == REGRESSION:
        return keras.losses.MeanSquaredError(), []
    logits = not are_probabilities(model, sample)
    if task.name == MULTI_LABEL:
        return keras.losses.BinaryCrossentropy(from_logits=logits), []
    smoothing = float(params.get("label_smoothing", 0.0))
    return _loss(units, smoothing, logits=logits), [_accuracy(units, logits=logits)]


def penalise(model: keras.Model, l2: float) -> None:
    """Add `l2` times the sum of squares of every kernel to the training loss."""
    if l2 > 0:
        for variable in model.trainable_variables:
            if variable.name in _KERNELS and variable.regularizer is None:
                variable.regularizer = keras.regularizers.L2(l2)


def _loss(units: int, smoothing: float, *, logits: bool) -> Any:
    if units == 1:
        return keras.losses.BinaryCrossentropy(from_logits=logits, label_smoothing=smoothing)
    if smoothing > 0:
        return keras.losses.CategoricalCrossentropy(from_logits=logits, label_smoothing=smoothing)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=logits)


def _accuracy(units: int, *, logits: bool) -> Any:
    if units == 1 and logits:
        return keras.metrics.BinaryAccuracy("accuracy", threshold=0.0)
    return "accuracy"


def _optimizer(params: Params, steps: int, factor: float) -> Any:
    optimizer = _plain_optimizer(params, _learning_rate(params, steps, factor))
    share = float(params.get("ema", 0.0))
    return average_weights(optimizer, share) if share > 0 else optimizer


def _plain_optimizer(params: Params, rate: Any) -> Any:
    match params["optimizer"]:
        case "sgd":
            momentum = float(params.get("momentum", 0.0))
            return keras.optimizers.SGD(rate, momentum=momentum, nesterov=momentum > 0)
        case "adamw":
            decay = float(params.get("weight_decay", 4e-3))
            optimizer = keras.optimizers.AdamW(rate, weight_decay=decay)
            optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
            return optimizer
        case name:
            return keras.optimizers.get(
                {"class_name": str(name), "config": {"learning_rate": rate}}
            )


def _learning_rate(params: Params, steps: int, factor: float) -> Any:
    rate = float(params["learning_rate"]) * factor
    if params.get("schedule") != "cosine":
        return rate
    warmup = int(steps * float(params.get("warmup", 0.0)))
    if warmup == 0:
        return keras.optimizers.schedules.CosineDecay(rate, steps)
    return keras.optimizers.schedules.CosineDecay(
        rate / 25, max(steps - warmup, 1), warmup_target=rate, warmup_steps=warmup
    )


def average_weights(optimizer: Any, share: float) -> Any:
    """Have an optimizer keep an exponential average of the weights, which training ends with.

    It is Keras's `use_ema` with a momentum that grows: after step t the steps' mean age in the
    average is `share` * t, however long the training and large its batches are, and the first
    weights leave no trace.

    Args:
        optimizer: not built yet.
        share: a fraction of the steps so far; above 0, at most 0.5, which is their plain mean.

    Returns:
        The optimizer.

    Source: Karras et al., "Analyzing and Improving the Training Dynamics of Diffusion Models",
    2024, section 3.1 (its gamma is 1 / share - 2).
    """
    optimizer.use_ema = True
    optimizer._update_model_variables_moving_average = partial(_average, optimizer, share)
    return optimizer


def _average(optimizer: Any, share: float, variables: Sequence[Any]) -> None:
    """Add weights after a step to their averages: of step t as 1 - (1 - 1/t)^(1/share - 1)."""
    step = tf.cast(keras.ops.convert_to_tensor(optimizer.iterations) + 1, "float32")
    newest = -tf.math.expm1((1 / share - 1) * tf.math.log1p(-1 / step))
    averages = optimizer._model_variables_moving_average
    for variable, average in zip(variables, averages, strict=True):
        now, before = map(keras.ops.convert_to_tensor, (variable, average))
        average.assign_sub(tf.cast(newest, before.dtype) * (before - now))


@contextmanager
def traced_lightly(optimizer: Any) -> Iterator[None]:
    """Trace the updates of Adam and AdamW in half as many operations, to the last bit the same.

    Keras computes the step's size anew for each variable, and calls each operation through layers
    that cost more than it does. Other optimizers, and those with updates of their own, are left as
    they are.

    Args:
        optimizer: of the model whose step is traced; None where it has none.
    """
    own = getattr(type(optimizer), "update_step", None)
    if own is not keras.optimizers.Adam.update_step or optimizer.amsgrad:
        yield
        return
    plain = optimizer._backend_update_step
    optimizer._backend_update_step = partial(_adam_updates, optimizer, plain)
    try:
        yield
    finally:
        del optimizer._backend_update_step


def _adam_updates(
    adam: Any, plain: Any, gradients: Sequence[Any], variables: Sequence[Any], rate: Any
) -> None:
    """Do what Adam's `update_step` does for each of the variables, in the same order.

    Source: Keras's `Adam.update_step`.
    """
    places = [adam._get_variable_index(variable) for variable in variables]
    own = [variable.value for variable in variables if isinstance(variable, keras.Variable)]
    dtypes = {variable.dtype for variable in own}
    dense = all(isinstance(gradient, tf.Tensor) for gradient in gradients)
    if tf.distribute.has_strategy() or len(own) < len(places) or len(dtypes) > 1 or not dense:
        plain(gradients, variables, rate)
        return
    raw, dtype = tf.raw_ops, dtypes.pop()
    read = partial(raw.ReadVariableOp, dtype=dtype)
    step = tf.cast(keras.ops.convert_to_tensor(adam.iterations) + 1, dtype)
    first, second = (tf.pow(tf.cast(beta, dtype), step) for beta in (adam.beta_1, adam.beta_2))
    size = tf.cast(rate, dtype) * tf.sqrt(1 - second) / (1 - first)
    first_share, second_share, epsilon = (
        tf.constant(number, dtype) for number in (1 - adam.beta_1, 1 - adam.beta_2, adam.epsilon)
    )
    for place, gradient, variable in zip(places, gradients, own, strict=True):
        m, v = (kept[place].value.handle for kept in (adam._momentums, adam._velocities))
        found = tf.cast(gradient, dtype)
        gap = raw.Sub(x=read(resource=m), y=found)
        raw.ResourceApplyGradientDescent(var=m, alpha=first_share, delta=gap)
        gap = raw.Sub(x=read(resource=v), y=raw.Square(x=found))
        raw.ResourceApplyGradientDescent(var=v, alpha=second_share, delta=gap)
        root = raw.AddV2(x=raw.Sqrt(x=read(resource=v)), y=epsilon)
        change = raw.RealDiv(x=raw.Mul(x=read(resource=m), y=size), y=root)
        raw.AssignSubVariableOp(resource=variable.handle, value=change)

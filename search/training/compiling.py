"""Optimizer, schedule, loss and penalties, as params say."""

from typing import Any

import keras

from spaces import Params

# What a weight penalty applies to; biases and normalisation stay free.
_KERNELS = frozenset({"kernel", "depthwise_kernel", "pointwise_kernel", "recurrent_kernel"})


def compile_model(
    model: keras.Model,
    params: Params,
    *,
    units: int,
    steps: int,
    logits: bool = False,
    factor: float | None = None,
) -> None:
    """Compile a model with the params' training choices; a compiled one keeps its own.

    XLA is off: on CPUs it was slower than oneDNN for the models tried.

    Args:
        model: one output a class, or one for two classes.
        params: its `optimizer`, `learning_rate`, `schedule`, `l2` and what belongs to them.
        units: number of its outputs, from `outputs.output_units`.
        steps: number of batches it will be trained on, which is how long a schedule lasts.
        logits: whether its outputs are logits, not probabilities.
        factor: the learning rate is multiplied by it, and a compiled model is compiled anew; None
            for the first time.
    """
    if model.compiled and factor is None:
        return
    penalise(model, float(params.get("l2", 0.0)))
    model.compile(
        optimizer=_optimizer(params, steps, 1.0 if factor is None else factor),
        loss=_loss(units, float(params.get("label_smoothing", 0.0)), logits=logits),
        metrics=[_accuracy(units, logits=logits)],
        jit_compile=False,
    )


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
    rate = _learning_rate(params, steps, factor)
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

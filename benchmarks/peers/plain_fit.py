"""A published baseline trained as published code trains it: one process, `model.fit` on arrays.

Called by `throughput.py`. Default threads, float32, NumPy arrays; images as float32 0..1, texts
padded to the full length. Trains `--epochs` epochs without and as many with `validation_data` (a
quarter more samples), and prints one JSON object:

- `plain`, `validated`: seconds of each epoch but the first, which traces the graph;
- `samples`: trained on an epoch;
- `operations`: of training on one sample, forward and backward (a multiplication and an addition
  are two; products alone are counted, texts at their real length).

What plain Keras has no word for is left out, in its favour: augmentation, schedules.
"""

import argparse
import json
import math
import os
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from search.data import load
from search.data.folds import stratified_part
from search.data.inputs import make_inputs, spec_of
from spaces import get_space


class Clock(keras.callbacks.Callback):
    """Notes when each epoch ends, its validation included."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Note the time."""
        self.ends.append(time.perf_counter())


def main() -> None:
    """Train twice and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--space", required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--setting", dest="params", type=json.loads, required=True)
    parser.add_argument("--samples", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--home", type=Path, required=True)
    args = parser.parse_args()

    x, y, spec = arrays(args)
    model = compiled(args.space, args.params, spec)
    rows = args.samples
    fit = {"batch_size": args.params["batch_size"], "epochs": args.epochs, "verbose": 0}
    plain, validated = Clock(), Clock()
    model.fit(x[:rows], y[:rows], callbacks=[plain], **fit)
    model.fit(
        x[:rows], y[:rows], validation_data=(x[rows:], y[rows:]), callbacks=[validated], **fit
    )
    length = float(np.count_nonzero(x, axis=1).mean()) if spec.kind == "text" else 1.0
    print(
        json.dumps(
            {
                "plain": [later - earlier for earlier, later in pairwise(plain.ends)],
                "validated": [later - earlier for earlier, later in pairwise(validated.ends)],
                "samples": rows,
                "operations": training(model, length),
            }
        )
    )


def arrays(args: argparse.Namespace) -> tuple[Any, Any, Any]:
    """Return samples and labels, a quarter more than are trained on, and what models are told."""
    space = get_space(args.space)
    given = os.environ.get("SEARCH_DATA_DIR")
    dataset = load(
        args.dataset, home=args.home, data_dir=Path(given) if given else None, notify=_unheard
    )
    labels = np.asarray(dataset.train_labels)
    used = stratified_part(labels, args.samples + args.samples // 4, 0)
    used = np.random.default_rng(0).permutation(used)
    inputs = make_inputs(dataset, space.input_for(dataset.kind))
    encoder = inputs.learn(np.sort(used), args.params)
    x = inputs.take(encoder, used)
    if dataset.kind == "image":
        x = x.astype("float32") / 255
    return x, labels[used], spec_of(encoder, dataset.kind, dataset.task)


def _unheard(_: str) -> None:
    pass


def compiled(name: str, params: Mapping[str, Any], spec: Any) -> keras.Model:
    """Return the space's model for pixels 0..1, compiled as the setting says."""
    model = get_space(name).build(params, spec)
    kept = [layer for layer in model.layers if not isinstance(layer, layers.Rescaling)]
    if isinstance(model, keras.Sequential) and len(kept) < len(model.layers):
        model = keras.Sequential([layers.Input(spec.input_shape), *kept])
    config = {"learning_rate": params["learning_rate"]}
    if "weight_decay" in params:
        config["weight_decay"] = params["weight_decay"]
    binary = model.output_shape[-1] == 1
    model.compile(
        optimizer=keras.optimizers.get({"class_name": params["optimizer"], "config": config}),
        loss="binary_crossentropy" if binary else "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def training(model: keras.Model, length: float) -> float:
    """Return the operations of training on one sample.

    Backward, each layer has a product for its weights and one for its input; the first layer has no
    use for the latter, unless that is an embedding, which learns.
    """
    forward = [found for layer in model.layers if (found := operations(layer, length))]
    learns = any(isinstance(layer, layers.Embedding) for layer in model.layers)
    return 3 * sum(forward) - (0 if learns else forward[0])


def operations(layer: keras.Layer, length: float) -> float:
    """Return the operations of a layer's forward products for a sample of `length` words."""
    match layer:
        case layers.SeparableConv2D():
            pixels, taken = math.prod(layer.output.shape[1:3]), layer.input.shape[-1]
            return 2 * pixels * taken * (math.prod(layer.kernel_size) + layer.filters)
        case layers.Conv2D():
            pixels, taken = math.prod(layer.output.shape[1:3]), layer.input.shape[-1]
            return 2 * pixels * taken * math.prod(layer.kernel_size) * layer.filters
        case layers.Dense():
            return 2 * layer.input.shape[-1] * layer.units
        case layers.Bidirectional():
            cell = layer.forward_layer.cell
            weights = math.prod(cell.kernel.shape) + math.prod(cell.recurrent_kernel.shape)
            return 2 * 2 * length * weights  # two directions
        case _:
            return 0.0


if __name__ == "__main__":
    main()

"""How fast a worker trains, measured by training it for a moment."""

import time
from dataclasses import replace

import keras
import numpy as np

from search.executors.protocol import Probe, ProbeResult
from search.seeds import derive
from search.tasks.classification import are_probabilities, output_units
from search.training.batches import Batches, Part, lengths_of, shuffled, spread
from search.training.compiling import compile_model
from search.training.fold_data import FoldData
from search.training.program import Program
from search.training.targets import Targets

ROUND = 16  # batches between two looks at the clock
CHECKED = 2_000  # samples, at most


def measure(data: FoldData, probe: Probe) -> ProbeResult:
    """Train a setting on the first fold for a moment and return how that went.

    The first batches, which trace and allocate, are not timed.
    """
    try:
        return _measured(data, probe)
    finally:
        keras.backend.clear_session(free_memory=False)


def _measured(data: FoldData, probe: Probe) -> ProbeResult:
    params = probe.params
    encoder = data.learn(1, params)
    training, validation = data.parts(1, encoder)
    seed = derive(data.seed, "fold", 1)
    with replace(data, precision=probe.precision).built(params, encoder, seed=seed) as built:
        return _trained(data, probe, built.model, training, validation)


def _trained(
    data: FoldData, probe: Probe, model: keras.Model, training: Part, validation: Part
) -> ProbeResult:
    params, classes = probe.params, len(data.classes)
    units = output_units(model, classes, training.inputs)
    if not model.compiled:
        logits = not are_probabilities(model, training.inputs)
        compile_model(model, params, units=units, steps=1_000, logits=logits)
    program = Program(model, training.inputs)
    targets = Targets.of(model, classes, training.inputs)
    wanted = (targets.encode(training.labels),)
    batches = shuffled(
        training.indices,
        batch_size=int(params["batch_size"]),
        seed=data.seed,
        epoch=0,
        lengths=lengths_of(training.inputs) if program.trims else None,
    )
    rows = spread(validation.indices, CHECKED)
    program.train(training.inputs, wanted, _some(batches, 0, 2), seed=0)
    program.outputs(training.inputs, rows)
    began, done, samples = time.perf_counter(), 0, 0
    while done < probe.steps if probe.steps else time.perf_counter() < began + probe.seconds:
        piece = _some(batches, done, ROUND)
        program.train(training.inputs, wanted, piece, seed=0)
        done, samples = done + len(piece), samples + len(piece.order)
    seconds = time.perf_counter() - began
    found = program.outputs(training.inputs, rows)
    accuracy = targets.score(found, validation.labels[rows])[1].accuracy
    return ProbeResult(samples, seconds, done, accuracy, len(rows))


def _some(batches: Batches, first: int, count: int) -> Batches:
    """Return so many of the batches from `first` on, beginning anew after the last."""
    chosen = np.arange(first, first + count) % len(batches)
    pieces = [batches.order[batches.ends[i] : batches.ends[i + 1]] for i in chosen]
    return Batches(
        np.concatenate(pieces),
        np.cumsum([0, *map(len, pieces)]),
        None if batches.longest is None else batches.longest[chosen],
    )

"""Samples that do not fit in memory: read in chunks, with the scores of samples in memory."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.data.arrays import (
    IMAGES,
    LABELS,
    ROWS,
    array_file,
    map_array,
    rows_of,
    write_array,
    write_texts,
)
from search.data.dataset import Dataset, Manifest, Stamp
from search.data.inputs import ImageEncoder, make_inputs
from search.data.reading import Column
from search.data.splits import make_folds
from search.executors.protocol import GO_ON, FoldTask, fits
from search.tasks.classification import ClassPredictions
from spaces import ImageInput, get_space
from tracking.home import StudyFolder
from tracking.records import EpochEnded, FoldEnded, Notice

SAMPLES = 240
# Bytes of memory in which the data do not fit, and a chunk holds one or two batches, or ten.
TINY = {"image": 40_000, "table": 4_000, "text": 40_000}


def made(folder: Path, kind: str) -> Dataset:
    """Write a dataset of three classes that can be learned."""
    random = np.random.default_rng(0)
    labels = np.arange(SAMPLES) % 3
    for split in ("train", "test"):
        if kind == "image":
            images = random.integers(0, 120, (SAMPLES, 12, 12, 3))
            images[np.arange(SAMPLES), labels * 4] += 100
            write_array(array_file(folder, f"{split}_images"), IMAGES, images.shape, [images])
        elif kind == "table":
            rows = random.normal(labels[:, None], [1.0, 5.0, 0.5], (SAMPLES, 3))
            write_array(array_file(folder, f"{split}_rows"), ROWS, rows.shape, [rows])
        else:
            words = [random.choice(["so", "la", "ti"], random.integers(1, 30)) for _ in labels]
            texts = [" ".join([*each, "abc"[k]]) for each, k in zip(words, labels, strict=True)]
            write_texts(folder, split, texts)
        write_array(array_file(folder, f"{split}_labels"), LABELS, labels.shape, [labels])
    columns = tuple(map(Column, "xyz")) if kind == "table" else ()
    Manifest("own", "", ("a", "b", "c"), (Stamp("here", ()),), kind, columns).write(folder)
    return Dataset.open(folder)


def trained(
    folder: Path, dataset: Dataset, space: str, params: dict[str, Any], memory: int | None
) -> tuple[list[Any], list[ClassPredictions], list[str]]:
    """Train two folds; return the epochs' metrics, the predictions, and what the user is told."""
    from search.training.building import Models
    from search.training.fold import train_fold
    from search.training.fold_data import FoldData

    taken = get_space(space)
    scaled = params.pop("scaled", False)
    wanted = taken.input_for(dataset.kind)
    data = FoldData(
        space=taken,
        kind=dataset.kind,
        inputs=make_inputs(dataset, replace(wanted, scaled=True) if scaled else wanted),
        labels=np.asarray(dataset.train_labels),
        task=dataset.task,
        folds=make_folds(dataset.train_labels, folds=3, seed=0, limit_samples=200),
        confirmation_folds=None,
        folder=StudyFolder(folder),
        seed=7,
        objectives=("macro_f1",),
        models=Models(taken, None, expected={}, seed=7),
        memory=memory,
    )
    records: list[Any] = []

    def keep(record: Any) -> Any:
        records.append(record)
        return GO_ON

    complete = taken.complete({}) | {"epochs": 3, "batch_size": 16} | params
    for fold in (1, 2):
        train_fold(data, FoldTask(0, complete, fold), keep)
    ends = [record for record in records if isinstance(record, FoldEnded)]
    assert len(ends) == 2, records[-1]
    return (
        [record.metrics for record in records if isinstance(record, EpochEnded)],
        [ClassPredictions.load(folder / end.predictions) for end in ends],
        [record.text for record in records if isinstance(record, Notice)],
    )


CASES = {
    "pixels of one byte": ("image", "cnn", {}),
    "moved images": (
        "image",
        "lenet",
        {"augmentation": True, "shift": 0.2, "rotation": 15.0, "zoom": 0.1, "flip": True},
    ),
    "scaled pixels, early stopping": (
        "image",
        "mlp",
        {"scaled": True, "early_stopping": True, "patience": 1, "epochs": 5},
    ),
    "a table, plateaus": (
        "table",
        "mlp",
        {"schedule": "plateau", "class_weights": True, "batch_size": 8},
    ),
    "texts without padding": ("text", "bilstm", {}),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_scores_are_the_same_to_the_last_bit_whether_samples_fit_in_memory_or_not(case, tmp_path):
    kind, space, params = CASES[case]
    dataset = made(tmp_path, kind)
    held, read = (
        trained(tmp_path / name, dataset, space, dict(params), memory)
        for name, memory in (("held", 10**10), ("read", TINY[kind]))
    )
    assert held[0] == read[0]
    assert len(held[0]) >= 6
    for one, other in zip(held[1], read[1], strict=True):
        assert np.array_equal(one.confidence, other.confidence)
        assert np.array_equal(one.truth, other.truth)
    assert not any("read from disk" in text for text in held[2])
    assert any("read from disk" in text for text in read[2])


@pytest.mark.slow
def test_the_batches_of_an_epoch_come_in_chunks_of_bounded_size(tmp_path):
    from search.training.batches import shuffled
    from search.training.streaming import Streamed

    dataset = made(tmp_path, "image")
    source = make_inputs(dataset, ImageInput())
    indices = np.arange(10, 210)
    samples = Streamed(source, source.learn(indices, {}), indices, chunk_bytes=20 * 12 * 12 * 3)
    batches = shuffled(np.arange(5, 190), batch_size=8, seed=1, epoch=0)
    chunks = list(samples.chunks(batches))
    assert len(chunks) > 8
    assert max(len(chunk.inputs) for chunk in chunks) == 16  # two whole batches
    seen = [
        chunk.inputs.numpy()[chunk.batches.order[start:end]]
        for chunk in chunks
        for start, end in zip(chunk.batches.ends[:-1], chunk.batches.ends[1:], strict=True)
    ]
    wanted = np.asarray(dataset.train_images)[10:210]
    assert len(seen) == len(batches)
    for batch, (start, end) in zip(
        seen, zip(batches.ends[:-1], batches.ends[1:], strict=True), strict=True
    ):
        assert np.array_equal(batch, wanted[batches.order[start:end]])


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(), (3,), (40, 50, 3)])
@pytest.mark.parametrize("seed", range(3))
def test_rows_read_from_a_file_are_those_of_the_array(shape, seed, tmp_path):
    random = np.random.default_rng(seed)
    values = random.integers(0, 255, (3_000, *shape)).astype(np.uint16)
    write_array(tmp_path / "values.npy", values.dtype, values.shape, [values])
    mapped = map_array(tmp_path / "values.npy")
    for indices in (
        random.permutation(3_000),
        random.integers(0, 3_000, 50),
        np.arange(1_000, 1_100),
        np.array([2_999, 0, 0]),
        np.array([], np.int64),
    ):
        assert np.array_equal(rows_of(mapped, indices), values[indices])
        assert np.array_equal(
            rows_of(mapped[5:], indices[indices < 2_995]), values[5:][indices[indices < 2_995]]
        )
    with pytest.raises(IndexError, match="rows must lie within 0 to 2999"):
        rows_of(mapped, np.array([3_000]))


def test_data_fit_where_two_of_them_leave_room_for_the_rest():
    assert fits(100_000_000, 500_000_000)
    assert not fits(200_000_000, 500_000_000)
    assert fits(3_000_000_000, 9_000_000_000)
    assert not fits(3_500_000_000, 9_000_000_000)


def test_scaled_images_are_encoded_alike_at_once_and_in_pieces(tmp_path):
    encoder = ImageEncoder((12, 12, 3), (12, 12, 3), scaled=True)
    images = np.random.default_rng(0).integers(0, 256, (9, 12, 12, 3)).astype(np.uint8)
    assert np.array_equal(encoder.scale(images)[4:], encoder.scale(images[4:]))

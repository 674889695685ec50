"""Arrays of numbers of three axes: images or sequences."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from search.data import Dataset, Reading, load
from search.data.arrays import array_file, digest_of
from search.data.encoders import SequenceEncoder, encoder_from_json
from search.data.formats.memory import Given
from search.data.inputs import data_spec, make_inputs, spec_of
from search.data.ranges import FRACTIONS, WHOLE, PixelRange
from search.data.sources import bring
from search.errors import DataError, SettingsError
from spaces import SequenceInput, Space

CHANCE = np.random.default_rng(0)
LABELS = np.arange(30) % 2
SERIES = 20 + 0.4 * CHANCE.normal(size=(30, 12, 2))
FRAMES = CHANCE.integers(0, 256, (30, 8, 8), np.uint8)


def read(
    tmp_path: Path, array: Any, *, kind: str | None = None, python: bool = False, test: Any = None
) -> tuple[Dataset, list[str]]:
    told: list[str] = []
    reading, home = Reading(kind=kind), tmp_path / "home"
    if python:
        given = Given.of((array, LABELS), test=None if test is None else (test, LABELS))
        dataset = bring(given, home=home, reading=reading)
        return dataset, list(dataset.notices)
    arrays = {"x": array, "y": LABELS}
    if test is not None:
        arrays = {"x_train": array, "y_train": LABELS, "x_test": test, "y_test": LABELS}
    np.savez(tmp_path / "own.npz", **arrays)
    found = load(f"npz:{tmp_path / 'own.npz'}", home=home, reading=reading, notify=told.append)
    return found, told[1:]


def fault(tmp_path: Path, array: Any, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        read(tmp_path, array, **options)
    return str(caught.value)


@pytest.mark.parametrize("python", [False, True])
@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (SERIES, "sequence"),
        (SERIES - 20, "sequence"),
        (SERIES.astype(np.float16), "sequence"),
        ((SERIES - SERIES.min()) / np.ptp(SERIES), "sequence"),  # 12 x 2: long and thin
        (CHANCE.random((30, 40, 5)), "sequence"),
        (CHANCE.normal(size=(30, 8, 8)), "sequence"),
        ((SERIES * 1000).astype(np.int32), "sequence"),
        (FRAMES, "image"),
        (FRAMES > 99, "image"),
        (FRAMES.astype(np.int32), "image"),
        (FRAMES.astype(np.float32), "image"),
        (FRAMES / 255, "image"),
        ((FRAMES / 255).astype(np.float32), "image"),
    ],
)
def test_an_array_of_three_axes_shows_what_it_holds(
    tmp_path: Path, array: Any, kind: str, python: bool
) -> None:
    dataset, told = read(tmp_path, array, python=python)
    assert dataset.kind == kind
    other = "sequence" if kind == "image" else "image"
    assert any(f"`--kind {other}`" in notice for notice in told) == (array.dtype.kind in "if")


@pytest.mark.parametrize("python", [False, True])
@pytest.mark.parametrize("array", [FRAMES / 256, FRAMES.astype(np.uint16) * 16])
def test_what_may_be_both_is_asked_for(tmp_path: Path, array: Any, python: bool) -> None:
    message = fault(tmp_path, array, python=python)
    assert "Say it with `--kind image` or `--kind sequence`" in message
    as_image, _ = read(tmp_path, array, kind="image", python=python)
    assert as_image.train_samples.shape[1:] == (8, 8, 1)
    as_sequence, told = read(tmp_path, array, kind="sequence", python=python)
    assert as_sequence.kind == "sequence"
    assert not any("--kind" in notice for notice in told)


def test_rows_may_be_sequences_of_one_feature(tmp_path: Path) -> None:
    dataset, _ = read(tmp_path, SERIES[..., 0], kind="sequence")
    assert (dataset.kind, dataset.train_samples.shape[1:]) == ("sequence", (12, 1))


@pytest.mark.parametrize(
    ("array", "kind"), [(SERIES[..., 0], "image"), (FRAMES[..., None], "sequence")]
)
def test_a_kind_that_does_not_fit_is_refused(tmp_path: Path, array: Any, kind: str) -> None:
    assert f"`--kind {kind}` is for arrays" in fault(tmp_path, array, kind=kind)


def test_a_kind_is_for_arrays(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="`--kind` is for data from npz:"):
        load(f"csv:{tmp_path}/x.csv", home=tmp_path, reading=Reading(kind="image"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_missing_values_are_refused_with_their_place(tmp_path: Path, value: float) -> None:
    array = SERIES.copy()
    array[4, 7, 1] = value
    assert f"must hold finite numbers; [4, 7, 1] is {value}" in fault(tmp_path, array)


def test_test_sequences_are_read_like_the_training_sequences(tmp_path: Path) -> None:
    whole = np.round(SERIES)  # alone they would be images
    dataset, _ = read(tmp_path, SERIES, test=whole)
    assert np.array_equal(dataset.open_test()[0], whole)
    assert "has sequences of shape (12, 2); got sequences of shape (11, 2)" in fault(
        tmp_path, SERIES, test=whole[:, 1:]
    )


def test_values_far_from_zero_keep_their_digits(tmp_path: Path) -> None:
    seconds = SERIES.copy()
    seconds[..., 1] = 1_700_000_000 + np.arange(12)
    assert np.array_equal(
        np.unique(read(tmp_path, seconds)[0].train_samples[..., 1]), 1_700_000_000 + np.arange(12.0)
    )
    assert read(tmp_path, SERIES)[0].train_samples.dtype == np.float32


@pytest.mark.parametrize("python", [False, True])
@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (FRAMES[..., None].astype(np.uint16) * 16, PixelRange(0, 4095, WHOLE)),
        (FRAMES[..., None].astype(np.int16) - 1000, None),
        (FRAMES[..., None] / 250, None),
        (FRAMES[..., None] / 127.5 - 1, PixelRange(-1, 1, FRACTIONS)),
    ],
)
def test_images_get_the_range_of_their_training_part(
    tmp_path: Path, array: Any, expected: PixelRange | None, python: bool
) -> None:
    dataset, told = read(tmp_path, array, python=python)
    found = dataset.pixel_range
    assert found is not None
    if expected is not None:
        assert found == expected
    shares = (array.astype(float) - found.low) / (found.high - found.low)
    stored = np.concatenate([dataset.train_images, dataset.open_test()[0]])
    assert sorted(stored.ravel()) == sorted(np.rint(255 * shares.clip(0, 1)).astype(int).ravel())
    assert any("white (255)" in notice for notice in told)


@pytest.mark.parametrize("python", [False, True])
def test_images_that_are_held_out_have_no_say_in_the_range(tmp_path: Path, python: bool) -> None:
    images = 1000 * np.arange(1, 31, dtype=np.uint16).repeat(16).reshape(30, 4, 4, 1)
    dataset, _ = read(tmp_path, images, python=python)
    ranged, dark = dataset.pixel_range, dataset.open_test()[0][0]
    assert ranged is not None
    held = round(float(ranged.values(dark).flat[0]) / 1000) - 1
    told: list[str] = []
    for number in (held, (held + 2) % 30):
        (tmp_path / str(number)).mkdir(exist_ok=True)
        bright = images.copy()
        bright[number] = 60_000
        found, told = read(tmp_path / str(number), bright, python=python)
        is_held = found.pixel_range == ranged
        assert is_held == any("of 96 values are not within" in notice for notice in told)
        assert is_held or found.pixel_range == PixelRange(0, 65_535, WHOLE)
        assert is_held or number != held


@pytest.mark.parametrize("python", [False, True])
def test_test_values_beyond_the_range_are_counted(tmp_path: Path, python: bool) -> None:
    train = np.full((30, 4, 4, 1), 3000, np.uint16)
    test = np.full((30, 4, 4, 1), 4096, np.uint16)
    test[0] = 10
    told = read(tmp_path, train, test=test, python=python)[1]
    assert any(
        "464 of 480 values are not within the training part's 0 to 4095" in one for one in told
    )


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (FRAMES, FRAMES / 255),
        (FRAMES / 255, FRAMES),
        (FRAMES.astype(float), FRAMES / 255),
        (FRAMES, FRAMES.astype(int) * 2),
        (FRAMES, FRAMES.astype(int) - 9),
    ],
)
def test_test_images_on_another_scale_are_refused(tmp_path: Path, train: Any, test: Any) -> None:
    message = fault(tmp_path, train[..., None], test=test[..., None])
    assert "must hold images on the scale of" in message


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_feature_is_standardised_over_all_steps_of_the_training_part(dtype: Any) -> None:
    chance = np.random.default_rng(1)
    series = (chance.normal(size=(40, 9, 3)) * (1, 1e3, 1e-3) + (20, -5e4, 3)).astype(dtype)
    train = np.arange(0, 40, 2)
    encoder = SequenceEncoder.fitted(series, train)
    scaler = StandardScaler().fit(series[train].reshape(-1, 3).astype(np.float64))
    np.testing.assert_allclose(encoder.means, scaler.mean_, rtol=1e-12)
    np.testing.assert_allclose(encoder.deviations, scaler.scale_, rtol=1e-9)
    expected = scaler.transform(series.reshape(-1, 3).astype(np.float64)).reshape(40, 9, 3)
    encoded = encoder.encode(series)
    assert encoded.dtype == np.float32
    np.testing.assert_allclose(encoded, expected, atol=1e-6)
    assert encoder_from_json(encoder.to_json()) == encoder


def test_a_block_at_a_time_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = SequenceEncoder.fitted(SERIES, np.arange(30))
    encoded = whole.encode(SERIES)
    monkeypatch.setattr("search.data.encoders.BLOCK_BYTES", 8 * 12 * 2 * 7)
    parts = SequenceEncoder.fitted(SERIES, np.arange(30))
    np.testing.assert_allclose(parts.means, whole.means, rtol=1e-14)
    np.testing.assert_allclose(parts.deviations, whole.deviations, rtol=1e-12)
    np.testing.assert_array_equal(whole.encode(SERIES), encoded)


def test_a_feature_that_never_changes_becomes_zero() -> None:
    series = np.full((1000, 7, 2), 0.1)
    series[..., 1] = CHANCE.normal(size=(1000, 7))
    encoded = SequenceEncoder.fitted(series, np.arange(1000)).encode(series)
    assert set(encoded[..., 0].ravel()) == {0.0}


def test_moments_keep_their_digits_far_from_zero() -> None:
    series = 1e9 + np.arange(40.0).reshape(10, 4, 1)
    encoder = SequenceEncoder.fitted(series, np.arange(10))
    np.testing.assert_allclose(encoder.means, [1e9 + 19.5], rtol=1e-15)
    np.testing.assert_allclose(encoder.deviations, [np.arange(40).std()], rtol=1e-12)


def test_masks_that_an_earlier_version_read_stay_with_the_studies_that_began_with_them(
    tmp_path: Path,
) -> None:
    masks, home = (FRAMES > 99).astype(np.uint8), tmp_path / "home"
    dataset, _ = read(tmp_path, masks)
    assert dataset.train_samples.max() == 255
    # As it was written: pixels 0 and 1, no range, the first format.
    old = home / "datasets" / "npz-old"
    dataset.folder.rename(old)
    for split in ("train", "test"):
        path = array_file(old, f"{split}_images")
        np.save(path, (np.load(path) > 0).astype(np.uint8))
    meta = json.loads((old / "meta.json").read_text())
    digest = digest_of(old, "image")
    del meta["pixel_range"]
    (old / "meta.json").write_text(json.dumps(meta | {"format": 1, "digest": digest}))
    stem = dataset.folder.name.rpartition("-")[0]
    old.rename(old.with_name(f"{stem}-{digest[:12]}"))
    name = f"npz:{tmp_path / 'own.npz'}"
    began = load(name, home=home, digest=digest)
    assert (began.digest, began.pixel_range, began.train_samples.max()) == (digest, None, 1)
    assert load(name, home=home).digest == dataset.digest
    assert load(name, home=home, digest=digest).digest == digest


def test_a_space_declares_that_it_takes_sequences(tmp_path: Path) -> None:
    dataset, _ = read(tmp_path, SERIES)
    space = Space(
        name="own",
        build=lambda params, data: data,
        parameters=(),
        inputs=SequenceInput(),
        dataset="digits",
    )
    spec = data_spec(dataset, space)
    assert (spec.input_shape, spec.classes, spec.kind) == ((12, 2), 2, "sequence")
    inputs = make_inputs(dataset, space.input_for(dataset.kind))
    encoder = inputs.learn(np.arange(0, 20, 2), {})
    assert spec_of(encoder, dataset.kind, dataset.task) == spec
    chosen = np.array([7, 1, 2])
    expected = encoder.encode(dataset.train_samples[chosen])
    np.testing.assert_array_equal(inputs.take(encoder, chosen), expected)
    learned = dataset.train_samples[np.arange(0, 20, 2)].astype(np.float64)
    np.testing.assert_allclose(encoder.means, learned.mean(axis=(0, 1)), rtol=1e-12)

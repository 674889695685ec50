import numpy as np
import pytest
from scipy.ndimage import affine_transform

from search.training.batches import Augmentation
from tests.fakes import some_classes

pytestmark = pytest.mark.slow

SEED = np.array([1, 2])


def dot(row=4, column=4, side=9, count=200, dtype=np.uint8):
    images = np.zeros((count, side, side, 1), dtype)
    images[:, row, column] = 200
    return images


def places(images):
    return [tuple(np.argwhere(image[..., 0] == image.max())[0]) for image in np.asarray(images)]


def test_shifts_reach_their_bounds_in_all_directions_and_go_no_further():
    moved = places(Augmentation(shift=0.23).apply(dot(), SEED))
    rows, columns = {row for row, _ in moved}, {column for _, column in moved}
    assert rows == columns == {2, 3, 4, 5, 6}


def test_shifts_by_whole_pixels_keep_the_pixels():
    moved = np.asarray(Augmentation(shift=0.23).apply(dot(), SEED))
    assert set(np.unique(moved)) == {0, 200}
    assert moved.dtype == np.uint8


def test_flips_mirror_about_half_of_the_images_left_to_right():
    moved = places(Augmentation(flip=True).apply(dot(row=2, column=1), SEED))
    assert set(moved) == {(2, 1), (2, 7)}
    assert 60 < moved.count((2, 7)) < 140


def test_rotations_turn_about_the_centre():
    turned = np.asarray(Augmentation(rotation=90.0).apply(dot(), SEED))
    assert (turned[:, 4, 4, 0] >= 199).all()  # the centre stays
    away = places(Augmentation(rotation=90.0).apply(dot(row=4, column=7), SEED))
    distances = [np.hypot(row - 4, column - 4) for row, column in away]
    assert max(distances) < 4
    assert min(distances) > 2
    assert len(set(away)) > 3


def test_zooms_change_the_distance_from_the_centre():
    moved = places(Augmentation(zoom=0.5).apply(dot(row=4, column=6), SEED))
    columns = {column for row, column in moved if row == 4}
    assert {5, 6, 7} <= columns


def test_what_comes_in_from_outside_is_the_background():
    white = np.full((50, 9, 9, 1), 255, np.uint8)
    assert np.asarray(Augmentation(shift=0.3).apply(white, SEED, 255.0)).min() == 255
    assert np.asarray(Augmentation(shift=0.3).apply(white, SEED)).min() == 0


def test_the_same_seed_moves_the_same_way():
    moves = Augmentation(shift=0.2, rotation=20.0, zoom=0.1, flip=True)
    images = dot(dtype=np.float32)
    assert np.array_equal(moves.apply(images, SEED), moves.apply(images, SEED))
    assert not np.array_equal(moves.apply(images, SEED), moves.apply(images, SEED + 1))


def moved_by_hand(image, drawn, moves, fill):
    """Move `(height, width)` about its centre with SciPy: mirrored, zoomed, turned, shifted."""
    height, width = image.shape
    angle, scale = np.deg2rad(drawn[0] * moves.rotation), 1 + drawn[1] * moves.zoom
    mirror = -1 if moves.flip and drawn[2] < 0 else 1
    shift = np.array([drawn[3] * moves.shift * height, drawn[4] * moves.shift * width])
    if not moves.rotation and not moves.zoom:
        shift = np.round(shift)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.diag([1, mirror]) / scale  # rows, columns: from output to input
    centre = np.array([(height - 1) / 2, (width - 1) / 2])
    offset = centre - matrix @ centre + shift
    return affine_transform(image, matrix, offset, order=1, mode="grid-constant", cval=fill)


@pytest.mark.parametrize(
    "moves",
    [
        Augmentation(rotation=30.0),
        Augmentation(zoom=0.4),
        Augmentation(shift=0.3),
        Augmentation(flip=True),
        Augmentation(shift=0.2, rotation=15.0),
        Augmentation(shift=0.2, zoom=0.1),
        Augmentation(shift=0.3, rotation=180.0, zoom=0.5, flip=True),
    ],
)
def test_images_are_moved_as_scipy_moves_them(moves):
    import tensorflow as tf

    images = np.random.default_rng(0).random((20, 7, 10, 2)).astype(np.float32)
    drawn = tf.random.stateless_uniform((5, 20), SEED, -1.0, 1.0).numpy().astype(float)
    moved = np.asarray(moves.apply(images, SEED, 0.25))
    assert moved.shape == images.shape
    for number, image in enumerate(images):
        for channel in (0, 1):
            expected = moved_by_hand(image[..., channel], drawn[:, number], moves, 0.25)
            np.testing.assert_allclose(moved[number, ..., channel], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"shift": 0.1}, Augmentation(shift=0.1)),
        ({"rotation": 5.0}, Augmentation(rotation=5.0)),
        ({"zoom": 0.2}, Augmentation(zoom=0.2)),
        ({"flip": True}, Augmentation(flip=True)),
        ({"shift": 0.1, "zoom": 0.2, "rotation": 3.0}, Augmentation(0.1, 3.0, 0.2, flip=False)),
        ({}, None),
        ({"shift": 0.0, "rotation": 0.0, "zoom": 0.0, "flip": False}, None),
    ],
)
def test_a_setting_moves_by_what_it_names_and_is_none_where_that_is_nothing(params, expected):
    assert Augmentation.of({"augmentation": True} | params) == expected


@pytest.mark.parametrize("params", [{}, {"augmentation": False, "shift": 0.1}, {"shift": 0.1}])
def test_augmentation_that_is_off_is_none(params):
    assert Augmentation.of(params) is None


def test_every_epoch_moves_differently_and_a_study_repeats_itself():
    import keras

    from search.training.batches import Part
    from search.training.fit import fit

    seen = []

    class Seeing(keras.Model):
        def train_step(self, data):
            seen.append(np.asarray(data[0]).sum(axis=0))
            return super().train_step(data)

    def epochs(seed):
        seen.clear()
        keras.utils.set_random_seed(1)
        inputs = keras.layers.Input((9, 9, 1))
        outputs = keras.layers.Dense(2, "softmax")(keras.layers.Flatten()(inputs))
        model = Seeing(inputs, outputs)
        model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
        part = Part(dot(count=8), np.arange(8) % 2)
        chosen = {"epochs": 2, "batch_size": 8, "augmentation": True, "shift": 0.3}
        fit(model, part, None, chosen, task=some_classes(2), seed=seed, on_epoch=lambda _: None)
        return list(seen)

    first, second = epochs(3)
    assert not np.array_equal(first, second)
    again, _ = epochs(3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, epochs(4)[0])

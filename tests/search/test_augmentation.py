import numpy as np
import pytest

from search.augmentation import Augmentation

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


@pytest.mark.parametrize("setting", [{}, {"augmentation": False, "shift": 0.1}, {"shift": 0.1}])
def test_augmentation_that_is_off_is_none(setting):
    assert Augmentation.of(setting) is None


def test_every_epoch_moves_differently_and_a_study_repeats_itself():
    import keras

    from search.feeding import Part
    from search.fit import fit

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
        fit(model, part, None, chosen, classes=2, seed=seed, on_epoch=lambda _: None)
        return list(seen)

    first, second = epochs(3)
    assert not np.array_equal(first, second)
    again, _ = epochs(3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, epochs(4)[0])

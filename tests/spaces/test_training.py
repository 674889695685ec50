"""Training choices that a space declares itself."""

import pytest

from spaces import (
    Boolean,
    Choice,
    Float,
    Int,
    SpaceError,
    as_began,
    narrow,
    without_augmentation,
    without_classes,
)
from spaces.declaring.training import with_training
from tests.fakes import toy_space


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (
            Choice("epochs", ("short", "long")),
            "must be a whole number from 1; got the choice short",
        ),
        (Float("epochs", 1.0, 5.0), "must be a whole number from 1; got the float 1..5"),
        (Int("epochs", 0, 5), "must be a whole number from 1"),
        (Boolean("batch_size"), "must be a whole number from 1; got the boolean off | on"),
        (Choice("learning_rate", ("fast", "slow")), "must be a number from 0 to inf"),
        (Float("learning_rate", -1.0, 1.0), "must be a number from 0 to inf"),
        (Float("label_smoothing", 0.0, 2.0), "must be a number from 0 to 1"),
        (Float("ema", 0.9, 0.999), "must be a number from 0 to 0.5"),
        (Choice("schedule", ("step", "cosine")), "must be one of constant, cosine, plateau"),
        (Choice("optimizer", (1, 2)), "must be the name of an optimizer"),
        (Choice("early_stopping", (True, None)), "must be off or on"),
    ],
)
def test_one_that_means_something_else_is_refused_with_the_rule(own, words):
    with pytest.raises(SpaceError) as caught:
        with_training(toy_space(own))
    assert words in str(caught.value)
    assert "or give it another name" in str(caught.value)


def test_one_that_every_trial_needs_is_always_in_use():
    made = toy_space(Boolean("long"), Int("epochs", 5, 9, when=("long", True)))
    with pytest.raises(
        SpaceError, match=r"`epochs`, .* must always be active, not only with `long`"
    ):
        with_training(made)


def test_its_own_range_wins_whatever_the_shared_one_is():
    own = (
        Int("epochs", 100, 5000),
        Choice("batch_size", (8192,)),
        Choice("optimizer", ("nadam", "adam")),
        Float("l2", 0.0, 3.0),
        Choice("early_stopping", (True, False)),
    )
    made = with_training(toy_space(*own))
    assert made.parameters[: len(own)] == own


def test_a_table_keeps_its_own_parameter_of_an_augmentations_name():
    made = without_augmentation(with_training(toy_space(Float("shift", 0.1, 0.5))))
    assert "shift" in made.names()
    assert "rotation" not in made.names()


def test_a_shared_choice_whose_parent_never_has_its_value_is_simply_idle():
    made = with_training(toy_space(Choice("optimizer", ("nadam", "adam"))))
    assert "momentum" not in made.complete({})


def test_without_classes_only_what_is_of_classes_is_gone():
    complete = with_training(toy_space())
    made = without_classes(complete)
    assert set(complete.names()) - set(made.names()) == {"label_smoothing", "class_weights"}
    own = without_classes(with_training(toy_space(Float("label_smoothing", 0.0, 0.2))))
    assert "label_smoothing" in own.names()


def test_a_study_of_an_earlier_version_goes_on_without_what_came_later():
    now = with_training(toy_space())
    assert as_began(now, now.names()).names() == now.names()
    before = [name for name in now.names() if name != "ema"]
    assert list(as_began(now, before).names()) == before
    own = with_training(toy_space(Float("ema", 0.0, 0.2)))
    assert "ema" in as_began(own, ["ema"]).names()


def test_a_momentum_in_place_of_a_fraction_is_refused():
    with pytest.raises(SpaceError, match=r"`--set ema`: .*0\.\.0\.5; got 0\.999"):
        narrow(with_training(toy_space()), {"ema": "0.999"})

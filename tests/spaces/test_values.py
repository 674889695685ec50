"""Values as text and back, and which of them are the same."""

import json
from enum import IntEnum, StrEnum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces import Boolean, Choice, Float, Int, Space, SpaceError, narrow, same, value_text
from spaces.declaring.values import key, split
from tests.fakes import toy_space

AWKWARD = [0, False, 0.0, 1, True, 1.0, "0", "1", "1.0", None, "None", "none", "True", "on", "off"]
AWKWARD += ["yes", "a,b", '"', '"a"', "a=b", "a:b", "1:3", " a", "a ", "", "\\", 'a"b', "(1, 3)"]
AWKWARD += [(1, 3), (1.0, 3), ("1", 3), (), (1,), ((1, 3), "a,b"), (None, True), "a | b", "nan"]
AWKWARD += ["a\nb", "1_000", 0.1 + 0.2, 1e-300, -0.5, 10**30]

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
    | st.sampled_from([value for value in AWKWARD if isinstance(value, str)])
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=4)
CHOICES = st.lists(VALUES | st.sampled_from(AWKWARD), min_size=1, max_size=6, unique_by=key)


def space(values: list) -> Space:
    return toy_space(Choice("x", tuple(values)), Int("epochs", 1, 9, fixed=True))


@pytest.mark.slow
@given(CHOICES)
def test_what_is_printed_of_a_choice_is_what_set_takes(values):
    for value in values:
        narrowed = narrow(space(values), {"x": value_text(value)}).space["x"]
        assert narrowed.fixed
        assert same(narrowed.default, value)
    narrowed = narrow(space(values), {"x": ",".join(map(value_text, values))}).space["x"]
    assert len(narrowed.grid()) == len(values)
    assert all(map(same, narrowed.grid(), values))


@pytest.mark.slow
@given(st.lists(VALUES, max_size=5))
def test_values_between_commas_are_told_apart_whatever_they_hold(values):
    texts = [value_text(value) for value in values] or [""]
    assert split(", ".join(texts)) == texts


@pytest.mark.slow
@given(CHOICES)
def test_values_that_python_holds_equal_are_different_choices(values):
    choice = Choice("x", tuple(values))
    for value in AWKWARD:
        assert choice.contains(value) == any(same(value, known) for known in values)
    assert len({value_text(value) for value in values}) == len(values)


def test_the_awkward_values_are_all_different():
    assert len(Choice("x", tuple(AWKWARD)).grid()) == len(AWKWARD) == len(set(map(key, AWKWARD)))


@pytest.mark.parametrize("values", [(1, 2, 1), ("a", "a"), ((1, 3), (1, 3)), (None, None)])
def test_a_value_that_stands_twice_is_refused_by_name(values):
    with pytest.raises(SpaceError, match=r"occurs twice in .*; name each value once"):
        Choice("x", values)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([1, 3], r"must be a tuple, \(1, 3\); got the list \[1, 3\]"),
        (float("nan"), "must be finite; got nan"),
        (float("inf"), "must be finite; got inf"),
        ({"a": 1}, "Give it a name, and let `build` translate the name"),
        (dict, "Give it a name"),
        (((1, [2]), 3), "must be a tuple"),
        ("\ud800", "must hold whole characters"),
    ],
)
def test_what_is_no_value_is_refused_with_the_way_out(value, words):
    with pytest.raises(SpaceError, match=words):
        Choice("x", (value, 1))


def test_numbers_of_numpy_and_of_enumerations_become_plain_ones():
    class Size(IntEnum):
        SMALL = 3

    class Mode(StrEnum):
        FAST = "fast"

    given_ = (np.int64(1), np.float32(0.5), np.bool_(True), np.str_("a"), Size.SMALL, Mode.FAST)
    values = Choice("x", given_).grid()
    assert [type(value) for value in values] == [int, float, bool, str, int, str]
    assert json.loads(json.dumps(values)) == [1, 0.5, True, "a", 3, "fast"]


def test_none_may_be_the_default_and_is_not_taken_for_a_default_that_is_missing():
    assert Choice("x", ("relu", None)).default == "relu"
    assert Choice("x", ("relu", None), default=None).default is None
    assert narrow(space([None, "relu"]), {"x": "relu"}).space["x"].default == "relu"


@pytest.mark.parametrize(
    ("values", "text", "meant"),
    [
        ((None, "relu"), "None", None),
        ((None, "relu"), "none", None),
        (("None", "relu"), "None", "None"),
        ((None, "none"), "none", "none"),
        ((0.001, 0.01), "1e-3", 0.001),
        ((0.0, 0.5), "0", 0.0),
        ((0, 0.0, False), "0", 0),
        ((0, 0.0, False), "0.0", 0.0),
        ((0, 0.0, False), "off", False),
        ((True, False), "True", True),
        (("on", "off"), "on", "on"),
        (("a:b", "1:3"), "1:3", "1:3"),
        (("a\\b", "c"), "a\\b", "a\\b"),
        (("3", "5"), "3", "3"),
        ((3, "3"), "3", 3),
        ((3, "3"), '"3"', "3"),
        (((1, 3), (3, 3)), "(1,3)", (1, 3)),
        ((1 / 3, 0.5), "0.333333", 1 / 3),
    ],
)
def test_a_bare_word_means_the_value_it_reads_as_where_there_is_one(values, text, meant):
    assert same(narrow(space([*values]), {"x": text}).space["x"].default, meant)


@pytest.mark.parametrize(
    ("values", "text", "words"),
    [
        (("a,b", "c"), "a,b", 'got a .*in double quotes, as in "a,b"'),
        ((3, 5), '"3"', 'within 3 | 5; got "3"'),
        ((True, False), "1", "within on | off; got 1"),
        ((0.0, 0, 1), "0.5", "got 0.5"),
        (("a,b", "c"), '"a,b', "do not end"),
        (("a,b", "c"), '"a,b"c', "must be a comma after"),
        (("a", "b"), "a:b", "a choice has no range"),
        (("a", "b"), "", "got nothing"),
        (("a", "b"), '"\\a"', "backslash"),
    ],
)
def test_a_text_that_is_no_value_is_refused_with_the_rule_of_quoting(values, text, words):
    with pytest.raises(SpaceError, match=words):
        narrow(space([*values]), {"x": text})


def test_lists_of_texts_and_tuples_narrow_numbers_and_switches_too():
    wide = toy_space(Int("n", 1, 64), Float("r", 0.0, 1.0), Boolean("b"))
    narrowed = narrow(wide, {"n": '"16","32"', "r": "(0.25, 0.5)", "b": "on, off"}).space
    assert [narrowed[name].grid() for name in "nrb"] == [(16, 32), (0.25, 0.5), (True, False)]


class TestConditions:
    def test_a_tuple_that_the_earlier_parameter_has_is_one_value(self):
        made = toy_space(
            Choice("kernel", ((1, 3), (3, 3))),
            Int("one", 1, 2, when=("kernel", (1, 3))),
            Int("two", 1, 2, when=("kernel", ((1, 3), (3, 3)))),
        )
        assert "one" in made.complete({"kernel": (1, 3)})
        assert "one" not in made.complete({"kernel": (3, 3)})
        assert "two" in made.complete({"kernel": (3, 3)})
        narrowed = narrow(made, {"kernel": "(3, 3)"}).space
        assert "one" not in narrowed.complete({})

    def test_a_condition_knows_equal_values_apart(self):
        made = toy_space(
            Choice("x", (0, False, None, "None")),
            *(Int(f"n{place}", 1, 2, when=("x", v)) for place, v in enumerate((0, False, None))),
        )
        used = [[*made.complete({"x": value})][1:] for value in (0, False, None, "None")]
        assert used == [["n0"], ["n1"], ["n2"], []]

    def test_a_number_means_the_equal_one_where_there_is_one(self):
        made = toy_space(
            Choice("c", (0.0, 0.5)),
            Float("f", 0.0, 1.0, step=0.5),
            Int("n", 1, 2, when=("c", 0)),
            Int("m", 1, 2, when=("f", 1)),
        )
        assert {"n", "m"} < {*made.complete({"c": 0.0, "f": 1})}

    def test_a_tuple_that_may_be_one_value_or_two_is_refused(self):
        with pytest.raises(SpaceError, match=r"write \(\(1, 3\),\) for the tuple"):
            toy_space(Choice("x", (1, 3, (1, 3))), Int("n", 1, 2, when=("x", (1, 3))))

    def test_a_value_that_the_earlier_parameter_cannot_have_is_refused(self):
        made = toy_space(Choice("x", ("a", "b")), Int("n", 1, 2, when=("x", "c")))
        with pytest.raises(SpaceError, match=r"`n` depends on `x` being c, .* within a \| b"):
            made.check_conditions()


def test_a_grid_has_each_of_several_equal_values():
    settings = [*space([0, False, 0.0, None, (1, 3)]).grid()]
    assert [type(params["x"]) for params in settings] == [int, bool, float, type(None), tuple]


def test_of_a_real_range_zero_and_zero_point_zero_are_one_value():
    made = toy_space(Float("r", 0.0, 1.0))
    assert made.identity({"r": 0}) == made.identity({"r": 0.0}) != made.identity({"r": 1})
    assert type(made.complete({"r": 0})["r"]) is float

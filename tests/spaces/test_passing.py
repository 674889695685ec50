"""Spaces, hypermodels and functions that are passed as objects."""

import functools
import json
import pickle
import re
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest

from spaces import DataSpec, SpaceError, get_space, passed_as, reference_to, run_anew
from spaces import code_of as space_code
from spaces.lenet import SPACE as LENET
from tests.spaces import passed_space
from tracking.provenance import code_changes

FACTOR = 3
UNUSED = 1


def scaled(hp, offset=0):
    return FACTOR * hp + offset


def adding(amount):
    return lambda hp: scaled(hp) + amount


class Counter:
    count = 0

    def build(self, hp):
        type(self).count += 1
        return type(self).count


def quiet(text):
    raise AssertionError(text)


def code(found):
    return dict(passed_as(reference_to(found, quiet)).code)


def loaded(found):
    """Return an object as another process gets it."""
    passed = passed_as(reference_to(found, quiet))
    return pickle.loads(pickle.dumps(passed)).load()  # noqa: S301 # our own


@pytest.mark.parametrize("shape", passed_space.SHAPES)
def test_every_shape_of_a_function_gets_to_another_process_as_it_is(shape):
    class Hp:
        def Choice(self, name, values):  # noqa: N802 # KerasTuner's name
            return values[-1]

    found = loaded(passed_space.SHAPES[shape])
    built = getattr(found, "build", found)(Hp())
    assert built.layers[0].units == 16


def test_objects_get_readable_references():
    def shown(found):
        return reference_to(found, quiet)

    file = "(test_passing.py)"
    assert shown(scaled) == f"a function passed from Python: scaled {file}"
    assert shown(adding(1)) == f"a function passed from Python: lambda {file}"
    assert shown(functools.partial(scaled, offset=1)).endswith(f": scaled {file}")
    hypermodel = shown(passed_space.SHAPES["hypermodel"])
    assert hypermodel == "a hypermodel passed from Python: Model (passed_space.py)"
    assert shown(replace(LENET, name="mine")) == "a space passed from Python: mine"
    assert shown(LENET) == "lenet"
    assert shown("file.py:build") == "file.py:build"


def test_each_run_gets_functions_and_classes_that_no_other_has_touched():
    found = [loaded(Counter().build) for _ in range(2)]
    assert [one(None) for one in found] == [1, 1]
    assert found[0](None) == 2
    assert Counter.count == 0


def test_what_a_function_refers_to_is_what_it_is_when_it_is_passed(monkeypatch):
    monkeypatch.setitem(globals(), "FACTOR", 7)
    assert loaded(scaled)(2) == 14


@pytest.mark.slow
def test_a_space_object_has_its_parameters_and_builds_by_its_own_function():
    mine = replace(LENET, name="mine", build=lambda params, data: ("mine", data.classes))
    reference = reference_to(mine, quiet)
    space = get_space(reference)
    assert space.name == "mine"
    assert set(LENET.names()) <= set(space.names())
    with run_anew(space, space_code(reference)) as anew:
        assert anew.build({}, DataSpec((8, 8, 1), 5)) == ("mine", 5)


@pytest.mark.parametrize("changed", [("FACTOR", 4), ("scaled", lambda hp, offset=0: hp)])
def test_the_fingerprint_knows_what_a_function_refers_to(monkeypatch, changed):
    before = code(adding(1))
    assert code(adding(1)) == before
    monkeypatch.setitem(globals(), *changed)
    assert any(changed[0] in phrase for phrase in code_changes(before, code(adding(1))))


def test_what_a_function_does_not_refer_to_is_no_part_of_it(monkeypatch):
    before = code(adding(1))
    monkeypatch.setitem(globals(), "UNUSED", 2)
    assert code(adding(1)) == before


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (adding(1), adding(2)),
        (adding(np.zeros(3)), adding(np.ones(3))),
        (adding([1, {"a": 2}]), adding([1, {"a": 3}])),
        (functools.partial(scaled, offset=1), functools.partial(scaled, offset=2)),
        (passed_space.Model([8]), passed_space.Model([9])),
        (replace(LENET, name="x", baselines={}), replace(LENET, name="x")),
    ],
)
def test_other_values_are_other_code(one, other):
    assert code_changes(code(one), code(other))


def function_of(source):
    namespace = {"__name__": "__main__"}
    exec(compile(source, "<a cell>", "exec"), namespace)  # noqa: S102 # as a notebook does
    return namespace["build"]


def test_comments_and_layout_are_no_other_code():
    plain = function_of("def build(hp):\n    return hp + 1\n")
    same = function_of("# a comment\n\ndef build(hp):  # more\n    return (hp +\n            1)\n")
    other = function_of("def build(hp):\n    return hp + 2\n")
    assert not code_changes(code(plain), code(same))
    assert code_changes(code(plain), code(other))


FINGERPRINTS = """
import json
from spaces import passed_as, reference_to
from tests.spaces.passed_space import SHAPES, LABELS
names = {"x", "y", "zebra", "apple", "more"}
def sets(hp):
    return names, LABELS
shapes = {**SHAPES, "sets": sets}
found = {name: passed_as(reference_to(made, print)).code for name, made in shapes.items()}
print(json.dumps(found, sort_keys=True))
"""


@pytest.mark.slow
def test_a_fingerprint_is_the_same_in_every_process():
    said = [
        subprocess.run(
            [sys.executable, "-c", FINGERPRINTS],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
        ).stdout
        for seed in ("1", "2")
    ]
    assert said[0] == said[1]
    assert set(json.loads(said[0])) == {*passed_space.SHAPES, "sets"}


LOCK = threading.Lock()


def locked(hp):
    with LOCK:
        return hp


def test_what_cannot_be_sent_is_named(tmp_path):
    with pytest.raises(SpaceError, match="`LOCK`, to which it refers, cannot be: TypeError"):
        reference_to(locked, quiet)
    with (tmp_path / "file").open("w") as opened:

        def reading(hp):
            return opened.name

        with pytest.raises(SpaceError, match="`opened`, to which it refers, cannot be"):
            reference_to(reading, quiet)


def test_data_that_a_function_refers_to_are_told_by_name():
    pixels = np.random.default_rng(0).normal(size=2_000_000)

    def build(hp):
        return pixels.shape

    told = []
    reference_to(build, told.append)
    assert len(told) == 1
    assert told[0].startswith("build refers to 16 MB of data, most of it in `pixels`")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (5, "it is of type int"),
        (None, "it is of type NoneType"),
        (dict, "it is another class"),
        (lambda: 1, "as a function it must take one argument, hp"),
    ],
)
def test_what_is_no_space_is_refused_in_a_sentence(given, said):
    with pytest.raises(SpaceError, match=re.escape(said)):
        reference_to(given, quiet)


def test_a_reference_to_another_processes_object_says_what_to_do():
    with pytest.raises(SpaceError, match="exists only in the Python process it was passed in"):
        get_space("a function passed from Python: nobody (<cell>)")


@pytest.mark.slow
def test_parameters_of_a_passed_function_are_found_in_a_process_of_its_own(tmp_path):
    reference = reference_to(passed_space.build, quiet)
    told = []
    data = DataSpec((4,), 2, "table")
    space = get_space(reference, data, cache=tmp_path, notify=told.append)
    assert space.name == "build"
    assert space.summary == "A model with one hidden layer."
    assert space["units"].values == (8, 16)
    again = get_space(reference, data, cache=tmp_path, notify=quiet)  # from the cache
    assert again.names() == space.names()


def test_a_function_of_an_instance_is_the_same_code_when_it_is_passed_again():
    class Held:
        def build(self, hp):
            return hp

    made = Held()
    first = code(made.build)
    assert code(made.build) == first  # Python has kept something on the class meanwhile

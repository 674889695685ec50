"""Spaces, hypermodels and build functions that are passed as Python objects.

Such an object goes to worker processes by value, as it is now, with the functions, classes and
values of the user's own that it refers to. Its fingerprint is made of the same parts.
"""

import dis
import functools
import hashlib
import inspect
import io
import json
import linecache
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from spaces.declaring.callbacks import OF_CALLBACKS, check_path
from spaces.declaring.fingerprint import imports_fingerprint
from spaces.declaring.importing import PASSED, Passed, adopt, cause_of, is_own
from spaces.declaring.parameters import SpaceError
from spaces.declaring.space import Space
from spaces.keras_tuner.hypermodel import check

LARGE, LARGEST = 10_000_000, 2_000_000_000  # bytes of what is sent to each worker
# Attributes of classes that are not written by their author; the last comes with the first pickle.
_OF_PYTHON = ("__dict__", "__weakref__", "__module__", "__doc__", "_abc_impl", "__slotnames__")
_LATER = ("fit", "set_by_fit", "callbacks")  # of a `Space`
_PYTHON = str(sys.version_info[:2])
_CALLED = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, functools.partial)


def pass_on(found: Any, notify: Callable[[str], None]) -> str:
    """Return the reference that stands for an object in this process and its workers.

    Args:
        found: a `Space`, a `keras_tuner.HyperModel` (class or instance) or a function `build(hp)`.
        notify: takes a notice if it is large.

    Raises:
        SpaceError: it is none of these, or cannot be sent to other processes.
    """
    is_space = isinstance(found, Space)
    kind = "a space" if is_space else "a function" if _is_function(found) else "a hypermodel"
    name = _name(found)
    if not is_space:
        check(found, f"the space ({name})")
    walk = _Walk()
    walk.add(name, found)
    place = walk.place or "<cell>"
    where = "" if is_space else f" ({shown_place(place)})"
    content = _pickled(found, name, walk)
    if len(content) > LARGE:
        _tell_of_size(name, len(content), walk, notify)
    passed = Passed(
        reference=f"{kind}{PASSED}{name}{where}",
        name=name,
        place=place,
        content=content,
        code={"files": dict(sorted(walk.parts.items())), "packages": {}},
        is_space=is_space,
        summary="" if is_space else (inspect.getdoc(found) or "").strip().partition("\n")[0],
        sources=walk.sources,
    )
    adopt(passed)
    return passed.reference


def pass_callbacks(found: Any, notify: Callable[[str], None]) -> Passed:
    """Return Keras callbacks such that other processes can make copies of them.

    Args:
        found: a list of callbacks, or a function that returns one for params.
        notify: takes a notice if they are large.

    Raises:
        SpaceError: they are none, cannot be sent to other processes, or write to the same path in
            every fold.
    """
    is_list = isinstance(found, list | tuple)
    if not is_list and not _is_function(found):
        raise SpaceError(
            "`callbacks` must be a list of keras.callbacks.Callback, or a function of params that"
            f" returns one; got a {type(found).__name__}"
        )
    for callback in found if is_list else ():
        if "Callback" not in {kind.__name__ for kind in type(callback).__mro__}:
            got = type(callback).__name__
            raise SpaceError(
                f"`callbacks` must be instances of keras.callbacks.Callback; one is of type {got}"
            )
        check_path(callback)
    walk, named = _Walk(), ", ".join(map(_name, found)) if is_list else _name(found)
    for callback in found if is_list else (found,):
        walk.add(_name(callback), callback)
    content = _pickled(list(found) if is_list else found, f"`callbacks` ({named})", walk)
    if len(content) > LARGE:
        _tell_of_size(named, len(content), walk, notify)
    parts = {f"{OF_CALLBACKS}{label}": part for label, part in sorted(walk.parts.items())}
    return Passed(
        reference=f"callbacks{PASSED}{named}",
        name=named,
        place=walk.place or "<cell>",
        content=content,
        code={"files": parts, "packages": {}},
        is_space=False,
        summary="",
        sources=walk.sources,
    )


def shown_place(place: str) -> str:
    """Return the name of a file, or `<cell>` for a cell of a notebook."""
    path = Path(place)
    is_cell = place.startswith("<ipython") or path.parent.name.startswith("ipykernel_")
    return "<cell>" if is_cell else path.name


def _is_function(found: Any) -> bool:
    return isinstance(found, _CALLED)


def _name(found: Any) -> str:
    while isinstance(found, functools.partial):
        found = found.func
    if isinstance(found, Space):
        return found.name
    name = str(getattr(found, "__name__", type(found).__name__))
    return "lambda" if name == "<lambda>" else name


def _tell_of_size(name: str, size: int, walk: "_Walk", notify: Callable[[str], None]) -> None:
    largest = max(walk.values, key=lambda entry: _bytes_of(entry[1]), default=None)
    what = (
        f", most of it in `{largest[0]}`" if largest and _bytes_of(largest[1]) > LARGE // 2 else ""
    )
    if size > LARGEST:
        raise SpaceError(
            f"{name} refers to {size / 1e9:.1f} GB of data{what}, too much to send to workers; let"
            " it refer to what it needs of them alone, such as their shape"
        )
    notify(
        f"{name} refers to {size / 1e6:.0f} MB of data{what}, which are sent to every worker and"
        " unpacked for every model; let it refer to what it needs of them alone, such as their"
        " shape"
    )


def _bytes_of(value: Any) -> int:
    return int(
        getattr(value, "nbytes", 0) if not hasattr(value, "memory_usage") else sys.getsizeof(value)
    )


def _pickled(found: Any, name: str, walk: "_Walk") -> bytes:
    try:
        return _dumped(found, named=True)
    except Exception as error:  # objects decide for themselves how they are pickled
        culprit = next((label for label, value in walk.values if not _can_be_sent(value)), "")
        what = f"`{culprit}`, to which it refers," if culprit else "it"
        raise SpaceError(
            f"{name} must be sent to worker processes; {what} cannot be: {cause_of(error)}. Make it"
            " within the function, or put the code into a file and name that: space='FILE.py:NAME'"
        ) from error


def _can_be_sent(value: Any) -> bool:
    try:
        _dumped(value)
    except Exception:  # noqa: BLE001 # as above
        return False
    return True


def _dumped(value: Any, *, named: bool = False) -> bytes:
    """Return a value pickled so that each unpickling gives new functions and classes.

    Args:
        value: refers to the user's own modules, which are pickled by value, too.
        named: with the names that Keras knows the classes by, as `Passed.load` takes it.
    """
    import cloudpickle
    from cloudpickle import cloudpickle as details

    registered: dict[str, Any] = {}

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc] # it has no types
        def reducer_override(self, obj: Any) -> Any:
            reduced = super().reducer_override(obj)
            if not isinstance(reduced, tuple):
                return reduced
            # Without its number, a class is made anew instead of looked up among those there are.
            if reduced[0] in (details._make_skeleton_class, details._make_skeleton_enum):
                *given, _, extra = reduced[1]
                reduced = (reduced[0], (*given, None, extra), *reduced[2:])
            if isinstance(obj, type | types.FunctionType) and (known := _registered_name(obj)):
                registered[known] = obj
            return reduced

    with _own_by_value():
        file = io.BytesIO()
        if not named:
            Pickler(file).dump(value)
            return file.getvalue()
        Pickler(file).dump((value, {}))
        if not registered:
            return file.getvalue()
        file = io.BytesIO()
        Pickler(file).dump((value, dict(registered)))
        return file.getvalue()


def _registered_name(kind: Any) -> str:
    keras = sys.modules.get("keras")
    name = "" if keras is None else str(keras.saving.get_registered_name(kind))
    return name if ">" in name else ""


@contextmanager
def _own_by_value() -> Iterator[None]:
    import cloudpickle

    own = [module for name, module in list(sys.modules.items()) if is_own(name, module)]
    before = cloudpickle.list_registry_pickle_by_value()
    added = [module for module in own if module.__name__ not in before]
    for module in added:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in added:
            with suppress(ValueError):
                cloudpickle.unregister_pickle_by_value(module)


class _Walk:
    """Goes through all that an object refers to and that is the user's own.

    Attributes:
        parts: fingerprint of each, by a name: `sha256` of the source and `syntax` of what it means.
        values: what was found that is no code, by name.
        place: the file of the first function or class.
        sources: source of cells, by their file names.
    """

    def __init__(self) -> None:
        self.parts: dict[str, dict[str, str]] = {}
        self.values: list[tuple[str, Any]] = []
        self.place = ""
        self.sources: dict[str, str] = {}
        self._seen: dict[int, Any] = {}  # the objects themselves, so that no number is used twice

    def add(self, label: str, found: Any) -> None:
        """Take in an object, under the name that the code has for it."""
        if id(found) in self._seen:
            return
        if isinstance(found, types.FunctionType) and _is_users(found):
            self._seen[id(found)] = found
            self._function(found, label)
        elif isinstance(found, type) and _is_users(found):
            self._seen[id(found)] = found
            self._class(found, label)
        elif isinstance(found, functools.partial):
            self._seen[id(found)] = found
            self.add(label, found.func)
            self._value(f"{label}'s arguments", (found.args, found.keywords))
        elif isinstance(found, types.MethodType):
            self._seen[id(found)] = found
            self.add(label, found.__func__)
            self.add(f"{label}'s object", found.__self__)
        elif _is_code(found):
            self._note(label, f"code {_qualified(found)}")
        elif isinstance(found, types.ModuleType):
            if is_own(found.__name__, found):
                self.parts |= imports_fingerprint(f"import {found.__name__}")
            else:
                self._note(label, f"module {found.__name__}")
        else:
            self._value(label, found)

    def _function(self, function: types.FunctionType, label: str) -> None:
        code = function.__code__
        self._source(function, code.co_filename, label, _meaning(code))
        names = code.co_freevars
        for name, cell in zip(names, function.__closure__ or (), strict=True):
            with suppress(ValueError):  # an empty cell
                self.add(name, cell.cell_contents)
        own = sys.modules.get(function.__module__)
        is_own_code = own is None or function.__module__ == "__main__" or is_own(own.__name__, own)
        for name in _globals_of(code) if is_own_code else ():
            if name in function.__globals__:
                self.add(name, function.__globals__[name])
        for defaults in (function.__defaults__, function.__kwdefaults__, function.__dict__):
            if defaults:
                self._value(f"{label}'s defaults", defaults)

    def _class(self, kind: type, label: str) -> None:
        self._source(kind, "", kind.__qualname__, kind.__qualname__)
        for base in kind.__bases__:
            if base is not object:
                self.add(base.__qualname__, base)
        for name, held in sorted(vars(kind).items()):
            if name in _OF_PYTHON:
                continue
            inner = f"{kind.__qualname__}.{name}"
            for part in _unwrapped(held):
                self.add(inner, part)

    def _source(self, found: Any, place: str, label: str, meaning: str) -> None:
        try:
            source = inspect.getsource(found)
            place = place or inspect.getfile(found)
        except (OSError, TypeError):
            source = ""
        self.place = self.place or place
        if place and not Path(place).is_file() and place in linecache.cache:
            self.sources[place] = "".join(linecache.getlines(place))
        with suppress(Exception):  # imports within what is no Python by itself, as of a lambda
            self.parts |= imports_fingerprint(inspect.cleandoc(source) if source else "")
        name = f"{label} ({shown_place(place)})" if place else label
        self.parts[self._free(name)] = {
            "sha256": _sha(source or meaning),
            "syntax": _sha(f"{_PYTHON} {meaning}"),
        }

    def _value(self, label: str, value: Any) -> None:
        self.values.append((label, value))
        self._note(label, _Digest(self).of(label, value))

    def _note(self, label: str, said: str) -> None:
        self.parts[self._free(label)] = {"sha256": _sha(said), "syntax": ""}

    def _free(self, label: str) -> str:
        """Return a name that is not taken, for things of the same name in different places."""
        number = 2
        name = label
        while name in self.parts:
            name, number = f"{label} #{number}", number + 1
        return name


class _Digest:
    """Describes values by what they hold, alike in every process."""

    def __init__(self, walk: _Walk) -> None:
        self._walk = walk
        self._within: dict[int, int] = {}

    def of(self, label: str, value: Any) -> str:
        """Return a text that is equal for equal values."""
        if value is None or isinstance(value, bool | int | float | complex | str | bytes):
            return f"{type(value).__name__} {value!r}"
        if id(value) in self._within:
            return f"again {self._within[id(value)]}"
        self._within[id(value)] = len(self._within)
        if _is_code(value):
            if _is_users(value) or isinstance(value, types.MethodType | functools.partial):
                self._walk.add(getattr(value, "__name__", label), value)
            return f"code {_qualified(value)}"
        if isinstance(value, types.ModuleType):
            return f"module {value.__name__}"
        if isinstance(value, np.ndarray) and value.dtype != object:
            content = hashlib.sha256(np.ascontiguousarray(value).data).hexdigest()
            return f"array {value.dtype.str} {value.shape} {content}"
        if isinstance(value, list | tuple):
            return f"{type(value).__name__} [{', '.join(self.of(label, one) for one in value)}]"
        if isinstance(value, set | frozenset):
            return f"set {sorted(self.of(label, one) for one in value)}"
        if isinstance(value, Mapping):
            entries = (f"{self.of(label, k)}: {self.of(label, v)}" for k, v in value.items())
            return f"{type(value).__name__} {{{', '.join(entries)}}}"
        return f"{_qualified(type(value))} {self._held(label, value)}"

    def _held(self, label: str, value: Any) -> str:
        if _is_users(type(value)):
            self._walk.add(type(value).__qualname__, type(value))
        if hasattr(value, "get_config") and not isinstance(value, type):  # Keras's own objects
            with suppress(Exception):
                config = {k: v for k, v in value.get_config().items() if k != "name"}
                weights = [np.asarray(one) for one in getattr(value, "get_weights", list)()]
                return f"{json.dumps(config, default=_qualified)} {self.of(label, weights)}"
        try:
            reduced = value.__reduce_ex__(4)
        except Exception:  # noqa: BLE001 # what cannot be pickled is refused later
            return ""
        if isinstance(reduced, str):
            return reduced
        make, arguments, *rest = reduced
        if isinstance(value, Space):
            rest = [_as_before(state) if isinstance(state, dict) else state for state in rest]
        parts = [list(one) if isinstance(one, Iterator) else one for one in rest]
        return f"{self.of(label, make)} {self.of(label, arguments)} {self.of(label, parts)}"


def _as_before(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a `Space` without those that are at their default and came later.

    So the fingerprint is that of earlier versions.
    """
    return {name: value for name, value in state.items() if name not in _LATER or value}


def _is_code(value: Any) -> bool:
    return isinstance(value, (type, *_CALLED))


def _is_users(found: Any) -> bool:
    """Return whether a function or class is the user's own, and not that of a package."""
    module = getattr(found, "__module__", None) or ""
    loaded = sys.modules.get(module)
    if loaded is None or module == "__main__":
        return module.partition(".")[0] not in ("builtins", "search", "spaces", "tracking")
    if is_own(module, loaded):
        return True
    # Made within a package's function, or by `exec`: it has no name there.
    return isinstance(found, types.FunctionType) and "<locals>" in found.__qualname__


def _qualified(found: Any) -> str:
    if isinstance(found, functools.partial):
        return f"partial {_qualified(found.func)}"
    kind = found if hasattr(found, "__qualname__") else type(found)
    return f"{getattr(kind, '__module__', '')}.{getattr(kind, '__qualname__', '')}"


def _unwrapped(held: Any) -> list[Any]:
    """Return the functions in an entry of a class, or the entry itself."""
    match held:
        case staticmethod() | classmethod():
            return [held.__func__]
        case property():
            return [part for part in (held.fget, held.fset, held.fdel) if part is not None]
        case types.MemberDescriptorType() | types.GetSetDescriptorType():
            return []
        case _:
            return [held]


def _meaning(code: types.CodeType) -> str:
    """Return what a function does, without comments, layout and line numbers."""
    constants = [_constant(one) for one in code.co_consts]
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    return f"{code.co_name} {code.co_code.hex()} {constants} {names} {counts}"


def _constant(value: Any) -> str:
    if isinstance(value, types.CodeType):
        return _meaning(value)
    if isinstance(value, frozenset):
        return f"frozenset {sorted(map(_constant, value))}"
    return f"tuple {list(map(_constant, value))}" if isinstance(value, tuple) else repr(value)


def _globals_of(code: types.CodeType) -> list[str]:
    """Return the global names that a function reads, in order, those of inner functions too."""
    found = [
        str(step.argval)
        for step in dis.get_instructions(code)
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    ]
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found += _globals_of(constant)
    return list(dict.fromkeys(found))


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()

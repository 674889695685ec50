"""Params of a user's own: how they are read and checked, and how they come to a study.

They may come while another process runs the study. So each request is a file beside the journal,
whole and durable before its sender is told so. The process that runs the study records it before
it asks its driver again, and then deletes the file; if nobody runs the study, the next `run` does.
A request has an id, which the journal keeps, so a crash between the two takes nothing in twice.
"""

import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from search.errors import SettingsError, near_matches
from spaces import (
    Boolean,
    Choice,
    Float,
    Identity,
    Int,
    Parameter,
    Params,
    Space,
    SpaceError,
    Value,
    short_text,
)
from spaces.declaring.values import chosen, end_of_item, plain, read, resolved
from tracking.files import make_folder, whole_file
from tracking.history import History
from tracking.home import StudyFolder
from tracking.records import Json, Record, TrialEnqueued, TrialTold
from tracking.text import Notify, counted

ENQUEUED = "enqueued"
MAX_BYTES = 10_000_000  # of a file of params


@dataclass(frozen=True)
class Entry:
    """Params of a request.

    Attributes:
        parameters: complete params.
        origin: `enqueued`, or `imported:SOURCE`.
        objective: what was measured elsewhere, if the driver is to be told; else empty: they are
            to be evaluated.
        value: of it.
    """

    parameters: Params
    origin: str = ENQUEUED
    objective: str = ""
    value: float = 0.0

    def record(self, identifier: str) -> TrialEnqueued | TrialTold:
        """Return what the journal has of it."""
        at, parameters, origin = time.time(), dict(self.parameters), self.origin
        if not self.objective:
            return TrialEnqueued(at=at, id=identifier, parameters=parameters, origin=origin)
        return TrialTold(
            at=at,
            id=identifier,
            parameters=parameters,
            origin=origin,
            objective=self.objective,
            value=self.value,
        )


def read_params(given: object, space: Space, option: str = "--enqueue") -> list[Params]:
    """Return the complete params that a user gives.

    Args:
        given: `NAME=VALUE,...`, the name of a JSON file with an object or a list of them, a mapping
            from names to values, or several of all these. Names that are left out take their
            defaults.
        space: the study's, narrowed.
        option: what they were given by, for messages.

    Raises:
        SettingsError: one of them breaks a rule; all faults are in the message, one a line.
    """
    found, faults = [], []
    for told, values in _each(given, option):
        try:
            values = _from_texts(values, space) if isinstance(values, str) else values
            found.append(complete(values, space))
        except (SpaceError, ValueError) as error:
            faults.append(f"`{option}` {told}: {error}")
    if faults:
        raise SettingsError("\n".join(faults))
    return found


def complete(values: Mapping[str, object], space: Space) -> Params:
    """Return params completed by defaults, with values in their parameters' types.

    Raises:
        SpaceError: a name is unknown or inactive, or a value outside its range.
    """
    fitting = {}
    for name, value in values.items():
        if name not in space.names():
            hint = near_matches(str(name), space.names())
            raise SpaceError(f"{space.name} has no parameter `{name}`; {hint}")
        fitting[name] = fitting_value(space[name], value)
    return space.complete(fitting)


def fitting_value(parameter: Parameter, value: object) -> Value:
    """Return a value in its parameter's type: 32 for 32.0 of a whole number, on for 1 of a switch.

    Raises:
        SpaceError: it is none of the parameter's values.
    """
    found = _fitting(parameter, _tuples(value))
    if found is not None and parameter.contains(found[0]):
        return found[0]
    if parameter.fixed and len(parameter.grid()) == 1:
        raise SpaceError(
            f"`{parameter.name}` is {parameter.describe()} for all trials of the study; got"
            f" {value!r}"
        )
    raise SpaceError(f"`{parameter.name}` must be within {parameter.describe()}; got {value!r}")


def _fitting(parameter: Parameter, value: Any) -> tuple[Value, ...] | None:
    """Return the value in the parameter's type as a tuple of one; None if there is none."""
    with suppress(ValueError):
        value = plain(value)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        match parameter:
            case Int() if is_number and value == int(value):
                return (int(value),)
            case Float() if is_number:
                return (float(value),)
            case Choice() | Boolean():
                values = parameter.grid()
                if value in (0, 1) and all(isinstance(one, bool) for one in values):
                    value = bool(value)
                if isinstance(parameter, Choice) and parameter.or_file and isinstance(value, str):
                    value = parameter.of_file(value) or value
                    return (value,)
                return resolved(value, values) or None
    return None


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


def _from_texts(text: str, space: Space) -> dict[str, object]:
    """Return the values in `NAME=VALUE,...`.

    Raises:
        SpaceError, ValueError: it is nothing of the kind, or a value is none of its parameter's.
    """
    values: dict[str, object] = {}
    for name, told in _pairs(text):
        if name in values:
            raise SpaceError(f"`{name}` is given twice")
        if name not in space.names():
            raise SpaceError(
                f"{space.name} has no parameter `{name}`; {near_matches(name, space.names())}"
            )
        values[name] = _from_text(space[name], told)
    return values


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Yield names and the texts of their values; a comma in quotes or parentheses is a value's."""
    place = 0
    while place <= len(text):
        equals = text.find("=", place)
        name = text[place:equals].strip()
        if equals < 0 or not name or "," in name:
            raise SpaceError("must be NAME=VALUE, several separated by commas, or a JSON file")
        end = end_of_item(text, equals + 1)
        yield name, text[equals + 1 : end].strip()
        place = end + 1


def _from_text(parameter: Parameter, text: str) -> object:
    if not isinstance(parameter, Choice | Boolean):
        return read(text)
    if isinstance(parameter, Choice) and parameter.or_file and parameter.of_file(text):
        return text
    return next(iter(chosen(text, parameter.grid())), text)


def _each(given: object, option: str) -> Iterator[tuple[str, Any]]:
    """Yield each params that are given, with what they are called in messages."""
    match given:
        case Mapping():
            yield str(dict(given)), given
        case Path():
            yield from _in_file(given, option)
        case str() if given.endswith(".json") or ("=" not in given and _is_file(given)):
            yield from _in_file(Path(given), option)
        case str():
            yield given, given
        case Iterable():
            for one in given:
                yield from _each(one, option)
        case _:
            raise SettingsError(
                f"`{option}` must be params, a name and a value each, or a list of them; got"
                f" {given!r}"
            )


def _is_file(text: str) -> bool:
    with suppress(OSError):  # a name that is too long
        return Path(text).is_file()
    return False


def _in_file(path: Path, option: str) -> Iterator[tuple[str, Any]]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
        found = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"`{option} {path}` cannot be read: {error}") from error
    listed = found if isinstance(found, list) else [found]
    if not listed or not all(isinstance(one, dict) for one in listed):
        raise SettingsError(
            f"`{option} {path}` must hold an object of names and values, such as"
            ' {"units": 64}, or a list of them'
        )
    for place, one in enumerate(listed, start=1):
        yield f"{path}, entry {place}" if len(listed) > 1 else str(path), one


class Known:
    """Which params a study has already, and as what.

    Args:
        history: the study's.
        folder: its files, with requests that nobody has taken in yet; None for none.
        space: knows which params are the same.
        baselines: that are evaluated in any case, by name.
    """

    def __init__(
        self,
        history: History,
        space: Space,
        *,
        folder: StudyFolder | None = None,
        baselines: Mapping[str, Params] | None = None,
    ) -> None:
        self._space = space
        self._as: dict[Identity, str] = {}
        self._told = {(space.identity(told.parameters), told.origin) for told in history.told}
        for name, params in (baselines or {}).items():
            self._note(params, f"those of baseline {name}")
        for number, trial in sorted(history.trials.items()):
            self._note(trial.started.parameters, f"those of trial {number}")
        for waiting in history.enqueued:
            self._note(waiting.parameters, "enqueued already")
        for _, request in requests_in(folder) if folder else ():
            for entry in request.entries:
                self.is_new(entry)

    def is_new(self, entry: Entry) -> str:
        """Return as what the params of an entry are known; empty if they are new, once."""
        identity = self._space.identity(entry.parameters)
        if entry.objective:
            if (identity, entry.origin) in self._told:
                return "told already"
            self._told.add((identity, entry.origin))
            return ""
        known = self._as.get(identity, "")
        self._as.setdefault(identity, "enqueued already")
        return known

    def _note(self, params: Params, what: str) -> None:
        self._as[self._space.identity(params)] = what


@dataclass(frozen=True)
class Request:
    """What one call enqueues.

    Attributes:
        id: unique; 32 hexadecimal digits.
        entries: in the order in which they are evaluated.
    """

    entries: Sequence[Entry]
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def write(self, folder: StudyFolder) -> None:
        """Write it to a study's folder, whole and durable.

        Raises:
            OSError: it cannot be written.
        """
        make_folder(folder.requests)
        document = {"id": self.id, "entries": [asdict(entry) for entry in self.entries]}
        name = f"{time.time_ns():020d}-{self.id[:8]}.json"  # in the order in which they came
        with whole_file(folder.requests / name) as file:
            file.write(json.dumps(document).encode())

    @classmethod
    def of(cls, document: Json) -> "Request":
        """Return the request that `write` wrote.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        entries = [
            Entry(
                **{**entry, "parameters": {n: _tuples(v) for n, v in entry["parameters"].items()}}
            )
            for entry in document["entries"]
        ]
        return cls(entries, str(document["id"]))


def requests_in(
    folder: StudyFolder, notify: Notify = lambda _: None
) -> Iterator[tuple[Path, Request]]:
    """Yield the requests that nobody has taken in yet, and their files, in order.

    Args:
        folder: of the study.
        notify: takes a notice of each file in their folder that is none.
    """
    for path in sorted(folder.requests.glob("[!.]*.json")):
        try:
            yield path, Request.of(json.loads(path.read_bytes()))
        except FileNotFoundError:
            continue  # taken in meanwhile
        except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
            notify(
                f"{path} is no request to enqueue params, as `enqueue` writes them ({error});"
                " remove it"
            )


def send(
    entries: Sequence[Entry],
    folder: StudyFolder,
    history: History,
    space: Space,
    *,
    baselines: Mapping[str, Params],
) -> tuple[list[Entry], list[str]]:
    """Write a request for what is new to a study, which may be running.

    Args:
        entries: what to enqueue, in order.
        folder: the study's files.
        history: the study's, as far as it is known.
        space: the study's, narrowed.
        baselines: that are evaluated in any case.

    Returns:
        The new entries, and a notice of each other one.

    Raises:
        OSError: the request cannot be written.
    """
    known = Known(history, space, folder=folder, baselines=baselines)
    found = [(entry, known.is_new(entry)) for entry in entries]
    new = [entry for entry, already in found if not already]
    if new:
        Request(new).write(folder)
    return new, [on_known(entry, already, space) for entry, already in found if already]


class Intake:
    """Takes what users enqueue into the journal; only the process that runs the study has one.

    Args:
        folder: the study's files.
        space: the study's, narrowed.
        history: the study's.
        append: takes records.
        baselines: that are evaluated in any case.
        notify: takes notices.
    """

    def __init__(
        self,
        folder: StudyFolder,
        space: Space,
        history: History,
        append: Callable[[Record], None],
        *,
        baselines: Mapping[str, Params],
        notify: Notify,
    ) -> None:
        self._folder, self._space, self._history = folder, space, history
        self._append, self._baselines, self._notify = append, baselines, notify
        self._refused: set[str] = set()  # files that are told of once

    def collect(self) -> None:
        """Take in the requests of other processes."""
        for path, request in requests_in(self._folder, self._notify_once):
            self.take(request)
            path.unlink(missing_ok=True)

    def _notify_once(self, text: str) -> None:
        if text not in self._refused:
            self._refused.add(text)
            self._notify(text)

    def take(self, request: Request) -> None:
        """Record what is new of a request; a notice tells of the rest."""
        known = Known(self._history, self._space, baselines=self._baselines)
        left_out: dict[str, list[Entry]] = {}  # by the reason
        for place, entry in enumerate(request.entries):
            identifier = f"{request.id}:{place}"
            if identifier in self._history.requests:
                continue
            try:
                entry = _checked(entry, self._space)  # the sender's space may have been another
            except SpaceError as error:
                left_out.setdefault(str(error), []).append(entry)
                continue
            if already := known.is_new(entry):
                self._notify(on_known(entry, already, self._space))
            else:
                self._append(entry.record(identifier))
        for reason, entries in left_out.items():
            first, others = named(entries[0], self._space), len(entries) - 1
            more = f" and {counted(others, 'other')}" if others else ""
            self._notify(f"{first}{more} are left out: {reason}")


def _checked(entry: Entry, space: Space) -> Entry:
    return replace(entry, parameters=complete(entry.parameters, space))


def on_known(entry: Entry, known: str, space: Space) -> str:
    """Return a notice that the params of an entry are none that are new."""
    twice = "told" if entry.objective else "evaluated"
    return f"{named(entry, space)} are {known}: they are not {twice} twice"


def named(entry: Entry, space: Space) -> str:
    """Return an entry as messages call it: by its searched params."""
    searched = {parameter.name for parameter in space.searched()}
    values = [f"{n}={short_text(v)}" for n, v in entry.parameters.items() if n in searched]
    return f"params {', '.join(values)}"

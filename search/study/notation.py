"""How values of settings are written on the command line, in YAML and in Python.

Each function returns the value that a duration, an amount, a list of columns and so on stands for.
What is not written so at all is returned unchanged: `StudySettings` says what is wrong with it.
"""

import json
import re
from typing import Any

from search.errors import SettingsError
from search.study.execution import AUTO
from spaces import value_text

MOST_WORKERS = 256
MOST_CONFIRMED = 100
LEAST_MEMORY = 500_000_000  # bytes
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: object) -> object:
    """Return the seconds in a duration such as `90`, `90s`, `15m`, `2h` or `1h30m`."""
    if not isinstance(text, str):
        return text
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        raise ValueError("must be a duration such as 90s, 15m or 2h")
    return sum(float(number) * _UNITS[unit or "s"] for number, unit in parts)


def memory(text: object) -> object:
    """Return the bytes in an amount such as `3GB`, `3.5 GB` or `800MB`; a plain number is bytes."""
    if not isinstance(text, str):
        return text
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?\s*", text, re.IGNORECASE)
    if found is None:
        raise ValueError("must be an amount of memory such as 3GB or 800MB")
    size = int(float(found[1]) * 1000 ** " KMGT".index(found[2].upper() or " "))
    if size < LEAST_MEMORY:
        raise ValueError("must be at least 500MB, as TensorFlow alone takes that much")
    return size


def as_text(value: object) -> object:
    """Return a number as text: YAML reads 0.5 as one."""
    return str(value) if isinstance(value, float) else value


def set_texts(value: object) -> object:
    """Return a value as `--set` takes it: 64 is `64`, True is `on`, [32, 64] is `32,64`.

    A text alone is passed on unchanged; in a list it is a value: ["a,b", "c"] is `"a,b",c`.
    """
    return {n: _set_text(one) for n, one in value.items()} if isinstance(value, dict) else value


def _set_text(value: object) -> object:
    match value:
        case str() | dict():
            return value
        case list():
            return ",".join(value_text(_tuples(one)) for one in value)
        case _:
            return value_text(value)


def _tuples(value: Any) -> Any:
    """Return a value of a list; in YAML a list within it is a tuple."""
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


def column_list(value: object) -> object:
    """Return the names in `a,b` or in a list of names."""
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    return tuple(value) if isinstance(value, list) else value


def input_columns(value: object) -> object:
    """Return what `rows=a,b;more=*`, or a dictionary, says of each input, `NAME=a,b`."""
    if isinstance(value, dict):
        for name, own in value.items():
            names = [own] if isinstance(own, str) else own
            if not isinstance(names, list | tuple) or not all(isinstance(n, str) for n in names):
                raise ValueError(f"{name} must name its columns, as a,b or a list, not {own!r}")
        return tuple(
            f"{name}={own if isinstance(own, str) else ','.join(own)}"
            for name, own in value.items()
        )
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(";") if part.strip())
    return tuple(value) if isinstance(value, list) else value


def target_columns(value: object) -> object:
    """Return the names of a list as `a,b`."""
    if not isinstance(value, list | tuple):
        return value
    if any("," in str(name) for name in value):
        raise ValueError("several columns must have names without commas")
    return ",".join(map(str, value))


def column_types(value: object) -> object:
    """Return the types in `age=category,zip=category`, by the columns' names."""
    if not isinstance(value, str):
        return value
    pairs = [part.rpartition("=") for part in value.split(",") if part.strip()]
    if not all(name.strip() and equals for name, equals, _ in pairs):
        raise ValueError("must be COLUMN=TYPE, several separated by commas")
    return {name.strip(): kind.strip() for name, _, kind in pairs}


def json_mapping(value: object) -> object:
    """Return the mapping that a text holds as JSON.

    Raises:
        ValueError: it holds none, or values that JSON does not have.
    """
    try:
        found = json.loads(value) if isinstance(value, str) else value
        if isinstance(found, dict):
            return json.loads(json.dumps(found, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        pass
    raise ValueError("must be a mapping of names to values of JSON, as '{\"n_startup_trials\": 5}'")


def sampler_reference(value: object) -> object:
    """Return the reference of a class of samplers; other values unchanged.

    Raises:
        ValueError: it is a class that cannot be imported, or an instance.
    """
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, type):
        raise ValueError(
            "must be a name or a class, whose arguments are `sampler_args`: an instance has a state"
            " that nothing records"
        )
    if value.__module__ == "__main__" or value.__qualname__ != value.__name__:
        raise ValueError(
            "must be a class of a module, so that the study can be continued: put it into a file"
            f" and name it FILE.py:{value.__name__}"
        )
    return f"{value.__module__}:{value.__name__}"


def worker_count(value: object) -> object:
    """Return a number of workers as a number, and `auto` unchanged."""
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    if number == AUTO:
        return number
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= MOST_WORKERS:
        raise ValueError(f"must be a number of worker processes, 1 to {MOST_WORKERS}, or auto")
    return number


def confirmed_trials(value: object) -> object:
    """Return a number of trials to confirm as a number, and `auto` unchanged."""
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    if number == AUTO:
        return number
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= MOST_CONFIRMED:
        raise ValueError(f"must be a number of trials, 0 to {MOST_CONFIRMED}, or auto")
    return number


def parse_overrides(pairs: list[str]) -> dict[str, str]:
    """Return `--set NAME=TEXT` options as a dictionary.

    Raises:
        SettingsError: an option without `=`, or a name given twice.
    """
    overrides: dict[str, str] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.strip():
            raise SettingsError(
                f"`--set` takes NAME=VALUE, NAME=LOW:HIGH or NAME=A,B,C; got {pair!r}"
            )
        if name.strip() in overrides:
            raise SettingsError(
                f"`--set {name.strip()}` is given twice; separate the values by commas"
            )
        overrides[name.strip()] = text.strip()
    return overrides

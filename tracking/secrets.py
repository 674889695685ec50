"""Tracking addresses, and what is said about them, without the secrets they may hold."""

import base64
import logging
import os
import re
import traceback
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus, unquote

VARIABLES = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
MASK = "***"
SHORTEST = 4  # characters; a shorter secret is left to the patterns, or words would be torn
_USER_CHARACTERS = 8  # a user's name as long as this may be a token

# Greedy: a password may hold `/` and `@`. Too much is masked rather than too little.
_USER = re.compile(r"(?<=//)[^\s'\"<>]+@")
_VALUE = re.compile(r"([?&;][\w.%-]+=)[^&;\s'\"<>)]+")
_SECRET = re.compile(r"pass|pwd|token|secret|key|auth|sig|cred", re.IGNORECASE)

_kept_out: set[str] = set()


def shown_address(address: str) -> str:
    """Return an address without user, password, query and fragment, fit to be printed."""
    scheme, mark, rest = _parts(address)
    if scheme.startswith("sqlite"):  # a file has no user, and its folders may be called `a@b`
        return address.partition("?")[0]
    head, tail = _cut(rest)
    if "@" in tail:  # a password with a `?` in it, or a query with an `@`: nobody can tell
        return f"{scheme}{mark}{MASK}"
    return scheme + mark + head.rpartition("@")[2]


def place_of(address: str) -> str:
    """Return what tells one store from another: the address without what only lets one in.

    Of a query those parameters stay that have a name, unless it speaks of secrets.
    """
    scheme, _, rest = _parts(address)
    if scheme.startswith("sqlite"):
        return address
    query = _cut(rest)[1].removeprefix("?")
    named = [pair.partition("=") for pair in re.split(r"[&;]", query) if "@" not in query]
    kept = [f"{name}={value}" for name, _, value in named if value and not _SECRET.search(name)]
    return "?".join([shown_address(address), *(["&".join(kept)] if kept else [])])


def secrets_in(address: str) -> frozenset[str]:
    """Return what must not be told of an address and of MLflow's environment variables.

    Each in the forms it may take in a message: as given, with and without percent signs, and as a
    header for basic authentication.
    """
    found = {os.environ.get(name, "") for name in VARIABLES}
    scheme, _, rest = _parts(address)
    head, tail = _cut(rest)
    if not scheme.startswith("sqlite"):
        user = head.rpartition("@")[0] or (rest.rpartition("@")[0] if "@" in tail else "")
        name, _, password = user.partition(":")
        found |= {user, password, name if len(name) >= _USER_CHARACTERS else ""}
        found.add(base64.b64encode(unquote(user).encode()).decode())
        found |= {pair.partition("=")[2] or pair for pair in re.split(r"[&;]", tail[1:])}
    forms = {form(text) for text in found for form in (str, unquote, quote, quote_plus)}
    return frozenset(text for text in forms if len(text) >= SHORTEST)


def without_secrets(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a message with users, passwords and queries of the addresses in it masked.

    Args:
        text: any.
        secrets: what is masked wherever it stands, from `secrets_in`.
    """
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return _VALUE.sub(rf"\1{MASK}", _USER.sub(f"{MASK}@", text))


def keep_out_of_logs(secrets: Iterable[str]) -> None:
    """Mask secrets in all that this process logs from now on, whichever library does it."""
    _kept_out.update(secrets)
    if _kept_out and not isinstance(logging.getLogRecordFactory(), _DiscreetFactory):
        logging.setLogRecordFactory(_DiscreetFactory(logging.getLogRecordFactory()))


class _DiscreetFactory:
    """Makes log records without what is to be kept out."""

    def __init__(self, plain: Any) -> None:
        self._plain = plain

    def __call__(self, *arguments: Any, **named: Any) -> logging.LogRecord:
        record: logging.LogRecord = self._plain(*arguments, **named)
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # its arguments do not fit; logging itself tells
            message = str(record.msg)
        if (clean := without_secrets(message, _kept_out)) != message:
            record.msg, record.args = clean, ()
        if record.exc_info and record.exc_info[0] is not None:
            text = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
            record.exc_text = without_secrets(text, _kept_out)
        return record


def _parts(address: str) -> tuple[str, str, str]:
    """Return scheme, `://` and the rest; both are empty where there is no scheme."""
    scheme, mark, rest = address.partition("://")
    return (scheme, mark, rest) if mark else ("", "", address)


def _cut(rest: str) -> tuple[str, str]:
    """Return what stands before the query or fragment, and these with their mark."""
    head = re.split(r"[?#]", rest, maxsplit=1)[0]
    return head, rest[len(head) :]

"""A journal's lines: one record each, as JSON whose first entry is the CRC-32 of the rest."""

import json
import zlib
from collections.abc import Iterator
from functools import partial
from typing import IO

from tracking.records import Record, record_from_json

# Bytes of a line. A record of a trial over 1,000 classes takes 8 MB; without a bound, reading a
# file that lost its newlines would take as much memory as there is file.
LONGEST = 64 << 20

_BRACE = zlib.crc32(b"{")
_PARSE = json.JSONDecoder().raw_decode


class DamagedLine(ValueError):
    """A line that is not as it was written, or that was never one."""


def encode(record: Record) -> bytes:
    """Return the record's line, newline included."""
    text = json.dumps(record.to_json(), ensure_ascii=False, allow_nan=True)
    body = text.encode("utf-8", "surrogatepass")  # a path may hold what is no UTF-8
    return b'{"crc":"%08x",' % zlib.crc32(body) + body[1:] + b"\n"


def decode(line: bytes) -> Record:
    """Return the record on a line (without its newline).

    Raises:
        DamagedLine: the line is not one that `encode` wrote.
        ValueError: it is one, of a version that knows more kinds of records.
    """
    fault = fault_of(line)
    if fault:
        raise DamagedLine(fault)
    entries, _ = _PARSE(line.decode("utf-8", "surrogatepass"))
    del entries["crc"]
    try:
        return Record.kinds[entries.pop("kind")](**entries)
    except (KeyError, TypeError):  # of another version
        return _decode_slowly(line)


def fault_of(line: bytes) -> str:
    """Return what is wrong with a line (without its newline); nothing when it is sound."""
    if not (line.startswith(b'{"crc":"') and line[16:18] == b'",' and line.endswith(b"}")):
        return "not a journal line"
    if line[8:16] != b"%08x" % zlib.crc32(line[18:], _BRACE):
        return "its checksum does not match"
    return ""


def raw_lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield a file's lines from where it stands, each with its newline if it has one.

    One that is longer than any record comes in pieces, of which only the last ends in a newline.
    """
    return iter(partial(file.readline, LONGEST), b"")


def is_sound(raw: bytes) -> bool:
    """Say whether a line with its newline is whole and as it was written."""
    return raw.endswith(b"\n") and not fault_of(raw[:-1])


def _decode_slowly(line: bytes) -> Record:
    return record_from_json(json.loads(b"{" + line[18:]))

"""A journal's lines: one record each, as JSON whose first entry is the CRC-32 of the rest.

The second entry, `after`, is the CRC of the line before, so that a line that is missing, doubled,
inserted or moved is noticed. Lines of journals from before format 2 have none; a line may follow
one of these, but none of these a linked one.
"""

import json
import zlib
from collections.abc import Iterator
from functools import partial
from typing import IO

from tracking.records import FORMAT, Record, record_from_json

# Bytes of a line. A record of a trial over 1,000 classes takes 8 MB; without a bound, reading a
# file that lost its newlines would take as much memory as there is file.
LONGEST = 64 << 20

START = b"00000000"  # what the first line follows

_AFTER = b'"after":"'
_BRACE = zlib.crc32(b"{")
_PARSE = json.JSONDecoder().raw_decode


class DamagedLine(ValueError):
    """A line that is not as it was written, or that was never one."""


def encode(record: Record, after: bytes | None = None) -> bytes:
    """Return the record's line, newline included.

    Args:
        record: the record.
        after: CRC of the line before; None for a line that is not linked, as of format 1.
    """
    text = json.dumps(record.to_json(), ensure_ascii=False, allow_nan=True)
    body = text.encode("utf-8", "surrogatepass")[1:]  # a path may hold what is no UTF-8
    body = body if after is None else b'%b%b",%b' % (_AFTER, after, body)
    return b'{"crc":"%08x",%b\n' % (zlib.crc32(body, _BRACE), body)


def linked(line: bytes, after: bytes) -> bytes:
    """Return a line, newline included, as it is when it follows the one with the CRC `after`."""
    rest = line[37:] if crc_before(line) is not None else line[18:]
    body = b'%b%b",%b' % (_AFTER, after, rest)
    return b'{"crc":"%08x",' % zlib.crc32(body[:-1], _BRACE) + body


def crc_of(line: bytes) -> bytes:
    """Return the CRC of a sound line, 8 hexadecimal digits."""
    return line[8:16]


def crc_before(line: bytes) -> bytes | None:
    """Return the CRC that a sound line has of the one before; None for one that is not linked."""
    return line[27:35] if line[18:27] == _AFTER else None


class Chain:
    """Looks at sound lines, one after the other.

    Attributes:
        last: CRC of the last one.
    """

    def __init__(self) -> None:
        self.last = START
        self._is_linked = False

    def follows(self, line: bytes) -> bool:
        """Say whether a line follows the last one; only then it is the last from now on."""
        if line[18:27] == _AFTER:
            if line[27:35] != self.last:
                return False
            self._is_linked = True
        elif self._is_linked:
            return False
        self.last = line[8:16]
        return True


def decode(line: bytes) -> Record:
    """Return the record on a line (without its newline).

    Raises:
        DamagedLine: the line is not one that `encode` wrote.
        ValueError: it is one, of a version that knows more kinds of records.
    """
    fault = fault_of(line)
    if fault:
        raise DamagedLine(fault)
    rest = line[37:] if line[18:27] == _AFTER else line[18:]
    entries, _ = _PARSE("{" + rest.decode("utf-8", "surrogatepass"))
    if entries.get("format", 0) > FORMAT:
        raise ValueError(f"a journal of format {entries['format']}; this version knows {FORMAT}")
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

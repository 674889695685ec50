"""How much of a journal each tracking address has been told, kept beside the journal."""

import fcntl
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Acknowledged:
    """What one address has taken.

    Attributes:
        offset: bytes of the journal, always the end of a whole line.
        set_aside: records among them that the address refused and that were left out.
        whole: bytes up to the first of these; `offset` where there are none.
    """

    offset: int = 0
    set_aside: int = 0
    whole: int = 0


def address_key(tracking_uri: str) -> str:
    """Return a name for the address that does not tell it: addresses may hold passwords."""
    return hashlib.sha256(tracking_uri.encode()).hexdigest()[:16]


def load(path: Path, key: str) -> Acknowledged:
    """Return what the address of `key` has taken; nothing when the file is absent or damaged.

    Starting over is harmless: every record may be applied twice.
    """
    try:
        entry = _entries(path)[key]
        offset, set_aside = int(entry["offset"]), int(entry["set_aside"])
        return Acknowledged(offset, set_aside, int(entry.get("whole", 0 if set_aside else offset)))
    except (TypeError, KeyError, ValueError):
        return Acknowledged()


def store(path: Path, key: str, acknowledged: Acknowledged) -> None:
    """Write what the address of `key` has taken, leaving other addresses' entries."""
    entries = _entries(path) | {key: asdict(acknowledged)}
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(entries, indent=1))
    temporary.replace(path)


class ShippingLock:
    """Held by the one process that ships a journal to an address.

    Two at once would both find a run missing and both make it.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._file = path.with_name(f"{path.name}.{key}.lock").open("a")

    def acquire(self) -> bool:
        """Take the lock, or keep it; tell whether this process holds it."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def release(self) -> None:
        """Give the lock back, for good."""
        if not self._file.closed:
            fcntl.flock(self._file, fcntl.LOCK_UN)  # a forked child would keep it by its copy
            self._file.close()


def _entries(path: Path) -> dict[str, dict[str, int]]:
    try:
        entries = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return entries if isinstance(entries, dict) else {}

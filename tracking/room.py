"""Room on a disk, and why a file could not be written."""

import errno
import shutil
from pathlib import Path

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota on this disk is used up",
    errno.EFBIG: "the file has the largest size that is allowed",
}


def free_bytes(path: Path) -> int:
    """Return how many bytes can still be written where `path` is, or will be."""
    place = path.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def amount(size: int) -> str:
    """Return a number of bytes in short: `0 bytes`, `12 KB`, `3.4 GB`."""
    if size < 1000:
        return f"{size} bytes"
    for unit in ("KB", "MB", "GB"):
        size_in_unit = size / 1000 ** (("KB", "MB", "GB").index(unit) + 1)
        if size_in_unit < 999.5 or unit == "GB":
            break
    return f"{size_in_unit:.1f} {unit}" if size_in_unit < 10 else f"{size_in_unit:,.0f} {unit}"


def why_not_written(error: OSError, path: Path) -> str:
    """Return a phrase: what keeps `path` from being written, and how much room there is."""
    reason = _REASONS.get(error.errno or 0, f"it cannot be written ({error.strerror or error})")
    return f"{reason}; {amount(free_bytes(path))} free"

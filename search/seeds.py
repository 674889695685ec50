"""Seeds that depend on what they are for and on nothing else."""

import hashlib


def derive(seed: int, *purpose: str | int) -> int:
    """Return a seed in `0..2**32 - 1` for one purpose, for example `derive(0, "fold", 3)`."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")

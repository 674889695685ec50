"""A benchmark's JSON file: what is finished is kept, and the same command goes on from there."""

import json
from pathlib import Path
from typing import Any

from machine import describe


def read(path: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Return `options`, `machine` and `runs`, the list of what is finished.

    Raises:
        SystemExit: what is there was measured with other options, which must not be mixed.
    """
    if not path.exists():
        return {"options": options, "machine": describe(), "runs": []}
    kept: dict[str, Any] = json.loads(path.read_text())
    if kept["options"] != options:
        raise SystemExit(
            f"{path} was measured with {kept['options']}; asked is {options}."
            " Name another file with `--out`."
        )
    return kept


def add(path: Path, kept: dict[str, Any], run: dict[str, Any]) -> None:
    """Add a finished run and write the file, whole or not at all."""
    kept["runs"].append(run)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(kept, indent=1) + "\n")
    partial.replace(path)

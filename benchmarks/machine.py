"""What a measurement was taken on."""

import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

PACKAGES = ("tensorflow", "keras", "keras-tuner", "optuna", "mlflow")


def describe() -> dict[str, Any]:
    """Return processor, cores, memory, present load (processes, last minute) and versions."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load": round(os.getloadavg()[0], 2),
        "versions": {name: version(name) for name in PACKAGES},
    }


def line(machine: dict[str, Any]) -> str:
    """Return the same in one line."""
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return (
        f"{machine['cores']} cores of {machine['cpu']}, {machine['memory_gib']} GiB,"
        f" load {machine['load']} at the start; {versions}"
    )


def _cpu() -> str:
    for entry in Path("/proc/cpuinfo").read_text().splitlines():
        if entry.startswith("model name"):
            return entry.partition(":")[2].strip()
    return "an unnamed processor"

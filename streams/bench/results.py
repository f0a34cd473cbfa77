"""The file of published figures: what was measured, by which command, of which commit, on which machine, and when."""

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import orjson
import psutil

TOP = Path(__file__).resolve().parents[2]
CPUINFO = Path("/proc/cpuinfo")


def record(path: Path, name: str, command: Sequence[str], figures: Mapping[str, object]) -> None:
    """Put figures into the file under `name`, in place of what stood there; other names stay.

    Parameters
    ----------
    path
        A JSON file, made when missing.
    name
        Of the measurement.
    command
        What was typed, word by word.
    figures
        What came out.
    """
    found = orjson.loads(path.read_bytes()) if path.exists() else {}
    found[name] = {
        "command": " ".join(command),
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(TOP),
        "machine": machine(),
        "figures": figures,
    }
    path.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")


def commit(top: Path) -> str:
    """Return the short name of the sources' commit, with ``+`` where files differ from it; "unknown" outside a checkout."""
    asked = [["git", "-C", str(top), "rev-parse", "--short", "HEAD"], ["git", "-C", str(top), "status", "--porcelain"]]
    try:
        name, changed = (subprocess.run(each, capture_output=True, text=True, check=True).stdout for each in asked)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return name.strip() + ("+" if changed.strip() else "")


def machine() -> dict[str, object]:
    """Return what the figures depend on: cores, their kind, memory, Python, and how busy the machine was."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[2], 1),
    }


def _processor() -> str:
    """Return the processor's own name where the system tells it."""
    lines = CPUINFO.read_text(encoding="utf-8").splitlines() if CPUINFO.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()

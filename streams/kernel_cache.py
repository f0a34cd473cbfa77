"""Where the compiled kernel is kept between runs: a folder named after the sources it was compiled from.

Numba looks only at the file that holds an entry point, not at what it calls, so an edit elsewhere would leave a stale
kernel in use. A folder per state of the sources rules that out; it must be chosen before numba is imported.
"""

import hashlib
import os
import shutil
from collections.abc import MutableMapping
from pathlib import Path

ROOMS = ("scoring", "state")
KEPT = 3
"""Folders of earlier sources that stay: going back and forth between two versions compiles nothing."""


def cache_root(environ: MutableMapping[str, str]) -> Path:
    """Return the folder below which everything cached by Bellwether lies."""
    root = environ.get("BELLWETHER_CACHE") or Path(environ.get("XDG_CACHE_HOME") or "~/.cache") / "bellwether"
    return Path(root).expanduser()


def use_kernel_cache(environ: MutableMapping[str, str]) -> Path:
    """Point numba at the folder of the present sources, unless the environment names one, and return it."""
    if "NUMBA_CACHE_DIR" not in environ:
        folder = cache_root(environ) / f"kernel-{sources_digest()}"
        folder.mkdir(parents=True, exist_ok=True)
        environ["NUMBA_CACHE_DIR"] = str(folder)
    return Path(environ["NUMBA_CACHE_DIR"])


def sources_digest() -> str:
    """Return 12 hex digits that change with any source file of the compiled rooms."""
    top = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for room in ROOMS:
        for path in sorted((top / room).glob("*.py")):
            digest.update(path.name.encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def forget_old_kernels(environ: MutableMapping[str, str]) -> None:
    """Delete the folders of all but the latest few states of the sources."""
    folders = sorted(cache_root(environ).glob("kernel-*"), key=os.path.getmtime, reverse=True)
    for folder in folders[KEPT:]:
        shutil.rmtree(folder, ignore_errors=True)

"""Apache Kafka's jar files: fetched once from Maven Central, then used from the cache without any network.

$BELLWETHER_CACHE (or ~/.cache/bellwether)/kafka-<version>/
    manifest.json         path and size of every jar; written last, so it exists only when all of them do
    repository/…          the jars, laid out as Maven does
    bootstrap.checkpoint  first metadata of a new cluster (see `kafka.py`)
"""

import fcntl
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deploy.local.processes import StackError, disk_faults

KAFKA_VERSION = "4.1.2"
# The server logs through SLF4J; without a binding beside it every log line, and so every failure's cause, is lost.
BINDING = ("org.apache.logging.log4j", "log4j-slf4j-impl")
DOWNLOADS_AT_ONCE = 8


def cache_folder() -> Path:
    """Return the folder that holds Kafka's files: below `$BELLWETHER_CACHE` or `~/.cache/bellwether`."""
    root = os.environ.get("BELLWETHER_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "bellwether"
    return Path(root).expanduser() / f"kafka-{KAFKA_VERSION}"


def classpath() -> list[Path]:
    """Return the paths of all jars, downloading them (45 MB) on first use.

    Raises
    ------
    StackError
        They are not cached and cannot be downloaded or stored.
    """
    folder = cache_folder()
    if (jars := _cached(folder)) is not None:
        return jars
    with disk_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two first runs at once: the second waits and finds the files
            if (jars := _cached(folder)) is None:
                jars = _download(folder)
    return jars


def _cached(folder: Path) -> list[Path] | None:
    try:
        sizes: dict[str, int] = json.loads((folder / "manifest.json").read_text())
    except (OSError, ValueError):
        return None
    jars = {folder / name: size for name, size in sizes.items()}
    complete = all(jar.is_file() and jar.stat().st_size == size for jar, size in jars.items())
    return list(jars) if complete else None


def _download(folder: Path) -> list[Path]:
    from jgo.maven import MavenContext  # noqa: PLC0415 (0.3 s, and only ever needed once)
    from jgo.parse import Coordinate  # noqa: PLC0415

    context = MavenContext(repo_cache=folder / "repository", timeout=60)
    server = context.create_dependency(Coordinate("org.apache.kafka", "kafka_2.13", KAFKA_VERSION, scope="compile"))
    try:
        inputs, transitive = context.resolver.resolve([server])
        artifacts = [item.artifact for item in (*inputs, *transitive) if item.scope in ("compile", "runtime")]
        log4j = next(artifact.version for artifact in artifacts if artifact.artifactId == "log4j-core")
        # Not resolved together with the server: log4j's own dependency management would pull in an older kafka-clients.
        artifacts.append(context.project(*BINDING).at_version(log4j).artifact())
        with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
            jars = list(pool.map(lambda artifact: Path(artifact.resolve()), artifacts))
    except Exception as error:
        # jgo raises whatever its HTTP library does; a full disk must not read as a missing network.
        if isinstance(error, OSError) and error.errno and error.filename:
            raise
        raise StackError(
            f"Kafka {KAFKA_VERSION}: its files cannot be downloaded ({type(error).__name__}: {error}) — the first run needs the network"
            f" (Maven Central, 45 MB); or copy {folder} from a machine that has it"
        ) from error
    manifest = folder / "manifest.json"
    partial = manifest.with_suffix(".partial")
    partial.write_text(json.dumps({str(jar.relative_to(folder)): jar.stat().st_size for jar in jars}, indent=1))
    partial.replace(manifest)
    return jars

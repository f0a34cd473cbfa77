"""How a broker starts with a quarter of the work: from an image of an earlier start, and compiled once instead of twice.

A broker's start costs five CPU seconds of loading and compiling classes. Rounds of faults start brokers again and again
and never run one for long. The image is Java's own (an AOT cache, from Java 24 on), made once, kept beside the jars.
"""

import hashlib
import subprocess
import tempfile
from pathlib import Path

from deploy.local import jars, kafka
from deploy.local.processes import free_ports, wait_until

START_SECONDS = 90
WRITE_SECONDS = 300
"""Java writes the image after the broker has stopped; on a busy machine that takes a minute."""


def options(java: Path) -> list[str]:
    """Return the options with which brokers start quickly, after making the image if there is none."""
    image = _image(java)
    return ["-XX:TieredStopAtLevel=1", *([f"-XX:AOTCache={image}"] if image else [])]


def _image(java: Path) -> Path | None:
    """Return the image that this Java can use; None where it cannot make one."""
    program = java.resolve()
    known = hashlib.sha256(f"{program} {program.stat().st_mtime_ns} {jars.KAFKA_VERSION}".encode()).hexdigest()[:12]
    image = jars.cache_folder() / f"start-{known}.aot"
    if not image.exists():
        with tempfile.TemporaryDirectory(dir=jars.cache_folder()) as scratch:
            made = Path(scratch) / image.name
            _record_a_start(java, Path(scratch), made)
            if not made.exists():
                return None
            made.replace(image)
    return image


def _record_a_start(java: Path, folder: Path, image: Path) -> None:
    """Start a broker alone, and stop it as soon as it answers."""
    port, controller_port = free_ports(2)
    node = kafka.Node(1, folder / "kafka", port, controller_port)
    kafka.prepare(java, node, [node])
    command = kafka.command(java, node, ["-XX:TieredStopAtLevel=1", f"-XX:AOTCacheOutput={image}"])
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as it:
        try:
            wait_until(lambda: it.poll() is not None or 1 in kafka.live_brokers(port), START_SECONDS)
            it.terminate()
            it.wait(WRITE_SECONDS)
        except subprocess.TimeoutExpired:
            it.kill()

"""Runs a measuring program in a process of its own: the programs to compare with, and parts of Bellwether by themselves."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson

from streams.bench.workload import TOPICS, Workload
from streams.halt import Refusal
from streams.settings import Settings

PATIENCE_SECONDS = 600.0


async def measure_limit(settings: Settings) -> dict[str, float]:
    """Return events, seconds and CPU seconds of the bare reader."""
    return await _measure("limit", settings, {})


async def measure_stock(settings: Settings, workload: Workload) -> dict[str, float]:
    """Return events and seconds of a stock Faust agent with one table, on as many events as it manages in a while."""
    return await _measure("stock", settings, {"BENCH_EVENTS": str(workload.count(TOPICS[0]))})


async def measure_restore(settings: Settings) -> dict[str, float]:
    """Return what restoring and sweeping the worker's changelog takes."""
    return await _measure("restore", settings, {})


async def measure_stages(settings: Settings, workload: Workload) -> dict[str, float]:
    """Return stage → microseconds an event."""
    sizes = {"BENCH_EVENTS": str(workload.events), "BENCH_ACCOUNTS": str(workload.accounts)}
    return await _measure("stages", settings, sizes)


async def _measure(program: str, settings: Settings, environ: dict[str, str]) -> dict[str, float]:
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", f"streams.bench.{program}"]
    return await figures_of(program, command, {**settings.environ(), **environ, "PYTHONPATH": path})


async def figures_of(program: str, command: Sequence[str], environ: Mapping[str, str]) -> dict[str, float]:
    """Run a program, in this environment and `environ`, and return the JSON object that it prints last.

    Raises
    ------
    Refusal
        It failed, printed none, or took too long.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environ},
    )
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            output, errors = await process.communicate()
    except TimeoutError as error:
        raise Refusal(f"{program}: expected a figure within {PATIENCE_SECONDS:.0f} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    # Faust draws a spinner on standard output, beside which the figure may stand.
    lines = [line[line.index("{") :] for line in output.decode().splitlines() if "{" in line]
    if process.returncode or not lines:
        raise Refusal(f"{program}: ended with {process.returncode}: {errors.decode(errors='replace').strip()[-500:]}")
    found: dict[str, float] = orjson.loads(lines[-1])
    return found

"""`bellwether doctor`: is everything that Bellwether needs there and as it should be, and if not, what to do."""

import argparse
import asyncio
import platform
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import redis.asyncio
from redis.exceptions import RedisError

from streams import topics
from streams.cli.output import quiet_client, result
from streams.halt import FAILED, Refusal
from streams.settings import Settings

PINNED = {"faust-streaming": "0.15.3", "aiokafka": "0.14."}
"""Packages whose extension points Bellwether builds on → versions these were checked in."""
CLOCK_SECONDS = 2.0
"""Clocks that differ by more make fresh events look late or from the future."""
REDIS_SECONDS = 5.0
REDIS_VERSION = (6, 2)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    what
        The thing.
    is_good
        Whether it is as it should be.
    found
        What was found.
    advice
        What to do when it is not.
    """

    what: str
    is_good: bool
    found: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{'ok ' if self.is_good else 'BAD'} {self.what}: {self.found}" + (
            f" — {self.advice}" if self.advice else ""
        )


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--json", action="store_true", help="print the checks as JSON")


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Run every check; 1 when one of them is bad."""
    quiet_client()
    checks = asyncio.run(examine(settings))
    bad = sum(not check.is_good for check in checks)
    value = {
        "ok": not bad,
        "checks": [
            {"what": check.what, "ok": check.is_good, "found": check.found, "advice": check.advice} for check in checks
        ],
    }
    result(value, as_json=options.json, sentence="\n".join(map(str, checks)))
    return FAILED if bad else 0


async def examine(settings: Settings) -> list[Check]:
    """Return every check; the clock and the topics are only looked at when their server answers."""
    return [*_versions(), *[check async for check in _kafka(settings)], *[check async for check in _redis(settings)]]


def _versions() -> list[Check]:
    checks = [Check("python", sys.version_info >= (3, 11), platform.python_version())]
    for package, wanted in PINNED.items():
        try:
            found = version(package)
        except PackageNotFoundError:
            found = "not installed"
        is_good = found.startswith(wanted)
        checks.append(Check(package, is_good, found, "" if is_good else f"install {wanted.rstrip('.')} (`make setup`)"))
    return checks


async def _kafka(settings: Settings) -> AsyncIterator[Check]:
    try:
        async with topics.admin(settings) as client:
            brokers = (await client.describe_cluster())["brokers"]
    except Refusal as refusal:
        where, _, advice = str(refusal).partition(" — ")
        yield Check("kafka", is_good=False, found=where, advice=advice)
        return
    enough = len(brokers) >= settings.replication
    advice = "" if enough else f"start more brokers, or lower BELLWETHER_REPLICATION ({settings.replication})"
    yield Check("kafka", enough, f"{len(brokers)} broker{'s'[: len(brokers) > 1]} at {settings.kafka}", advice)
    findings = await topics.check(settings)
    if not findings:
        yield Check("topics", is_good=True, found=f"all {len(topics.TOPICS)} as declared")
    missing = [finding for finding in findings if finding.what == topics.MISSING]
    if missing:
        yield Check(
            "topics", is_good=False, found=f"{len(missing)} of {len(topics.TOPICS)} missing", advice=missing[0].advice
        )
    for finding in findings:
        if finding not in missing:
            yield Check(f"topic {finding.where}", is_good=False, found=finding.what, advice=finding.advice)


async def _redis(settings: Settings) -> AsyncIterator[Check]:
    where = settings.redis_url.rpartition("@")[2]  # without user and password
    client = redis.asyncio.Redis.from_url(
        settings.redis_url, socket_connect_timeout=REDIS_SECONDS, socket_timeout=REDIS_SECONDS
    )
    try:
        info = await client.info("server")
        seconds, microseconds = await client.time()
    except (RedisError, OSError) as error:
        advice = "start one (`bellwether up`), or set BELLWETHER_REDIS_URL; scoring goes on without it, the page and API do not"
        yield Check("redis", is_good=False, found=f"no answer at {where} ({error})", advice=advice)
        return
    finally:
        await client.aclose()
    apart = abs(time.time() - seconds - microseconds / 1e6)
    found = str(info["redis_version"])
    is_recent = tuple(int(part) for part in found.split(".")[:2]) >= REDIS_VERSION
    yield Check("redis", is_recent, f"{found} at {where}", "" if is_recent else "install Redis 6.2 or later")
    is_close = apart < CLOCK_SECONDS
    yield Check(
        "clock", is_close, f"{apart:.1f} s apart from Redis's", "" if is_close else "synchronise both machines (NTP)"
    )

"""`bellwether doctor`: is everything that Bellwether needs there, as it should be and moving, and if not, what to do."""

import argparse
import asyncio
import platform
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from redis.exceptions import RedisError

from scoring.faults import ModelError
from scoring.presets import load_model
from state.changelog import StateMismatchError
from state.layout import LAYOUT_VERSION
from streams import standing, topics
from streams.access import redis_advice, redis_client
from streams.cli.output import quiet_client, result
from streams.halt import FAILED, Refusal
from streams.models import newest_metas
from streams.projection import RedisDownError
from streams.settings import Settings

PINNED = {"faust-streaming": "0.15.3", "aiokafka": "0.14."}
"""Packages whose extension points Bellwether builds on → versions these were checked in."""
CLOCK_SECONDS = 2.0
"""Clocks that differ by more make fresh events look late or from the future."""
REDIS_SECONDS = 5.0
REDIS_VERSION = (6, 2)
LOOK_SECONDS = 3.0
"""Between two looks at what is committed; a worker under backlog commits every second."""
SHOWN = 4
MOST_BEHIND = 1_000


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
    """Return every check; what needs a server is only looked at when that answers as it should."""
    checks = [*_versions(), _model(settings), *[check async for check in _kafka(settings)]]
    has_topics = any(check.what == "topics" and check.is_good for check in checks)
    checks += [check async for check in _redis(settings)]
    if has_topics:
        checks += [check async for check in _state(settings)]
        checks += [check async for check in _progress(settings)]
    return checks


def _model(settings: Settings) -> Check:
    try:
        model = load_model(settings.model)
    except ModelError as error:
        found = str(error).splitlines()[0]
        return Check("model", is_good=False, found=found, advice=f"run `bellwether model check {settings.model}`")
    return Check("model", is_good=True, found=f"{model.name} version {model.version}, fingerprint {model.fingerprint}")


async def _progress(settings: Settings) -> AsyncIterator[Check]:
    """Look at what waits for workers and for Redis."""
    now = await standing.look(settings, LOOK_SECONDS)
    total = sum(now.waiting.values())
    is_missed = total > 0 and not now.members
    found = f"{now.members or 'none'} in the group {settings.app_id}"
    yield Check("workers", not is_missed, found, "start one (`bellwether worker`): records wait" if is_missed else "")
    if not total:
        yield Check("lag", is_good=True, found="no record waits")
    elif now.still:
        where = ", ".join(f"{topic}[{partition}]" for topic, partition in now.still[:SHOWN])
        more = f" and {len(now.still) - SHOWN} more" if len(now.still) > SHOWN else ""
        found = f"{total:,} records wait, nothing moves on {where}{more}"
        yield Check("lag", is_good=False, found=found, advice="see the stuck partitions below")
        for number in sorted({partition for _, partition in now.still})[:SHOWN]:
            yield _stuck(number, now)
    else:
        yield Check("lag", is_good=True, found=f"{total:,} records wait and are being applied")
    try:
        behind = await standing.behind_in_redis(settings)
    except RedisDownError:
        return  # told already
    is_level = behind <= MOST_BEHIND
    advice = "" if is_level else "wait if it falls, else see the workers' logs for `redis`, and runbook redis-behind"
    yield Check("redis content", is_level, f"{behind:,} committed scores and alerts behind", advice)


def _stuck(number: int, now: standing.Standing) -> Check:
    """Return what is known of a partition on which nothing moves, and what to do about it."""
    waiting = sum(count for (_, partition), count in now.waiting.items() if partition == number)
    owner = now.owners.get(number)
    if owner is None:
        advice = (
            "start a worker" if not now.members else "wait a minute for the rebalance, then runbook partitions-unserved"
        )
    else:
        advice = f"see the last log lines of the worker at {owner}: it restores, or ends itself after 60 s; runbook standstill"
    held = f"held by the worker at {owner}" if owner else "held by no worker"
    return Check(f"partition {number}", is_good=False, found=f"{waiting:,} records wait, {held}", advice=advice)


async def _state(settings: Settings) -> AsyncIterator[Check]:
    """Look at which version and model wrote the state that workers restore."""
    metas = await newest_metas(settings)
    for number, meta in metas.items():
        try:
            meta.require(number)
        except StateMismatchError as error:
            found, _, advice = str(error).partition(" — ")
            yield Check("state", is_good=False, found=found, advice=advice)
            return
    models = sorted({meta.model for meta in metas.values()})
    found = f"{len(metas)} of {settings.partitions} partitions written, layout {LAYOUT_VERSION}"
    if len(models) > 1:
        advice = "a published model is on its way: wait for the workers, then runbook models-differ"
        yield Check("state", is_good=False, found=f"{found}, by models {', '.join(models)}", advice=advice)
    else:
        yield Check("state", is_good=True, found=found + "".join(f", model {model}" for model in models))


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
    where = settings.redis_address
    client = redis_client(settings, socket_connect_timeout=REDIS_SECONDS, socket_timeout=REDIS_SECONDS)
    try:
        info = await client.info("server") | await client.info("memory")
        seconds, microseconds = await client.time()
    except (RedisError, OSError) as error:
        advice = f"{redis_advice(error)}; scoring goes on without it, the page and API do not"
        yield Check("redis", is_good=False, found=f"no answer at {where} ({error})", advice=advice)
        return
    finally:
        await client.aclose()
    apart = abs(time.time() - seconds - microseconds / 1e6)
    found = str(info["redis_version"])
    is_recent = tuple(int(part) for part in found.split(".")[:2]) >= REDIS_VERSION
    yield Check("redis", is_recent, f"{found} at {where}", "" if is_recent else "install Redis 6.2 or later")
    if info.get("maxmemory") and info.get("maxmemory_policy") != "noeviction":
        found = f"maxmemory-policy {info['maxmemory_policy']}"
        advice = "set it to noeviction: with any other Redis drops parts of the read model when it is full"
        yield Check("redis memory", is_good=False, found=found, advice=advice)
    is_close = apart < CLOCK_SECONDS
    yield Check(
        "clock", is_close, f"{apart:.1f} s apart from Redis's", "" if is_close else "synchronise both machines (NTP)"
    )

"""What tests share: one real Kafka and Redis per test session, and names that keep tests apart on them."""

import asyncio
import gc
import io
import itertools
import os
import uuid
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

import pytest
import redis
from hypothesis import settings as hypothesis_settings

from deploy.local import Stack, StackError
from streams import topics
from streams.kernel_cache import use_kernel_cache
from streams.settings import Settings

REDIS_DATABASES = itertools.cycle(range(16))


def pytest_configure() -> None:
    """Choose the kernel's cache by the present sources before any test imports numba: a stale kernel would be judged else."""
    use_kernel_cache(os.environ)
    # The first example of a test may compile a kernel, and the machine may be busy: time is no verdict.
    hypothesis_settings.register_profile("ours", deadline=None)
    hypothesis_settings.load_profile("ours")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say of a test that ran out of time what each of its tasks was waiting for: the stack of the loop tells nothing."""
    report = yield
    if call.excinfo is not None and "Timeout" in str(call.excinfo.value):
        report.sections.append((f"Tasks of {item.name}", _waiting_tasks()))
    return report


def _waiting_tasks() -> str:
    told = io.StringIO()
    tasks: list[asyncio.Task[Any]] = [held for held in gc.get_objects() if isinstance(held, asyncio.Task)]
    for task in tasks:
        if not task.done():
            task.print_stack(file=told)
    return told.getvalue()


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Kafka (one broker) and Redis for the whole session; where they cannot run, tests skip, except in CI."""
    running = Stack()
    try:
        running.start()
    except StackError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    yield running
    running.stop()


@pytest.fixture
def settings(stack: Stack) -> Settings:
    """Settings with an application id, a topic prefix and an empty Redis database of the test's own; no topics yet."""
    name = f"t{uuid.uuid4().hex[:10]}"
    address = f"{stack.redis_url.removesuffix('/0')}/{next(REDIS_DATABASES)}"
    with redis.Redis.from_url(address) as database:
        database.flushdb()
    return Settings(
        kafka=stack.kafka, redis_url=address, app_id=name, topic_prefix=f"{name}-", partitions=4, metrics_port=0
    )


@pytest.fixture
async def provisioned(settings: Settings) -> AsyncIterator[Settings]:
    """`settings`, with every topic created; they are deleted afterwards."""
    created = await topics.create(settings)
    yield settings
    async with topics.admin(settings) as admin:
        await admin.delete_topics(created)

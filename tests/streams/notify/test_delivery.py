"""Delivery against real receivers on this machine: retries, dead letters, slow and dead neighbours, restarts, kill -9."""

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

from streams import dead_letters
from streams.notify.sending import Sender, Verdict
from streams.notify.targets import PagerDuty, Slack, Target, Webhook
from streams.settings import Settings
from tests.streams.notify.receivers import (
    SECRET,
    Receiver,
    an_alert,
    notifier_process,
    notifying,
    receiving,
    write_alerts,
)


def webhook(name: str, url: str, *, retry_ms: tuple[int, ...] = (100, 100), private: bool = True) -> Target:
    """A webhook target that has never read anything."""
    return Target(name, Webhook(url, (SECRET,), private), retry_ms=retry_ms, from_beginning=True)


async def test_a_failed_delivery_is_repeated_with_the_same_id(provisioned: Settings) -> None:
    """Two failures, then success: three requests with one webhook-id; other alerts are delivered meanwhile."""
    failing = f"{1:032x}-1"
    failures = Counter[str]()

    def answer(_: int, identity: str) -> int:
        failures[identity] += 1
        return 500 if identity == failing and failures[identity] < 3 else 204

    async with receiving(Receiver(answer)) as receiver:
        await write_alerts(provisioned, [an_alert(number) for number in range(1, 6)])
        async with notifying(provisioned, webhook("w", receiver.url)):
            await receiver.has(7)
    assert Counter(receiver.ids) == {failing: 3} | {f"{number:032x}-1": 1 for number in range(2, 6)}
    assert len({headers["webhook-signature"] for headers, _ in receiver.requests}) >= 5


async def test_a_slow_target_holds_nobody(provisioned: Settings) -> None:
    """A target that does not answer and one that is not there leave the third as fast as alone."""
    slow, fast = Receiver(gate=asyncio.Event()), Receiver()
    async with receiving(slow), receiving(fast):
        targets = [webhook("slow", slow.url), webhook("fast", fast.url), webhook("dead", "http://127.0.0.1:9/x")]
        await write_alerts(provisioned, [an_alert(number) for number in range(40)])
        async with notifying(provisioned, *targets) as standing:
            await fast.has(40)
            await standing.has(lambda s: s.owed["fast"] == 0 and s.behind["fast"] == 0)
            assert len(slow.requests) <= 8
            slow.gate.set()
            await slow.has(40)


async def test_an_alerts_states_arrive_in_order(provisioned: Settings) -> None:
    """While "firing" is being retried its "resolved" waits: the last thing a receiver hears is how it ended."""
    order = [an_alert(1), an_alert(1, "acknowledged", 2), an_alert(1, "resolved", 3)]
    async with receiving(Receiver(lambda before, _: 503 if before < 2 else 200)) as receiver:
        await write_alerts(provisioned, order)
        async with notifying(provisioned, webhook("w", receiver.url)):
            await receiver.has(5)
    assert [identity[-1] for identity in receiver.ids] == ["1", "1", "1", "2", "3"]


async def test_after_the_last_try_it_is_a_dead_letter(provisioned: Settings) -> None:
    """Given up after the table's tries: one dead letter with target and reason, the original alert, nothing more owed."""
    async with receiving(Receiver(lambda _, __: 500)) as receiver:
        await write_alerts(provisioned, [an_alert()])
        async with notifying(provisioned, webhook("crm", receiver.url)) as standing:
            await standing.has(lambda s: s.given_up == ["crm"] and s.owed["crm"] == 0)
        assert len(receiver.requests) == 3
        async with notifying(provisioned, webhook("crm", receiver.url)) as standing:
            await standing.has(lambda s: s.behind.get("crm") == 0)
        assert len(receiver.requests) == 3
    (letter,) = await dead_letters.find(provisioned)
    assert (letter.topic, letter.reason, letter.path, letter.given) == ("alerts", "UNDELIVERED", "crm", "HTTP 500 said")
    assert not letter.can_be_replayed


async def test_refusals_that_no_retry_can_change_are_dead_letters_at_once(provisioned: Settings) -> None:
    """PagerDuty's 400 says the event is wrong: one try."""
    async with receiving(Receiver(lambda _, __: 400)) as receiver:
        place = PagerDuty(receiver.url, "key", allow_private=True)
        await write_alerts(provisioned, [an_alert()])
        async with notifying(provisioned, Target("pager", place, from_beginning=True)) as standing:
            await standing.has(lambda s: s.given_up == ["pager"])
    assert len(receiver.requests) == 1


async def test_gone_disables_until_the_place_changes(provisioned: Settings) -> None:
    """410: nothing more is sent, not even by the next process; with a new address everything goes there, in full."""
    async with receiving(Receiver(lambda _, __: 410)) as old, receiving(Receiver()) as new:
        await write_alerts(provisioned, [an_alert()])
        async with notifying(provisioned, webhook("w", old.url)) as standing:
            await standing.has(lambda s: s.up.get("w") is False)
        await write_alerts(provisioned, [an_alert(1, "resolved", 2)])
        async with notifying(provisioned, webhook("w", old.url)) as standing:
            await standing.has(lambda s: s.up.get("w") is False)
        assert len(old.requests) == 1
        async with notifying(provisioned, webhook("w", new.url)):
            await new.has(2)
        async with notifying(provisioned, webhook("w", old.url)) as standing:
            await standing.has(lambda s: s.up.get("w") is True)
    assert [identity[-1] for identity in new.ids] == ["1", "2"]


async def test_a_new_target_begins_with_the_next_alert(provisioned: Settings) -> None:
    """Unless asked, nobody is flooded with what is in the topic; what comes after its first start is never missed."""
    async with receiving(Receiver()) as receiver:
        target = Target("w", Webhook(receiver.url, (SECRET,), allow_private=True))
        await write_alerts(provisioned, [an_alert(1)])
        async with notifying(provisioned, target) as standing:
            await standing.has(lambda s: s.behind.get("w") == 0)
        await write_alerts(provisioned, [an_alert(2)])
        async with notifying(provisioned, target):
            await receiver.has(1)
    assert receiver.ids == [f"{2:032x}-1"]


async def test_targets_get_what_they_chose(provisioned: Settings) -> None:
    """Severity and rules decide, nobody hears of a holdout; the rest is counted as left out and holds nothing up."""
    async with receiving(Receiver()) as receiver:
        place = Slack(receiver.url, allow_private=True)
        target = Target("s", place, minimum_severity="warning", rules=("band-red",), from_beginning=True)
        alerts = [
            an_alert(4, holdout=True),
            an_alert(1, severity="info"),
            an_alert(2, rule="silent"),
            an_alert(3, severity="warning"),
        ]
        await write_alerts(provisioned, alerts)
        async with notifying(provisioned, target) as standing:
            await standing.has(lambda s: s.behind.get("s") == 0 and s.owed["s"] == 0 and bool(receiver.requests))
    assert len(receiver.requests) == 1
    assert b"acme-3" in receiver.requests[0][1]


async def test_private_addresses_are_refused() -> None:
    """A name that leads to this machine is not posted to unless the target allows it."""
    async with receiving(Receiver()) as receiver:
        url = receiver.url.replace("127.0.0.1", "localhost")
        async with Sender(webhook("w", url, private=False)) as sender:
            outcome = await sender.send(an_alert())
        assert outcome.verdict is Verdict.FAILED
        assert "localhost leads to private addresses only" in outcome.why
        assert receiver.requests == []
        async with Sender(webhook("w", url)) as sender:
            assert (await sender.send(an_alert())).verdict is Verdict.DELIVERED


async def test_redirects_are_not_followed() -> None:
    """A redirect is a failed try: it could lead anywhere."""
    elsewhere = {"location": "http://127.0.0.1:9/"}
    async with (
        receiving(Receiver(lambda _, __: 307, elsewhere)) as receiver,
        Sender(webhook("w", receiver.url)) as sender,
    ):
        assert await sender.send(an_alert()) == (Verdict.FAILED, "HTTP 307 said", 0.0, False)


async def test_retry_after_is_honoured() -> None:
    """A receiver that asks to be left alone is, for as long as it says."""
    receiver = Receiver(lambda _, __: 429, {"retry-after": "120"})
    async with receiving(receiver), Sender(webhook("w", receiver.url)) as sender:
        assert await sender.send(an_alert()) == (Verdict.FAILED, "HTTP 429 said", 120.0, True)


async def test_killed_notifiers_lose_nothing(provisioned: Settings, tmp_path: Path) -> None:
    """Notifiers die by kill -9 in the middle of deliveries, three times: every webhook-id arrives at least once, retries with the same id."""
    count = 60
    receiver = Receiver(lambda before, _: 503 if before % 3 == 1 else 200)
    file, log = tmp_path / "targets.toml", tmp_path / "log"
    async with receiving(receiver):
        file.write_text(
            f'[targets.w]\nkind = "webhook"\nurl = "{receiver.url}"\nallow_private = true\n'
            'secret = { env = "HOOK" }\nretry = ["1s", "1s", "1s", "1s", "1s", "1s"]\nstart = "beginning"\n'
        )
        states = [an_alert(n, state, s) for n in range(count // 2) for s, state in ((1, "firing"), (2, "resolved"))]
        await write_alerts(provisioned, states)
        wanted = {f"{alert['alert_id']}-{alert['sequence']}" for alert in states}
        rounds = 0
        while wanted - set(receiver.ids):
            assert rounds < 20, log.read_text()
            before = len(receiver.requests)
            with notifier_process(provisioned, file, log, HOOK=SECRET) as process:
                more = 11 if rounds < 3 else count
                async with asyncio.timeout(60):
                    while len(receiver.requests) < before + more and wanted - set(receiver.ids):
                        await asyncio.sleep(0.005)
                os.kill(process.pid, signal.SIGKILL)
            rounds += 1
    assert rounds >= 3
    assert set(receiver.ids) == wanted
    firsts = list(dict.fromkeys(receiver.ids))
    for number in range(count // 2):
        assert firsts.index(f"{number:032x}-1") < firsts.index(f"{number:032x}-2")
    assert await dead_letters.find(provisioned) == []

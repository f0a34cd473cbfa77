"""Dead letters are listed with their reason and sent again exactly once."""

import asyncio
import json

import pytest

from streams import dead_letters
from streams.cli import main
from streams.outbox import Outbox
from streams.reading import read_all
from streams.settings import Settings


async def reject(settings: Settings, *reasons: str, topic: str = "usage") -> None:
    """Write dead letters as a worker does, one per reason, all of account `acme`."""
    async with Outbox(settings) as outbox:
        name = settings.topic("dead-letters")
        await outbox.open(name)
        for offset, reason in enumerate(reasons):
            texts = {
                "topic": topic,
                "partition": "3",
                "offset": str(offset),
                "reason": reason,
                "path": "$.x",
                "given": "[1]",
            }
            headers = [("ce_id", b"e"), *((f"bw_{key}", text.encode()) for key, text in texts.items())]
            await outbox.add(name, b"acme", f"{reason} {offset}".encode(), None, headers)


async def usage(settings: Settings) -> list[bytes]:
    return [record.value async for record in read_all(settings, settings.topic("usage"))]


async def test_they_are_found_with_reason_and_place(provisioned: Settings) -> None:
    """Where each came from, why it was rejected, and the original bytes."""
    await reject(provisioned, "FUTURE", "INVALID_JSON")
    letters = await dead_letters.find(provisioned)
    assert [
        (each.topic, each.source_partition, each.source_offset, each.reason, each.path, each.given) for each in letters
    ] == [
        ("usage", 3, 0, "FUTURE", "$.x", "[1]"),
        ("usage", 3, 1, "INVALID_JSON", "$.x", "[1]"),
    ]
    assert [each.record.value for each in await dead_letters.find(provisioned, "FUTURE")] == [b"FUTURE 0"]


async def test_a_replay_sends_the_original_record_once(provisioned: Settings) -> None:
    """Same key, bytes and foreign headers, no `bw_` headers; a second replay has nothing left; --again repeats."""
    await reject(provisioned, "FUTURE", "INVALID_JSON")
    assert (await dead_letters.replay(provisioned)).sent.total() == 2
    (first, second) = [record async for record in read_all(provisioned, provisioned.topic("usage"))]
    assert (first.key, first.value, tuple(first.headers)) == (b"acme", b"FUTURE 0", (("ce_id", b"e"),))
    assert second.value == b"INVALID_JSON 1"
    outcome = await dead_letters.replay(provisioned)
    assert (outcome.sent.total(), outcome.already_sent) == (0, 2)
    assert (await dead_letters.replay(provisioned, again=True)).sent.total() == 2
    assert len(await usage(provisioned)) == 4


async def test_reasons_are_remembered_apart(provisioned: Settings) -> None:
    """Sending one reason leaves the others to a later replay, and what arrives later is sent later."""
    await reject(provisioned, "FUTURE", "INVALID_JSON", "FUTURE")
    assert (await dead_letters.replay(provisioned, "FUTURE")).sent == {"FUTURE": 2}
    assert (await dead_letters.replay(provisioned)).sent == {"INVALID_JSON": 1}
    await reject(provisioned, "FUTURE")
    assert (await dead_letters.replay(provisioned, "FUTURE")).sent == {"FUTURE": 1}
    assert len(await usage(provisioned)) == 4


async def test_a_dry_run_sends_and_remembers_nothing(provisioned: Settings) -> None:
    """It counts what a replay would send."""
    await reject(provisioned, "FUTURE")
    assert (await dead_letters.replay(provisioned, dry_run=True)).sent == {"FUTURE": 1}
    assert await usage(provisioned) == []
    assert (await dead_letters.replay(provisioned)).sent == {"FUTURE": 1}


async def test_internal_records_are_left_alone(provisioned: Settings) -> None:
    """A rejected `rerouted` record has no meaning without what was around it."""
    await reject(provisioned, "INVALID_JSON", topic="rerouted")
    outcome = await dead_letters.replay(provisioned)
    assert (outcome.sent.total(), outcome.internal) == (0, 1)


async def test_the_command_lists_and_replays(
    provisioned: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`list --json` and `replay --json` end with one object; for people the brackets of a place are kept."""
    for variable, value in provisioned.environ().items():
        monkeypatch.setenv(variable, value)
    await reject(provisioned, "FUTURE", "FUTURE")
    assert await asyncio.to_thread(main, ["dead-letters", "list", "--limit", "1"]) == 0
    said = capsys.readouterr()
    assert "usage[3]@1" in said.out
    assert "usage[3]@0" not in said.out
    assert said.err == "2 dead letters: FUTURE 2\n"
    assert await asyncio.to_thread(main, ["dead-letters", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert (listed["total"], listed["reasons"], len(listed["dead_letters"])) == (2, {"FUTURE": 2}, 2)
    assert await asyncio.to_thread(main, ["dead-letters", "replay", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "sent": 2,
        "would_send": 2,
        "reasons": {"FUTURE": 2},
        "already_sent": 0,
        "internal": 0,
    }

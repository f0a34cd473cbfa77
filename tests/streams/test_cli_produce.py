"""`produce`: files into topics, keyed, partitioned and stamped as any producer would."""

import asyncio
import gzip
import io
import json
import sys
from pathlib import Path

import pytest
import zstandard
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.structs import ConsumerRecord

from streams.cli import main
from streams.reading import read_all
from streams.settings import Settings


def event(n: int, account_id: str = "acme") -> dict[str, object]:
    return {"id": f"e{n}", "account_id": account_id, "occurred_at": f"2024-03-01T00:00:{n % 60:02d}Z", "event": "login"}


def lines(*events: object) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in events)


@pytest.fixture
def topics_ready(provisioned: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with topics, also in the environment."""
    for variable, value in provisioned.environ().items():
        monkeypatch.setenv(variable, value)
    return provisioned


async def produce(*arguments: str) -> int:
    return await asyncio.to_thread(main, ["produce", *arguments])


async def records(settings: Settings, topic: str) -> list[ConsumerRecord]:
    return [record async for record in read_all(settings, settings.topic(topic))]


async def test_records_are_as_a_java_producer_writes_them(topics_ready: Settings, tmp_path: Path) -> None:
    """Key: account id; partition: murmur2 of it; timestamp: the event's time; value: the line, byte for byte."""
    file = tmp_path / "usage.jsonl"
    file.write_bytes(lines(*(event(n, f"account-{n % 7}") for n in range(50))))
    assert await produce(str(file)) == 0
    written = await records(topics_ready, "usage")
    partitioner = DefaultPartitioner()
    assert sorted(record.value for record in written) == sorted(file.read_bytes().splitlines())
    for record in written:
        account_id = json.loads(record.value)["account_id"].encode()
        assert record.key == account_id
        assert record.partition == partitioner(account_id, list(range(topics_ready.partitions)), [])
        assert record.timestamp == 1_709_251_200_000 + 1000 * (int(json.loads(record.value)["id"][1:]) % 60)


async def test_order_within_an_account_is_kept_over_many_batches(topics_ready: Settings, tmp_path: Path) -> None:
    """Twenty thousand events of one account arrive in the order of the file, none twice."""
    file = tmp_path / "usage.jsonl"
    file.write_bytes(lines(*(event(n) for n in range(20_000))))
    assert await produce(str(file)) == 0
    assert [json.loads(record.value)["id"] for record in await records(topics_ready, "usage")] == [
        f"e{n}" for n in range(20_000)
    ]


@pytest.mark.parametrize("ending", ["gz", "zst"])
async def test_compressed_files_are_read(topics_ready: Settings, tmp_path: Path, ending: str) -> None:
    """`.gz` and `.zst` are read as their content, and the name before the first dot is the topic."""
    compress = gzip.compress if ending == "gz" else zstandard.ZstdCompressor().compress
    file = tmp_path / f"usage.jsonl.{ending}"
    file.write_bytes(compress(lines(event(1))))
    assert await produce(str(file)) == 0
    assert len(await records(topics_ready, "usage")) == 1


async def test_csv_becomes_events(topics_ready: Settings, tmp_path: Path) -> None:
    """Numbers, lists and nested objects come out as the contract has them; empty cells are absent."""
    file = tmp_path / "accounts.csv"
    file.write_text(
        "account_id,occurred_at,name,seats,arr,aliases,relationship.champion\n"
        '007,2024-03-01T00:00:00Z,"Acme, Inc.",12,,a; b,active\n'
    )
    assert await produce(str(file)) == 0
    (record,) = await records(topics_ready, "accounts")
    assert json.loads(record.value) == {
        "account_id": "007",
        "occurred_at": "2024-03-01T00:00:00Z",
        "name": "Acme, Inc.",
        "seats": 12,
        "aliases": ["a", "b"],
        "relationship": {"champion": "active"},
    }


async def test_rejected_lines_are_listed_and_left_out(
    topics_ready: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each rejected line is told with file, line and path; the others are sent; --strict makes it exit code 1."""
    file = tmp_path / "usage.jsonl"
    file.write_bytes(lines(event(1)) + b"\nnonsense\n" + lines(event(2) | {"occurred_at": "soon"}, event(3)))
    assert await produce(str(file), "--strict", "--json") == 1
    said = capsys.readouterr()
    assert [line.split(" ")[:2] for line in said.err.splitlines()] == [
        [f"{file}:3", "$:"],
        [f"{file}:4", "$.occurred_at:"],
    ]
    summary = json.loads(said.out.splitlines()[-1])
    assert (summary["produced"], summary["rejected"]) == ({"usage": 2}, 2)
    assert summary["rejections"][1] == {
        "file": str(file),
        "line": 4,
        "reason": "INVALID_TIME",
        "path": "$.occurred_at",
        "given": '"soon"',
    }
    assert len(await records(topics_ready, "usage")) == 2


async def test_standard_input_is_read(topics_ready: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` reads JSON lines from standard input for the stated topic."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines(event(1)))))
    assert await produce("-", "--topic", "usage") == 0
    assert len(await records(topics_ready, "usage")) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-"], "-: expected --topic with standard input, got none — say which topic the events belong to"),
        (["nowhere/usage.jsonl"], "nowhere/usage.jsonl: no such file — check the path"),
        (
            ["scores.jsonl"],
            "scores.jsonl: expected a file named after a topic (accounts, usage, billing, support, engagement, outcomes, commands), got 'scores'",
        ),
    ],
)
def test_wrong_files_are_wrong_usage(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be sent is refused before a broker is asked, with exit code 2."""
    assert main(["produce", *arguments]) == 2
    assert capsys.readouterr().err.startswith(sentence)


async def test_a_truncated_file_is_one_sentence(
    topics_ready: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A damaged archive ends the command with 1 and names the file."""
    file = tmp_path / "usage.jsonl.gz"
    file.write_bytes(gzip.compress(lines(event(1)))[:-9])
    assert await produce(str(file)) == 1
    assert capsys.readouterr().err.startswith(f"{file}: cannot be read (")
    assert topics_ready.partitions == 4


async def test_missing_topics_are_one_sentence(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without topics the sentence says what to run."""
    for variable, value in settings.environ().items():
        monkeypatch.setenv(variable, value)
    file = tmp_path / "usage.jsonl"
    file.write_bytes(lines(event(1)))
    assert await produce(str(file)) == 1
    assert (
        capsys.readouterr().err
        == f"{settings.topic('usage')}: no such topic in Kafka — run `bellwether topics create`\n"
    )

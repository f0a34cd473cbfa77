"""What tests see of a partition and of the oracle, in the same words."""

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from scoring.compile import compile_model
from scoring.flapping import ANSWERED, CAPPED, ESCALATED, FLAPPING, OVERDUE
from scoring.jit import Handle, handle
from scoring.model import Model
from scoring.plan import Plan
from state import layout as lay
from state.duplicates import Duplicates
from state.flush import Flush
from state.partition import Partition
from state.score import score_many
from state.work import PICTURE_COVERAGE, PICTURE_EXPANSION, PICTURE_FIXED, PICTURE_HEALTH, PICTURE_RISK, make_work
from tests.oracle import Oracle
from tests.oracle_scoring import millionths
from tests.state.journals import Run

STATES = ("inactive", "pending", "firing", "acknowledged", "snoozed", "clearing")


def partition_for(
    model: Model, *, lines: int = 4096, generation: int = 1 << 16, number: int = 0, count: int = 1
) -> Partition:
    """Return an empty partition, with room for so many moves and ids."""
    return Partition(number, count, compile_model(model), duplicates=Duplicates(generation), move_lines=lines)


def plan_of(partition: Partition) -> Plan:
    """Return the arrays a partition's model was compiled to."""
    return partition.plan.arrays if isinstance(partition.plan, Handle) else partition.plan


def feed(partition: Partition, runs: Iterable[Run]) -> Partition:
    """Apply runs and the sweeps they cause; return the partition."""
    for topic, records in runs:
        partition.apply(topic, records)
        while not partition.sweep(1000):
            pass
    return partition


def restored(model: Model, flushes: Sequence[Flush], *, is_compacted: bool = False, **options: Any) -> Partition:
    """Return a partition read back from the changelog of these flushes."""
    partition = partition_for(model, **options)
    messages = [message for flush in flushes for message in flush.changelog]
    if is_compacted:
        latest = {message.key: k for k, message in enumerate(messages)}
        messages = [messages[k] for k in sorted(latest.values())]
    partition.load(messages)
    partition.finish_load()
    return partition


def number(value: float) -> float | None:
    """Return a number that compares: None for unknown, else to a millionth."""
    return None if math.isnan(value) else millionths(value) + 0.0


def alerts_of(flushes: Iterable[Flush]) -> list[tuple[Any, ...]]:
    """Return the announced moves of flushes, sorted by account and sequence."""
    lines = []
    for message in (message for flush in flushes for message in flush.alerts):
        body = json.loads(message.value or b"")
        bands = (body["from_band"], body["to_band"])
        scores = (body["scores"]["health"], body["scores"]["risk"])
        head = (body["account_id"], body["sequence"], body["rule"], body["episode"], body["state"], message.timestamp)
        members = {"capped": "capped", "escalated_from": "escalated", "flapping": "flapping", "overdue": "overdue"}
        marks = [mark for member, mark in (members | {"repeated": "repeated"}).items() if member in body]
        step = body["next_step"] or {}
        marks = tuple(sorted(marks + [name for name in step.get("suppressed", []) if name != "enough-contact"]))
        lines.append((*head, *bands, *scores, marks))
    return sorted(lines, key=lambda line: line[:2])


def expected_alerts(oracle: Oracle) -> list[tuple[Any, ...]]:
    """Return the oracle's announced moves in the form of `alerts_of`."""
    names = {None: "insufficient_data", **dict(enumerate(oracle.model.band_names))}
    lines = []
    for alert in oracle.alerts:
        head = (alert.account, alert.sequence, alert.rule, alert.episode, alert.state, alert.at)
        lines.append((*head, names[alert.from_band], names[alert.to_band], alert.health, alert.risk, alert.marks))
    return sorted(lines, key=lambda line: line[:2])


def seen(partition: Partition) -> dict[str, dict[str, Any]]:
    """Return account → everything it shows: sums, items, scores, band, overrides, rules, positions."""
    count = len(partition.store)
    rows, model = partition.store.rows, partition.compiled.model
    pictures = np.empty((count, partition.scratch.pictures.shape[1]))
    at = np.empty(count, np.int64)
    work = handle(make_work(plan_of(partition), partition.layout, 1))
    score_many(partition.plan, partition.store.handle, work, np.arange(count), partition.clock_ms, pictures, at)
    found = {}
    for row, account in enumerate(partition.store.names):
        ints = rows.ints[row].tolist()
        values = pictures[row, PICTURE_FIXED : PICTURE_FIXED + len(partition.compiled.values)].tolist()
        found[account] = {
            "day": int(rows.derived[row, lay.DAY]),
            "closed": bool(ints[lay.CLOSED]),
            "signals": {s.name: _signal(partition, row, k) for k, s in enumerate(model.signals)},
            "values": [number(value) for value in values[: len(model.inputs)]],
            "health": number(pictures[row, PICTURE_HEALTH]),
            "coverage": number(pictures[row, PICTURE_COVERAGE]),
            "risk": number(pictures[row, PICTURE_RISK]),
            "expansion": number(pictures[row, PICTURE_EXPANSION]),
            "slope": None if rows.derived[row, lay.SLOPE] == lay.NO_VALUE else int(rows.derived[row, lay.SLOPE]),
            "band": ints[lay.BAND],
            "band_since": ints[lay.BAND_SINCE],
            "candidate": (ints[lay.CANDIDATE], ints[lay.CANDIDATE_SINCE]),
            "overrides": ints[partition.layout.override_block : partition.layout.rule_block],
            "rules": {rule.name: _rule(partition, ints, k) for k, rule in enumerate(partition.compiled.rules)},
            "sequence": ints[lay.ALERT_SEQUENCE],
            "positions": ints[lay.POSITIONS : lay.POSITIONS + lay.ROW_TOPICS],
        }
    return found


def _signal(partition: Partition, row: int, k: int) -> tuple[Any, ...]:
    rows, layout = partition.store.rows, partition.layout
    base = lay.DERIVED_FIXED + k * lay.DERIVED_SIGNAL
    sums = rows.derived[row, base : base + lay.WINDOWS].tolist()
    oldest = int(rows.derived[row, base + lay.OPEN_OLDEST])
    last_at = int(rows.ints[row, layout.signal_block + k * lay.SIGNAL_COLUMNS + lay.LAST_AT])
    return (
        sums,
        int(rows.derived[row, base + lay.OPEN_COUNT]),
        None if oldest == lay.NO_VALUE else oldest,
        None if last_at == lay.NO_VALUE else last_at,
    )


def _rule(partition: Partition, ints: list[int], k: int) -> tuple[Any, ...]:
    start = partition.layout.rule_block + k * lay.RULE_COLUMNS
    state, since, episode, until, held, fired, told, history = ints[start : start + lay.RULE_COLUMNS]
    is_resting = state == 0
    marks = (fired, told, *(history & bit != 0 for bit in (FLAPPING, ESCALATED, OVERDUE, ANSWERED, CAPPED)))
    return (STATES[state], None if is_resting else since, episode, until if state == 4 else None, held == -1, *marks)


def expected(oracle: Oracle) -> dict[str, dict[str, Any]]:
    """Return what `seen` must say."""
    found = {}
    for account, life, reader, score in oracle.scores():
        found[account] = {
            "day": life.day,
            "closed": life.is_closed,
            "signals": {
                signal.name: (
                    list(facts.sums.values()),
                    facts.open_count,
                    facts.open_oldest,
                    life.marks[signal.name].last_at,
                )
                for signal in oracle.model.signals
                for facts in (life.facts[signal.name],)
            },
            "values": [number(value) for value in score.values],
            "health": number(score.health),
            "coverage": number(score.coverage),
            "risk": number(score.risk),
            "expansion": number(score.expansion),
            "slope": None if math.isnan(life.slope) else math.floor(life.slope * 1e6 + 0.5),
            "band": -1 if life.band is None else life.band,
            "band_since": life.band_since,
            "candidate": (-1, 0) if life.candidate is None else life.candidate,
            "overrides": [since or 0 for since in life.override_since],
            "rules": {
                name: (
                    rule.state,
                    None if rule.state == "inactive" else rule.since,
                    rule.episode,
                    rule.until if rule.state == "snoozed" else None,
                    rule.is_muted,
                    *(rule.fired, rule.told, rule.is_flapping, rule.is_escalated),
                    *(rule.is_overdue, rule.is_answered, rule.is_capped),
                )
                for name, rule in life.rules.items()
            },
            "sequence": life.sequence,
            "positions": [life.positions.get(topic, -1) for topic in lay.INPUT_TOPICS[: lay.ROW_TOPICS]],
        }
        assert reader.account is life
    return found


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Return where two nested values differ, as lines a person can read."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted({*one, *other})
        return [line for key in keys for line in differences(one.get(key), other.get(key), f"{path}.{key}")]
    return [] if one == other else [f"{path}: partition {one}, oracle {other}"]


def assert_equal(partition: Partition, flushes: Sequence[Flush], oracle: Oracle) -> None:
    """Compare everything a partition shows and announced with the oracle."""
    assert partition.clock_ms == (lay.NO_VALUE if oracle.clock is None else oracle.clock)
    found, wanted = alerts_of(flushes), expected_alerts(oracle)
    firsts = [(a, b) for a, b in zip(found, wanted, strict=False) if a != b]
    assert found == wanted, f"first different alert: {firsts[:1]}, {len(found)} against {len(wanted)}"
    lines = differences(seen(partition), expected(oracle))
    assert not lines, "\n".join(lines[:8])


def dead_of(flushes: Iterable[Flush]) -> list[tuple[str, int, str]]:
    """Return the dead letters of flushes as (topic, offset, reason), sorted."""
    letters = [dict(message.headers) for flush in flushes for message in flush.dead_letters]
    return sorted((h["bw_topic"].decode(), int(h["bw_offset"]), h["bw_reason"].decode()) for h in letters)


def sums_of(flushes: Iterable[Flush]) -> list[dict[str, Any]]:
    """Return what flushes say about how busy days were, without the accounts' segments that say nothing."""
    bodies = [json.loads(message.value or b"") for flush in flushes for message in flush.cohorts]
    return [
        {
            "day": body["day"],
            "totals": {
                signal: {segment: tuple(pair) for segment, pair in found.items()}
                for signal, found in body["totals"].items()
            },
        }
        for body in bodies
    ]

"""Runs every compiled function once on a toy partition, so that the kernel is compiled, or loaded, before events wait."""

from collections.abc import Iterator
from typing import NamedTuple

from scoring.compile import Compiled
from scoring.lifecycle import FIRING
from state.alerts import alert_id
from state.decode import warm as warm_decoding
from state.layout import DAY_MS, HOUR_MS, RULE_EPISODE, RULE_STATE
from state.moments import rfc3339
from state.partition import Partition
from state.work import COUNT_MOVES

START_MS = 20_454 * DAY_MS + 5 * HOUR_MS


class _Record(NamedTuple):
    offset: int
    timestamp: int
    value: bytes
    key: bytes = b"warm"
    headers: tuple[tuple[str, bytes], ...] = ()


def warm(compiled: Compiled) -> Iterator[str]:
    """Compile step by step; yields what comes next, for a progress line."""
    yield "decoding"
    warm_decoding()
    partition = Partition(0, 1, compiled)
    at = rfc3339(START_MS)
    stamp = f'"account_id":"warm","occurred_at":"{at}"'
    yield "applying events"
    alert = alert_id("warm", compiled.rules[0].name, 1)
    bodies = {
        "usage": f'{{"id":"1",{stamp},"event":"login","user_id":"u"}}',
        "billing": f'{{"id":"2",{stamp},"event":"invoice_issued","invoice_id":"i","amount":1,"due_at":"{at}"}}',
        "support": f'{{"id":"3",{stamp},"event":"ticket_opened","ticket_id":"t","severity":"high"}}',
        "engagement": f'{{"id":"4",{stamp},"event":"meeting_held"}}',
        "accounts": f'{{{stamp},"owner":"o"}}',
        "commands": f'{{"id":"5",{stamp},"command":"resolve","alert_id":"{alert}"}}',
    }
    for topic, body in bodies.items():
        if topic == "commands":  # Whatever the model, the first rule fires.
            rule = partition.layout.rule_block
            partition.store.rows.ints[0, [rule + RULE_STATE, rule + RULE_EPISODE]] = FIRING, 1
        partition.apply(topic, [_Record(0, START_MS, body.encode())])
    yield "sweeping"
    tick = f'{{"as_of_ms":{START_MS + 2 * DAY_MS},"ends":{{}}}}'
    partition.apply("ticks", [_Record(0, START_MS, tick.encode())])
    partition.sweep(1)
    yield "writing snapshots and alerts"
    # Whatever the model, one alert: the scratch room says that its first line is a move. In another hour, ids are forgotten.
    partition.scratch.counts[COUNT_MOVES] = 1
    partition.apply("usage", [_Record(1, START_MS + HOUR_MS, f'{{"id":"7",{stamp},"event":"login"}}'.encode())])
    told = partition.take_flush()
    assert told is not None
    assert told.scores, "the kernel of snapshots is not compiled"
    assert told.alerts, "the kernel of alerts is not compiled"
    churned = f'{{"id":"6",{stamp},"outcome":"churned"}}'
    partition.apply("outcomes", [_Record(0, START_MS, churned.encode())])
    yield "writing and restoring rows"
    flush = partition.take_flush()
    assert flush is not None
    partition.row_bytes("warm")
    restored = Partition(0, 1, compiled)
    restored.load(told.changelog + flush.changelog)
    restored.finish_load()
    yield "changing the model"
    restored.change_model(compiled)

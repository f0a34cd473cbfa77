"""What keeps a large book from holding its worker: room without copying, flushes and changes of the model in pieces."""

from random import Random

import numpy as np
import pytest

from scoring.compile import compile_model
from scoring.presets import load_model
from state.layout import NO_VALUE, layout_of
from state.partition import Partition
from state.store import COPIED_ROWS, AccountStore, at_most
from tests.state.journals import DAY, START, Log, cut
from tests.state.looking import feed, partition_for
from tests.state.random_models import random_model
from tests.state.switches import record_of, text_of
from tests.state.test_partition_laws import random_case, rows_of, written


def test_a_large_book_grows_without_copying():
    """Beyond a small book's size rows stay where they are, so that nobody waits for them to be copied."""
    store = AccountStore(layout_of(compile_model(load_model("saas-renewal")).plan))
    for k in range(COPIED_ROWS + 1):
        store.reserve(1, 0)
        store.number(f"a{k}")
        store.rows.ints[k, 0] = k
    handle, used = store.handle, store.nbytes
    for k in range(COPIED_ROWS + 1, 10 * COPIED_ROWS):
        store.reserve(1, 100)
        store.number(f"a{k}")
    assert store.handle is handle
    assert store.rows.ints[: COPIED_ROWS + 1, 0].tolist() == list(range(COPIED_ROWS + 1))
    assert store.rows.ints[10 * COPIED_ROWS - 1, 0] == NO_VALUE
    assert used < store.nbytes < 11 * used, "room that nobody uses is not counted"


def test_room_shrinks_to_what_the_system_gives():
    """Where address space is refused half of it is asked for, and so on down to what is needed."""
    asked = []

    def make(capacity):
        asked.append(capacity)
        if capacity > 300:
            raise MemoryError
        return {"rows": np.zeros(capacity)}

    assert at_most(make, 256, 2048)["rows"].size == 256
    assert asked == [2048, 1024, 512, 256]
    with pytest.raises(MemoryError):
        at_most(make, 400, 400)


@pytest.mark.parametrize("seed", range(4))
def test_how_a_flush_is_cut_into_pieces_does_not_show(seed):
    """Encoded one row at a time or at once: the same records in the same order."""
    random, model, journal = random_case(seed)
    one, other = partition_for(model, generation=32), partition_for(model, generation=32)
    pieces = flushes = 0
    for chunk in cut(journal, random, 15):
        feed(one, [chunk])
        feed(other, [chunk])
        if random.random() < 0.2:
            flushes += 1
            while not one.encode(1):
                pieces += 1
            assert written(one.take_flush()) == written(other.take_flush())
    assert pieces > flushes


def crowd(partition: Partition, accounts: int) -> Log:
    """Feed some events of many accounts; return the log."""
    log = Log()
    for k in range(accounts):
        log.event("usage", f"account-{k}", START + k, user_id=f"u{k % 7}")
        log.event("billing", f"account-{k}", START + k, event="invoice_issued", invoice_id=f"i{k}")
    log.tick(START + 3 * DAY)
    feed(partition, log.journal)
    return log


def test_a_change_of_the_model_leaves_the_loop_in_between():
    """More accounts than a slice: applying returns at once, the sweep goes on slice by slice, and it comes to the same."""
    old, new = random_model(Random(3)), load_model("saas-renewal")
    sliced, whole = partition_for(old), partition_for(old)
    log, _ = crowd(sliced, 2_500), crowd(whole, 2_500)
    for partition in (sliced, whole):
        partition.take_flush()
    log.journal.clear()
    log.add("models", record_of(text_of(new)), START + 3 * DAY)
    log.event("usage", "account-1", START + 3 * DAY)
    models, usage = log.journal
    sliced.apply(*models)
    slices = 1
    while not sliced.sweep(1):
        slices += 1
    assert slices > 9, "leaving, carrying rows and items, entering: three slices each"
    sliced.apply(*usage)
    whole.apply_runs([models, usage])
    assert sliced.compiled.model.fingerprint == new.fingerprint
    assert rows_of(sliced) == rows_of(whole)
    assert written(sliced.take_flush()) == written(whole.take_flush())

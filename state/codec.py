"""Rows to bytes and back, exactly.

A row has two parts, two records of the changelog. The *hot* part is written whenever the row changed: all kept columns,
and tiles, closes and items since `COLD_DAY`. The *cold* part holds what was sealed before that day; it is written anew
only when a late event reaches into it or the hot part has grown past a week, and then `COLD_DAY` moves to today.
So a restore reads at most two records an account::

    days    d-90 ........................... COLD_DAY ...... today
            |------------- cold ------------|------- hot -------|

A cold record is always followed by a hot one of the same flush, so reading them in log order is enough.
"""

import numpy as np
from numpy.typing import NDArray

from scoring import plan as p
from scoring.jit import entry, entry_without_gil, part
from scoring.plan import Plan
from state.ahead import fetch_hot_days, fetch_written
from state.closes import clipped
from state.items import find_or_add, is_open
from state.layout import (
    AS_OF,
    CLOSE_DAYS,
    CLOSED,
    COLD,
    COLD_DAY,
    DAY,
    DAY_MS,
    DISTINCT_HEAD,
    HOT,
    LAST_AT,
    NO_CLOSE,
    NO_VALUE,
    OPEN_HEAD,
    SIGNAL_COLUMNS,
    TILE_DAYS,
)
from state.rows import Rows
from state.tiles import tile
from state.varint import MAXIMUM_BYTES, Bytes, put, put_hash, take, take_hash

HOT_DAYS = 7
"""Sealed days the hot part may hold before the cold part is written anew: a week of daily use costs one cold record."""
AHEAD = 4
"""So many rows before its turn a row is fetched from memory."""
ITEM_BYTES = 8 + 6 * MAXIMUM_BYTES


@part
def is_forgotten(rows: Rows, row: int, index: int) -> bool:
    """Return whether an item lies so far back that it is as if it had never been."""
    oldest = rows.derived[row, DAY] - (TILE_DAYS - 1)
    item = rows.items[index]
    if item["opened"] == 0 and item["closed"] == NO_VALUE and item["severity"] < 0:
        return item["at"] == NO_VALUE or item["at"] < oldest
    return item["closed"] != NO_VALUE and item["closed"] // DAY_MS < oldest and not is_open(rows, index)


@entry
def bytes_needed(plan: Plan, rows: Rows, row: int) -> int:
    """Return an upper limit of a part's encoded length."""
    items = 0
    for head in (DISTINCT_HEAD, OPEN_HEAD):
        index = rows.derived[row, head]
        while index >= 0:
            items += 1
            index = np.int64(rows.items[index]["next"])
    numbers = (
        rows.ints.shape[1] + plan.signals.shape[0] * (2 * TILE_DAYS + 1) + rows.closes.shape[1] + 2 * TILE_DAYS + 8
    )
    return numbers * MAXIMUM_BYTES + items * ITEM_BYTES


@part
def put_tiles(plan: Plan, rows: Rows, row: int, first: int, last: int, buffer: Bytes, place: int) -> int:
    """Write the tiles of days ``[first, last]`` that are not 0, signal by signal: how many, then (days after first, amount)."""
    for signal in range(plan.signals.shape[0]):
        if plan.signals[signal, p.SIGNAL_PLANE] == p.PLANE_NONE:
            continue
        count = 0
        last_at = rows.ints[row, plan.offsets[p.OFFSET_SIGNALS] + signal * SIGNAL_COLUMNS + LAST_AT]
        if last_at >= first * DAY_MS:  # else nothing was counted since
            for day in range(first, last + 1):
                if tile(plan, rows, row, signal, day) != 0:
                    count += 1
        place = put(buffer, place, count)
        if count > 0:
            for day in range(first, last + 1):
                amount = tile(plan, rows, row, signal, day)
                if amount != 0:
                    place = put(buffer, place, day - first)
                    place = put(buffer, place, amount)
    return place


@part
def put_closes(rows: Rows, row: int, width: int, first: int, today: int, buffer: Bytes, place: int) -> int:
    """Write the closes from a day on: NO_VALUE, or the contributions in 1/256 points, or where too old their total."""
    for day in range(first, today):
        total = np.int64(rows.totals[row, day % TILE_DAYS])
        if total == NO_CLOSE or day <= today - CLOSE_DAYS:
            place = put(buffer, place, NO_VALUE if total == NO_CLOSE else total)
            continue
        start = (day % CLOSE_DAYS) * width
        for k in range(width):
            place = put(buffer, place, np.int64(rows.closes[row, start + k]))
    return place


@part
def put_items(rows: Rows, row: int, least_touched: int, buffer: Bytes, place: int) -> int:
    """Write the touched items (or with 0 all), in an order that does not depend on when they came: by signal and hash."""
    for head in (DISTINCT_HEAD, OPEN_HEAD):
        count = 0
        index = rows.derived[row, head]
        while index >= 0:
            if rows.items[index]["touched"] >= least_touched and not is_forgotten(rows, row, index):
                count += 1
            index = np.int64(rows.items[index]["next"])
        place = put(buffer, place, count)
        chosen = np.empty(count, np.int64)
        keys = np.empty(count, np.uint64)
        count = 0
        index = rows.derived[row, head]
        while index >= 0:
            if rows.items[index]["touched"] >= least_touched and not is_forgotten(rows, row, index):
                chosen[count] = index
                # Hashes are spread evenly: the signal only has to break ties between equal ids.
                keys[count] = rows.items[index]["hash"] + np.uint64(rows.items[index]["signal"])
                count += 1
            index = np.int64(rows.items[index]["next"])
        for k in np.argsort(keys):
            item = rows.items[chosen[k]]
            place = put_hash(buffer, place, item["hash"])
            place = put(buffer, place, np.int64(item["signal"]))
            place = put(buffer, place, np.int64(item["opened"]))
            place = put(buffer, place, np.int64(item["severity"]))
            place = put(buffer, place, item["at"])
            place = put(buffer, place, item["closed"])
            place = put(buffer, place, item["reopened"])
    return place


@part
def encode_hot(plan: Plan, rows: Rows, row: int, buffer: Bytes, place: int) -> int:
    """Write a row's hot part at a place and return the place after it."""
    for column in range(rows.ints.shape[1]):
        place = put(buffer, place, rows.ints[row, column])
    day = rows.derived[row, DAY]
    first = rows.ints[row, COLD_DAY]
    place = put(buffer, place, day)
    place = put_tiles(plan, rows, row, first, day, buffer, place)
    place = put_closes(rows, row, plan.inputs.shape[0] + 2, first, day, buffer, place)
    return put_items(rows, row, 1, buffer, place)


@part
def encode_cold(plan: Plan, rows: Rows, row: int, buffer: Bytes, place: int) -> int:
    """Write a row's cold part, everything before COLD_DAY, at a place and return the place after it."""
    first = rows.derived[row, DAY] - (TILE_DAYS - 1)
    last = rows.ints[row, COLD_DAY] - 1
    place = put(buffer, place, first)
    place = put(buffer, place, last)
    place = put_tiles(plan, rows, row, first, last, buffer, place)
    place = put_closes(rows, row, plan.inputs.shape[0] + 2, first, last + 1, buffer, place)
    return put_items(rows, row, 0, buffer, place)


@part
def seal(rows: Rows, row: int, clock_ms: int) -> bool:
    """Bring a row's as-of time to the clock and decide whether its cold part is due; if so COLD_DAY becomes today."""
    if clock_ms > rows.ints[row, AS_OF] and rows.ints[row, CLOSED] == 0:
        rows.ints[row, AS_OF] = clock_ms
    day = rows.derived[row, DAY]
    is_due = (rows.dirty[row] & COLD) != 0 or day - rows.ints[row, COLD_DAY] > HOT_DAYS
    if is_due:
        rows.ints[row, COLD_DAY] = day
    return is_due


@part
def leave_untouched(rows: Rows, row: int) -> None:
    """Note that a row's cold part was written with all its items."""
    for head in (DISTINCT_HEAD, OPEN_HEAD):
        index = rows.derived[row, head]
        while index >= 0:
            rows.items[index]["touched"] = 0
            index = np.int64(rows.items[index]["next"])


@entry
def encode_rows(
    plan: Plan,
    rows: Rows,
    chosen: NDArray[np.int64],
    first: int,
    clock_ms: int,
    buffer: Bytes,
    ends: NDArray[np.int64],
) -> int:
    """Encode rows one after the other while the buffer has room.

    Parameters
    ----------
    chosen : int64 array, row numbers
    first : int, where in `chosen` to start
    ends : int64 array [row of `chosen`, 2], written: where the cold part (empty where not due) and the hot part end

    Returns
    -------
    int
        How many of `chosen` are done; 0 progress means that one row does not fit the buffer.
    """
    place = 0
    for k in range(first, chosen.size):
        row = chosen[k]
        if k + AHEAD < chosen.size:
            fetch_written(rows, chosen[k + AHEAD])
            fetch_hot_days(rows, chosen[k + 1])
        if place + 2 * bytes_needed(plan, rows, row) > buffer.size:
            return k
        if seal(rows, row, clock_ms):
            place = encode_cold(plan, rows, row, buffer, place)
            leave_untouched(rows, row)
        ends[k, 0] = place
        place = encode_hot(plan, rows, row, buffer, place)
        ends[k, 1] = place
        rows.dirty[row] &= ~np.uint8(HOT | COLD)
    return chosen.size


@part
def set_tile(plan: Plan, rows: Rows, row: int, signal: int, day: int, amount: int) -> None:
    """Set one tile, sums untouched."""
    slot = plan.signals[signal, p.SIGNAL_SLOT]
    if plan.signals[signal, p.SIGNAL_PLANE] == p.PLANE_NARROW:
        rows.narrow[row, day % TILE_DAYS, slot] = np.int32(amount)
    else:
        rows.wide[row, day % TILE_DAYS, slot] = amount


@part
def take_tiles(plan: Plan, rows: Rows, row: int, first: int, last: int, buffer: Bytes, place: int) -> int:
    """Read what `put_tiles` wrote; days without a tile become 0."""
    for signal in range(plan.signals.shape[0]):
        if plan.signals[signal, p.SIGNAL_PLANE] == p.PLANE_NONE:
            continue
        for day in range(first, last + 1):
            set_tile(plan, rows, row, signal, day, 0)
        count, place = take(buffer, place)
        for _ in range(count):
            after, place = take(buffer, place)
            amount, place = take(buffer, place)
            set_tile(plan, rows, row, signal, first + after, amount)
    return place


@part
def take_closes(rows: Rows, row: int, width: int, first: int, today: int, buffer: Bytes, place: int) -> int:
    """Read what `put_closes` wrote."""
    for day in range(first, today):
        number, place = take(buffer, place)
        if number == NO_VALUE or day <= today - CLOSE_DAYS:
            rows.totals[row, day % TILE_DAYS] = NO_CLOSE if number == NO_VALUE else np.int16(number)
            continue
        start = (day % CLOSE_DAYS) * width
        total = number
        rows.closes[row, start] = np.int16(number)
        for k in range(1, width):
            number, place = take(buffer, place)
            rows.closes[row, start + k] = np.int16(number)
            total += number
        rows.totals[row, day % TILE_DAYS] = clipped(total)
    return place


@part
def take_items(rows: Rows, row: int, touched: int, buffer: Bytes, place: int) -> int:
    """Read what `put_items` wrote over what is known of the same items. Room has been reserved."""
    for head in (DISTINCT_HEAD, OPEN_HEAD):
        count, place = take(buffer, place)
        for _ in range(count):
            identity, place = take_hash(buffer, place)
            signal, place = take(buffer, place)
            item = rows.items[find_or_add(rows, row, signal, identity, head)]
            number, place = take(buffer, place)
            item["opened"] = number
            number, place = take(buffer, place)
            item["severity"] = number
            item["at"], place = take(buffer, place)
            item["closed"], place = take(buffer, place)
            item["reopened"], place = take(buffer, place)
            item["touched"] = touched
    return place


@part
def blank_items(rows: Rows, row: int) -> None:
    """Make the items of a row as if nothing were known of them: a cold part names all that count."""
    for head in (DISTINCT_HEAD, OPEN_HEAD):
        index = rows.derived[row, head]
        while index >= 0:
            item = rows.items[index]
            item["opened"] = 0
            item["severity"] = -1
            item["at"] = NO_VALUE
            item["closed"] = NO_VALUE
            item["reopened"] = NO_VALUE
            index = np.int64(item["next"])


@part
def decode_cold(plan: Plan, rows: Rows, row: int, buffer: Bytes, place: int) -> int:
    """Read a cold part into a row and return the place after it. Days it does not cover are emptied."""
    first, place = take(buffer, place)
    last, place = take(buffer, place)
    rows.narrow[row] = 0
    rows.wide[row] = 0
    rows.totals[row] = NO_CLOSE
    blank_items(rows, row)
    place = take_tiles(plan, rows, row, first, last, buffer, place)
    place = take_closes(rows, row, plan.inputs.shape[0] + 2, first, last + 1, buffer, place)
    return take_items(rows, row, 0, buffer, place)


@part
def decode_hot(plan: Plan, rows: Rows, row: int, buffer: Bytes, place: int) -> int:
    """Read a hot part into a row and return the place after it."""
    for column in range(rows.ints.shape[1]):
        rows.ints[row, column], place = take(buffer, place)
    day, place = take(buffer, place)
    rows.derived[row, DAY] = day
    first = rows.ints[row, COLD_DAY]
    place = take_tiles(plan, rows, row, first, day, buffer, place)
    place = take_closes(rows, row, plan.inputs.shape[0] + 2, first, day, buffer, place)
    return take_items(rows, row, 1, buffer, place)


@entry_without_gil
def decode_rows(
    plan: Plan,
    rows: Rows,
    numbers: NDArray[np.int64],
    is_cold: NDArray[np.bool_],
    buffer: Bytes,
    ends: NDArray[np.int64],
) -> None:
    """Read parts of rows, one after the other.

    Parameters
    ----------
    numbers : int64 array, row of each part; room for the rows and all their items has been reserved
    is_cold : bool array, which part it is
    ends : int64 array, where each part's record ends in the buffer; written: where what was read of it ends
    """
    place = np.int64(0)
    for k in range(numbers.size):
        read = np.int64(0)
        if is_cold[k]:
            read = decode_cold(plan, rows, numbers[k], buffer, place)
        else:
            read = decode_hot(plan, rows, numbers[k], buffer, place)
        place = ends[k]
        ends[k] = read


@entry
def encode_canonical(plan: Plan, rows: Rows, row: int, clock_ms: int, buffer: Bytes) -> int:
    """Write a row as if its cold part had just been sealed, without changing it; return the length."""
    cold_day = rows.ints[row, COLD_DAY]
    as_of = rows.ints[row, AS_OF]
    rows.ints[row, COLD_DAY] = rows.derived[row, DAY]
    if clock_ms > as_of and rows.ints[row, CLOSED] == 0:
        rows.ints[row, AS_OF] = clock_ms
    place = encode_cold(plan, rows, row, buffer, 0)
    for column in range(rows.ints.shape[1]):
        place = put(buffer, place, rows.ints[row, column])
    day = rows.derived[row, DAY]
    place = put_tiles(plan, rows, row, day, day, buffer, place)
    rows.ints[row, COLD_DAY] = cold_day
    rows.ints[row, AS_OF] = as_of
    return place

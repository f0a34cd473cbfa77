"""Rows of a table as events: which column is which field, said by a mapping file where the names differ.

`mapping.toml` stands in the folder beside the tables, one part a file::

    [files."clicks.csv"]
    topic = "usage"
    timezone = "Europe/London"            # of times that state none; UTC unless given
    time_format = "%d/%m/%Y %H:%M"        # where times are no ISO texts
    [files."clicks.csv".columns]          # field = column; columns that are not named are left out
    account_id = "customer_no"
    occurred_at = "clicked"
    event = "page"
    [files."clicks.csv".constants]        # fields that no column holds
    source = "web"

An event without a column for its `id` gets one from the file's name and the row's number: the same file gives the same ids.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from streams.halt import Refusal

MAPPING_FILE = "mapping.toml"
NUMBERS = frozenset(
    {
        "seats",
        "score",
        "strategic_fit",
        "expected_uplift",
        "engagement_cost",
        "response_hours",
        "quantity",
        "arr",
        "amount",
        "mrr",
    }
)
LISTS = frozenset({"aliases", "contacts"})
TIMES = frozenset({"occurred_at", "due_at", "contract_start", "renewal_at", "until"})
_KEYS = {"topic", "columns", "constants", "timezone", "time_format"}


@dataclass(frozen=True, slots=True)
class TableMapping:
    """What a table's columns are.

    Parameters
    ----------
    topic
        Bellwether's name of the topic its rows belong to.
    columns
        Field → column; empty = every column is the field of its name.
    constants
        Field → value, the same in every row.
    timezone
        Of times that state none.
    time_format
        As `datetime.strptime` takes it; None = ISO texts.
    """

    topic: str
    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    timezone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    time_format: str | None = None


def read_mappings(folder: Path, topics: Iterable[str]) -> dict[str, TableMapping]:
    """Return file name → mapping, from the folder's mapping file; empty where there is none.

    Raises
    ------
    Refusal
        When it is no TOML, or says what no mapping says.
    """
    path = folder / MAPPING_FILE
    if not path.exists():
        return {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Refusal(f"{path}: expected TOML, {error} — correct it") from error
    known = tuple(topics)
    return {name: _mapping(path, name, part, known) for name, part in dict(content.get("files", {})).items()}


def _mapping(path: Path, name: str, part: Mapping[str, Any], topics: tuple[str, ...]) -> TableMapping:
    where = f'{path} [files."{name}"]'
    if unknown := set(part) - _KEYS:
        raise Refusal(f"{where}: expected {', '.join(sorted(_KEYS))}, got {', '.join(sorted(unknown))} — correct it")
    if part.get("topic") not in topics:
        raise Refusal(f"{where}: expected a topic of {', '.join(topics)}, got {part.get('topic')!r} — name one")
    try:
        zone = ZoneInfo(str(part.get("timezone", "UTC")))
    except (KeyError, ValueError) as error:
        raise Refusal(f"{where}: expected a time zone such as Europe/London, got {part['timezone']!r}") from error
    return TableMapping(
        part["topic"], part.get("columns", {}), part.get("constants", {}), zone, part.get("time_format")
    )


def event_of(row: Mapping[str, Any], mapping: TableMapping | None, name: str, number: int) -> bytes:
    """Return the JSON of a table's row; empty cells are absent fields.

    Parameters
    ----------
    row
        Column → cell; texts from CSV, typed values from Parquet.
    mapping
        None = every column is the field of its name.
    name, number
        The file's name and the row's number, from 1.
    """
    columns = mapping.columns if mapping else {}
    pairs = [(field_name, row.get(column)) for field_name, column in columns.items()] or list(row.items())
    event: dict[str, Any] = {}
    for column, cell in pairs:
        if column and cell not in (None, ""):
            _put(event, column, _value(column.rpartition(".")[2], cell, mapping))
    if mapping:
        for constant, value in mapping.constants.items():
            _put(event, constant, value)
        event.setdefault("id", f"{name}:{number}")
    return orjson.dumps(event)


def _put(event: dict[str, Any], name: str, value: object) -> None:
    """Put a field in its place; `relationship.champion` is a field of an object."""
    *path, last = name.split(".")
    for step in path:
        event = event.setdefault(step, {})
    event[last] = value


def _value(name: str, cell: Any, mapping: TableMapping | None) -> object:
    if name in TIMES:
        return _time(cell, mapping)
    if isinstance(cell, str):
        return _text_value(name, cell)
    if isinstance(cell, Decimal):
        return str(cell)
    if isinstance(cell, int | float | list | dict) and (name in NUMBERS or name in LISTS):
        return cell
    return str(cell)  # ids and names that a table holds as numbers


def _text_value(name: str, cell: str) -> object:
    if name in LISTS:
        return [part.strip() for part in cell.split(";")]
    if name in NUMBERS:
        # Decimals stay text where the contract takes decimal text: it is exact.
        for kind in (int, float):
            try:
                return kind(cell)
            except ValueError:
                continue
    return cell


def _time(cell: Any, mapping: TableMapping | None) -> str:
    """Return a time as RFC 3339; what is no time stays as it is, for the decoder to reject with its path."""
    if isinstance(cell, str):
        if mapping is None:
            return cell
        try:
            form = mapping.time_format
            cell = datetime.strptime(cell, form) if form else datetime.fromisoformat(cell)  # noqa: DTZ007 - the zone follows
        except ValueError:
            return str(cell)
    elif isinstance(cell, date) and not isinstance(cell, datetime):
        cell = datetime(cell.year, cell.month, cell.day)  # noqa: DTZ001 - the zone follows
    if not isinstance(cell, datetime):
        return str(cell)
    zone = mapping.timezone if mapping else UTC
    aware = cell if cell.tzinfo else cell.replace(tzinfo=zone)
    return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")

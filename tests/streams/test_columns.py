"""Tables as events: a mapping file says which column is which field, for CSV and Parquet alike."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from streams.cli.columns import TableMapping, event_of, read_mappings
from streams.cli.files import EventFile
from streams.halt import Refusal
from streams.replay import TOPICS, files_of

MAPPING = """
[files."orders.csv"]
topic = "billing"
timezone = "Europe/London"
time_format = "%d/%m/%Y %H:%M"
[files."orders.csv".columns]
account_id = "Customer"
occurred_at = "When"
amount = "Total"
[files."orders.csv".constants]
event = "purchase"
currency = "GBP"
"""


def test_a_mapped_table_gives_events_of_the_contract(tmp_path: Path) -> None:
    """Named columns become fields, times become UTC, constants are added, ids follow from file and row, the rest is left out."""
    (tmp_path / "mapping.toml").write_text(MAPPING)
    (tmp_path / "orders.csv").write_text(
        "Customer,When,Total,Note\n17,15/07/2026 09:30,12.50,x\n18,15/12/2026 09:30,3,\n"
    )
    (file,) = files_of(tmp_path)
    events = [json.loads(value) for block in file.blocks() for value in block.values]
    assert file.topic == "billing"
    assert events[0] == {
        "id": "orders.csv:2",
        "account_id": "17",
        "occurred_at": "2026-07-15T08:30:00Z",  # summer time
        "amount": 12.5,
        "event": "purchase",
        "currency": "GBP",
    }
    assert (events[1]["occurred_at"], events[1]["amount"]) == ("2026-12-15T09:30:00Z", 3)


def test_parquet_keeps_types(tmp_path: Path) -> None:
    """Times with and without zone, dates, decimals, numbers for ids and missing values all meet the contract."""
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table(
        {
            "id": [1, 2],
            "account_id": [170, 180],
            "occurred_at": [datetime(2026, 3, 1, 8, tzinfo=UTC), None],
            "due_at": [date(2026, 4, 1), None],
            "amount": [Decimal("12.50"), None],
            "event": ["invoice_issued", "invoice_paid"],
        }
    )
    parquet.write_table(table, tmp_path / "billing.parquet")
    (file,) = files_of(tmp_path)
    first, second = (json.loads(value) for block in file.blocks() for value in block.values)
    assert first == {
        "id": "1",
        "account_id": "170",
        "occurred_at": "2026-03-01T08:00:00Z",
        "due_at": "2026-04-01T00:00:00Z",
        "amount": "12.50",
        "event": "invoice_issued",
    }
    assert second == {"id": "2", "account_id": "180", "event": "invoice_paid"}


def test_a_broken_parquet_file_is_refused(tmp_path: Path) -> None:
    """A sentence with the file's name, no trace."""
    pytest.importorskip("pyarrow")
    path = tmp_path / "usage.parquet"
    path.write_bytes(b"no parquet")
    with pytest.raises(Refusal, match=r"usage\.parquet: cannot be read"):
        list(EventFile(str(path), "usage").blocks())


def test_what_is_no_time_is_left_for_the_decoder() -> None:
    """It rejects the row with path and value, as it does live."""
    mapping = TableMapping("usage", {"occurred_at": "t"}, {}, time_format="%Y")
    assert json.loads(event_of({"t": "yesterday"}, mapping, "x.csv", 4)) == {
        "id": "x.csv:4",
        "occurred_at": "yesterday",
    }


def test_without_a_mapping_columns_are_fields() -> None:
    """Dots lead into objects, lists are split, empty cells are absent."""
    row = {"account_id": "a", "relationship.champion": "active", "aliases": "b; c", "seats": "4", "owner": ""}
    assert json.loads(event_of(row, None, "accounts.csv", 2)) == {
        "account_id": "a",
        "relationship": {"champion": "active"},
        "aliases": ["b", "c"],
        "seats": 4,
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("files = 3 4", "expected TOML"),
        ('[files."a.csv"]\ntopic = "clicks"', "expected a topic of accounts, usage"),
        ('[files."a.csv"]\ntopic = "usage"\ncolumn = {}', "got column"),
        ('[files."a.csv"]\ntopic = "usage"\ntimezone = "Mars/North"', "expected a time zone such as Europe/London"),
    ],
)
def test_a_mapping_that_says_nothing_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    """Where, what was expected, what was given."""
    (tmp_path / "mapping.toml").write_text(text)
    with pytest.raises(Refusal, match=sentence):
        read_mappings(tmp_path, TOPICS)


def test_a_mapped_file_must_be_there(tmp_path: Path) -> None:
    """A name that was misspelt is told, instead of a silent nothing."""
    (tmp_path / "mapping.toml").write_text('[files."order.csv"]\ntopic = "billing"')
    (tmp_path / "orders.csv").write_text("a\n")
    with pytest.raises(Refusal, match=r"expected the file order\.csv, found none"):
        files_of(tmp_path)

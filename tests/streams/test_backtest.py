"""`backtest`: rows are made of the past alone, positives follow the contract, and the report adds up."""

import json
from pathlib import Path

import numpy as np
import pytest

from scoring.compile import Compiled, compile_model
from scoring.presets import load_model
from state.history import Fired
from state.moments import rfc3339
from streams.backtest.alarms import load_of
from streams.backtest.collect import Account, Collected, Collector
from streams.backtest.outcomes import Answers, read_answers
from streams.backtest.question import Question, parse_as_of, parse_horizon, parse_outcome
from streams.backtest.run import collect
from streams.cli import main
from streams.demo.book import Book
from streams.event_order import in_order
from streams.replay import TOPICS, Replay, Sinks, files_of

DAY_MS = 86_400_000
START_MS = 1_772_323_200_000  # Sunday 2026-03-01
MODEL = "saas-renewal"


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    """The preset."""
    return compile_model(load_model(MODEL))


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated book of forty accounts over 120 days, with outcomes."""
    events = []
    for found in Book(7, accounts=40, days=120).events():
        try:
            if "occurred_at" in json.loads(found.value):  # broken lines are the replay's to tell of
                events.append((found.topic, found.value))
        except ValueError:
            continue
    return written(tmp_path_factory.mktemp("book"), events)


def written(folder: Path, events: list[tuple[str, bytes]]) -> Path:
    """Write events into a folder, one file a topic, by time."""
    topics: dict[str, list[bytes]] = {}
    for topic, value in events:
        topics.setdefault(topic, []).append(value)
    for topic, values in topics.items():
        values.sort(key=lambda value: json.loads(value)["occurred_at"])
        (folder / f"{topic}.jsonl").write_bytes(b"\n".join(values) + b"\n")
    return folder


def event(topic: str, account: str, day: float, **fields: object) -> tuple[str, bytes]:
    """Return an event on a day counted from the start."""
    at = rfc3339(START_MS + round(day * DAY_MS))
    body = {"id": f"{topic}-{account}-{day}", "account_id": account, "occurred_at": at, **fields}
    return topic, json.dumps(body).encode()


def question(outcome: str = "churned", horizon: str = "7d") -> Question:
    """Return a question."""
    return Question(parse_outcome(outcome), parse_horizon(horizon))


def rows_of(
    folder: Path, compiled: Compiled, asked: Question, as_of: str, collector=Collector
) -> tuple[Collected, Answers]:
    """Return the rows of a folder, taken by a collector."""
    files = files_of(folder)
    answers = read_answers(files, asked)
    taking = collector(answers, parse_as_of(as_of))
    replay = Replay(compiled, taking.sinks(Sinks()))
    taking.watch(replay)
    replay.run(in_order(files, TOPICS, frozenset(file.name for file in files)))
    return taking.finish(), answers


def named(found: Collected, at_ms: int | None = None) -> dict[tuple[str, int], list[float]]:
    """Return (account, as-of time) → everything a row says, as bits, of one as-of time or all."""
    columns = (found.scores, found.subscores, found.terms, found.quiet_days, found.month)
    return {
        (found.accounts[found.account[k]].name, int(found.at_ms[k])): [column[k].tobytes() for column in columns]
        for k in range(found.account.size)
        if at_ms is None or found.at_ms[k] == at_ms
    }


def cut(folder: Path, target: Path, at_ms: int) -> Path:
    """Return a folder that holds only what stands before an instant, of that history."""
    before = rfc3339(at_ms)
    for path in folder.glob("*.jsonl"):
        lines = [line for line in path.read_bytes().splitlines() if json.loads(line)["occurred_at"] < before]
        # An event right after the cut makes the replay reach it.
        if path.name.startswith("usage"):
            lines.append(event("usage", "nobody", (at_ms - START_MS) / DAY_MS + 0.5, event="x")[1])
        (target / path.name).write_bytes(b"\n".join(lines) + b"\n")
    return target


class Peeking(Collector):
    """Takes every row a day too late and dates it back: the look-ahead that a backtest must never have."""

    def _midnight(self, at_ms: int) -> None:
        super()._midnight(at_ms - DAY_MS)


def same_without_the_future(folder: Path, target: Path, compiled: Compiled, collector) -> bool:
    """Tell whether the rows of an as-of time stay as they are, bit by bit, when all that follows is cut away."""
    whole, _ = rows_of(folder, compiled, question(), "weekly", collector)
    at_ms = int(np.unique(whole.at_ms)[8])
    past, _ = rows_of(cut(folder, target, at_ms), compiled, question(), rfc3339(at_ms)[:10], collector)
    assert named(whole, at_ms)
    return named(whole, at_ms) == named(past, at_ms)


def test_cutting_the_future_away_changes_no_row(book: Path, compiled: Compiled, tmp_path: Path) -> None:
    """A row says the same whether or not the history goes on after its as-of time."""
    assert same_without_the_future(book, tmp_path, compiled, Collector)


def test_a_planted_look_ahead_is_caught(book: Path, compiled: Compiled, tmp_path: Path) -> None:
    """The same check fails for a collector that sees one day more than it says."""
    assert not same_without_the_future(book, tmp_path, compiled, Peeking)


def test_rows_say_what_replay_says(book: Path, compiled: Compiled) -> None:
    """Health, risk, band and coverage of a row are those of the snapshot that `replay --every 7d` writes at that instant."""
    whole, _ = rows_of(book, compiled, question(), "weekly")
    steps: list[list[dict]] = []
    files = files_of(book)
    replay = Replay(compiled, Sinks(snapshots=steps.append), DAY_MS)
    replay.run(in_order(files, TOPICS, frozenset(file.name for file in files)))
    told = {(found["account_id"], found["at"]): found for step in steps for found in step}
    assert whole.account.size > 300
    for k in range(whole.account.size):
        found = told[whole.accounts[whole.account[k]].name, rfc3339(int(whole.at_ms[k]))]
        health, risk, expansion, coverage = whole.scores[k, :4].tolist()
        assert [found["health"], found["risk"]] == [None if np.isnan(x) else x for x in (health, risk)]
        assert [found["coverage"], found["expansion"]] == [coverage, None if np.isnan(expansion) else expansion]
        bands = (*compiled.model.band_names, "insufficient_data")
        assert found["band"] == bands[int(whole.band[k])]


def test_rows_and_positives_follow_the_contract(compiled: Compiled, tmp_path: Path) -> None:
    """A row needs an event or a started contract, no outcome yet, and its horizon inside the data; [T, T + 7 d) counts.

    day        0   1(Mo)      8(Mo)     15(Mo)   21
    early      e   row -      row +     x            leaves on day 14.999: positive from the 8th
    edge       e   row -      row -     row +        leaves on day 15.0: the instant belongs to the row of the 15th
    contract       row -      row -     (row)        contract from day 0.5, no event ever
    later                     row -     (row)        first event on day 3
    """
    events = [
        *(event("usage", name, 0.1, event="login") for name in ("early", "edge")),
        event("accounts", "contract", 0.0, contract_start=rfc3339(START_MS + DAY_MS // 2)),
        event("accounts", "known", 0.0, name="No event, no contract"),
        event("usage", "later", 3.0, event="login"),
        event("outcomes", "early", 14.999, outcome="churned"),
        event("outcomes", "edge", 15.0, outcome="churned"),
        event("usage", "later", 21.9, event="login"),
    ]
    found, answers = rows_of(written(tmp_path, events), compiled, question(), "weekly")
    names = [found.accounts[k].name for k in found.account.tolist()]
    happened = answers.happened(names, found.at_ms)
    days = ((found.at_ms - START_MS) // DAY_MS).tolist()
    rows = {(name, day): int(y) for name, day, y in zip(names, days, happened.tolist(), strict=True)}
    assert rows == {
        ("early", 1): 0, ("early", 8): 1,
        ("edge", 1): 0, ("edge", 8): 0, ("edge", 15): 1,
        ("contract", 1): 0, ("contract", 8): 0, ("contract", 15): 0,
        ("later", 8): 0, ("later", 15): 0,
    }  # fmt: skip
    whole = found.at_ms + 7 * DAY_MS <= found.last_ms
    assert sorted(set(np.array(days)[whole].tolist())) == [1, 8]


def test_silence_is_no_such_event_within_its_time(tmp_path: Path) -> None:
    """With the horizon as long as the silence, an account is positive where nothing of that name follows."""
    events = [
        event("billing", "back", 0.0, event="purchase", amount=1),
        event("billing", "back", 40.0, event="purchase", amount=1),
        event("billing", "gone", 0.0, event="purchase", amount=1),
        event("billing", "gone", 20.0, event="refund", amount=1),
        event("billing", "other", 100.0, event="purchase", amount=1),
    ]
    asked = question("silence:billing:purchase:30d", "30d")
    answers = read_answers(files_of(written(tmp_path, events)), asked)
    at_ms = np.array([START_MS + day * DAY_MS for day in (10, 11, 41)])
    assert answers.happened(["back"] * 3, at_ms).tolist() == [1, 0, 1]  # day 40 is not within [10, 40)
    assert answers.happened(["gone"] * 3, at_ms).tolist() == [1, 1, 1]
    kinds = {moment.account: (moment.kind, (moment.at_ms - START_MS) // DAY_MS) for moment in answers.moments}
    assert kinds == {"back": ("silent", 70), "gone": ("silent", 30), "other": ("returned", 100)}
    loose = read_answers(files_of(tmp_path), question("silence:billing:30d", "30d"))
    assert loose.happened(["gone"], at_ms[:1]).tolist() == [0]


def test_a_shorter_horizon_asks_whether_the_silence_is_complete_by_then(tmp_path: Path) -> None:
    """After 25 silent days, a silence of 30 days is five days away: positive for a horizon of 10 days."""
    events = [
        event("billing", "a", 0.0, event="purchase", amount=1),
        event("billing", "b", 90.0, event="purchase", amount=1),
    ]
    answers = read_answers(files_of(written(tmp_path, events)), question("silence:billing:purchase:30d", "10d"))
    at_ms = np.array([START_MS + day * DAY_MS for day in (15, 25)])
    assert answers.happened(["a", "a"], at_ms).tolist() == [0, 1]


def test_the_load_of_alerts_counts_quiet_weeks() -> None:
    """Three alerts of one owner in one of two weeks, none of the other owner: mean 0.75 over four cells; info is not counted."""
    accounts = [Account("a", "", "ann", None, None), Account("b", "", "bob", None, None)]
    told = [Fired("a", "r", "warning", START_MS + k) for k in range(3)] + [Fired("b", "r", "info", START_MS)]
    empty = np.empty(0)
    found = Collected(
        accounts, *[empty] * 9, alerts=told, start_ms=START_MS, last_ms=START_MS + 14 * DAY_MS, n_lines=0, n_rejected=0
    )  # fmt: skip
    load = load_of(found)
    assert (load.mean, load.most) == (0.75, 3)


def test_the_command_prints_the_agreed_figures_and_a_page(
    book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--json` ends with one object that has every agreed key; the page stands alone and names the model."""
    page = tmp_path / "page.html"
    code = main(["backtest", str(book), "--model", MODEL, "--horizon", "30d", "--outcome", "churned",
                 "--compare", "ecommerce-rfm", "--html", str(page), "--json"])  # fmt: skip
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    agreed = {
        "rows",
        "positives",
        "base_rate",
        "auc",
        "average_precision",
        "lift_at_10",
        "brier",
        "ece",
        "confusion",
        "lead_time",
    }
    assert code == 0
    assert agreed <= set(report)
    assert set(report["confusion"]) == {"60", "90"}
    assert report["positives"] > 0
    assert sum(band["rows"] for band in report["by_band"].values()) == report["rows"]
    assert sum(entry["rows"] for entry in report["reliability"]) + report["unscored"]["rows"] == report["rows"]
    assert report["gains"][-1] == [1.0, 1.0]
    assert set(report["comparison"]["models"]) == {"ecommerce-rfm"}
    html = page.read_text(encoding="utf-8")
    assert MODEL in html
    assert "<svg" in html
    assert "http" not in html.replace("http-equiv", "")


def test_the_same_history_gives_the_same_report(book: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Twice the same bytes, intervals included."""
    outputs = []
    for _ in range(2):
        main(["backtest", str(book), "--model", MODEL, "--horizon", "30d", "--as-of", "monthly", "--json"])
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--horizon", "3 weeks"], "--horizon: expected whole days from 1d to 365d, got '3 weeks' — write for example 30d"),
        (["--as-of", "daily"], "--as-of: expected weekly, monthly or dates such as 2026-03-01,2026-04-01, got 'daily' — correct it"),
        (["--outcome", "silence:nowhere:9d"], "silence:TOPIC[:EVENT]:DURATION with a topic of usage"),
        (["--outcome", "contracted"], "expected at least one outcome 'contracted' in the history, found none"),
    ],
)  # fmt: skip
def test_a_question_without_sense_is_refused(
    tmp_path: Path, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was expected, what was given, what to do: exit code 1."""
    written(tmp_path, [event("usage", "a", 0.0, event="login")])
    assert main(["backtest", str(tmp_path), *words]) == 1
    assert sentence in capsys.readouterr().err


def test_an_unsorted_file_is_read_whole(compiled: Compiled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told, and the rows are those of the sorted file."""
    events = [event("usage", f"a{k % 3}", (k * 7 % 40) / 2, event="login") for k in range(40)]
    (tmp_path / "usage.jsonl").write_bytes(b"\n".join(value for _, value in events))
    monkeypatch.setattr("streams.event_order.LINES_AT_ONCE", 10)
    told: list[str] = []
    files = files_of(tmp_path)
    answers = read_answers(files, question())
    found = collect(files, compiled, answers, parse_as_of("weekly"), note=told.append)
    expected, _ = rows_of(tmp_path, compiled, question(), "weekly")
    assert told == ["usage.jsonl: not sorted by occurred_at, so it is read into memory; starting again"]
    assert named(found) == named(expected)

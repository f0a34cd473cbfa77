"""The oracle: a partition written down a second time, naively, to judge the compiled one.

It keeps the raw marks of every accepted event and counts them anew at every event, timer and grid point; nothing is
rolled or kept incrementally. Time and conditions live here, a score's arithmetic in
`tests.oracle_scoring`. It is driven by a journal: runs of (topic, records), ticks included.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from scoring.conduct import Playbook
from scoring.model import MeasureKind, Model, Signal
from state.decode import Chunk, decode_chunk
from state.murmur2 import partition_of
from tests.oracle_cohorts import CohortReader, References, spoken, totals_of
from tests.oracle_marks import (
    DAY,
    HOUR,
    KEPT_DAYS,
    NAN,
    NOT_STATED,
    Account,
    Facts,
    Marks,
    RuleLife,
    baseline_of,
    day_of,
    facts_of,
    leave_mark,
    limits_in,
    segment_said,
    set_attributes,
)
from tests.oracle_scoring import Reader, Score, all_values, trajectory, unit

DENSE = ("usage", "billing", "support", "engagement")
LIVE = ("firing", "acknowledged", "snoozed", "clearing")


class Alert(NamedTuple):
    """One announced move of a rule, with the score as it stood."""

    account: str
    sequence: int
    rule: str
    episode: int
    state: str
    at: int
    from_band: int | None
    to_band: int | None
    health: float | None
    risk: float | None
    marks: tuple[str, ...]


class Remembered:
    """The ids seen lately, in two generations that end by number or by the hour."""

    def __init__(self, limit: int) -> None:
        self._limit, self._hour = limit, 0
        self._current: set[int] = set()
        self._previous: set[int] = set()

    def is_new(self, identity: int, stamp: int) -> bool:
        """Return whether an id is not remembered; remember it."""
        if len(self._current) == self._limit or (stamp // HOUR > self._hour and self._current):
            self._current, self._previous = set(), self._current
        self._hour = max(self._hour, stamp // HOUR)
        if identity in self._current or identity in self._previous:
            return False
        if identity:
            self._current.add(identity)
        return True


class Oracle:
    """One partition's state, recomputed.

    Parameters
    ----------
    model
        The checked model.
    number, count
        This partition and how many there are.
    remembered
        Ids in a generation of the duplicates' memory.
    """

    def __init__(self, model: Model, number: int = 0, count: int = 1, remembered: int = 1 << 16) -> None:
        self.model, self.number, self.count = model, number, count
        self.accounts: dict[str, Account] = {}
        self.alerts: list[Alert] = []
        self.dead: list[tuple[str, int, str]] = []
        self.rerouted: list[tuple[str, int]] = []
        self.duplicates = 0
        self.clock: int | None = None
        self.positions: dict[str, int] = {}
        self._held: tuple[int, dict[str, int]] | None = None
        self._ids = Remembered(remembered)
        self.references = References()
        self.sums: list[dict[str, Any]] = []
        self._summed: int | None = None
        self._rules = [(f"band-{b.name}", k, None) for k, b in enumerate(model.bands) if b.alert]
        self._rules += [(rule.name, None, rule) for rule in model.rules]  # type: ignore[misc]
        self._conducts = {f"band-{band.name}": band.conduct for band in model.bands}
        self._conducts |= {rule.name: rule.conduct for rule in model.rules}
        named = {f"band-{band.name}": band for band in model.bands} | {rule.name: rule for rule in model.rules}
        plays = {playbook.name: playbook for playbook in model.playbooks}
        self._plays = {name: plays[each.playbook] for name, each in named.items() if each.playbook}
        self._urgent = {name for name, each in named.items() if each.severity == "critical"}

    # ---- the journal

    def feed(self, topic: str, records: Sequence[Any]) -> None:
        """Apply one run, record by record."""
        for record in records:
            if record.offset < self.positions.get(topic, 0):
                continue
            contract = topic
            if topic == "rerouted":
                contract = dict(record.headers)["bw_topic"].decode()
            self._record(topic, contract, record)
            self.positions[topic] = record.offset + 1
            self._release()

    def _reader(self, account: Account, at: int) -> Reader:
        return Reader(self.model, account, at, self.references)

    def _cohorts(self, record: Any) -> None:
        try:
            body = json.loads(record.value)
        except (TypeError, ValueError):
            self.dead.append(("cohorts", record.offset, "EMPTY" if record.value is None else "INVALID_JSON"))
            return
        if body["kind"] == "reference":
            totals = {
                signal: {segment: tuple(pair) for segment, pair in found.items()}
                for signal, found in body["totals"].items()
            }
            self.references.take(body["day"], totals, self.clock)

    def _record(self, topic: str, contract: str, record: Any) -> None:
        if contract == "cohorts":
            self._cohorts(record)
            return
        chunk = decode_chunk(contract, [record], None if contract == "ticks" else 600_000)
        if chunk.rejections:
            self.dead.append((topic, record.offset, chunk.rejections[0][1].code))
        elif contract == "ticks":
            tick = chunk.structs[0]
            if self._held is None and (self.clock is None or tick.as_of_ms > self.clock):
                self._held = (tick.as_of_ms, tick.ends)
        elif chunk.account[0] not in self.accounts and partition_of(chunk.account[0], self.count) != self.number:
            if contract not in DENSE:
                self._ids.is_new(int(chunk.id_hash[0]), record.timestamp)
            self.rerouted.append((topic, record.offset))
        elif self._ids.is_new(int(chunk.id_hash[0]), record.timestamp):
            self._event(topic, contract, record.offset, chunk)
        else:
            self.duplicates += 1

    def _release(self) -> None:
        if self._held is None or any(self.positions.get(topic, 0) < end for topic, end in self._held[1].items()):
            return
        self.clock, self._held = self._held[0], None
        for name, account in self.accounts.items():
            if not account.is_closed:
                self._advance(name, account, self.clock)
        self._sum_days()

    def _sum_days(self) -> None:
        """Say how busy the days were that ended at least six hours ago, at most the last 87."""
        assert self.clock is not None
        relative = {value.signal for value in all_values(self.model) if value.is_relative}
        last = day_of(self.clock - 6 * HOUR) - 1
        first = last - 86 if self._summed is None else max(self._summed + 1, last - 86)
        if not relative or first > last:
            return
        for day in range(first, last + 1):
            totals: dict[str, dict[str, tuple[int, int]]] = {}
            for signal in (signal for signal in self.model.signals if signal.name in relative):
                found: dict[str, list[int]] = {}
                for account in self.accounts.values():
                    pace = self._pace(account, signal, day) if spoken(account, signal, day) else None
                    if pace is not None:
                        found.setdefault(account.cohort, []).append(pace)
                totals[signal.fingerprint] = totals_of(found)
            self.sums.append({"day": day, "totals": totals})
        self._summed = last

    def _pace(self, account: Account, signal: Signal, day: int) -> int | None:
        assert self.clock is not None
        at = max(account.as_of, self.clock)
        reader = CohortReader(self.references, account, signal, account.facts[signal.name], at)
        marks = account.marks[signal.name].amounts
        if signal.measure.kind is MeasureKind.ACTIVE_DAYS:
            return reader.pace(unit(signal), int(any(d == day for d, _ in marks)))
        return reader.pace(unit(signal), sum(amount for d, amount in marks if d == day))

    # ---- events

    def _event(self, topic: str, contract: str, offset: int, chunk: Chunk) -> None:
        name, at = chunk.account[0], int(chunk.occurred_at_ms[0])
        target = at if self.clock is None else max(at, self.clock)
        account = self.accounts.get(name)
        if account is None:
            account = self.accounts[name] = self._new_account(target)
        self._advance(name, account, target)
        account.positions[topic] = offset
        if day_of(at) <= account.day - KEPT_DAYS:
            self.dead.append((topic, offset, "EXPIRED"))
            return
        account.first_at = at if account.first_at is None else min(account.first_at, at)
        if contract in DENSE:
            self._dense(account, contract, chunk, at)
        elif contract == "accounts":
            set_attributes(account, chunk.structs[0])
            if account.band is None or account.is_closed:  # without a score there is nothing to move
                self._put_into_segment(account)
        elif contract == "outcomes":
            self._outcome(name, account, chunk.structs[0])
        else:
            self._command(name, account, chunk.structs[0])
        self._settle(name, account)
        if contract == "accounts" and account.segment != segment_said(self.model, account.profile):
            self._move_to_segment(name, account)

    def _put_into_segment(self, account: Account) -> None:
        segment = segment_said(self.model, account.profile)
        if segment != account.segment:
            account.segment, account.slope, account.acceleration = segment, NAN, NAN
            account.closes.clear()

    def _move_to_segment(self, name: str, account: Account) -> None:
        """Weigh an account otherwise from now on, as if it had always been so: that is nobody's behaviour."""
        old_reader = self._reader(account, account.as_of)
        old = old_reader.score()
        held = {
            rule: account.band == band if band is not None else old_reader.holds(own.when.program, old)
            for rule, band, own in self._rules
            if band is not None or not math.isnan(old.health)
        }
        old_baseline = baseline_of(self.model, account.segment)
        account.segment = segment_said(self.model, account.profile)
        new_reader = self._reader(account, account.as_of)
        new = new_reader.score()
        self._move_closes(account, old, new, old_baseline)
        new = new_reader.score()  # risk may read the slope of the moved closes
        before = account.band
        for k, override in enumerate(self.model.overrides):
            if not new_reader.holds(override.when.program, new):
                account.override_since[k] = None
            elif account.override_since[k] is None:
                account.override_since[k] = account.as_of
        self._take_band(account, new)
        for rule, band, own in self._rules:
            if band is None and math.isnan(new.health):
                continue
            is_true = account.band == band if band is not None else new_reader.holds(own.when.program, new)
            self._take_rule(name, account, rule, is_true, held.get(rule, False), own.for_ms if own else 0, new, before)
        account.next_due = self._next_due(account)

    def _move_closes(self, account: Account, old: Score, new: Score, old_baseline: float) -> None:
        """Let the closes of the past end where the new score begins."""
        distance = (new.health - baseline_of(self.model, account.segment)) - (old.health - old_baseline)
        moved = {}
        for day, points in account.closes.items() if not math.isnan(distance) else ():
            age = account.day - day
            if age < 15:
                parts = zip(points, new.contributions, old.contributions, strict=True)
                moved[day] = [within(p + whole(now) - whole(then)) for p, now, then in parts]
            elif age <= 91:
                moved[day] = [within(sum(points) + whole(distance))]
        account.closes = moved
        account.slope, account.acceleration = self._trajectory(account)

    def _take_band(self, account: Account, score: Score) -> None:
        target = None if math.isnan(score.health) else self._target(account, score.health)
        if target == account.band:
            account.candidate = None
            return
        is_waiting = target is not None and account.candidate is not None and account.candidate[0] == target
        if is_waiting and account.as_of < account.candidate[1] + self._dwell(account, target):  # type: ignore[index,arg-type]
            return  # it was on its way there anyway
        account.band, account.band_since, account.candidate = target, account.as_of, None

    def _take_rule(
        self,
        name: str,
        account: Account,
        rule: str,
        is_true: bool,  # noqa: FBT001
        held: bool,  # noqa: FBT001
        for_ms: int,
        score: Score,
        before: int | None,
    ) -> None:
        """End what no longer holds, and keep silent what holds only now."""
        life, now = account.rules[rule], account.as_of
        if life.state in LIVE:
            if not is_true and life.state != "clearing":
                self._enter(name, account, rule, "resolved", score, before)
                self._forget(life)
                life.state, life.since, life.until, life.held, life.is_muted = "inactive", now, 0, "", False
        elif not is_true:
            if life.is_muted or life.state == "pending":
                life.state, life.since, life.is_muted = "inactive", now, False
        elif not held or (life.state == "pending" and for_ms == 0):
            life.state, life.since, life.until, life.held = "inactive", now, 0, ""
            life.is_muted = not self._conducts[rule].every_ms

    def _new_account(self, at: int) -> Account:
        signals = self.model.signals
        return Account(
            as_of=at,
            day=day_of(at),
            marks={signal.name: Marks() for signal in signals},
            facts={signal.name: facts_of(signal, Marks(), day_of(at)) for signal in signals},
            rules={name: RuleLife() for name, _, _ in self._rules},
            override_since=[None] * len(self.model.overrides),
            next_due=(day_of(at) + 1) * DAY,
        )

    def _dense(self, account: Account, contract: str, chunk: Chunk, at: int) -> None:
        account.topics.add(contract)
        account.today += 1
        for signal in self.model.signals:
            if signal.topic == contract and leave_mark(signal, account, chunk, at):
                account.facts[signal.name] = facts_of(signal, account.marks[signal.name], account.day)
        if contract == "billing" and chunk.seats[0] != NOT_STATED:
            account.attributes["seats"] = int(chunk.seats[0])

    def _outcome(self, name: str, account: Account, event: Any) -> None:
        if event.outcome == "churned":
            score = self._reader(account, account.as_of).score()
            for rule, life in account.rules.items():
                if life.state in LIVE:
                    self._announce(name, account, rule, "resolved", score, account.band)
                account.rules[rule] = RuleLife(episode=life.episode)
            account.is_closed, account.candidate = True, None
        elif event.outcome == "renewed":
            account.is_closed = False

    def _command(self, name: str, account: Account, event: Any) -> None:
        is_live = event.alert_id is None or any(
            life.state in LIVE and event.alert_id == alert_id(name, rule, life.episode)
            for rule, life in account.rules.items()
        )
        is_contact = event.command == "outreach" and is_live
        account.deeds = [*account.deeds, account.as_of if is_contact else -1][-20:]
        if event.command == "override":
            if event.health is not None:
                account.manual = (round(event.health * 1e6) / 1e6, event.until_ms)
            return
        self._answer(name, account, event)
        for rule, life in account.rules.items():
            if event.alert_id != alert_id(name, rule, life.episode) or life.state not in LIVE:
                continue
            state, until = "", 0
            if event.command == "acknowledge" and life.state != "acknowledged":
                state = "acknowledged"
            elif event.command == "snooze" and event.until_ms is not None and event.until_ms > event.occurred_at_ms:
                state, until = "snoozed", event.until_ms
            elif event.command == "resolve":
                state = "resolved"
            if state:
                kept = "inactive" if state == "resolved" else state
                is_end = state == "resolved"
                life.state, life.since, life.until = kept, account.as_of, until
                life.held, life.is_muted = "", is_end and not self._conducts[rule].every_ms
                score = self._reader(account, account.as_of).score()
                self._announce(name, account, rule, state, score, account.band)
                if is_end:
                    self._forget(life)

    def _answer(self, name: str, account: Account, event: Any) -> None:
        """Note whose next step somebody is on now: getting in touch with an account answers all of its alerts."""
        is_done = event.command == "step_done" and event.step is not None
        for rule, life in account.rules.items():
            is_meant = event.alert_id in (None, alert_id(name, rule, life.episode))
            if event.command == "outreach" or ((event.command == "acknowledge" or is_done) and event.alert_id):
                life.is_answered = life.is_answered or (is_meant and life.state in LIVE)

    # ---- time

    def _advance(self, name: str, account: Account, to: int) -> None:
        """Let every grid point and every timer up to an instant pass, one by one."""
        if account.is_closed and day_of(to) > account.day:
            while account.day < day_of(to):
                self._pass_day(account)
            account.facts = self._facts(account)
            account.slope, account.acceleration = self._trajectory(account)
        while not account.is_closed and account.next_due <= to:
            at = int(account.next_due)
            account.as_of = at
            if at % DAY == 0:
                self._pass_day(account)
                account.facts = self._facts(account)
                score = self._reader(account, at).score()
                if not math.isnan(score.health):
                    account.closes[account.day - 1] = [closed(points) for points in score.contributions]
                account.slope, account.acceleration = self._trajectory(account)
            self._judge(name, account)
            account.next_due = self._next_due(account)
        account.as_of = max(account.as_of, to)

    def _pass_day(self, account: Account) -> None:
        account.day += 1
        account.pace += account.today - account.pace // 8
        account.today = 0

    def _facts(self, account: Account) -> dict[str, Facts]:
        return {signal.name: facts_of(signal, account.marks[signal.name], account.day) for signal in self.model.signals}

    def _trajectory(self, account: Account) -> tuple[float, float]:
        days = [d for d in range(account.day - 28, account.day) if d in account.closes]
        return trajectory({d: account.close_health(self.model, d) for d in days}, account.day)

    def _settle(self, name: str, account: Account) -> None:
        if not account.is_closed:
            self._judge(name, account)
            account.next_due = self._next_due(account)

    def _next_due(self, account: Account) -> float:
        """Return the next timer's end or the next grid point, whichever comes first."""
        dues: list[float] = []
        for since, override in zip(account.override_since, self.model.overrides, strict=True):
            if since is not None and override.for_ms is not None:
                dues.append(since + override.for_ms)
        if account.manual is not None and account.manual[1] is not None:
            dues.append(account.manual[1])
        if account.candidate is not None:
            dues.append(account.candidate[1] + self._dwell(account, account.candidate[0]))
        for name, _, rule in self._rules:
            life = account.rules[name]
            if life.state == "pending":
                dues.append(life.since + (rule.for_ms if rule else 0))
            elif life.state == "clearing":
                dues.append(life.since + (rule.keep_firing_for_ms if rule else 0))
            elif life.state == "snoozed" or (life.state == "inactive" and life.until):
                dues.append(life.until)
            elif life.state == "firing":
                conduct = self._conducts[name]
                dues += [life.fired + conduct.escalate_after_ms] if conduct.escalate_after_ms else []
                dues += [life.told + conduct.repeat_ms] if conduct.repeat_ms else []
                plays = [play for play in self._play(name) if play.escalate_to and play.due_ms]
                late = [max(life.fired + play.due_ms, self._contact_free_at(account, play)) for play in plays]
                dues += [] if life.is_answered or life.is_overdue else late
        return min([next_point(account), *(due for due in dues if due > account.as_of)])

    # ---- decisions

    def _judge(self, name: str, account: Account) -> None:
        reader = self._reader(account, account.as_of)
        score = reader.score()
        for k, override in enumerate(self.model.overrides):
            if not reader.holds(override.when.program, score):
                account.override_since[k] = None
            elif account.override_since[k] is None:
                account.override_since[k] = account.as_of
        before = account.band
        self._move_band(account, score)
        for rule_name, band, rule in self._rules:
            if band is not None:
                self._step(name, account, rule_name, account.band == band, 0, 0, score, before)
            elif not math.isnan(score.health):
                is_true = reader.holds(rule.when.program, score)
                self._step(name, account, rule_name, is_true, rule.for_ms, rule.keep_firing_for_ms, score, before)

    def _dwell(self, account: Account, target: int) -> int:
        assert account.band is not None
        return limits_in(self.model, account.segment)[min(account.band, target)][2]

    def _target(self, account: Account, health: float) -> int:
        """Return the band that a health asks for."""
        limits = limits_in(self.model, account.segment)
        target = len(limits)
        for k, (enter_below, leave_above, _) in reversed(list(enumerate(limits))):
            is_inside = account.band is not None and account.band <= k
            if health < (leave_above if is_inside else enter_below):
                target = k
        return target

    def _move_band(self, account: Account, score: Score) -> None:
        if math.isnan(score.health):
            if account.band is not None:
                account.band, account.band_since, account.candidate = None, account.as_of, None
            return
        target = self._target(account, score.health)
        is_first = account.band is None
        if account.band == target:
            account.candidate = None
            return
        if not is_first:
            if account.candidate is None or account.candidate[0] != target:
                account.candidate = (target, account.as_of)
            is_forced = score.contributions[-1] < -0.5 and target < account.band  # type: ignore[operator]
            if not is_forced and account.as_of < account.candidate[1] + self._dwell(account, target):
                return
        account.band, account.band_since, account.candidate = target, account.as_of, None
        if is_first and target < len(self.model.bands) and self.model.bands[target].alert:
            account.rules[f"band-{self.model.bands[target].name}"].is_muted = True

    def _step(  # noqa: C901, PLR0912 - one line per state
        self,
        name: str,
        account: Account,
        rule: str,
        is_true: bool,  # noqa: FBT001
        for_ms: int,
        keep_ms: int,
        score: Score,
        before: int | None,
    ) -> None:
        """Move one rule through its life cycle until it rests."""
        life, now = account.rules[rule], account.as_of
        if life.is_muted and is_true:
            return
        life.is_muted = False
        is_free = not any(
            rule in self._conducts[other].mutes and account.rules[other].state in LIVE for other in account.rules
        )
        flapping = self.model.flapping
        if life.is_flapping and flapping and self._flap(account, life) < flapping.leave_percent * 21:
            life.is_flapping = False
        while True:
            match life.state, is_true:
                case "inactive", True if now >= life.until and for_ms > 0:
                    life.state, life.since = "pending", now
                case "inactive", True if now >= life.until and is_free:
                    self._begin(name, account, rule, score, before)
                case "pending", False:
                    life.state, life.since, life.until = "inactive", now, 0
                case "pending", True if now >= life.since + for_ms and is_free:
                    self._begin(name, account, rule, score, before)
                case "clearing", True:
                    life.state, life.since, life.held = life.held, now, ""
                    if life.is_flapping:
                        life.changes.add(account.day)
                case "clearing", False if now >= life.since + keep_ms and not life.is_flapping:
                    self._end(name, account, rule, score, before)
                case (("firing" | "acknowledged" | "snoozed"), False):
                    if keep_ms == 0 and not life.is_flapping:
                        self._end(name, account, rule, score, before)
                    else:
                        life.state, life.since, life.held = "clearing", now, life.state
                        if life.is_flapping:
                            life.changes.add(account.day)
                case "snoozed", True if now >= life.until:
                    self._enter(name, account, rule, "firing", score, before)
                case _:
                    break
        if life.state == "firing":
            self._insist(name, account, rule, score, before, is_free)

    def _begin(self, name: str, account: Account, rule: str, score: Score, before: int | None) -> None:
        life, flapping = account.rules[rule], self.model.flapping
        life.episode, life.fired = life.episode + 1, account.as_of
        if flapping and not self._conducts[rule].every_ms:
            life.changes.add(account.day)
            life.is_flapping = life.is_flapping or self._flap(account, life) >= flapping.enter_percent * 21
        cap = self.model.account_cap
        if cap:
            lately = [day for day in account.begun if account.day - cap.days < day]
            life.is_capped = len(lately) >= cap.count and rule not in self._urgent
            account.begun += [] if life.is_capped else [account.day]
        self._enter(name, account, rule, "firing", score, before)

    def _end(self, name: str, account: Account, rule: str, score: Score, before: int | None) -> None:
        life, conduct = account.rules[rule], self._conducts[rule]
        self._enter(name, account, rule, "resolved", score, before)
        if self.model.flapping:
            life.changes.add(account.day)
        self._forget(life)
        life.until = account.as_of + conduct.refractory_ms if conduct.refractory_ms else 0

    def _insist(
        self,
        name: str,
        account: Account,
        rule: str,
        score: Score,
        before: int | None,
        is_free: bool,  # noqa: FBT001
    ) -> None:
        life, conduct, now = account.rules[rule], self._conducts[rule], account.as_of
        is_news = False
        if conduct.escalate_after_ms and not life.is_escalated and now >= life.fired + conduct.escalate_after_ms:
            life.is_escalated, life.is_capped, is_news = True, False, True
        plays = [play for play in self._play(rule) if play.escalate_to and play.due_ms]
        is_late = any(now >= max(life.fired + play.due_ms, self._contact_free_at(account, play)) for play in plays)
        if is_late and not life.is_overdue and not life.is_answered and not self._suppressed(account, rule, score):
            life.is_overdue = is_news = True
        if is_news:
            self._announce(name, account, rule, "firing", score, before)
        elif conduct.repeat_ms and now >= life.told + conduct.repeat_ms and is_free and not life.is_flapping:
            self._announce(name, account, rule, "firing", score, before, ("repeated",))

    def _flap(self, account: Account, life: RuleLife) -> int:
        """Return the weight of the days with a change: 120 for today down to 80 for 20 days ago."""
        return sum(120 - 2 * age for age in range(21) if account.day - age in life.changes)

    def _forget(self, life: RuleLife) -> None:
        life.fired, life.told, life.is_escalated, life.is_flapping = 0, 0, False, False
        life.is_overdue = life.is_answered = life.is_capped = False

    def _suppressed(self, account: Account, rule: str, score: Score) -> tuple[str, ...]:
        """Return what makes getting in touch unwelcome, by name."""
        reader = self._reader(account, account.as_of)
        suppress = [each for play in self._play(rule) for each in play.suppress]
        return tuple(each.name for each in suppress if reader.holds(each.when.program, score))

    def _contact_free_at(self, account: Account, play: Playbook) -> int:
        """Return when so many contacts no longer stand within the playbook's time, 0 where there never were so many."""
        made = sorted(at for at in account.deeds if at >= 0)
        capped = play.contact_cap and len(made) >= play.contact_cap
        return made[-play.contact_cap] + play.contact_within_ms if capped else 0

    def _play(self, rule: str) -> list[Playbook]:
        """Return a rule's playbook, as a list of none or one."""
        return [self._plays[rule]] if rule in self._plays else []

    def _enter(self, name: str, account: Account, rule: str, state: str, score: Score, before: int | None) -> None:
        life = account.rules[rule]
        life.state, life.since = ("inactive" if state == "resolved" else state), account.as_of
        self._announce(name, account, rule, state, score, before)

    def _announce(
        self,
        name: str,
        account: Account,
        rule: str,
        state: str,
        score: Score,
        before: int | None,
        marks: tuple[str, ...] = (),
    ) -> None:
        account.sequence += 1
        life = account.rules[rule]
        if state == "firing":
            life.told = account.as_of
        marks += ("escalated",) if life.is_escalated else ()
        marks += ("flapping",) if life.is_flapping else ()
        marks += ("overdue",) if life.is_overdue else ()
        marks += ("capped",) if life.is_capped else ()
        marks += self._suppressed(account, rule, score) if state != "resolved" else ()
        health, risk = (None if math.isnan(number) else number for number in (score.health, score.risk))
        line = (rule, life.episode, state, account.as_of, before, account.band, health, risk)
        self.alerts.append(Alert(name, account.sequence, *line, tuple(sorted(marks))))

    # ---- looking in

    def scores(self) -> Iterator[tuple[str, Account, Reader, Score]]:
        """Yield every account with its score as of the clock, or of its own later time."""
        for name, account in self.accounts.items():
            at = account.as_of if account.is_closed or self.clock is None else max(account.as_of, self.clock)
            reader = self._reader(account, at)
            yield name, account, reader, reader.score()


def next_point(account: Account) -> int:
    """Return the account's next grid point: the busier it is, the sooner; every midnight is one."""
    step = HOUR if account.pace >= 64 else 6 * HOUR if account.pace >= 16 else DAY
    return (account.as_of // step + 1) * step


def closed(points: float) -> int:
    """Return points as a close keeps them, in 1/256."""
    return within(whole(points))


def whole(points: float) -> int:
    """Return points in 1/256."""
    return math.floor(points * 256 + 0.5)


def within(units: int) -> int:
    """Return a number of 1/256 points as a close can hold it."""
    return min(max(units, -32767), 32767)


def alert_id(account: str, rule: str, episode: int) -> str:
    """Return the id of an alert, from the contract: the first 32 hex digits of a SHA-256."""
    return hashlib.sha256(f"{account}\0{rule}\0{episode}".encode()).hexdigest()[:32]

"""The row of one account: which number stands in which column.

A row is a line in a few matrices (`state.store`): `ints` (what is kept and written to the changelog), `derived` (what
follows from the rest and is made again on restore), `narrow` and `wide` (91 daily tiles per signal) and `closes` (91 day
closes). Scores are kept as whole millionths of a point, quantities as thousandths, amounts as ten-thousandths, times as
milliseconds, so that a row is integers only: equal rows are equal bytes.

`LAYOUT_VERSION` rises whenever a column moves; a changelog of another layout is refused or migrated, never misread.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from scoring.plan import PLANE_NARROW, PLANE_WIDE, RULE_CONTACT, SIGNAL_COHORT, SIGNAL_DECAY, SIGNAL_PLANE, Plan

LAYOUT_VERSION: Final = 4

NO_VALUE: Final = -(2**63)
"""Stands for "not known" wherever 0 would be a statement."""
NEVER: Final = 2**62
"""A due time that does not come."""

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
TILE_DAYS: Final = 91
"""Today and the 90 days before it."""
CLOSE_DAYS: Final = 15
"""Day closes whose contributions are kept, two weeks and today's; of older ones only the total is."""
AMOUNT_UNIT: Final = 10_000
"""Amounts are kept in ten-thousandths of the currency unit."""
MICRO: Final = 1_000_000
"""Scores, probabilities and contributions are compared and written as whole millionths."""
CLOSE_UNIT: Final = 256
"""Day closes keep contributions in 1/256 points: 16 bits reach +-128 points."""
NO_CLOSE: Final = -32768

WINDOWS: Final = 4  # 7, 14, 30, 90 days
BURST: Final = 3  # beside the decayed sums: the sealed days' sum of squares over their sum
ANCHOR: Final = 4  # and the day the sums count back from: the last sealed one that is not 0
DECAY_COLUMNS: Final = 5

INPUT_TOPICS: Final = (
    "accounts",
    "usage",
    "billing",
    "support",
    "engagement",
    "outcomes",
    "commands",
    "rerouted",
    "ticks",
    "cohorts",
    "models",
)
"""Input topics; an index here is the topic's number and its rank where times are equal."""
ROW_TOPICS: Final = 8
"""The first topics of `INPUT_TOPICS` touch rows; ticks, cohorts and models touch the partition."""

# Columns of `ints`, the same for every model.
AS_OF: Final = 0
FIRST_AT: Final = 1
CLOSED: Final = 2
BAND: Final = 3
BAND_SINCE: Final = 4
CANDIDATE: Final = 5
CANDIDATE_SINCE: Final = 6
ALERT_SEQUENCE: Final = 7
PUBLISHED_HEALTH: Final = 8
PUBLISHED_RISK: Final = 9
PUBLISHED_EXPANSION: Final = 10
PUBLISHED_REASON: Final = 11
COLD_DAY: Final = 12
SEATS: Final = 13
MRR: Final = 14
ARR: Final = 15
CONTRACT_START: Final = 16
RENEWAL_AT: Final = 17
STRATEGIC_FIT: Final = 18
CONTACTS: Final = 19
EXPECTED_UPLIFT: Final = 20
ENGAGEMENT_COST: Final = 21
CHAMPION: Final = 22
EXECUTIVE: Final = 23
OUTCOME_NARRATIVE: Final = 24
RELATIONSHIP_AT: Final = 25
SEGMENT: Final = 26  # number of the account's cohort in its partition, 0 = everybody
MANUAL_HEALTH: Final = 27
MANUAL_UNTIL: Final = 28
TOPICS_SEEN: Final = 29  # a bit per topic the account ever sent an event on
TODAY: Final = 30  # events since the last midnight
PACE: Final = 31  # eight times the mean of events a day, decaying over eight days
POSITIONS: Final = 32
BEGUN: Final = (
    POSITIONS + ROW_TOPICS
)  # `scoring.caps`: alerts begun on each of the last seven days, where a cap counts them
FIXED: Final = BEGUN + 1

# Columns per signal, per override and per rule, in blocks after the fixed ones.
LAST_AT: Final = 0
LAST_VALUE: Final = 1  # for signals that count or sum: the total of all time
SIGNAL_COLUMNS: Final = 2
OVERRIDE_COLUMNS: Final = 1  # since when the condition holds; 0 = it does not
RULE_STATE: Final = 0
RULE_SINCE: Final = 1
RULE_EPISODE: Final = 2
RULE_UNTIL: Final = 3
RULE_HELD: Final = 4
RULE_FIRED: Final = 5  # when the episode began to fire; 0 = none is open
RULE_TOLD: Final = 6  # when "firing" was announced last
RULE_HISTORY: Final = 7  # `scoring.flapping`: 21 days of changes, and what the episode is marked with
RULE_COLUMNS: Final = 8

# Columns of `derived`.
DAY: Final = 0
SLOPE: Final = 1
ACCELERATION: Final = 2
DISTINCT_HEAD: Final = 3
OPEN_HEAD: Final = 4
AWAKE: Final = 5  # a bit per rule that is anything but at rest: only those need more than a look at their condition
MODEL_SEGMENT: Final = 6  # number of the model's segment whose weights and bands apply, 0 = the model's own
DERIVED_FIXED: Final = 7
SUMS: Final = 0
OPEN_COUNT: Final = 4
OPEN_OLDEST: Final = 5
DERIVED_SIGNAL: Final = 6

# Bits of `dirty`.
HOT: Final = 1
COLD: Final = 2
SNAPSHOT: Final = 4


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a model's blocks stand in the matrices.

    Parameters
    ----------
    signals, inputs, overrides, rules : int
        How many of each the model has; every band but the best counts as a rule too.
    narrow, wide : int
        Signals with 32-bit tiles (counts) and with 64-bit tiles (sums of quantities or amounts).
    decayed : int
        Signals for which decayed sums are kept.
    relative : int
        Signals for which cohort days are kept.
    capping : int
        Playbooks whose cap on contacts holds back overdue steps.
    """

    signals: int
    inputs: int
    overrides: int
    rules: int
    narrow: int
    wide: int
    decayed: int
    relative: int
    capping: int

    @property
    def entry(self) -> int:
        """First column of the contributions at the last band entry."""
        return FIXED

    @property
    def contributions(self) -> int:
        """How many contributions a score has: one an input, missing data, override and clamp."""
        return self.inputs + 2

    @property
    def signal_block(self) -> int:
        """First column of the signals' block."""
        return self.entry + self.contributions

    @property
    def override_block(self) -> int:
        """First column of the overrides' block."""
        return self.signal_block + self.signals * SIGNAL_COLUMNS

    @property
    def rule_block(self) -> int:
        """First column of the rules' block."""
        return self.override_block + self.overrides * OVERRIDE_COLUMNS

    @property
    def int_columns(self) -> int:
        """Width of `ints`."""
        return self.rule_block + self.rules * RULE_COLUMNS

    @property
    def contact_block(self) -> int:
        """First column of `derived` that says until when a playbook's contacts are enough, ms; 0 = they are not."""
        return DERIVED_FIXED + self.signals * DERIVED_SIGNAL

    @property
    def derived_columns(self) -> int:
        """Width of `derived`."""
        return self.contact_block + self.capping

    @property
    def bytes_per_row(self) -> int:
        """Memory of one row in the matrices, without distinct users, open items, key and profile."""
        return (
            8 * (self.int_columns + self.derived_columns + self.decayed * DECAY_COLUMNS)
            + TILE_DAYS * (4 * self.narrow + 8 * self.wide + 2)
            + 2 * CLOSE_DAYS * self.contributions
            + 9
        )


def layout_of(plan: Plan) -> Layout:
    """Return the widths of a plan's rows."""
    planes = plan.signals[:, SIGNAL_PLANE]
    return Layout(
        signals=plan.signals.shape[0],
        inputs=plan.inputs.shape[0],
        overrides=plan.overrides.shape[0],
        rules=plan.rules.shape[0],
        narrow=int((planes == PLANE_NARROW).sum()),
        wide=int((planes == PLANE_WIDE).sum()),
        decayed=int((plan.signals[:, SIGNAL_DECAY] >= 0).sum()),
        relative=int((plan.signals[:, SIGNAL_COHORT] >= 0).sum()),
        capping=int(plan.rules[:, RULE_CONTACT].max(initial=-1)) + 1,
    )


def placed(plan: Plan, layout: Layout) -> Plan:
    """Return the plan with the places of the row's blocks filled in."""
    blocks = (layout.entry, layout.signal_block, layout.override_block, layout.rule_block, layout.contact_block)
    return plan._replace(offsets=np.array(blocks, np.int64))

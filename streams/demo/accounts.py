"""Who the customers of the simulated book are: names, owners, contracts and how much they use the product.

Every account has its own random source, derived from the book's seed and the account id, so that a change in one
account's life never changes another's.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

OWNERS = (
    "Maria Lindgren",
    "Tom Okafor",
    "Aiko Tanaka",
    "Jonas Weber",
    "Priya Raman",
    "Luca Moretti",
    "Sofia Almeida",
    "Daniel Cohen",
    "Hannah Schmidt",
    "Mateo Vargas",
    "Emma Novak",
    "Yusuf Demir",
)
# Company names: one word of each and the account's number.
FIRST_WORDS = (
    *("Amber", "Birch", "Cedar", "Copper", "Coral", "Delta", "Eastern", "Falcon", "Garnet", "Granite", "Harbor"),
    *("Indigo", "Ivory", "Juniper", "Lantern", "Maple", "Meadow", "Northern", "Ochre", "Opal", "Pine", "Quarry"),
    *("River", "Saffron", "Silver", "Summit", "Timber", "Umber", "Valley", "Western", "Willow", "Zephyr"),
)
SECOND_WORDS = (
    *("Analytics", "Bakery", "Builders", "Capital", "Clinics", "Dynamics", "Energy", "Foods", "Freight", "Gardens"),
    *("Health", "Insurance", "Labs", "Learning", "Logistics", "Marine", "Media", "Mobility", "Motors", "Networks"),
    *("Optics", "Outfitters", "Partners", "Pharma", "Printing", "Research", "Robotics", "Studios", "Supply"),
    *("Systems", "Textiles", "Works"),
)
INDUSTRIES = ("software", "retail", "manufacturing", "healthcare", "finance", "education", "logistics")
REGIONS = (("EU", "EUR", 1), ("UK", "GBP", 0), ("US", "USD", -6))  # region, currency, hours from UTC


@dataclass(frozen=True, slots=True)
class Segment:
    """One kind of customer: its share of the book, its size and its habits.

    Parameters
    ----------
    name, plan
        As they appear in the account record.
    share
        Share of the accounts, 0 to 1.
    seats
        Smallest and largest number of seats.
    seat_price
        Yearly price of one seat, in the account's currency.
    events_per_day
        Median of the log-normal usage rate.
    meeting_days
        Mean days between two meetings held.
    """

    name: str
    plan: str
    share: float
    seats: tuple[int, int]
    seat_price: int
    events_per_day: float
    meeting_days: float


SEGMENTS = (
    Segment("enterprise", "business", 0.10, (80, 600), 540, 3.2, 14.0),
    Segment("mid-market", "team", 0.32, (15, 80), 660, 1.5, 30.0),
    Segment("small-business", "starter", 0.58, (2, 15), 780, 0.8, 60.0),
)
RATE_SPREAD = 0.6  # sigma of the log-normal rate: the busiest 2 % of a segment use about 3.5 times its median
SMALL_SHARE = 0.05  # accounts with very few events, which any score must treat with care


@dataclass(frozen=True, slots=True)
class Profile:
    """One simulated customer.

    Parameters
    ----------
    index
        Position in the book, from 0.
    account_id, name, owner, region, currency, industry
        As they appear in the account record.
    segment
        Kind of customer.
    events_per_day
        Mean usage events on an ordinary day, > 0.
    users
        People who use the product, ≥ 1.
    contacts
        People known by name, ≥ 1.
    seats
        Seats paid for.
    arr
        Yearly recurring revenue, whole units of ``currency``.
    contract_day, renewal_day
        Days from the start of the book; the first is negative.
    hours_from_utc
        Where the working day lies.
    is_small
        Whether the account has very few events.
    """

    index: int
    account_id: str
    name: str
    owner: str
    region: str
    currency: str
    industry: str
    segment: Segment
    events_per_day: float
    users: int
    contacts: int
    seats: int
    arr: int
    contract_day: int
    renewal_day: int
    hours_from_utc: int
    is_small: bool


def account_source(seed: int, account_id: str, purpose: str) -> random.Random:
    """Return the random source of one account for one purpose.

    Parameters
    ----------
    seed
        The book's seed.
    account_id
        Whose source.
    purpose
        A word; sources of different purposes are independent, so a draw added to one leaves the others alone.
    """
    return random.Random(f"{seed}/{account_id}/{purpose}")


def profiles(seed: int, accounts: int) -> Iterator[Profile]:
    """Yield the customers of a book, in order.

    Parameters
    ----------
    seed
        The book's seed.
    accounts
        How many, ≥ 1.
    """
    for index in range(accounts):
        account_id = f"acct-{index + 1:05d}"
        yield _profile(index, account_id, account_source(seed, account_id, "profile"))


def _profile(index: int, account_id: str, source: random.Random) -> Profile:
    segment = source.choices(SEGMENTS, [kind.share for kind in SEGMENTS])[0]
    region, currency, hours = source.choices(REGIONS, (0.45, 0.2, 0.35))[0]
    low, high = segment.seats
    seats = round(math.exp(source.uniform(math.log(low), math.log(high))))
    is_small = source.random() < SMALL_SHARE
    rate = segment.events_per_day * math.exp(RATE_SPREAD * source.gauss(0.0, 1.0))
    renewal_day = source.randrange(8, 365)
    return Profile(
        index=index,
        account_id=account_id,
        name=f"{source.choice(FIRST_WORDS)} {source.choice(SECOND_WORDS)} {index + 1}",
        owner=source.choice(OWNERS),
        region=region,
        currency=currency,
        industry=source.choice(INDUSTRIES),
        segment=segment,
        events_per_day=source.uniform(0.02, 0.07) if is_small else rate,
        users=max(1, round(seats * source.uniform(0.3, 0.9))),
        contacts=source.randint(1, 6),
        seats=seats,
        arr=seats * segment.seat_price,
        contract_day=renewal_day - 365 * source.randint(1, 4),
        renewal_day=renewal_day,
        hours_from_utc=hours,
        is_small=is_small,
    )

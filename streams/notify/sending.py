"""Makes one try of one delivery, over HTTP or SMTP, and says what came of it. Who tries again is not its affair."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any, Final, NamedTuple, Self

import aiohttp
import aiosmtplib

from streams.notify.addresses import PublicResolver
from streams.notify.mail import mail_of
from streams.notify.posts import Post, post_of, resend_of
from streams.notify.targets import Alertmanager, Mail, Target, Webhook

TIMEOUT_SECONDS: Final = 20.0
"""Standard Webhooks: 15 to 30 seconds."""
ANSWER_BYTES: Final = 200
"""Of an answer, at most so much is kept for people."""
BUSY: Final = frozenset({408, 425, 429})
"""Refusals that ask for another try."""
UNAVAILABLE: Final = frozenset({429, 502, 503, 504})
"""Answers for the receiver rather than by it: the same as none."""
LONGEST_WAIT_SECONDS: Final = 86_400.0


class Verdict(Enum):
    """What came of a try."""

    DELIVERED = "delivered"
    FAILED = "failed"
    """Worth another try."""
    REFUSED = "refused"
    """Another try would meet the same answer."""
    GONE = "gone"
    """The receiver wants nothing any more."""


class Outcome(NamedTuple):
    """What came of a try, why, and how long the receiver wants to be left alone, seconds.

    ``is_unanswered`` tells that nobody was met, which says nothing about the alert.
    """

    verdict: Verdict
    why: str = ""
    wait_seconds: float = 0.0
    is_unanswered: bool = False


class Sender:
    """Delivers to one target; use it as an async context manager.

    Parameters
    ----------
    target
        Where to.
    """

    def __init__(self, target: Target) -> None:
        self._place = target.place

    async def __aenter__(self) -> Self:
        is_guarded = not isinstance(self._place, Alertmanager | Mail) and not self._place.allow_private
        connector = aiohttp.TCPConnector(resolver=PublicResolver()) if is_guarded else aiohttp.TCPConnector()
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def send(self, alert: dict[str, Any]) -> Outcome:
        """Try once."""
        now_ms = time.time_ns() // 1_000_000
        if isinstance(self._place, Mail):
            return await self._mail(self._place, alert, now_ms)
        return await self._post(post_of(self._place, alert, now_ms), now_ms)

    async def remind(self, place: Alertmanager, alerts: Sequence[dict[str, Any]]) -> Outcome:
        """Tell an Alertmanager once more what stands."""
        now_ms = time.time_ns() // 1_000_000
        return await self._post(resend_of(place, alerts, now_ms), now_ms)

    async def _post(self, post: Post, now_ms: int) -> Outcome:
        try:
            async with self._session.post(
                post.url, data=post.body, headers=post.headers, allow_redirects=False
            ) as response:
                said = (await response.content.read(ANSWER_BYTES)).decode(errors="replace")
                wait = _retry_after(response.headers.get("retry-after", ""), now_ms)
                return _judge(response.status, said, wait, is_patient=isinstance(self._place, Webhook))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Outcome(Verdict.FAILED, str(error) or type(error).__name__, is_unanswered=True)

    async def _mail(self, place: Mail, alert: dict[str, Any], now_ms: int) -> Outcome:
        mail = mail_of(place, alert, now_ms)
        if mail is None:
            return Outcome(Verdict.DELIVERED, "nobody is to get it")
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await aiosmtplib.send(
                    mail,
                    hostname=place.host,
                    port=place.port,
                    username=place.username or None,
                    password=place.password or None,
                    use_tls=place.tls == "tls",
                    start_tls=place.tls == "starttls",
                    timeout=TIMEOUT_SECONDS,
                )
        except aiosmtplib.SMTPRecipientsRefused as error:
            codes = [refused.code for refused in error.recipients]
            return Outcome(_smtp_verdict(min(codes)), f"{error.recipients[0].code} {error.recipients[0].message}")
        except aiosmtplib.SMTPResponseException as error:
            # A wrong password is the operator's mistake and not the alert's: it is worth another try.
            is_ours = isinstance(error, aiosmtplib.SMTPAuthenticationError)
            return Outcome(Verdict.FAILED if is_ours else _smtp_verdict(error.code), f"{error.code} {error.message}")
        except (aiosmtplib.SMTPException, TimeoutError, OSError) as error:
            return Outcome(Verdict.FAILED, str(error) or type(error).__name__, is_unanswered=True)
        return Outcome(Verdict.DELIVERED)


def _smtp_verdict(code: int) -> Verdict:
    return Verdict.REFUSED if code >= 500 else Verdict.FAILED


def _judge(status: int, said: str, wait_seconds: float, *, is_patient: bool) -> Outcome:
    """Return what an HTTP status means; an `is_patient` receiver may answer 4xx while it is being repaired."""
    why = f"HTTP {status} {' '.join(said.split())}".strip()
    if 200 <= status < 300:
        return Outcome(Verdict.DELIVERED)
    if status == 410:
        return Outcome(Verdict.GONE, why)
    if 400 <= status < 500 and status not in BUSY and not is_patient:
        return Outcome(Verdict.REFUSED, why)
    return Outcome(Verdict.FAILED, why, wait_seconds, is_unanswered=status in UNAVAILABLE)


def _retry_after(text: str, now_ms: int) -> float:
    """Return the seconds that a Retry-After header asks for, 0 where it asks for none."""
    if text.isdecimal():
        return min(float(text), LONGEST_WAIT_SECONDS)
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return 0.0
    moment = at if at.tzinfo else at.replace(tzinfo=UTC)
    seconds = (moment - datetime.fromtimestamp(now_ms / 1000, UTC)).total_seconds()
    return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)

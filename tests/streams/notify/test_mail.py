"""Mail through a real SMTP server on this machine."""

import asyncio
import email
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.message import Message

from aiosmtpd.smtp import SMTP, Envelope, Session

from streams.notify.sending import Sender, Verdict
from streams.notify.targets import Mail, Target
from streams.settings import Settings
from tests.streams.notify.receivers import an_alert, notifying, write_alerts


class Postbox:
    """Takes mail; `answer` (mails before) → SMTP reply."""

    def __init__(self, answer: Callable[[int], str]) -> None:
        self._answer = answer
        self.mails: list[tuple[list[str], Message]] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep the mail and answer."""
        del server, session
        reply = self._answer(len(self.mails))
        self.mails.append((envelope.rcpt_tos, email.message_from_bytes(envelope.content or b"")))
        return reply


@asynccontextmanager
async def relaying(answer: Callable[[int], str] = lambda _: "250 taken") -> AsyncIterator[tuple[Postbox, Target]]:
    """A mail relay on a free port and a target that uses it."""
    box = Postbox(answer)
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(box, enable_SMTPUTF8=True), "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        place = Mail("127.0.0.1", port, "bw@example.com", ("ops@example.com",), True, "none", "", "")
        yield box, Target("m", place, retry_ms=(100, 100), from_beginning=True)
    finally:
        server.close()


async def test_a_mail_arrives_and_is_repeated_with_the_same_id(provisioned: Settings) -> None:
    """A temporary refusal is tried again; both tries have one Message-ID, and the owner gets it too."""
    async with relaying(lambda before: "451 later" if before == 0 else "250 taken") as (box, target):
        await write_alerts(provisioned, [an_alert()])
        async with notifying(provisioned, target) as standing:
            await standing.has(lambda s: len(box.mails) == 2 and s.owed["m"] == 0)
    assert box.mails[0][1]["Message-ID"] == box.mails[1][1]["Message-ID"] == f"<{1:032x}-1@example.com>"
    assert box.mails[1][0] == ["ops@example.com", "ann@example.com"]


async def test_a_permanent_refusal_is_final_and_an_absent_relay_is_not() -> None:
    """5xx is not tried again, nobody at the port is."""
    async with relaying(lambda _: "554 no") as (_, target), Sender(target) as sender:
        outcome = await sender.send(an_alert())
        assert (outcome.verdict, outcome.why) == (Verdict.REFUSED, "554 no")
    async with Sender(target) as sender:
        outcome = await sender.send(an_alert())
        assert (outcome.verdict, outcome.is_unanswered) == (Verdict.FAILED, True)

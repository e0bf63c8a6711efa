"""E-mail by submission to a server; a 250 behind the data is the delivery."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from email.utils import formatdate

from edge.channels.channel import Notice, Undelivered
from edge.channels.settings import EmailSettings
from edge.channels.text import head_of, text_of

TIMEOUT_S = 15.0
TEXT_LIMIT = 64_000


class EmailChannel:
    """Sends one plain-text mail a notice, to all recipients at once, on a thread of its own."""

    def __init__(
        self, name: str, settings: EmailSettings, password: str | None, priorities: frozenset[int]
    ) -> None:
        self.name = name
        self.priorities = priorities
        self._settings = settings
        self._password = password
        self._worker = ThreadPoolExecutor(1, thread_name_prefix=f"mail-{name}")

    async def send(self, notice: Notice) -> str:
        """Delivered when the server took it for every recipient."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, self._send, notice)

    def _send(self, notice: Notice) -> str:
        try:
            with self._connect() as server:
                if self._settings.username is not None:
                    server.login(self._settings.username, self._password or "")
                refused = server.send_message(self._message(notice))
        except smtplib.SMTPResponseException as error:
            said = error.smtp_error
            text = said[:200].decode(errors="replace") if isinstance(said, bytes) else said[:200]
            raise Undelivered(f"SMTP {error.smtp_code} {text}", final=error.smtp_code >= 500) from error
        except (smtplib.SMTPException, OSError) as error:
            final = isinstance(error, smtplib.SMTPRecipientsRefused)
            raise Undelivered(f"{type(error).__name__}: {str(error)[:200]}", final=final) from error
        if refused:
            raise Undelivered(f"refused for {', '.join(refused)}", final=True)
        return "accepted"

    def _connect(self) -> smtplib.SMTP:
        host, port, security = self._settings.host, self._settings.port, self._settings.security
        context = ssl.create_default_context()
        if security == "tls":
            return smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_S, context=context)
        server = smtplib.SMTP(host, port, timeout=TIMEOUT_S)
        if security == "starttls":
            server.starttls(context=context)
        return server

    def _message(self, notice: Notice) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._settings.sender
        message["To"] = ", ".join(self._settings.to)
        message["Date"] = formatdate(usegmt=True)
        message["Message-ID"] = f"<{notice.id}@{self._settings.sender.rpartition('@')[2]}>"
        message["Subject"] = f"{head_of(notice)}{notice.title} {notice.place}".strip()
        message.set_content(text_of(notice, TEXT_LIMIT))
        return message

    async def close(self) -> None:
        """Ends the thread."""
        self._worker.shutdown(wait=False, cancel_futures=True)

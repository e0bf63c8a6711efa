"""A real Chromium on the dashboard, and what it saw: console, requests, policy violations."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, Request, StorageState, sync_playwright

from tests.web_pages.contrast import faint

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--lang=zh-CN",
]
WAIT_MS = 20_000
"""How long to wait for content: a bound for a broken page, not an expectation."""

_NOTE_VIOLATIONS = """
window.campusViolations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.campusViolations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`);
});
"""


class Gateway(Protocol):
    """What the tests need of the fixture `running_gateway`: an agent served on loopback that is set
    up, with the credentials of someone who may acknowledge."""

    url: str
    user: str
    password: str


@dataclass
class Seen:
    """What one page did besides showing something."""

    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    policies: list[str] = field(default_factory=list)


class Limit:
    """What the gateway still permits this client, by our own account: 50 requests at once and ten a
    second, of which some are left for what is asked beside the pages."""

    burst, per_s, wanted = 50.0, 9.0, 42.0

    def __init__(self) -> None:
        self._left, self._at = self.burst, time.monotonic()

    def spend(self, request: Request) -> None:
        """A page asked for something."""
        if urlsplit(request.url).path.startswith("/api/"):
            self._left = self._now() - 1.0

    def pause_s(self) -> float:
        """Seconds until the next test may begin."""
        return max(0.0, (self.wanted - self._now()) / self.per_s)

    def _now(self) -> float:
        now = time.monotonic()
        self._left, self._at = min(self.burst, self._left + (now - self._at) * self.per_s), now
        return self._left


LIMIT = Limit()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's browser, headless."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def context(
    browser: Browser, width: int, language: str, state: StorageState | None = None
) -> Iterator[BrowserContext]:
    """A fresh profile of the given width that remembers the language."""
    opened = browser.new_context(
        viewport={"width": width, "height": 900 if width > 600 else 844},
        storage_state=state,
        locale="zh-CN",
    )
    opened.set_default_timeout(WAIT_MS)
    opened.on("request", LIMIT.spend)
    opened.add_init_script(_NOTE_VIOLATIONS)
    # Only as the starting point: a switch by hand must survive a reload.
    opened.add_init_script(
        "if (!localStorage.getItem('campus-edge.language'))"
        f" localStorage.setItem('campus-edge.language', '{language}');"
    )
    try:
        yield opened
    finally:
        opened.close()


def watched(opened: BrowserContext) -> tuple[Page, Seen]:
    """A new page whose complaints, hosts and content security policies are noted."""
    page, seen = opened.new_page(), Seen()

    def note_console(message: Any) -> None:
        if message.type == "error":
            seen.complaints.append(f"{message.text} ({message.location.get('url', '')})")

    def note_response(response: Any) -> None:
        if response.request.resource_type == "document":
            seen.policies.append(response.headers.get("content-security-policy", ""))

    page.on("console", note_console)
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("request", lambda request: seen.hosts.add(urlsplit(request.url).netloc))
    page.on("response", note_response)
    return page, seen


def address(gateway: Gateway, page: str = "") -> str:
    """The address of a page of the dashboard."""
    return f"{gateway.url.rstrip('/')}/#/{page}"


def items(page: Page, gateway: Gateway, path: str) -> list[dict[str, Any]]:
    """A list of the API, asked with the page's own session."""
    answer = page.request.get(f"{gateway.url.rstrip('/')}/api/v1/{path}")
    assert answer.ok, answer.text()
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def sign_in(page: Page, gateway: Gateway, words: tuple[str, str, str] = ("用户名", "密码", "登录")) -> None:
    """Signs in through the form."""
    user, password, submit = words
    page.goto(address(gateway))
    page.get_by_label(user, exact=True).fill(gateway.user)
    page.get_by_label(password, exact=True).fill(gateway.password)
    page.get_by_role("button", name=submit, exact=True).click()
    page.get_by_test_id("language").wait_for()
    page.locator("nav").first.wait_for()


def assert_clean(page: Page, seen: Seen, gateway: Gateway) -> None:
    """Fits the screen, can be read, complains of nothing, talks to nobody else, needs no laxer policy."""
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, f"{overflow} px wider than the screen"
    assert faint(page) == {}
    assert seen.complaints == []
    assert seen.hosts == {urlsplit(gateway.url).netloc}
    assert page.evaluate("window.campusViolations") == []
    policy = {name: sources for name, *sources in (part.split() for part in seen.policies[0].split(";"))}
    assert policy["default-src"] == ["'self'"]
    assert policy.get("script-src", ["'self'"]) == ["'self'"]
    assert policy.get("style-src", ["'self'"]) == ["'self'"]

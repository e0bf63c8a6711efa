"""Every page of the built dashboard in a real browser, on a desk screen and on a phone, in both languages."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page, Request, StorageState, expect

from tests.web_pages.browser import (
    WAIT_MS,
    Gateway,
    address,
    assert_clean,
    context,
    items,
    watched,
)

expect.set_options(timeout=WAIT_MS)

WIDTHS = (1440, 390)
LANGUAGES = ("zh", "en")


class Shown(NamedTuple):
    """A page's address without its argument, its heading in both languages and what must be on it."""

    path: str
    heading: dict[str, str]
    content: str


PAGES = {
    "overview": Shown("", {"zh": "总览", "en": "Overview"}, "[data-testid=tile]"),
    "space": Shown("space/{space}", {"zh": "", "en": ""}, ".device-card"),
    "device": Shown("device/{device}", {"zh": "", "en": ""}, "[data-testid=trend] .uplot, .trend .empty"),
    "alarms": Shown("alarms", {"zh": "告警", "en": "Alarms"}, "[data-testid=alarm], .calm"),
    "wall": Shown("wall", {"zh": "", "en": ""}, "[data-testid=hero], [data-testid=calm], .wall-row"),
    "lines": Shown("lines", {"zh": "线路", "en": "Lines"}, "[data-testid=line]"),
    "sync": Shown("sync", {"zh": "同步", "en": "Sync"}, "[data-testid=destination]"),
}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where screenshots go: `CAMPUS_EDGE_SCREENSHOTS`, or the test's own folder."""
    folder = Path(os.environ.get("CAMPUS_EDGE_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def path_of(page: Page, gateway: Gateway, path: str) -> str:
    """Fills in a device that measures a number, and its space."""
    if "{" not in path:
        return path
    measuring = [
        device
        for device in items(page, gateway, "devices")
        if any(point["type"] == "number" for point in device["points"])
    ]
    return path.format(device=measuring[0]["id"], space=measuring[0]["space"])


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_page_fits_its_screen_and_asks_nobody_else(
    browser: Browser,
    running_gateway: Gateway,
    signed_in: StorageState,
    pictures: Path,
    name: str,
    width: int,
    language: str,
) -> None:
    shown = PAGES[name]
    with context(browser, width, language, signed_in) as opened:
        page, seen = watched(opened)
        page.goto(address(running_gateway, path_of(page, running_gateway, shown.path)))
        expect(page.locator(shown.content).first).to_be_visible()
        heading = shown.heading[language]
        if heading:
            expect(page.locator("h1")).to_have_text(heading)
        expect(page.locator(".link-connected").first).to_be_visible()
        assert page.evaluate("document.documentElement.lang") == {"zh": "zh-CN", "en": "en"}[language]
        page.screenshot(path=pictures / f"{name}-{width}-{language}.png", full_page=True)
        assert_clean(page, seen, running_gateway)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", WIDTHS)
def test_login_page_fits_its_screen_and_asks_nobody_else(
    browser: Browser, running_gateway: Gateway, pictures: Path, width: int, language: str
) -> None:
    with context(browser, width, language) as opened:
        page, seen = watched(opened)
        page.goto(address(running_gateway))
        expect(page.get_by_test_id("login")).to_be_visible()
        page.screenshot(path=pictures / f"login-{width}-{language}.png", full_page=True)
        # The browser itself reports that the question who we are was answered with 401.
        seen.complaints = [text for text in seen.complaints if not ("401" in text and "/session" in text)]
        assert_clean(page, seen, running_gateway)


def test_language_is_one_click_away_and_remembered(
    browser: Browser, running_gateway: Gateway, signed_in: StorageState
) -> None:
    with context(browser, 1440, "zh", signed_in) as opened:
        page, _ = watched(opened)
        page.goto(address(running_gateway))
        expect(page.locator("h1")).to_have_text("总览")
        page.get_by_test_id("language").click()
        expect(page.locator("h1")).to_have_text("Overview")
        page.reload()
        expect(page.locator("h1")).to_have_text("Overview")


def test_acknowledging_takes_a_note_and_shows_on_every_open_screen(
    browser: Browser, running_gateway: Gateway, signed_in: StorageState
) -> None:
    with context(browser, 1440, "zh", signed_in) as opened:
        page, _ = watched(opened)
        page.goto(address(running_gateway, "alarms"))
        waiting = page.locator("[data-testid=alarm]", has=page.get_by_test_id("ack")).first
        # The school's own physics raises it; a patient bound, not a timing claim.
        waiting.wait_for(timeout=90_000)
        before = {alarm["id"] for alarm in items(page, running_gateway, "alarms?state=all") if alarm["acked"]}
        desk, _ = watched(opened)
        desk.goto(address(running_gateway, "alarms"))
        desk.get_by_test_id("ack").first.wait_for()
        waiting.get_by_test_id("ack").click()
        page.get_by_label("处理说明（可不填）").fill("已派人查看")
        page.get_by_test_id("confirm").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        acked = [a for a in items(page, running_gateway, "alarms?state=all") if a["acked"]]
        mine = [alarm for alarm in acked if alarm["id"] not in before and alarm["note"] == "已派人查看"]
        assert [alarm["acked_by"] for alarm in mine] == [running_gateway.user]
        desk.get_by_role("button", name="全部").first.click()
        expect(desk.get_by_text("已派人查看").first).to_be_visible()


def test_alarm_screen_turns_red_when_the_stream_is_lost_and_recovers(
    browser: Browser, running_gateway: Gateway, signed_in: StorageState
) -> None:
    with context(browser, 1440, "zh", signed_in) as opened:
        page, _ = watched(opened)
        page.clock.install()
        page.route("**/api/v1/stream", lambda route: route.abort())
        page.goto(address(running_gateway, "wall"))
        expect(page.locator(".wall")).to_be_visible()
        expect(page.get_by_test_id("deaf")).to_have_count(0)
        page.clock.run_for(17_000)
        expect(page.get_by_test_id("deaf")).to_be_visible()
        page.unroute("**/api/v1/stream")
        page.clock.run_for(20_000)
        page.clock.resume()
        expect(page.get_by_test_id("deaf")).to_have_count(0)


def test_sound_bar_stands_until_the_browser_lets_sound_through(
    browser: Browser, running_gateway: Gateway, signed_in: StorageState
) -> None:
    with context(browser, 1440, "zh", signed_in) as opened:
        # Headless browsers let sound through unasked; this one asks for a click as a desk's does.
        opened.add_init_script(
            """
            const Real = window.AudioContext;
            window.AudioContext = class extends Real {
              get state() { return navigator.userActivation.hasBeenActive ? super.state : "suspended"; }
            };
            """
        )
        page, _ = watched(opened)
        with page.expect_request(told(False)):
            page.goto(address(running_gateway, "wall"))
        bar, state = page.get_by_test_id("enable-sound"), page.get_by_test_id("sound-state")
        expect(bar).to_contain_text("点击启用声音")
        expect(state).to_have_text("声音未启用")
        with page.expect_request(told(True)):
            bar.click()
        expect(bar).to_have_count(0)
        expect(state).to_have_text("声音已启用")
        with page.expect_request(told(True)):  # and again by itself, as long as the page stands
            pass
        state.click()
        expect(state).to_have_text("声音未启用")


def told(audible: bool) -> Callable[[Request], bool]:
    """A page's word to the gateway that it can be heard, or not."""
    wanted = {"audio_ok": audible, "page": "wall"}
    return lambda request: request.url.endswith("/api/v1/desk") and request.post_data_json == wanted


@pytest.mark.parametrize(
    ("width", "language", "words"), [(1440, "zh", "警号消音"), (390, "en", "Silence the siren")]
)
def test_a_siren_that_sounds_can_be_silenced_from_the_page(
    browser: Browser, running_gateway: Gateway, signed_in: StorageState, width: int, language: str, words: str
) -> None:
    with context(browser, width, language, signed_in) as opened:
        page, seen = watched(opened)
        # The demo has no siren: what a school with one is told until somebody silences it.
        asked: list[Request] = []
        page.on("request", lambda request: asked.append(request) if "/siren/silence" in request.url else None)
        page.route(
            "**/api/v1/desk",
            lambda route: route.fulfill(json={"mute": False, "sounding": not asked}, status=200),
        )
        page.goto(address(running_gateway, "alarms"))
        button = page.get_by_test_id("silence")
        expect(button).to_have_text(words)
        with page.expect_response("**/api/v1/siren/silence") as answer:
            button.click()
        assert answer.value.json() == {"alarms": 0}
        expect(button).to_have_count(0)
        assert_clean(page, seen, running_gateway)


def test_ended_session_leads_back_to_the_login_page(
    browser: Browser, running_gateway: Gateway, signed_in: StorageState
) -> None:
    with context(browser, 390, "zh", signed_in) as opened:
        page, _ = watched(opened)
        page.goto(address(running_gateway, "alarms"))
        expect(page.locator("h1")).to_have_text("告警")
        device = items(page, running_gateway, "devices")[0]["id"]
        opened.clear_cookies()
        # Within the same document: the page asks for the trend, and is told that it may not.
        page.goto(address(running_gateway, f"device/{device}"))
        expect(page.get_by_test_id("login")).to_be_visible()


def test_viewer_is_offered_nothing_to_acknowledge(
    browser: Browser, running_gateway: Gateway, signed_in: StorageState
) -> None:
    with context(browser, 1440, "zh", signed_in) as opened:
        page, _ = watched(opened)
        # The gateway's own answer with the role lowered: what a viewer's browser is told.
        page.route(
            "**/api/v1/session",
            lambda route: route.fulfill(json={**route.fetch().json(), "role": "viewer"}),
        )
        page.goto(address(running_gateway, "alarms"))
        expect(page.locator("[data-testid=alarm], .calm").first).to_be_visible()
        expect(page.locator(".who")).to_contain_text("只读")
        expect(page.get_by_test_id("ack")).to_have_count(0)


def test_first_key_press_reaches_the_content(
    browser: Browser, running_gateway: Gateway, signed_in: StorageState
) -> None:
    with context(browser, 1440, "zh", signed_in) as opened:
        page, _ = watched(opened)
        page.goto(address(running_gateway))
        expect(page.locator("h1")).to_have_text("总览")
        page.keyboard.press("Tab")
        skip = page.locator(".skip")
        expect(skip).to_be_focused()
        outline = skip.evaluate("element => getComputedStyle(element).outlineStyle")
        assert outline == "solid"
        page.keyboard.press("Enter")
        expect(page.locator("#main")).to_be_focused()

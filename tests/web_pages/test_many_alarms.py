"""What stays in sight when many alarms stand at once."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, Page, Route, StorageState, expect

from tests.web_pages.browser import WAIT_MS, Gateway, address, context, items, watched

expect.set_options(timeout=WAIT_MS)

SCREENS = ((1920, 1080), (1440, 900), (1280, 720))
LONG = "All emergency buttons of the main building and of its annexe were pressed"
GUIDE = (
    "Go there at once, tell the head on duty and the security desk, and call the police if anyone needs help"
)


def tell(page: Page, gateway: Gateway, count: int) -> str:
    """The gateway's own answer with many open alarms of one device: notices, the newest first, and one
    emergency that is older than all of them. The device."""
    (one, *_) = items(page, gateway, "alarms?state=all")
    device = next(d["id"] for d in items(page, gateway, "devices") if d["kind"] == "classroom_env")

    def alarm(number: int) -> dict[str, Any]:
        emergency = number == count - 1
        title = LONG if emergency else "Carbon dioxide too high"
        return {
            **one, "id": f"made-{number}", "scope": device, "device": device, "scope_name": "Gate",
            "state": "unacknowledged", "acked": False, "acked_by": "", "acked_at": None, "cleared_at": None,
            "latched": False, "priority": 1 if emergency else 4, "title": {"zh": title, "en": title},
            "consequence": {"zh": GUIDE, "en": GUIDE}, "guide": {"zh": GUIDE, "en": GUIDE},
            "raised_at": f"2026-03-02T08:00:{59 - number:02}.000Z",
        }  # fmt: skip

    def answer(route: Route) -> None:
        route.fulfill(json={"items": [alarm(number) for number in range(count)], "next": None})

    page.route("**/api/v1/alarms?*", answer)
    page.route("**/api/v1/stream", lambda route: route.abort())  # it would tell of the school's own ones
    return device


def test_the_wall_shows_an_emergency_and_its_button_whole_whatever_else_stands(
    browser: Browser, running_gateway: Gateway, signed_in: StorageState
) -> None:
    with context(browser, 1920, "en", signed_in) as opened:
        page, _ = watched(opened)
        tell(page, running_gateway, 9)
        page.goto(address(running_gateway, "wall"))
        expect(page.get_by_test_id("hero")).to_contain_text(LONG)
        expect(page.locator(".wall-row")).to_have_count(6)
        button, foot = page.get_by_test_id("hero").get_by_test_id("ack"), page.locator(".wall-foot")
        for width, height in SCREENS:
            page.set_viewport_size({"width": width, "height": height})
            assert page.evaluate("document.documentElement.scrollHeight") <= height
            place, below = button.bounding_box(), foot.bounding_box()
            assert place is not None and below is not None
            assert place["height"] >= 48
            assert place["y"] + place["height"] <= below["y"]
            expect(foot).to_be_in_viewport(ratio=1)


def test_an_emergency_stands_above_newer_notices_in_the_list(
    browser: Browser, running_gateway: Gateway, signed_in: StorageState
) -> None:
    with context(browser, 1440, "en", signed_in) as opened:
        page, _ = watched(opened)
        tell(page, running_gateway, 4)
        page.goto(address(running_gateway, "alarms"))
        expect(page.get_by_test_id("alarm")).to_have_count(4)
        expect(page.get_by_test_id("alarm").first).to_contain_text(LONG)


def test_a_device_with_many_alarms_still_shows_its_values(
    browser: Browser, running_gateway: Gateway, signed_in: StorageState
) -> None:
    with context(browser, 390, "en", signed_in) as opened:
        page, seen = watched(opened)
        device = tell(page, running_gateway, 3)
        page.goto(address(running_gateway, f"device/{device}"))
        expect(page.get_by_test_id("alarm")).to_have_count(3)
        expect(page.locator(".alarm-others")).to_have_count(0)
        tell(page, running_gateway, 7)
        page.reload()
        expect(page.get_by_test_id("alarm")).to_have_count(2)
        page.get_by_role("link", name="5 more, on the alarms page").click()
        expect(page.locator("h1")).to_have_text("Alarms")
        assert page.evaluate("window.campusViolations") == []
        assert not [text for text in seen.complaints if "/stream" not in text]

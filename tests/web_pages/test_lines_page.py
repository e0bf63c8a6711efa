"""What the lines page says of faults on a line itself, in words."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, Locator, Page, Route, StorageState, expect

from tests.web_pages.browser import WAIT_MS, Gateway, address, assert_clean, context, items, watched

expect.set_options(timeout=WAIT_MS)


def tell(page: Page, change: dict[str, Any]) -> Locator:
    """The gateway's own answer, with its broker once more under a name that the live stream tells nothing
    of; the card of that."""

    def answer(route: Route) -> None:
        told = route.fetch().json()
        broker = next(line for line in told["items"] if line["kind"] == "mqtt")
        told["items"].append({**broker, "id": "other-broker", **change})
        route.fulfill(json=told)

    page.route("**/api/v1/lines", answer)
    return page.get_by_test_id("line").filter(has_text="other-broker")


def test_faults_of_a_broker_are_told_and_only_what_needs_a_person_is_marked(
    browser: Browser, running_gateway: Gateway, signed_in: StorageState
) -> None:
    with context(browser, 390, "zh", signed_in) as opened:
        page, seen = watched(opened)
        card = tell(page, {"faults": {"subscription_denied": 2, "unknown_topic": 1234, "duplicate": 7}})
        page.goto(address(running_gateway, "lines"))
        faults = card.get_by_test_id("faults")
        for marked, repeated in (
            (["主题未登记 1,234 次", "消息服务器拒绝订阅 2 次"], "重复报文（已忽略） 7 次"),
            (
                ["Topic of no known device 1,234×", "The broker denies the topic 2×"],
                "Repeated message (ignored) 7×",
            ),
        ):
            expect(faults.locator(".counted")).to_have_text(marked)  # the most frequent first
            expect(faults).to_contain_text(repeated)
            page.get_by_test_id("language").click()
        assert_clean(page, seen, running_gateway)


def test_a_line_without_faults_says_nothing_of_them_and_a_broker_nothing_of_queues(
    browser: Browser, running_gateway: Gateway, signed_in: StorageState
) -> None:
    with context(browser, 1440, "zh", signed_in) as opened:
        page, _ = watched(opened)
        card = tell(page, {"faults": {}, "exchanges": 4321})
        page.goto(address(running_gateway, "lines"))
        expect(card.locator(".figures")).to_contain_text("收到消息4,321")
        expect(card.get_by_test_id("faults")).to_have_count(0)
        expect(card.locator(".figures")).not_to_contain_text("占用率")
        polled = next(
            line["id"] for line in items(page, running_gateway, "lines") if line["kind"] == "serial"
        )
        serial = page.get_by_test_id("line").filter(has=page.get_by_role("heading", name=polled))
        expect(serial.locator(".figures")).to_contain_text("占用率")

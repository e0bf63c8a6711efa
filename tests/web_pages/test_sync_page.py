"""What the sync page says of the nightly comparison and the hourly figures, in plain words."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, Locator, Page, Route, StorageState, expect

from tests.web_pages.browser import WAIT_MS, Gateway, address, assert_clean, context, watched

expect.set_options(timeout=WAIT_MS)

AT = "2026-11-22T18:14:00.000Z"  # 02:14 of the 23rd at the school
SAME = {
    "at": AT, "same": True, "days": 3, "values": 12345, "missing": 0, "resent": 0, "still": 0, "surplus": 0,
    "spots": 5, "spots_wrong": 0, "reason": "", "differing": 0, "permitted": True,
}  # fmt: skip
MENDED = {**SAME, "differing": 3, "missing": 1200, "resent": 40}
STILL = {**MENDED, "same": False, "still": 1}
CASES = {
    "same": (SAME, "good", ["11月23日 02:14 核对：一致。最近 3 天共 12,345 个数据，全部到达。"],
             ["11-23 02:14: the same. All 12,345 values of the last 3 days arrived."]),
    "mended": (MENDED, "good", ["11月23日 02:14 核对：3 个序列不同（缺 1,200 个数据），已补传，现已一致。"],
               ["11-23 02:14: 3 series differed (1,200 values missing); sent again, now the same."]),
    "still": (STILL, "bad", ["11月23日 02:14 核对：补传后仍有 1 个序列不一致，请联系上级平台管理员。"],
              ["1 series still differs after sending again. Please call the district's administrator."]),
    "spots": ({**SAME, "same": False, "spots_wrong": 1}, "bad", ["抽查 5 个数据，1 个与本校不符。"],
              ["Of 5 values read back, 1 was not as sent."]),
    "surplus": ({**SAME, "surplus": 2}, "good", ["另有 2 个序列在上级平台上的数据多于本校。"],
                ["The district holds more than this school in 2 series."]),
    "unfinished": ({**SAME, "same": False, "reason": "HTTP 503"}, "warn",
                   ["11月23日 02:14 核对未能完成，下一夜再核对。", "原因：HTTP 503"],
                   ["11-23 02:14: the check could not be completed; the next one runs tomorrow night.",
                    "Reason: HTTP 503"]),
    "nothing": ({**SAME, "values": 0}, "quiet", ["11月23日 02:14 核对：没有可核对的数据。"],
                ["11-23 02:14: there was nothing to check."]),
    "not permitted": ({**SAME, "same": False, "values": 0, "permitted": False, "reason": "no read_token"},
                      "quiet", ["未开启：没有配置上级平台的读取权限，无法知道数据是否完整到达。"],
                      ["Not checked: no right to read at the district is configured"]),
    "first night": (None, "quiet", ["首次核对将在今夜进行。"], ["The first check runs tonight."]),
}  # fmt: skip


def tell(page: Page, *changes: dict[str, Any]) -> None:
    """The gateway's own answer, with destinations that fared otherwise, each of a name of its own: the
    live stream tells nothing of these."""

    def answer(route: Route) -> None:
        told = route.fetch().json()
        (one,) = told["items"]
        told["items"] = [{**one, "id": f"platform-{n}", **change} for n, change in enumerate(changes)]
        route.fulfill(json=told)

    page.route("**/api/v1/sync", answer)


def destinations(page: Page) -> Locator:
    """The cards of what was told; the stream may add the school's own one."""
    return page.get_by_test_id("destination").filter(has_text="platform-")


def test_every_outcome_of_the_comparison_is_said_in_plain_words(
    browser: Browser, running_gateway: Gateway, signed_in: StorageState
) -> None:
    with context(browser, 1440, "zh", signed_in) as opened:
        page, seen = watched(opened)
        tell(page, *({"comparing": True, "compared": compared} for compared, *_ in CASES.values()))
        page.goto(address(running_gateway, "sync"))
        said = destinations(page).get_by_test_id("comparison")
        expect(said).to_have_count(len(CASES))
        for language in range(2):
            for place, (_, tone, *words) in enumerate(CASES.values()):
                for sentence in words[language]:
                    expect(said.nth(place)).to_contain_text(sentence)
                assert tone in (said.nth(place).get_attribute("class") or "").split()
            page.get_by_test_id("language").click()
        assert seen.complaints == []


def test_a_destination_that_differs_is_not_called_normal_and_one_never_compared_says_nothing(
    browser: Browser, running_gateway: Gateway, signed_in: StorageState
) -> None:
    with context(browser, 1440, "zh", signed_in) as opened:
        page, _ = watched(opened)
        tell(
            page,
            {"comparing": True, "compared": STILL},
            {"comparing": True, "compared": SAME},
            {"comparing": False, "compared": None, "hours_pending": None},
        )
        page.goto(address(running_gateway, "sync"))
        cards = destinations(page)
        expect(cards.nth(0).locator(".card-top")).to_contain_text("与平台不一致")
        expect(cards.nth(1).locator(".card-top")).not_to_contain_text("不一致")
        expect(cards.nth(2).get_by_test_id("pending")).to_be_visible()
        expect(cards.nth(2).get_by_test_id("comparison")).to_have_count(0)
        expect(cards.nth(2).get_by_test_id("hours")).to_have_count(0)


def test_hours_that_wait_and_why_they_do_are_shown(
    browser: Browser, running_gateway: Gateway, signed_in: StorageState
) -> None:
    with context(browser, 390, "zh", signed_in) as opened:
        page, seen = watched(opened)
        tell(page, {"hours_pending": 1}, {"hours_pending": 26, "hours_trouble": "bucket not found"})
        page.goto(address(running_gateway, "sync"))
        cards = destinations(page)
        trouble = cards.get_by_role("alert")
        for counts, words in (
            (["1小时", "26小时"], "小时汇总未能送达"),
            (["1hour", "26hours"], "The hourly figures do not get through"),
        ):
            expect(cards.get_by_test_id("hours")).to_have_text(counts)
            expect(trouble).to_have_count(1)
            expect(trouble).to_contain_text(words)
            expect(trouble).to_contain_text("bucket not found")
            page.get_by_test_id("language").click()
        assert_clean(page, seen, running_gateway)

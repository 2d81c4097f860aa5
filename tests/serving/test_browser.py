"""The guide's and the manager's day in a real headless browser."""

import datetime as dt
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from house import House, open_house
from playwright.sync_api import Browser, Page, expect, sync_playwright
from small_brand import write_small_release

from outreach.ledger import Ledger

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="Debian's chromium is not installed"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[tuple[House, str]]:
    write_small_release(tmp_path / "releases")
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    Ledger(url).close()
    house = open_house(tmp_path, url, "brand")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(house.client.app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    yield house, f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(timeout=10)
    house.runtime.journal.close()
    house.ledger.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    opened = context.new_page()
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda said: faults.append(said.text) if "Content Security" in said.text else None)
    yield opened
    context.close()
    assert faults == []


def sign_in(page: Page, shop: tuple[House, str], role: str = "guide") -> None:
    house, address = shop
    page.goto(f"{address}/guide#token={house.tokens[role]}")
    page.wait_for_selector(".task, .guide")
    assert "token" not in page.url


def all_sent(page: Page) -> None:
    """Wait until nothing waits to be sent. The page's policy forbids the driver's own polling inside it."""
    for _ in range(100):
        if page.evaluate("Object.values(localStorage).every(v => v === '[]')"):
            return
        page.wait_for_timeout(50)
    raise AssertionError("outcomes still wait to be sent")


def states(house: House) -> dict[str, str]:
    return {task["member_id"]: task["state"] for task in house.ledger.tasks_of_guide("g1", dt.date(2026, 3, 2))}


def test_a_guides_day_open_contact_note_undo_and_an_opt_out_that_vanishes(
    page: Page, shop: tuple[House, str]
) -> None:
    house, _ = shop
    sign_in(page, shop)
    expect(page.locator(".task")).to_have_count(4)
    expect(page.locator("#day-words")).to_have_text("已完成 0 / 4")
    first = page.locator("#t-T-g1-m01")
    first.get_by_text("消息草稿").click()
    expect(first.locator(".text")).to_contain_text("好久没见")

    first.get_by_role("button", name="已联系").click()
    expect(page.locator("#done #t-T-g1-m01 .state")).to_have_text("已联系")
    expect(page.locator("#day-words")).to_have_text("已完成 1 / 4")
    expect(page.locator("#toast")).to_contain_text("已记录：已联系")
    all_sent(page)
    assert states(house)["m01"] == "sent"

    first.locator(".undo").click()
    expect(page.locator("#waiting #t-T-g1-m01")).to_be_visible()
    all_sent(page)
    assert states(house)["m01"] == "pending"

    second = page.locator("#t-T-g1-m02")
    second.get_by_text("其他结果").click()
    second.get_by_role("button", name="不要再联系").click()
    expect(second).to_be_hidden()
    all_sent(page)
    page.reload()
    expect(page.locator(".task")).to_have_count(3)
    expect(page.locator("#t-T-g1-m02")).to_have_count(0)
    page.get_by_text("今天没有列出的会员").click()
    expect(page.locator(".left-out")).to_contain_text("要求不再联系")


def test_an_outcome_noted_without_a_connection_is_sent_when_it_returns(page: Page, shop: tuple[House, str]) -> None:
    house, _ = shop
    sign_in(page, shop)
    page.context.set_offline(True)
    page.locator("#t-T-g1-m03").get_by_role("button", name="没接通").click()
    expect(page.locator("#queue")).to_contain_text("1条记录等待发送")
    assert states(house)["m03"] == "pending"
    page.context.set_offline(False)
    expect(page.locator("#queue")).to_be_hidden(timeout=10_000)
    assert states(house)["m03"] == "no_answer"


def test_the_member_card_in_both_languages_and_switching_personalisation_off(
    page: Page, shop: tuple[House, str]
) -> None:
    house, _ = shop
    sign_in(page, shop)
    page.locator("#t-T-g1-m01 h3 a").click()
    expect(page.locator("main")).to_contain_text("一般每32天来一次，这次已经61天没来")
    expect(page.locator("svg.strip")).to_be_visible()
    page.get_by_role("link", name="English").click()
    expect(page.locator("main")).to_contain_text("usually every 32 days, now 61 days since the last")
    page.locator("#turn-off").click()
    expect(page.locator("#personalised")).to_contain_text("Off, from the next answer on")
    assert not house.ledger.standing("m01", house.clock()).personalised
    page.goto(f"{shop[1]}/guide")
    expect(page.locator(".task")).to_have_count(3)


def test_the_day_can_be_done_by_keyboard_alone(page: Page, shop: tuple[House, str]) -> None:
    sign_in(page, shop)
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.outcome") == "sent":
            break
    page.keyboard.press("Enter")
    expect(page.locator("#done .task")).to_have_count(1)
    assert page.evaluate("document.activeElement.closest('.task').id") == "t-T-g1-m02", "focus goes on to the next"
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button,a,input,select')].filter(e => e.offsetParent && !e.textContent.trim()"
        " && !e.labels?.length && !e.ariaLabel).length"
    )
    assert unnamed == 0
    small = page.evaluate(
        "[...document.querySelectorAll('.task:not(.is-done) .actions button')].filter(e => e.offsetParent"
        " && e.getBoundingClientRect().height < 44).length"
    )
    assert small == 0


def test_nothing_is_wider_than_a_phone(page: Page, shop: tuple[House, str]) -> None:
    sign_in(page, shop)
    for path in ("/guide", "/guide?lang=en", "/guide/members/m01", "/how-it-works"):
        page.goto(shop[1] + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path


def test_a_manager_sees_how_far_the_store_is_and_asks_for_new_lists_only_on_purpose(
    page: Page, shop: tuple[House, str]
) -> None:
    house, _ = shop
    sign_in(page, shop, "manager")
    expect(page.locator("#store-words")).to_have_text("已完成 0 / 6")
    answers = [False, True]
    page.on("dialog", lambda dialog: dialog.accept() if answers.pop(0) else dialog.dismiss())
    page.locator("#regenerate").click()
    assert house.ledger.running_jobs("regenerate_lists") == []
    page.locator("#regenerate").click()
    expect(page.locator("#toast")).to_contain_text("已开始重新生成")
    (job,) = house.ledger.running_jobs("regenerate_lists")
    assert job["request"]["store"] == "s1"


def test_a_manager_sends_a_guide_on_leave_and_hands_the_tasks_over(page: Page, shop: tuple[House, str]) -> None:
    house, _ = shop
    sign_in(page, shop, "manager")
    card = page.locator("[data-guide=g1]")
    card.get_by_role("button", name="今天休假").click()
    expect(card.get_by_text("休假中")).to_be_visible()
    expect(card.locator("input[name=task]:checked")).to_have_count(4)
    card.locator("input[name=task]").nth(0).uncheck()
    card.get_by_role("button", name="转交").click()
    expect(page.locator("#toast")).to_contain_text("已转交 3 个任务")
    assert len(house.ledger.tasks_of_guide("g2", dt.date(2026, 3, 2))) == 5

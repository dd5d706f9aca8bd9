"""Reports in a browser: opened from a file, used by mouse and keyboard, without a complaint."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from dbrun.cli.main import main

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
)
_CODE = "document.title='hacked'"
BAD = f'</script><script>{_CODE}</script><img src=x onerror="{_CODE}">'
VARIANTS = ["prompt=brief,model=small", f"prompt=brief,model=\u202e{BAD}"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = os.environ.get("DBRUN_CHROMIUM") or shutil.which("chromium") or ""
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


Open = Callable[..., Chrome]


@pytest.fixture
def opened(browser: Chrome, tmp_path: Path) -> Iterator[Open]:
    """Makes a page of records and opens it; afterwards the console must have stayed silent."""

    def open_page(records: Iterator[dict[str, Any]], manifest: Any = None) -> Chrome:
        path = tmp_path / "r.jsonl"
        with path.open("w", encoding="utf-8") as stream:
            stream.writelines(json.dumps(record) + "\n" for record in records)
        if manifest is not None:
            (tmp_path / "r.run.json").write_text(json.dumps(manifest), encoding="utf-8")
        assert main(["report", str(path)]) == 0
        browser.get((tmp_path / "r.html").as_uri())
        WebDriverWait(browser, 100).until(
            lambda driver: driver.find_element(By.TAG_NAME, "body").get_attribute("data-ready")
        )
        return browser

    browser.get("about:blank")
    browser.get_log("browser")
    yield open_page
    assert [
        entry for entry in browser.get_log("browser") if "favicon" not in entry["message"]
    ] == []


def rows(count: int, variants: list[str]) -> Iterator[dict[str, Any]]:
    for number in range(count):
        for place, variant in enumerate(variants or [None]):
            word = ("small", "large")[place] if number % 2 else "same"
            yield {
                "id": f"T-{number}",
                "status": "ok",
                "output": f"the {word} answer to question {number}",
                **({"variant": variant} if variant else {}),
                "usage": {"input_tokens": 100, "output_tokens": number * 7 % 50},
                "scores": {"right": {"value": number % 3 > 0}, "near": {"value": number % 11 / 10}},
                "timing": {"latency": 0.5 + number % 9 / 10, "attempts": 1, "reused": False},
                "row": {"id": f"T-{number}", "text": f"question {number} needle{number}x"},
            }


def bad_rows() -> Iterator[dict[str, Any]]:
    yield from rows(4, VARIANTS)
    error = {"class": BAD, "message": f"a\x00b {BAD}", "status": 500, "retryable": False}
    yield {"id": BAD, "status": "error", "output": None, "variant": VARIANTS[0], "error": error}
    yield {
        "id": "\ud800\u202edetrevni",
        "status": "ok",
        "output": BAD,
        "variant": VARIANTS[1],
        "row": {BAD: BAD},
        "scores": {BAD: {"value": 1, "explanation": BAD}},
    }


def lines(driver: Chrome) -> list[str]:
    found: list[str] = driver.execute_script(
        "return [...document.querySelectorAll('#grid .line')].map(l => l.firstChild.textContent)"
    )
    return found


def told(driver: Chrome) -> str:
    return driver.find_element(By.ID, "found").text


def wait(driver: Chrome, until: Callable[[], bool]) -> None:
    WebDriverWait(driver, 60).until(lambda _: until())


def press(driver: Chrome, *keys: str) -> None:
    ActionChains(driver).send_keys(*keys).perform()


def test_it_is_searched_sorted_and_read_by_keyboard(opened: Open) -> None:
    page = opened(rows(300, []))
    assert told(page) == "300 records"
    assert lines(page)[:2] == ["T-0", "T-1"]
    press(page, "/", "needle42x")
    wait(page, lambda: told(page) == "1 of 300 records")
    assert lines(page) == ["T-42"]
    press(page, Keys.ENTER, Keys.ENTER)
    panel = page.find_element(By.ID, "detail")
    assert panel.is_displayed()
    assert "question 42 needle42x" in panel.text
    press(page, Keys.ESCAPE, Keys.ESCAPE)
    wait(page, lambda: told(page) == "300 records")
    assert not panel.is_displayed()
    assert page.switch_to.active_element.get_attribute("id") == "grid"
    press(page, Keys.HOME, "j", Keys.DOWN, "k", Keys.ENTER)
    assert panel.find_element(By.TAG_NAME, "h2").text == "T-1"
    press(page, "j")
    assert panel.find_element(By.TAG_NAME, "h2").text == "T-2"
    press(page, Keys.ESCAPE, Keys.END)
    assert lines(page)[-1] == "T-299"
    press(page, "?")
    assert page.find_element(By.ID, "help").is_displayed()
    press(page, Keys.ESCAPE)
    assert not page.find_element(By.ID, "help").is_displayed()

    head = page.find_element(By.XPATH, "//div[@role='columnheader']/button[text()='tokens']")
    head.click()
    wait(page, lambda: lines(page)[0] == "T-7")
    head = page.find_element(By.XPATH, "//div[@role='columnheader']/button[text()='tokens']")
    head.click()
    wait(page, lambda: lines(page)[:2] == ["T-0", "T-50"])


def test_charts_are_drawn_and_theme_changes(opened: Open) -> None:
    history = {"limits": [{"endpoint": "e", "history": [[0, 8, "a"], [1, 9, "b"], [2, 4, "c"]]}]}
    page = opened(rows(50, []), history)
    titles = [card.text for card in page.find_elements(By.CSS_SELECTOR, ".card h3")]
    assert titles == [
        "right",
        "near",
        "Latency",
        "Tokens of answers",
        "Tokens of requests",
        "Calls at a time",
    ]
    assert len(page.find_elements(By.TAG_NAME, "canvas")) == 5
    grounds = set()
    for name in ("Light", "Dark", "Auto"):
        press(page, "t")
        assert page.find_element(By.ID, "theme").text == name
        grounds.add(
            page.find_element(By.TAG_NAME, "html").value_of_css_property("background-color")
        )
    assert len(grounds) == 2


def test_bars_of_a_chart_are_comparable(opened: Open) -> None:
    small, large = "model=small", "model=large"
    page = opened(
        {**row, "scores": {"right": {"value": row["variant"] == small or number % 3 > 0}}}
        for number, row in enumerate(rows(20, [small, large]))
    )
    tracks = page.find_elements(By.CSS_SELECTOR, ".lines .track")
    shares = [found.text for found in page.find_elements(By.CSS_SELECTOR, ".lines .number")]
    assert len(set(map(len, shares))) == len(shares) == 2
    assert len({track.size["width"] for track in tracks}) == 1


def test_variants_are_set_side_by_side_with_word_diffs(opened: Open) -> None:
    page = opened(rows(20, ["model=small", "model=large"]))
    assert told(page) == "40 records"
    Select(page.find_element(By.ID, "side")).select_by_visible_text("large")
    wait(page, lambda: told(page) == "20 of 40 records")
    press(page, Keys.ESCAPE, "c")
    wait(page, lambda: told(page) == "20 records")
    changed = page.find_elements(By.XPATH, "//div[@class='line'][.//span[text()='changed']]")
    assert changed
    assert [changed[0].find_element(By.TAG_NAME, tag).text for tag in ("del", "ins")] == [
        "small",
        "large",
    ]
    changed[0].click()
    panel = page.find_element(By.ID, "detail")
    cards = panel.find_elements(By.TAG_NAME, "article")
    assert [card.find_element(By.TAG_NAME, "h3").text for card in cards] == [
        "small",
        "large",
    ]
    assert cards[1].find_element(By.TAG_NAME, "ins").text == "large"
    press(page, Keys.ESCAPE)
    Select(page.find_element(By.ID, "status")).select_by_value("differs")
    wait(page, lambda: told(page).startswith("10 "))


def test_hostile_content_stays_text(opened: Open) -> None:
    page = opened(bad_rows(), {"name": BAD, "spec": {BAD: BAD}})
    assert page.title.startswith("</script>")
    assert page.find_elements(By.TAG_NAME, "img") == []
    for number in range(10):
        press(page, "j" if number else Keys.ESCAPE)
        page.execute_script(
            "document.querySelectorAll('#grid .line')[arguments[0]]?.click()", number
        )
        assert page.find_elements(By.TAG_NAME, "img") == []
        assert "hacked" not in page.title.split("<")[0]
    press(page, Keys.ESCAPE)
    assert "U+202E" in page.find_element(By.TAG_NAME, "main").text
    page.find_element(By.CSS_SELECTOR, ".lines button:not([tabindex])").click()
    wait(page, lambda: told(page) == "1 of 10 records")
    assert lines(page) == [BAD]


def test_a_hundred_thousand_records_are_usable(opened: Open) -> None:
    page = opened(rows(100_000, []))
    assert told(page) == "100,000 records"
    assert len(lines(page)) < 100
    press(page, "/", "needle99998x")
    wait(page, lambda: told(page) == "1 of 100,000 records")
    assert lines(page) == ["T-99998"]
    press(page, Keys.ESCAPE)
    wait(page, lambda: told(page) == "100,000 records")
    page.find_element(By.XPATH, "//div[@role='columnheader']/button[text()='near']").click()
    wait(page, lambda: page.find_element(By.CSS_SELECTOR, ".line .number").text != "")
    page.find_element(By.ID, "grid").click()
    press(page, Keys.ESCAPE, Keys.END)
    assert len(lines(page)) < 100


def test_it_prints_what_is_shown(opened: Open) -> None:
    page = opened(rows(300, []))
    assert len(page.print_page()) > 10_000
    page.execute_script("dispatchEvent(new Event('beforeprint'))")
    printed = page.find_element(By.ID, "printed").get_attribute("textContent") or ""
    assert "T-199" in printed
    assert "… and 100 more records" in printed
    page.execute_script("dispatchEvent(new Event('afterprint'))")

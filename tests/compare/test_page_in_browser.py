"""The page of a comparison in a real browser, where there is one: it is turned, it restores, it prints."""

import base64
from pathlib import Path

import pytest

from tests.support.browser import CHROMIUM, DRIVER, driven
from tests.support.pages import HOSTILE, report

pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install lossbench[dev]")
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By

pytestmark = [
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(not CHROMIUM or not DRIVER, reason="there is no Chromium with its chromedriver"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    return report(tmp_path_factory.mktemp("page"), losses=7, names=(HOSTILE,))


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with driven(tmp_path_factory.mktemp("profile"), "--hide-scrollbars") as driver:
        yield driver


@pytest.fixture
def browser(chromium, page):
    """The page, as it opens on a desk; at the end nothing may have been complained of."""
    show(chromium, page)
    chromium.get_log("browser")
    yield chromium
    assert chromium.get_log("browser") == []


def show(browser, page: Path, state: str = "", width: int = 1280, dark: bool = False) -> None:
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    browser.get("about:blank")
    browser.get(page.as_uri() + state)


def losses(browser) -> list[str]:
    names = browser.find_elements(By.CSS_SELECTOR, "#losses tbody th button")
    return [name.get_attribute("textContent") for name in names]


def column(browser, name: str) -> list[float]:
    heads = [head.text.rstrip(" ▴▾") for head in browser.find_elements(By.CSS_SELECTOR, "#losses thead th")]
    cells = browser.find_elements(By.CSS_SELECTOR, f"#losses tbody td:nth-child({heads.index(name) + 1})")
    return [float(cell.text.split()[0]) for cell in cells]


def head(browser, name: str):
    return next(each for each in browser.find_elements(By.CSS_SELECTOR, "#losses thead button") if name in each.text)


def state(browser) -> str:
    return browser.execute_script("return location.hash")


def choose(browser, control: str, value: str) -> None:
    browser.execute_script(
        "const one = document.getElementById(arguments[0]); one.value = arguments[1];"
        "one.dispatchEvent(new Event('change'))", control, value,
    )  # fmt: skip


def test_a_column_is_sorted_by_its_heading(browser):
    before = losses(browser)
    head(browser, "ECE").click()
    assert column(browser, "ECE") == sorted(column(browser, "ECE")) and state(browser) == "#sort=ece"
    head(browser, "ECE").click()
    assert column(browser, "ECE") == sorted(column(browser, "ECE"), reverse=True) and state(browser) == "#sort=-ece"
    head(browser, "ECE").click()
    assert losses(browser) == before and state(browser) == ""
    head(browser, "loss").click()
    assert losses(browser) == sorted(before)


def test_losses_are_found_by_text_and_chosen(browser):
    everything = losses(browser)
    browser.find_element(By.ID, "find").send_keys("loss_ 1")
    assert losses(browser) == ["loss_1"] and state(browser) == "#find=loss_+1"
    assert browser.switch_to.active_element.get_attribute("id") == "find"
    browser.find_element(By.ID, "reset").click()
    assert losses(browser) == everything and browser.find_element(By.ID, "find").get_attribute("value") == ""
    browser.find_element(By.CSS_SELECTOR, "#choose-losses summary").click()
    browser.find_element(By.CSS_SELECTOR, "#choose-losses input[value=gce]").click()
    assert sorted(losses(browser)) == sorted(set(everything) - {"gce"})
    browser.find_element(By.CSS_SELECTOR, "#choose-columns summary").click()
    browser.find_element(By.CSS_SELECTOR, "#choose-columns input[value=accuracy]").click()
    assert column(browser, "accuracy") == column(browser, "balanced accuracy")


def test_the_pointer_is_told_n_and_the_interval(browser):
    cell = browser.find_element(By.CSS_SELECTOR, "#losses tbody td[data-told]")
    ActionChains(browser).move_to_element(cell).perform()
    tip = browser.find_element(By.ID, "tip").text
    assert "n = 4" in tip and "[0." in tip and "95 % Student t" in tip and "balanced accuracy 0." in tip
    row = browser.find_element(By.CSS_SELECTOR, "#differences [aria-label=dot] path")
    ActionChains(browser).move_to_element(row).perform()
    tip = browser.find_element(By.CSS_SELECTOR, "#differences [aria-label=tip]").text
    assert "n = 4 pairs, p" in tip and "cross_entropy: " in tip and ", +" in tip and "for this test set" not in tip
    line = browser.find_element(By.CSS_SELECTOR, "#curves svg:not(.swatch)")
    ActionChains(browser).move_to_element_with_offset(line, 20, 20).perform()
    assert "n = 4, [" in browser.find_element(By.CSS_SELECTOR, "#curves [aria-label=tip]").text


def test_a_loss_is_pinned_everywhere(browser):
    name = next(each for each in losses(browser) if each == "ldam")
    next(each for each in browser.find_elements(By.CSS_SELECTOR, "#losses tbody button") if each.text == name).click()
    assert state(browser) == "#pin=ldam"
    rows = browser.find_elements(By.CSS_SELECTOR, "#losses tbody tr")
    assert [row.get_attribute("class") for row in rows].count("pinned") == 1
    assert [row.get_attribute("class") for row in rows].count("dimmed") == 6
    assert len(browser.find_elements(By.CSS_SELECTOR, "#differences [aria-label=dot] [opacity='0.2']")) == 5
    assert len(browser.find_elements(By.CSS_SELECTOR, "#curves [aria-label=line] [opacity='0.2']")) == 6
    dot = browser.find_element(By.CSS_SELECTOR, "#differences [aria-label=dot] path")
    ActionChains(browser).move_to_element(dot).click().perform()
    assert state(browser).count("pin=") == 2


def test_a_link_restores_what_was_seen(browser, page):
    choose(browser, "metric", "ece")
    choose(browser, "select", "best_val")
    next(
        one for one in browser.find_elements(By.CSS_SELECTOR, "#losses tbody button") if "</script>" in one.text
    ).click()
    head(browser, "ECE").click()
    link, seen, shown = state(browser), losses(browser), column(browser, "ECE")
    assert link.startswith("#metric=ece&select=best_val&sort=ece")
    show(browser, page, link)
    assert (losses(browser), column(browser, "ECE"), state(browser)) == (seen, shown, link)
    assert browser.find_element(By.ID, "metric").get_attribute("value") == "ece"
    text = browser.find_element(By.ID, "differences").text
    assert "ECE (best validation epoch): each loss minus cross_entropy" in text and "new seeds on this test set" in text
    assert "details, are of balanced accuracy, last epoch" in browser.find_element(By.ID, "controls").text
    show(browser, page, "#metric=nothing&select=%3C&loss=unknown&sort=x&column=y&pin=z")
    assert len(losses(browser)) == 7 and browser.find_element(By.ID, "metric").get_attribute("value") != "nothing"


def test_one_wide_interval_does_not_hide_the_others(browser, tmp_path):
    show(browser, report(tmp_path, losses=6, wide="gce"))
    caption = browser.find_element(By.CSS_SELECTOR, "#differences .caption").text
    assert "Arrows: an interval that goes on" in caption
    ticks = browser.find_elements(By.CSS_SELECTOR, "#differences [aria-label='x-axis tick label'] text")
    assert 0 < max(abs(float(tick.text.replace("−", "-"))) for tick in ticks) < 1
    browser.find_element(By.CSS_SELECTOR, "#choose-losses summary").click()
    browser.find_element(By.CSS_SELECTOR, "#choose-losses input[value=gce]").click()
    assert "Arrows" not in browser.find_element(By.CSS_SELECTOR, "#differences .caption").text


def test_the_contents_open_what_is_folded(browser):
    browser.execute_script("document.querySelector('nav a:nth-last-child(2)').click()")
    opened = browser.find_elements(By.CSS_SELECTOR, "details.folded[open]")
    assert [each.find_element(By.TAG_NAME, "summary").text for each in opened] == ["Differences on the other metrics"]
    assert state(browser) == ""


def widths(browser) -> tuple[int, int]:
    return browser.execute_script("const page = document.documentElement; return [page.scrollWidth, page.clientWidth]")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_off_the_screen(browser, page, width):
    show(browser, page, width=width)
    browser.execute_script("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    inside, outside = widths(browser)
    assert inside <= outside == width
    table = browser.find_element(By.ID, "losses")
    box = browser.execute_script("return [arguments[0].offsetWidth, arguments[0].parentElement.clientWidth]", table)
    assert width < 500 or box[0] <= box[1]  # no column is cut
    browser.execute_script("arguments[0].parentElement.scrollLeft = 300", table)
    assert browser.find_element(By.CSS_SELECTOR, "#losses tbody th").rect["x"] < 40  # and the first one stays


LIGHT = """
const lit = (color) => {
  const [red, green, blue, alpha = 1] = (color.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
  return alpha > 0.5 && red + green + blue > 500;
};
document.querySelectorAll("details").forEach((one) => { one.open = true; });
return [...document.querySelectorAll("body, body *")].filter((one) => {
  const box = one.getBoundingClientRect(), style = getComputedStyle(one);
  const drawn = one.tagName === "path" && lit(style.fill) && style.fillOpacity > 0.5;
  return box.width * box.height > 5000 && (lit(style.backgroundColor) || drawn);
}).map((one) => one.outerHTML);
"""
"""Finds what is light and large."""


def test_on_a_dark_screen_nothing_is_a_white_card(browser, page):
    show(browser, page, dark=True)
    assert browser.execute_script(LIGHT) == []
    show(browser, page)
    assert len(browser.execute_script(LIGHT)) > 3  # it does find them


def test_it_prints_with_all_that_is_folded(browser):
    browser.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    assert not browser.find_elements(By.CSS_SELECTOR, "main details:not([open])")
    charts = [
        browser.find_element(By.CSS_SELECTOR, f"#{place} > svg:last-of-type") for place in ("differences", "curves")
    ]
    assert {chart.get_attribute("width") for chart in charts} == {"680"}  # as wide as paper: letters don't shrink
    printed = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert printed.startswith(b"%PDF") and len(printed) > 50_000
    browser.execute_script("window.dispatchEvent(new Event('afterprint'))")
    assert int(browser.find_element(By.CSS_SELECTOR, "#differences > svg").get_attribute("width")) > 1000


def test_without_scripts_there_are_tables_and_pictures(browser, page):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        show(browser, page)
        assert len(browser.find_elements(By.CSS_SELECTOR, "#losses tbody tr")) == 7
        pictures = browser.find_elements(By.CSS_SELECTOR, ".still .whole svg.picture")
        assert len(pictures) == 2 and all(each.is_displayed() for each in pictures)
        assert not browser.find_element(By.ID, "controls").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a_name_of_a_run_stays_a_name(browser):
    assert HOSTILE in losses(browser)
    assert browser.execute_script("return document.querySelectorAll('[onclick], b[onclick]').length") == 0


def test_the_page_loads_nothing_else(browser):
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert [name for name in loaded if not name.startswith("data:")] == []

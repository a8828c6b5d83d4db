"""The HTML report in a browser: it renders, its filters and keys work, nothing leaves it, and no value is run.

One browser, and one page made by the command line from a real database with hostile documents, for all tests.
"""

import json
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from integrity.cli import main
from integrity.cli.reports import with_full_lists
from tests.report.browser import chromium, processes

MODELS = Path(__file__).with_name("html_models.py")
MARKUP = (
    "</script></pre><script>window.hacked = 1; alert(1)</script><img src=http://127.0.0.1:9/x onerror=alert(2)>"
    "<svg onload=alert(3)></svg><style>*{display:none}</style><a href=javascript:alert(4) id=main>x</a>"
    "\"' onclick='alert(5)"
)
HOSTILE = f"{MARKUP}\u202egnp.exe\u2066{'y' * 20_000}"


@pytest.fixture(scope="module")
def page(uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A report of hostile documents."""
    name = f"html_{ObjectId()}"
    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    folder = tmp_path_factory.mktemp("html")
    try:
        database = client[name]
        owners = [
            {"_id": ObjectId(f"{1_600_000_000 + 86_400 * n:08x}{n:016x}"), "name": f"Owner {n}"} for n in range(20)
        ]
        owners[3]["name"] = ""
        owners[4][MARKUP] = HOSTILE
        owners[5]["name"] = HOSTILE
        database["owners"].insert_many(owners)
        things: list[dict[str, Any]] = [
            {"_id": n, "owner_id": owners[n % 20]["_id"], "owner": owners[n % 20]["name"], "tags": ["a"]}
            for n in range(60)
        ]
        things[1] |= {"owner": HOSTILE, "tags": ["a", "", "b"]}
        things[2]["owner_id"] = ObjectId()
        things += [{"_id": HOSTILE, "owner_id": HOSTILE, "owner": "x", "tags": [MARKUP, " "]}]
        database["things"].insert_many(things)
        report = folder / "report.html"
        address = uri.replace("/?", f"/{name}?")
        files = [
            "--output",
            f"html={report}",
            "--output-file",
            str(folder / "report.txt"),
            "--state",
            str(folder / "s"),
        ]
        assert [main(["audit", str(MODELS), "--uri", address, *files]) for _ in range(2)] == [1, 1]
        redacted = ["--output", f"html={folder / 'redacted.html'}", "--output", f"sarif={folder / 'r.sarif'}"]
        statistics = ["--statistics", "--redact", "--output-file", str(folder / "statistics.txt")]
        assert main(["audit", str(MODELS), "--uri", address, *statistics, *redacted]) == 1
        yield report
    finally:
        client.drop_database(name)
        client.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One browser for all; nothing of it is left."""
    profile = tmp_path_factory.mktemp("chromium") / "profile"
    with chromium(profile) as driver:
        yield driver
    deadline = time.monotonic() + 5
    while processes(profile) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes(profile) == []
    assert not profile.exists()


@pytest.fixture
def opened(browser: Any, page: Path) -> Any:
    """The page, opened anew."""
    browser.get_log("browser"), browser.get_log("performance")
    browser.get(page.as_uri())
    return browser


def shown(browser: Any) -> list[str]:
    """The places that are shown."""
    found = browser.find_elements(By.CSS_SELECTOR, ".kind > summary")
    return [each.text.replace("\n", "") for each in found if each.is_displayed()]


def requested(browser: Any) -> set[str]:
    """The addresses that were asked for."""
    messages = [json.loads(each["message"])["message"] for each in browser.get_log("performance")]
    return {each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"}


def focused(browser: Any) -> Any:
    return browser.switch_to.active_element


def test_it_renders_without_a_word_on_the_console_and_asks_for_nothing(opened: Any, page: Path) -> None:
    assert opened.find_element(By.TAG_NAME, "h1").text.endswith("violations")
    assert len(opened.find_elements(By.CSS_SELECTOR, ".graph .edge")) == 1
    assert len(opened.find_elements(By.CSS_SELECTOR, ".histogram .bar")) >= 2
    assert len(opened.find_elements(By.CSS_SELECTOR, ".history circle")) == 2
    assert opened.get_log("browser") == []
    assert {each for each in requested(opened) if not each.startswith("data:")} == {page.as_uri()}


def test_a_hostile_document_runs_nothing_and_adds_nothing(opened: Any) -> None:
    assert opened.execute_script("return window.hacked") is None
    assert opened.execute_script("return document.scripts.length") == 1
    assert opened.execute_script("return document.querySelectorAll('img, iframe, object, svg svg').length") == 0
    assert opened.execute_script("return document.styleSheets.length") == 1
    assert "<script>window.hacked" in opened.find_element(By.ID, "findings").get_attribute("textContent")
    assert opened.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    for each in opened.find_elements(By.CSS_SELECTOR, "details:not([open]) > summary"):
        opened.execute_script("arguments[0].click()", each)
    assert opened.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert opened.get_log("browser") == []


def test_the_policy_blocks_what_the_escaping_would_let_through(opened: Any, page: Path) -> None:
    injected = page.with_name("injected.html")
    injected.write_text(page.read_text().replace("<main", f"{MARKUP}<main", 1))
    opened.get(injected.as_uri())
    assert opened.execute_script("return window.hacked") is None
    said = " ".join(each["message"] for each in opened.get_log("browser"))
    assert "Content Security Policy" in said


def test_the_filters_narrow_the_places_and_say_how_many(opened: Any) -> None:
    every = shown(opened)
    assert len(every) > 5
    opened.find_element(By.ID, "rule").send_keys("REF001")
    assert [each.startswith("things.owner_id") for each in shown(opened)] == [True]
    assert opened.find_element(By.ID, "shown").text == f"1 of {len(every)} places shown"
    opened.find_element(By.ID, "clear").click()
    assert shown(opened) == every
    opened.find_element(By.ID, "search").send_keys("EMP001 tags[]")
    assert [each.startswith("things.tags[]") for each in shown(opened)] == [True]
    opened.find_element(By.ID, "search").send_keys(Keys.ESCAPE)
    assert shown(opened) == every
    opened.find_element(By.ID, "collection").send_keys("owners")
    assert {each.partition(".")[0] for each in shown(opened)} == {"owners"}


def test_a_cell_of_the_table_leads_to_its_findings(opened: Any) -> None:
    cell = opened.find_element(By.CSS_SELECTOR, '.heat tbody a[data-code="EMP001"][data-collection="owners"]')
    cell.send_keys(Keys.ENTER)
    assert len(shown(opened)) == 1
    assert shown(opened)[0].startswith("owners.")
    assert opened.current_url.endswith("#EMP001")


def test_everything_can_be_done_by_the_keyboard(opened: Any) -> None:
    opened.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    assert focused(opened).get_attribute("class") == "skip"
    focused(opened).send_keys(Keys.ENTER)
    assert opened.current_url.endswith("#findings")
    opened.find_element(By.TAG_NAME, "body").send_keys("/")
    assert focused(opened).get_attribute("id") == "search"
    reached = set()
    for _ in range(12):
        focused(opened).send_keys(Keys.TAB)
        style = opened.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
        assert style != "none"
        reached.add(focused(opened).tag_name)
    assert {"select", "button", "summary"} <= reached
    kind = opened.find_element(By.CSS_SELECTOR, ".kind")
    before = kind.get_attribute("open")
    kind.find_element(By.TAG_NAME, "summary").send_keys(Keys.ENTER)
    assert kind.get_attribute("open") != before


def test_a_button_copies_its_query(opened: Any) -> None:
    button = opened.find_element(By.CSS_SELECTOR, ".kind[open] .copy")
    button.send_keys(Keys.ENTER)
    deadline = time.monotonic() + 5
    while button.text not in {"Copied", "Selected"} and time.monotonic() < deadline:
        time.sleep(0.02)
    assert button.text in {"Copied", "Selected"}


def test_every_input_has_a_label_and_every_header_its_scope(opened: Any) -> None:
    script = "return [...document.querySelectorAll('input, select')].filter(e => !e.labels.length).length"
    assert opened.execute_script(script) == 0
    assert opened.find_elements(By.CSS_SELECTOR, "th:not([scope])") == []
    unnamed = "return [...document.querySelectorAll('button, a, summary')].filter(e => !e.textContent.trim()).length"
    assert opened.execute_script(unnamed) == 0


def test_it_has_a_dark_and_a_light_dress_and_fits_a_telephone(opened: Any) -> None:
    colours = []
    for scheme in ("light", "dark"):
        features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
        colours.append(opened.execute_script("return getComputedStyle(document.body).backgroundColor"))
    assert colours[0] != colours[1]
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        assert opened.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_full_list_lies_beside_it_and_both_are_the_owners_alone(page: Path) -> None:
    full = page.with_suffix(".jsonl")
    lines = [json.loads(each) for each in full.read_text().splitlines()]
    summary = lines.pop()["summary"]
    assert len(lines) == sum(sum(each["counts"].values()) for each in summary["collections"])
    for each in (page, full, page.with_name("report.txt"), page.with_name("redacted.html")):
        assert stat.S_IMODE(each.stat().st_mode) == 0o600


def test_a_stale_copy_stands_beside_its_owners_value(page: Path) -> None:
    text = page.read_text()
    assert "<figcaption>Its owner, <bdi>owners.name</bdi></figcaption>" in text
    assert "Owner 1&quot;" in text


def test_redacted_statistics_and_several_outputs_at_once_agree(page: Path) -> None:
    redacted = page.with_name("redacted.html").read_text()
    assert "Values are left out." in redacted
    assert "Owner 1" not in redacted
    assert "figcaption" not in redacted.replace("figcaption {", "")
    results = json.loads(page.with_name("r.sarif").read_text())["runs"][0]["results"]
    counted = page.with_name("statistics.txt").read_text().splitlines()
    assert sum(int(each.split()[0]) for each in counted[:-1]) == len(results)
    assert f">{len(results)} violations<" in redacted.replace(",", "")
    assert not any("Owner 1" in each["message"]["text"] for each in results)
    assert "Owner 1" not in page.with_name("redacted.jsonl").read_text()


@pytest.mark.parametrize(
    ("targets", "written"),
    [
        ([("html", "a/r.html")], [("html", "a/r.html", False), ("jsonl", "a/r.jsonl", True)]),
        ([("html", "r"), ("jsonl", "r.jsonl")], [("html", "r", False), ("jsonl", "r.jsonl", False)]),
        ([("html", None), ("html", "-"), ("html", "."), ("html", "/dev/null"), ("text", "r.txt")],
         [("html", None, False), ("html", "-", False), ("html", ".", False), ("html", "/dev/null", False),
          ("text", "r.txt", False)]),
    ],
)  # fmt: skip
def test_only_a_file_has_the_full_list_beside_it(targets: Any, written: Any) -> None:
    assert [(each.format, each.file, each.full) for each in with_full_lists(targets)] == written

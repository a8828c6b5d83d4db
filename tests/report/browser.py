"""A headless Chromium of Debian's packages, with a profile that is gone after the test."""

import contextlib
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

_PACKAGES = "Debian's packages chromium and chromium-driver"


@contextmanager
def chromium(profile: Path) -> Iterator[Any]:
    """Yield a driver of a Chromium that records every request and every line of its console.

    Without the browser the test is skipped; not in CI, where what cannot be tested is a failure.

    Args:
        profile: A folder for its profile.
    """
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        if os.environ.get("CI"):
            pytest.fail(f"There is no browser: install {_PACKAGES}.")
        pytest.skip(f"there is no browser: install {_PACKAGES}")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for each in (
        "headless=new",
        "no-sandbox",  # which root may not have; the pages are the test's own
        "disable-gpu",
        "disable-dev-shm-usage",
        "disable-background-networking",
        "no-first-run",
        "window-size=1280,1000",
        f"user-data-dir={profile}",
    ):
        options.add_argument(f"--{each}")
    service = Service(driver)
    opened = webdriver.Chrome(options=options, service=service)
    try:
        yield opened
    finally:
        try:
            opened.quit()
        finally:
            for number in processes(profile):  # whatever did not hear it
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
            shutil.rmtree(profile, ignore_errors=True)


def processes(profile: Path) -> list[int]:
    """The processes that were started with this profile."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(profile).encode() in each.read_bytes():
                found.append(int(each.parent.name))
    return found

"""A headless Chromium, where there is one, and the scripts of the page to run in it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parent.parent / "src" / "fastgrad" / "viz"
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--window-size=1400,900"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
]

Script = Callable[..., Any]


def require(absent: str) -> None:
    """Skip what needs something that is absent; fail where it has to be there."""
    if "FASTGRAD_REQUIRE_BROWSER" in os.environ:
        pytest.fail(f"FASTGRAD_REQUIRE_BROWSER is set, and {absent}")
    pytest.skip(f"{absent} (set FASTGRAD_REQUIRE_BROWSER=1 to make this a failure)")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium under Selenium, which notes what it asks the network for."""
    chromium, driver = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if not chromium or not driver:
        require(f"there is no {'chromium' if not chromium else 'chromedriver'} on the PATH")
    webdriver = pytest.importorskip("selenium.webdriver")
    service = pytest.importorskip("selenium.webdriver.chrome.service")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    running = webdriver.Chrome(options=options, service=service.Service(driver))
    yield running
    running.quit()


@pytest.fixture
def script(browser: Any) -> Script:
    """Run JavaScript behind the scripts that compute; numbers come back with all their bits."""
    library = "\n".join(PAGE.joinpath(name).read_text() for name in ("functions.js", "operations.js", "engine.js"))
    browser.get("about:blank")

    def run(text: str, *arguments: Any) -> Any:
        keep = "JSON.stringify(found, (_, x) => (typeof x === 'number' ? 'n' + (Object.is(x, -0) ? '-0' : x) : x))"
        answer = browser.execute_script(
            f"const given = JSON.parse(arguments[0]); {library}\nconst found = (() => {{ {text} }})(); return {keep};",
            json.dumps(arguments, default=str),
        )
        return _numbers(json.loads(answer))

    return run


def _numbers(found: Any) -> Any:
    if isinstance(found, list):
        return [_numbers(item) for item in found]
    if isinstance(found, dict):
        return {key: _numbers(item) for key, item in found.items()}
    return float(found[1:].replace("Infinity", "inf")) if isinstance(found, str) and found[:1] == "n" else found

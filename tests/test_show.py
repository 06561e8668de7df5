"""The page that fg.show writes, as its readers use it: with mouse, keyboard and screen reader, in a real browser."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from browser import browser  # noqa: F401

import fastgrad

#: The backward pass of the small graph L = (a * b + c) * f, as the page says it.
STEPS = [
    "dL/dL = 1",
    "dL/dd += dL/dL * dL/dd = 1 * -2 = -2",
    "dL/df += dL/dL * dL/df = 1 * 4 = 4",
    "dL/de += dL/dd * dd/de = -2 * 1 = -2",
    "dL/dc += dL/dd * dd/dc = -2 * 1 = -2",
    "dL/da += dL/de * de/da = -2 * -3 = 6",
    "dL/db += dL/de * de/db = -2 * 2 = -4",
]
GRADIENTS = {"L": "1", "f": "4", "d": "-2", "e": "-2", "c": "-2", "a": "6", "b": "-4"}

Open = Callable[..., "Page"]


class Page:
    """The page in the browser, by what a reader sees of it."""

    def __init__(self, driver: Any, file: Path) -> None:
        self.driver = driver
        driver.get(file.as_uri())

    def text(self, name: str) -> str:
        return str(self.driver.find_element("id", name).text)

    def click(self, name: str) -> None:
        self.driver.find_element("id", name).click()

    def run(self, code: str, *arguments: Any) -> Any:
        return self.driver.execute_script(code, *arguments)

    def press(self, *keys: str) -> None:
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def node(self, name: str) -> Any:
        """The node's group in the drawing."""
        return self.driver.find_element("css selector", f'.node[aria-label^="{name},"]')

    def focus(self, name: str) -> None:
        self.run("arguments[0].focus()", self.node(name))

    def data(self, name: str) -> str:
        return str(self.node(name).find_element("css selector", ".data").text)

    def gradients(self) -> dict[str, str]:
        """What stands in the nodes as their derivatives."""
        lines = self.run("return [...document.querySelectorAll('.node .grad')].map((line) => line.textContent)")
        return {line.split(" = ")[0].rpartition("/d")[2]: line.split(" = ")[1] for line in lines}

    def input(self, name: str) -> Any:
        return self.driver.find_element("css selector", f'input[aria-label="value of {name}"]')

    def change(self, name: str, text: str) -> None:
        field = self.input(name)
        self.run("arguments[0].value = ''", field)
        field.send_keys(text)

    @property
    def position(self) -> int:
        return int(self.text("count").split(" / ")[0])


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Open:  # noqa: F811
    """Write the page of a Value, and open it."""

    def open_page(value: Any, **options: Any) -> Page:
        return Page(browser, fastgrad.show(value, tmp_path / "page.html", **options))

    return open_page


def small_graph(fg: ModuleType) -> Any:
    a, b, c, f = (fg.Value(x, label=name) for x, name in zip((2.0, -3.0, 10.0, -2.0), "abcf", strict=True))
    e = a * b
    d = e + c
    result = d * f
    e.label, d.label, result.label = "e", "d", "L"
    return result


@pytest.fixture
def page(open_page: Open) -> Page:
    return open_page(small_graph(fastgrad))


# ----------------------------------------------------------------------------------------------------- the steps


def test_clicking_through_shows_the_arithmetic_and_ends_at_the_gradients(page: Page) -> None:
    assert page.gradients() == dict.fromkeys(GRADIENTS, "?")
    for number, step in enumerate(STEPS, start=1):
        page.click("next")
        assert page.text("count") == f"{number} / 7"
        assert page.text("arithmetic") == step
    assert page.gradients() == GRADIENTS
    assert page.driver.find_element("id", "next").get_attribute("aria-disabled") == "true"
    assert {name: page.data(name) for name in "abcdefL"} == dict(
        zip("abcdefL", ("2", "-3", "10", "4", "-6", "-2", "-8"), strict=True)
    )


def test_reason_of_a_step_names_the_operation_and_the_local_derivative(page: Page) -> None:
    page.run("go(6)")
    assert page.text("reason") == "e = a * b, so de/da = b = -3."


def test_stepping_back_takes_the_gradients_away_again(page: Page) -> None:
    seen = [page.gradients()]
    for _ in STEPS:
        page.click("next")
        seen.append(page.gradients())
    for expected in reversed(seen[:-1]):
        page.click("back")
        assert page.gradients() == expected
    assert page.position == 0
    page.click("last")
    assert page.gradients() == GRADIENTS
    page.click("first")
    assert page.gradients() == seen[0]


def test_reasons_simplify_what_came_and_follow_what_changes(open_page: Open) -> None:
    x = fastgrad.Value(3.0, label="x")
    y = x**2
    y.label = "y+1"
    page = open_page(y)
    page.click("last")
    assert page.text("reason") == "y+1 = x ** 2, so d(y+1)/dx = 2 * x = 6."
    page.change("x", "4")
    assert page.text("reason") == "y+1 = x ** 2, so d(y+1)/dx = 8."
    z = fastgrad.tanh(fastgrad.Value(0.0, label="x"))
    z.label = "z"
    page = open_page(z)
    page.click("last")
    page.change("x", "20")
    assert page.text("reason") == "z = tanh(x), so dz/dx = 1 - z * z = 0."


def test_a_node_that_is_used_twice_adds_up(open_page: Open) -> None:
    x = fastgrad.Value(3.0, label="x")
    y = x * x
    y.label = "y"
    page = open_page(y)
    page.press("\ue010")  # End
    assert page.text("arithmetic") == "dy/dx += dy/dy * dy/dx = 1 * 3 = 3, so dy/dx = 3 + 3 = 6"
    assert page.gradients()["x"] == "6"


def test_it_plays_and_pauses(page: Page) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    page.click("play")
    assert page.driver.find_element("id", "play").get_attribute("aria-label") == "Pause"
    WebDriverWait(page.driver, 5).until(lambda _: page.position >= 2)
    page.click("play")
    assert page.driver.find_element("id", "play").get_attribute("aria-label") == "Play"


def test_table_of_steps_is_an_alternative_to_the_drawing(page: Page) -> None:
    rows = page.driver.find_elements("css selector", "#steps tr")
    assert [row.find_elements("tag name", "td")[1].text for row in rows] == STEPS
    page.run("arguments[0].click()", rows[4].find_element("tag name", "button"))
    assert page.position == 5
    assert rows[4].get_attribute("aria-current") == "step"


# ------------------------------------------------------------------------------------------------- looking, changing


def test_pointing_at_a_node_shows_local_derivatives_and_paths(page: Page, open_page: Open) -> None:
    from selenium.webdriver import ActionChains

    ActionChains(page.driver).move_to_element(page.node("a")).perform()
    assert "1 path to L" in page.text("details")
    assert "dL/dd * dd/de * de/da = -2 * 1 * -3 = 6" in page.text("details")
    ActionChains(page.driver).move_to_element(page.node("e")).perform()
    assert "e = a * b = 2 * (-3) = -6" in page.text("details")
    assert "de/da = b = -3" in page.text("details")
    titles = page.run("return [...document.querySelectorAll('.edge title')].map((title) => title.textContent)")
    assert "de/da = b = -3" in titles
    x = fastgrad.Value(2.0, label="x")
    y = x * x + x
    y.label = "y"
    page = open_page(y)
    page.focus("x")
    assert "3 paths to y" in page.text("details")
    assert "dy/dx = 5, the sum over all paths" in page.text("details")


def test_changing_a_leaf_changes_values_and_derivatives(page: Page) -> None:
    page.click("last")
    page.change("a", "3")
    assert [page.data(name) for name in "aedL"] == ["3", "-9", "1", "-2"]
    assert page.gradients() == {"L": "1", "f": "1", "d": "-2", "e": "-2", "c": "-2", "a": "6", "b": "-6"}
    assert page.run("return announcer.textContent") == "a = 3, L = -2, dL/da = 6"
    page.click("reset")
    assert page.gradients() == GRADIENTS
    assert page.input("a").get_attribute("value") == "2"


def test_what_is_no_number_or_outside_of_the_domain_is_said(open_page: Open) -> None:
    x = fastgrad.Value(2.0, label="x")
    y = fastgrad.log(x)
    y.label = "y"
    page = open_page(y)
    page.change("x", "-1")
    assert page.text("complaint") == "log(x) = nan: outside of its domain, x > 0"
    page.change("x", "")
    page.input("x").send_keys("-")
    assert page.text("complaint") == "x: expected a number."
    assert page.input("x").get_attribute("aria-invalid") == "true"
    page.click("reset")
    assert page.text("complaint") == ""


def test_leaves_are_fixed_where_the_page_cannot_compute(open_page: Open) -> None:
    x = fastgrad.Value(2.0, label="x")
    y = fastgrad.Value(8.0, (x,), "cube", label="y", local_grads=(12.0,))
    page = open_page(y)
    page.click("last")
    assert page.gradients() == {"x": "12", "y": "1"}
    assert not page.input("x").is_enabled()
    assert "y has a rule that is not in the table of operations (cube)" in page.text("fixed")
    stale = small_graph(fastgrad)
    e = next(child for child in next(iter(stale._prev - {v for v in stale._prev if not v._prev}))._prev if child._prev)
    next(child for child in e._prev if child.label == "a").data = 7.0
    assert "a leaf was changed since" in open_page(stale).text("fixed")


# --------------------------------------------------------------------------------------------- keyboard and pointer


def test_keyboard_steps_plays_and_zooms(page: Page) -> None:
    from selenium.webdriver.common.keys import Keys

    page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    assert page.position == 1
    page.press(Keys.END)
    assert page.gradients() == GRADIENTS
    page.press(Keys.HOME)
    assert page.position == 0
    page.press(" ")
    assert page.driver.find_element("id", "play").get_attribute("aria-label") == "Pause"
    page.press(" ")
    before = page.run("return state.zoom")
    page.press("+")
    assert page.run("return state.zoom") > before
    page.press("0")
    assert page.run("return state.zoom") == before


def test_every_node_can_be_reached_moved_and_edited_by_keyboard(page: Page) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    reached = []
    page.run("document.querySelector('.skip').focus()")
    for _ in GRADIENTS:
        page.press(Keys.TAB)
        reached.append(page.driver.switch_to.active_element.get_attribute("aria-label").split(",")[0])
    assert sorted(reached) == sorted(GRADIENTS)
    page.focus("a")
    before = page.node("a").location
    ActionChains(page.driver).key_down(Keys.SHIFT).send_keys(Keys.ARROW_DOWN).key_up(Keys.SHIFT).perform()
    assert page.node("a").location["y"] > before["y"]
    assert page.position == 0
    page.press(Keys.ENTER)
    assert page.driver.switch_to.active_element == page.input("a")
    page.press(Keys.ARROW_UP)
    assert page.data("a") == "3"
    page.focus("e")
    page.press(Keys.ENTER)
    assert page.text("arithmetic") == STEPS[3]


def test_nodes_and_the_graph_can_be_dragged(page: Page) -> None:
    from selenium.webdriver import ActionChains

    before, other = page.node("c").location, page.node("L").location
    line = page.run("return [...document.querySelectorAll('.edge .line')].map((p) => p.getAttribute('d'))")
    ActionChains(page.driver).drag_and_drop_by_offset(page.node("c"), 40, 25).perform()
    assert page.node("c").location["x"] - before["x"] == pytest.approx(40, abs=2)
    assert page.node("L").location == other
    after = page.run("return [...document.querySelectorAll('.edge .line')].map((p) => p.getAttribute('d'))")
    assert sum(a != b for a, b in zip(line, after, strict=True)) == 1
    corner = page.driver.find_element("id", "zoom")
    ActionChains(page.driver).move_to_element_with_offset(corner, 0, -150).click_and_hold().move_by_offset(
        -30, 0
    ).release().perform()
    assert page.node("L").location["x"] - other["x"] == pytest.approx(-30, abs=2)


# ------------------------------------------------------------------------------------------------- screen readers


def test_each_step_is_announced(page: Page) -> None:
    announcer = page.driver.find_element("id", "announcer")
    assert (announcer.get_attribute("aria-live"), announcer.get_attribute("role")) == ("polite", "status")
    page.click("next")
    page.click("next")
    said = page.run("return announcer.textContent")
    assert said == f"Step 2 of 7. {STEPS[1]} L = d * f, so dL/dd = f = -2."


def test_everything_that_acts_has_a_name_and_a_role(page: Page) -> None:
    page.click("last")
    tree = page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    acting = [node for node in tree if "focusable" in {p["name"] for p in node.get("properties", ())}]
    named = [
        (node["role"]["value"], node["name"]["value"]) for node in acting if node["role"]["value"] != "RootWebArea"
    ]
    assert [role for role, name in named if not name] == []
    assert ("button", "a, leaf, value 2, dL/da = 6") in named
    assert ("button", "e, a * b, value -6, dL/de = -2") in named
    assert ("spinbutton", "value of a") in named
    assert ("slider", "Step") in named
    assert {"One step forward", "One step back", "Play", "To the end"} <= {name for _, name in named}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_colour_schemes(scheme: str, open_page: Open, browser: Any) -> None:  # noqa: F811
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
    )
    page = open_page(small_graph(fastgrad))
    colours = page.run(
        """const style = getComputedStyle(document.documentElement);
        return ["--panel", "--ink", "--quiet", "--data", "--grad"].map((name) => style.getPropertyValue(name));"""
    )
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    back, *inks = (luminance(colour) for colour in colours)
    assert (back > 0.5) == (scheme == "light")
    for ink in inks:  # WCAG 2.2, 1.4.3: at least 4.5
        assert (max(back, ink) + 0.05) / (min(back, ink) + 0.05) >= 4.5


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb, by WCAG 2.2."""
    parts = [int(colour.strip()[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


# ----------------------------------------------------------------------------------------------------- the file


def test_file_asks_the_network_for_nothing(page: Page, tmp_path: Path) -> None:
    text = tmp_path.joinpath("page.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|//\w+\.|@import|\burl\((?!#)", text)
    page.click("last")
    asked = [json.loads(entry["message"])["message"] for entry in page.driver.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in asked if m["method"] == "Network.requestWillBeSent"]
    assert any(url.endswith("page.html") for url in urls)
    assert [url for url in urls if re.match("https?:|wss?:", url)] == []
    assert [entry for entry in page.driver.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_labels_are_text_whatever_is_in_them(open_page: Open) -> None:
    label = "</script><img src=x onerror=alert(1)> $& \"'"
    x = fastgrad.Value(1.0, label=label)
    y = x + 1.0
    page = open_page(y, title="<b>$title</b>")
    assert page.driver.find_element("tag name", "h1").text == "<b>$title</b>"
    assert page.driver.find_elements("tag name", "img") == []
    assert page.driver.find_element("css selector", ".leaf-name").text == label


def test_large_graph_stays_within_its_places(open_page: Open) -> None:
    values = [fastgrad.Value(float(i), label=f"x{i}") for i in range(40)]
    page = open_page(fastgrad.sum([(v * v).tanh() for v in values]))
    page.click("last")
    boxes = page.run("return [...document.querySelectorAll('.node')].map((n) => n.getBoundingClientRect().toJSON())")
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            apart = (
                a["right"] <= b["left"] or b["right"] <= a["left"] or a["bottom"] <= b["top"] or b["bottom"] <= a["top"]
            )
            assert apart
    assert len(boxes) == 121


def test_graph_that_cannot_be_read_as_a_whole_shows_the_step_instead(open_page: Open) -> None:
    values = [fastgrad.Value(float(i), label=f"x{i}") for i in range(40)]
    page = open_page(fastgrad.sum([v * v for v in values]))
    inside = """const [box, frame] = [arguments[0], element.graph].map((e) => e.getBoundingClientRect());
        return box.top >= frame.top && box.bottom <= frame.bottom && box.width > 60;"""
    for name in ("x0", "x39"):
        page.run("go(1 + engine.steps.findIndex((step) => engine.name(step.child) === arguments[0]))", name)
        assert page.run(inside, page.node(name))
    page.press("0")  # all of it, whatever the size
    assert page.run("return state.zoom") < page.run("return legible")


def test_infinities_are_written_and_read(open_page: Open) -> None:
    x = fastgrad.Value(float("inf"), label="x")
    page = open_page(x * 2.0)
    assert page.data("x") == "inf"


# --------------------------------------------------------------------------------------------- without a browser


def test_both_backends_write_the_same_page(run_python: Callable[..., str]) -> None:
    program = """
import fastgrad as fg
a, b = fg.Value(2.0, label="a"), fg.Value(-3.0)
print(fg.show(fg.sum([a * b + 2.0, a**3, b]) / 4.0, "PATH").read_text())
"""
    with tempfile.TemporaryDirectory() as folder:
        program = program.replace("PATH", f"{folder}/page.html")
        assert run_python(program, "c") == run_python(program, "python")


def test_page_of_the_documentation_is_fresh(tmp_path: Path) -> None:
    page = Path(__file__).resolve().parent.parent / "docs" / "pages" / "small_graph.html"
    fastgrad.show(small_graph(fastgrad), tmp_path / "page.html")
    assert without_table(page) == without_table(tmp_path / "page.html"), "run python tools/pictures.py"


def without_table(page: Path) -> str:
    """The page but for the table of operations, which may have new rows."""
    before, begin, rest = page.read_text().partition("// generated by tools/generate.py")
    _, end, after = rest.partition("// What the page computes")
    assert begin and end
    return before + after


def test_show_returns_the_path_and_changes_no_gradient(fg: ModuleType, tmp_path: Path) -> None:
    value = small_graph(fg)
    assert fg.show(value, str(tmp_path / "p.html")) == tmp_path / "p.html"
    assert value.grad == 0.0
    assert tmp_path.joinpath("p.html").read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "options", "error", "said"),
    [
        ((3.0,), {}, TypeError, r"fg.show\(value\): expected a Value, got float 3.0; a float has no graph"),
        (([1],), {}, TypeError, r"got list \[1\]; draw one of them, or their fg.sum"),
        (("small",), {"max_nodes": 5}, ValueError, "7 nodes, more than max_nodes=5.*fg.draw"),
        (("small",), {"max_nodes": 0}, ValueError, r"fg.show\(max_nodes\): expected a whole number, 2 or more, got 0"),
        (("small", "no/such/folder/page.html"), {}, FileNotFoundError, "no/such/folder"),
    ],
)
def test_bad_input_is_refused(
    arguments: tuple[Any, ...], options: Any, error: Any, said: str, fg: ModuleType, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [small_graph(fg) if argument == "small" else argument for argument in arguments]
    with pytest.raises(error, match=said):
        fg.show(*given, **options)
    assert list(tmp_path.iterdir()) == []

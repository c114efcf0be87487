"""The page in a real browser, while snapshots arrive."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from live_folder import until
from playwright.sync_api import sync_playwright

pytestmark = pytest.mark.slow

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
PATIENCE = 20_000  # milliseconds on a busy machine


@pytest.fixture(scope="module")
def browser(chromium):
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def visit(browser):
    """Opens pages; in the end none has logged anything or asked another machine for anything."""
    pages, said, asked = [], [], []

    def at(url, quiet=True, **options):
        page = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options}).new_page()
        page.set_default_timeout(PATIENCE)
        if quiet:
            page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(url)
        pages.append((page, re.split("[?#]", url)[0]))
        return page

    yield at
    homes = tuple({home for _, home in pages} | {f"blob:{home}" for _, home in pages} | {"data:"})
    for page, _ in pages:
        page.context.close()
    assert said == []
    assert [url for url in asked if not url.startswith(homes)] == []
    assert asked


def shown(page, number):
    page.wait_for_selector(f"body[data-drawn='{number}']")
    return page


def test_an_empty_folder_waits_and_then_shows_the_first_snapshot(run, served, visit):
    page = visit(served(run.out).url)
    page.get_by_text("Waiting for the first snapshot").wait_for()
    assert not page.locator("#content").is_visible()
    run.snapshot()
    shown(page, 1)
    assert not page.locator("#empty").is_visible()
    assert page.locator("#headline").get_by_text("100", exact=True).is_visible()


def test_numbers_paint_before_the_drawings_have_arrived(run, served, visit):
    run.snapshot()
    page = shown(visit(served(run.out).url), 1)
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    numbers = page.evaluate("performance.getEntriesByName('insiren-numbers')[0].startTime")
    assert painted < 4000 and numbers < 8000  # milliseconds; a tenth of it on a machine that does nothing else


def test_snapshots_appear_while_they_are_written(run, served, visit):
    run.snapshot()
    page = shown(visit(served(run.out).url), 1)
    assert "NOT YET" in page.locator("#verdict").inner_text()
    width = page.locator("#parameters .value").first.inner_text()

    def measure():
        for _ in range(4):
            time.sleep(0.3)
            run.snapshot()

    writer = threading.Thread(target=measure)
    writer.start()
    shown(page, 5)
    writer.join()
    assert "YES" in page.locator("#verdict").inner_text()
    assert page.locator("#parameters .value").first.inner_text() != width
    assert "20,000" in page.locator("#facts").inner_text()
    assert page.locator("#where").inner_text().startswith("Snapshot 5 of 5")
    assert page.locator("#log li").count() == 5
    assert page.evaluate("document.querySelector('#trend').data[2].x") == [100, 1000, 20000, 20000, 20000]


def test_all_pictures_are_drawn_with_the_numbers_of_the_snapshot(run, served, visit, content):
    run.snapshot()
    page = shown(visit(served(run.out).url), 1)
    drawn = page.evaluate("document.querySelector('#maps').data.map(one => one.customdata)")
    wanted = page.evaluate("fetch('api/snapshots/1/maps.json').then(a => a.json())")[0]
    assert drawn == [wanted["data"], wanted["model"], wanted["residual"]]
    scales = page.evaluate(
        "['coloraxis', 'coloraxis2'].map(n => (a => [a.cmin, a.cmax])(document.querySelector('#maps').layout[n]))"
    )
    assert scales[1] == [-4, 4] and scales[0][1] > 0
    assert page.evaluate("document.querySelector('#maps').data.map(one => one.coloraxis)") == [
        "coloraxis",
        "coloraxis",
        "coloraxis2",
    ]
    levels = page.evaluate(
        "document.querySelector('#landscape').data.filter(one => one.type == 'contour').map(one => one.contours.start)"
    )
    assert levels == [2.3, 6.18, 11.83]
    page.get_by_role("button", name="Log", exact=True).click()
    assert page.evaluate("document.querySelector('#maps').layout.coloraxis.cmin") < 0


def test_a_reader_steps_back_and_stays_there_while_new_snapshots_arrive(run, served, visit):
    for _ in range(3):
        run.snapshot()
    page = shown(visit(served(run.out).url), 3)
    page.keyboard.press("ArrowLeft")
    shown(page, 2)
    assert page.locator("#as-of").inner_text() == "As of snapshot 2, not the newest."
    assert page.url.endswith("#2")
    run.snapshot()
    page.get_by_text("of 4").wait_for()
    assert page.get_attribute("body", "data-drawn") == "2"
    page.get_by_role("button", name="Previous snapshot").click()
    shown(page, 1)
    assert page.get_by_role("button", name="Previous snapshot").is_disabled()
    page.get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")
    shown(page, 2)
    page.get_by_role("button", name="Live").click()
    shown(page, 4)
    assert not page.locator("#as-of").is_visible()
    assert page.get_by_role("button", name="Live").get_attribute("aria-pressed") == "true"


def test_an_address_with_a_number_opens_that_snapshot(run, served, visit):
    for _ in range(3):
        run.snapshot()
    shown(visit(f"{served(run.out).url}#2"), 2)


def test_the_phone_has_one_column_and_nothing_beside_it(run, served, visit):
    run.snapshot()
    page = visit(served(run.out).url, **PHONE)
    for number in (1, 2, 3):
        shown(page, number)
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        right = page.evaluate(
            "[...document.querySelectorAll('main *:not(.plot *)')].map(e => e.getBoundingClientRect().right)"
        )
        assert max(right) <= 390.5
        run.snapshot()
    small = page.evaluate(
        "[...document.querySelectorAll('#stepper button, .actions button, .actions a')]"
        ".filter(e => e.getBoundingClientRect().height < 44).length"
    )
    assert small == 0  # fingers


def test_numbers_and_verdict_fit_their_cards_on_every_screen(run, served, visit):
    run.snapshot()
    page = shown(visit(served(run.out).url), 1)
    for width in (360, 700, 1100, 1440, 1920):
        page.set_viewport_size({"width": width, "height": 900})
        beyond = page.evaluate(
            """[...document.querySelectorAll('.value, .rest, #verdict span, #conditions p')].map(e =>
            e.getBoundingClientRect().right - e.closest('.parameter, .stop').getBoundingClientRect().right)"""
        )
        assert max(beyond) <= 0.5, width


def test_dark_and_light_follow_the_system_until_one_is_chosen(run, served, visit):
    run.snapshot()
    url = served(run.out).url
    paper = "getComputedStyle(document.body).backgroundColor"
    page = shown(visit(url, color_scheme="dark"), 1)
    assert page.evaluate(paper) == "rgb(20, 22, 27)"
    assert page.evaluate("document.querySelector('#maps').layout.font.color") == "#a3abb8"
    page.get_by_role("button", name="Switch between light and dark").click()
    assert page.evaluate(paper) == "rgb(251, 251, 250)"
    page.reload()
    shown(page, 1)
    assert page.evaluate(paper) == "rgb(251, 251, 250)"
    assert shown(visit(url, color_scheme="light"), 1).evaluate(paper) == "rgb(251, 251, 250)"


def luminance(rgb):
    parts = [x / 255 for x in rgb]
    parts = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(run, served, visit, scheme):
    run.snapshot()
    page = shown(visit(served(run.out).url, color_scheme=scheme), 1)
    tags = "h1, h2, h3, p, dt, dd, li span, li strong, button:not(:disabled)"
    found = page.evaluate(
        """tags => [...document.querySelectorAll(tags)]
        .filter(e => e.offsetParent && e.innerText.trim()).map(e => {
            let behind = e;
            const paper = () => getComputedStyle(behind).backgroundColor;
            while (behind !== document.body && paper() === 'rgba(0, 0, 0, 0)') behind = behind.parentElement;
            return [e.innerText, getComputedStyle(e).color, paper()];
        })""",
        tags,
    )
    assert len(found) > 20
    for text, *colours in found:
        high, low = sorted((luminance([int(n) for n in re.findall(r"\d+", c)[:3]]) for c in colours), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, (text, colours)  # WCAG 2.2, AA


def test_what_can_be_used_has_a_name_and_the_verdict_is_read_out(run, served, visit):
    run.snapshot()
    page = shown(visit(served(run.out).url), 1)
    assert page.get_attribute("#verdict", "aria-live") == "polite"
    nameless = page.evaluate(
        """[...document.querySelectorAll('button, input, a[href], [role=img], section')].filter(e => e.offsetParent)
        .filter(e => !(e.ariaLabel || e.getAttribute('aria-labelledby') || e.innerText.trim())).map(e => e.outerHTML)"""
    )
    assert nameless == []
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"


def test_the_numbers_can_be_copied_and_the_snapshot_downloaded(run, served, visit):
    run.snapshot()
    page = shown(visit(served(run.out).url, permissions=["clipboard-read", "clipboard-write"]), 1)
    page.get_by_role("button", name="Copy numbers").click()
    page.get_by_text("Copied").wait_for()
    text = page.evaluate("navigator.clipboard.readText()")
    assert re.search(r"^J = 1\.\d+ ± 0\.\d+ meV$", text, re.MULTILINE) and "100 neutrons, snapshot 1" in text
    with page.expect_download() as download:
        page.get_by_role("link", name="Download snapshot").click()
    assert download.value.suggested_filename == "insiren-snapshot-000001.zip"


def test_numbers_that_cannot_be_copied_are_shown_for_copying_by_hand(run, served, visit):
    run.snapshot()
    page = shown(visit(served(run.out).url), 1)
    page.evaluate("navigator.clipboard.writeText = () => Promise.reject(); document.execCommand = () => false")
    page.get_by_role("button", name="Copy numbers").click()
    page.get_by_text("Press Ctrl-C").wait_for()
    assert "J = " in page.locator("#copy-text").input_value() and page.locator("#copy-text").is_visible()


def test_the_page_says_when_it_is_cut_off_and_catches_up(run, served, visit):
    run.snapshot()
    first = served(run.out)
    page = shown(visit(first.url, quiet=False), 1)  # the browser itself reports the lost connection
    page.get_by_text("Live · updated").wait_for()
    first.close()
    page.get_by_text("Reconnecting").wait_for()
    page.locator("#as-of").get_by_text("ago").wait_for()
    run.snapshot()
    served(run.out, port=first.port)
    shown(page, 2)
    page.get_by_text("Live · updated").wait_for()


def test_a_measurement_gone_quiet_is_called_stale_and_a_finished_one_is_not(run, served, visit):
    run.snapshot(minutes_ago=14)
    page = shown(visit(served(run.out).url), 1)
    page.get_by_text("Stale: nothing new for 14 min").wait_for()
    assert "14 min ago" in page.locator("#as-of").inner_text()
    run.snapshot(minutes_ago=3 * 24 * 60)
    shown(page, 2)
    page.get_by_text("Last snapshot 3 days ago").wait_for()


def test_a_grid_too_coarse_for_the_minimum_gives_way_to_the_covariance(run, served, visit):
    coarse = {
        "x": {"name": "J", "unit": "meV", "values": [0.2, 1.6, 3.0]},
        "y": {"name": "width", "unit": "", "values": [0.5, 1, 2]},
        "delta": [[900, None, 50], [80, 20, 70], [900, 80, 9]],
    }
    run.content = [{**run.content[0], "landscape.json": json.dumps(coarse)}]
    run.snapshot()
    page = shown(visit(served(run.out).url), 1)
    assert "from the covariance" in page.locator("#landscape-note").inner_text()
    low, high = page.evaluate("document.querySelector('#landscape').layout.xaxis.range")
    assert 1.0 < low < high < 1.2  # meV
    page.get_by_role("button", name="Whole box").click()
    page.get_by_text("The objective over the whole box").wait_for()
    assert page.evaluate("document.querySelector('#landscape').data[0].z[0][1]") is None


def test_snapshots_without_maps_and_landscape_show_what_there_is(run, served, visit):
    run.snapshot(leave_out=("maps.json", "landscape.json"))
    page = shown(visit(served(run.out).url), 1)
    assert page.get_by_text("This snapshot has no maps.").is_visible()
    assert page.get_by_text("Dotted, from the covariance").is_visible()
    run.snapshot()
    shown(page, 2)
    assert page.locator("#maps .heatmaplayer").count() > 0


def test_names_from_files_are_text_and_never_markup(run, served, visit):
    run.log("<img src=x onerror=alert(1)> & <b>bold</b>", "error")
    run.content = [
        {**run.content[0], "maps.json": run.content[0]["maps.json"].replace('"h"', '"<img src=x onerror=alert(1)>"')}
    ]
    run.snapshot()
    page = shown(visit(served(run.out).url), 1)
    assert "<img src=x" in page.locator("#log").inner_text()
    assert page.locator("img[src=x]").count() == 0


def test_with_a_token_the_page_works_and_the_address_no_longer_shows_it(run, served, visit):
    run.snapshot()
    token = "a-token-nobody-guesses"
    page = shown(visit(f"{served(run.out, token).url}?token={token}"), 1)
    assert token not in page.url
    run.snapshot()
    shown(page, 2)


def test_another_run_in_the_same_folder_replaces_what_was_shown(run, served, visit):
    for _ in range(3):
        run.snapshot()
    one = served(run.out)
    page = shown(visit(one.url), 3)
    for place in (run.out / "snapshots").iterdir():
        for file in place.iterdir():
            file.unlink()
        place.rmdir()
    until(lambda: one.watch.newest == 0)
    run.number = 0
    run.snapshot()
    shown(page, 1)
    assert page.locator("#where").inner_text().startswith("Snapshot 1 of 1")


def test_a_live_fit_and_its_page_follow_files_that_arrive_until_it_is_killed(visit, tmp_path):
    insiren = [sys.executable, "-m", "insiren"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def told(*words):
        subprocess.run([*insiren, *map(str, words)], cwd=tmp_path, check=True, stdin=subprocess.DEVNULL)

    told("simulate", "chain", "--path", "0.04,0,0 0.46,0,0", "--counts", 20_000, "--out", "whole.csv")
    told("replay", "whole.csv", "--out", "all", "--first", 2_000, "--steps", 2)
    (tmp_path / "counts").mkdir()
    early, late = sorted((tmp_path / "all").iterdir())
    os.replace(early, tmp_path / "counts" / early.name)
    words = [*insiren, "live", "chain", "counts", "--out", "run", "--poll", "0.2", "--serve", str(port)]
    with (tmp_path / "said").open("wb") as said, subprocess.Popen(words, cwd=tmp_path, stderr=said) as process:
        try:
            until(lambda: answers(port) or process.poll() is not None, 60)
            assert process.poll() is None, (tmp_path / "said").read_text()
            page = visit(f"http://127.0.0.1:{port}/", quiet=False)
            page.wait_for_selector("body[data-drawn='1']", timeout=200_000)
            os.replace(late, tmp_path / "counts" / late.name)
            page.wait_for_selector("body[data-drawn='2']", timeout=200_000)
        finally:
            process.kill()
    until(lambda: not answers(port), 30)  # the page does not outlive the fit, however that ends
    with subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE) as again:  # and the port is free again
        until(lambda: answers(port) or again.poll() is not None, 60)
        assert again.poll() is None
        again.send_signal(signal.SIGINT)
        again.communicate(timeout=60)
    until(lambda: not answers(port), 30)


def answers(port):
    with socket.socket() as there:
        return there.connect_ex(("127.0.0.1", port)) == 0

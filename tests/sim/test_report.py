"""The report in a real browser, on a desk and on a phone, and its breakdowns against the accounts."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from csched import shipped
from csched_sim.outputs import write_outputs
from csched_sim.play import Played, play
from csched_sim.scenario import read_scenario
from csched_sim.tables import breakdowns, embodied_kg, flows_gpu_h, size_class

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
PICTURES = ("frontier", "carbon", "waits", "queue", "power", "utilisation", "gantt")


@pytest.fixture(scope="module")
def played() -> Played:
    scenario = read_scenario(shipped.scenarios() / "mixed-week.yaml")
    return play(scenario.model_copy(update={"jobs": 60, "strategies": ("easy", "carbon-time", "csched")}))


@pytest.fixture(scope="module")
def report(played: Played, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_outputs(played, folder)
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield chromium
        chromium.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_report_is_readable_at_any_width(report: Path, browser: Browser, width: int, tmp_path: Path) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    for name in PICTURES:
        box = page.locator(f"#{name} svg").bounding_box()
        assert box is not None
        assert box["width"] >= 500, "letters of a picture that shrinks further cannot be read"
        assert box["height"] > 100
    for heading in ("What was asked", "What came out", "Where work went", "What was assumed"):
        assert page.locator("h2", has_text=heading).is_visible()
    assert asked == [report.as_uri()], "the page needs nothing beside itself"
    assert problems == []
    page.screenshot(path=tmp_path / f"report-{width}.png", full_page=True)
    page.close()


def test_breakdowns_and_flows_add_up(played: Played) -> None:
    simulation = played.simulation
    for result in simulation.results:
        for groups in breakdowns(simulation).values():
            of_strategy = [group for group in groups if group.strategy == result.name]
            if len(of_strategy) < 12:  # of more, only the largest are shown
                assert sum(group.carbon_kg for group in of_strategy) == pytest.approx(result.accounts.carbon_kg.sum())
                assert sum(group.jobs for group in of_strategy) == len(result.outcome.runs)
        flows = flows_gpu_h(result, simulation.setting)
        assert sum(flows.values()) == pytest.approx(result.accounts.gpu_hours)
        if result.name == "easy":
            assert all(home == site for home, site in flows)


def test_embodied_carbon_is_a_range(played: Played) -> None:
    for result in played.simulation.results:
        found = embodied_kg(result)
        if found is not None:
            assert 0 < found[0] <= found[1]


@pytest.mark.parametrize(
    ("gpus", "named"), [(1, "1 GPU"), (7, "2 to 7"), (8, "8"), (9, "9 to 63"), (256, "256 and more")]
)
def test_size_classes(gpus: int, named: str) -> None:
    assert size_class(gpus) == named

"""The command line answers at once, and every command explains itself."""

import subprocess
import sys

import click
import pytest

from csched.cli import SECTIONS, program

HEAVY = {"ortools", "pandas", "matplotlib", "numba", "scipy", "networkx", "pyarrow"}
HEAVY_FOR_HELP = HEAVY | {"sqlmodel", "sqlalchemy", "pydantic", "fastapi", "rich", "numpy", "jinja2"}
INSTALLED = program.list_commands(click.Context(program))


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (["--help"], HEAVY_FOR_HELP),
        (["queue", "--help"], HEAVY),
        (["submit", "--help"], HEAVY),
        (["explain", "--help"], HEAVY),
        (["report", "--help"], HEAVY),
    ],
)
def test_help_loads_nothing_heavy(arguments: list[str], unwanted: set[str]) -> None:
    program_text = (
        "import sys\nfrom csched.cli import main\n"
        f"code = main({arguments!r})\n"
        f"print(sorted({unwanted!r} & sys.modules.keys()), file=sys.stderr)\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program_text], capture_output=True, text=True, check=True)
    assert "Usage: csched" in done.stdout
    assert done.stderr == "[]\n"


def test_a_queue_is_listed_without_solver_and_pandas(home: object) -> None:
    program_text = (
        "import sys\nfrom csched.cli import main\n"
        "assert main(['queue', '--json']) == 0\n"
        f"print(sorted({HEAVY | {'numpy', 'jinja2', 'fastapi', 'apscheduler', 'httpx'}!r} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program_text], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_lists_exactly_what_is_installed_with_its_summary(csched) -> None:
    shown = " ".join(csched("--help").out.split())
    for section in SECTIONS.values():
        for name, summary in section.items():
            assert (f"{name} {summary}" in shown) == (name in INSTALLED)


@pytest.mark.parametrize("name", INSTALLED)
def test_every_command_has_help_and_an_example(csched, name: str) -> None:
    ran = csched(name, "--help")
    assert ran.code == 0
    group = program.get_command(click.Context(program), name)
    if isinstance(group, click.Group):
        for inner in group.list_commands(click.Context(group)):
            assert csched(name, inner, "--help").code == 0


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["qeue"], "there is no command `qeue`", "did you mean `queue`?"),
        (["queue", "--jsn"], "no such option '--jsn'", "did you mean `--json`?"),
        (["queue", "--json", "--quiet"], "choose one of --json and --quiet", "`csched queue --help` shows how"),
        (["show", "x"], "`x` does not name jobs", "write an id, 17_3, 17_[3-5], 3-8, 1,3, last or all"),
        (["show", "8-3"], "`8-3` runs backwards", "write 3-8"),
        (["submit"], "give a script, or a command with --wrap", "`csched submit --help` has examples"),
        (["update", "1"], "nothing to change", "`csched update --help` lists what can be"),
    ],
)
def test_usage_errors_exit_2_with_the_next_step(csched, arguments: list[str], message: str, hint: str) -> None:
    ran = csched(*arguments)
    assert ran.code == 2
    assert message in ran.err + ran.out
    assert hint in ran.err + ran.out

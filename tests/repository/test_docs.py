"""The pages under docs/ list what the code has, neither more nor less."""

import re
from pathlib import Path

import click

import csched_policies.vocabulary
from csched import errors
from csched.cli import program
from csched.domain.job import Job
from csched.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"


def section(page: str, heading: str) -> str:
    """The text under a heading, to the next one of the same rank."""
    text = (DOCS / page).read_text()
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_policies_lists_every_fact() -> None:
    listed = re.findall(r"^\| `([\w.-]+)` \|", section("policies.md", "Facts"), flags=re.MULTILINE)
    assert listed == list(csched_policies.vocabulary.VOCABULARY)


def test_policies_lists_every_operator() -> None:
    column = re.findall(r"^\| (`.*?) \|", section("policies.md", "Operators"), flags=re.MULTILINE)
    listed = re.findall(r"`(\w+)`", " ".join(column))
    operators = {operator for few in csched_policies.vocabulary.OPERATORS.values() for operator in few}
    assert set(listed) == operators


def test_commands_lists_every_exit_code() -> None:
    listed = {
        int(code) for code in re.findall(r"^\| (\d) \|", section("commands.md", "Exit codes"), flags=re.MULTILINE)
    }
    raised = {
        error.exit_code
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.CschedError) and error is not errors.CschedError
    }
    assert listed == {0} | raised


def test_commands_lists_every_command() -> None:
    column = re.findall(r"^\| (`.*?`) \|", section("commands.md", "Commands"), flags=re.MULTILINE)
    listed = set(re.findall(r"`([a-z]+)", " ".join(column)))
    assert listed == set(program.list_commands(click.Context(program)))


def test_commands_lists_every_setting() -> None:
    listed = set(re.findall(r"`CSCHED_([A-Z_]+)`", section("commands.md", "Settings")))
    assert listed == {name.upper() for name in Settings.model_fields}


def test_formats_lists_every_column_of_a_jobs_file() -> None:
    words = set(re.findall(r"`(\w+)`", section("formats.md", "Jobs")))
    assert set(Job.model_fields) <= words

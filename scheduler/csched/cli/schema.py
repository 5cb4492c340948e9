"""csched schema: the formats as JSON Schema."""

import click

from csched.report.rendering import to_json

_MODELS = {
    "fleet": "csched.domain.site:Fleet",
    "job": "csched.domain.job:Job",
    "jobs": "csched.domain.job:Job",
    "carbon": "csched.domain.carbon:CarbonOutlook",
    "policy": "csched_policies.rule:RuleText",
    "scenario": "csched_sim.scenario:Scenario",
    "sweep": "csched_sim.sweep:Sweep",
    "hardware": "csched.domain.hardware:Hardware",
    "snapshot": "csched.domain.snapshot:Snapshot",
    "plan": "csched.domain.plan:Plan",
    "option": "csched.domain.plan:SiteOption",
    "ledger": "csched.domain.ledger:LedgerEntry",
    "settings": "csched.settings:Settings",
}


@click.command()
@click.argument("name", type=click.Choice(sorted(_MODELS)))
def command(name: str) -> None:
    """Print the JSON Schema (2020-12) of a format that csched reads or writes.

    `jobs` is one row of a jobs file; `carbon` is what a snapshot holds of the sky.

    \b
    Examples:
      csched schema fleet > fleet.schema.json
      csched schema plan
    """
    from importlib import import_module

    from csched.formats.json_schema import json_schema

    module, _, attribute = _MODELS[name].partition(":")
    click.echo(to_json(json_schema(getattr(import_module(module), attribute))))

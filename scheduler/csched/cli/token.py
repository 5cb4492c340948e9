"""csched token: who may use the HTTP API."""

from contextlib import closing

import click

from csched.cli.output import Output, output_options
from csched.errors import InputError
from csched.report.rendering import Rendered, Table


@click.group()
def command() -> None:
    """Make, list and revoke tokens for the HTTP API."""


@command.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(["user", "admin", "agent"]),
    default="user",
    show_default=True,
    help="A user sees and changes the jobs of NAME, an admin those of all; an agent serves the site NAME.",
)
@output_options
def create(output: Output, name: str, role: str) -> None:
    """Make a token for NAME. It is shown this once; only its SHA-256 is kept.

    \b
    Examples:
      csched token create ada
      curl -H "Authorization: Bearer $(csched token create ada --quiet)" localhost:8080/api/v1/jobs
    """
    from csched.app import open_app

    if not 1 <= len(name) <= 64 or not name.isprintable():
        raise click.BadParameter("1 to 64 printable characters", param_hint="NAME")
    with closing(open_app()) as app:
        token, secret = app.store.create_token(name, role)
        document = {**token.model_dump(mode="json"), "token": secret}
        said = f"Token {token.id} for {name} ({role}): keep it, it is not shown again."
        output.show(Rendered(document, [secret], [secret, said]))


@command.command(name="list")
@output_options
def list_(output: Output) -> None:
    """List tokens, without their secrets."""
    from csched.app import open_app
    from csched.report.words import moment

    with closing(open_app()) as app:
        tokens = app.store.tokens()
        rows = [(str(token.id), token.name, token.role, moment(token.created)) for token in tokens]
        document = {"tokens": [token.model_dump(mode="json") for token in tokens]}
        table = Table((">ID", "NAME", "ROLE", "CREATED"), rows)
        output.show(Rendered(document, [token.id for token in tokens], [table]))


@command.command()
@click.argument("token_id", metavar="ID", type=click.IntRange(min=1))
@output_options
def revoke(output: Output, token_id: int) -> None:
    """Make a token worthless from now on.

    \b
    Example:
      csched token revoke 3
    """
    from csched.app import open_app

    with closing(open_app()) as app:
        if not app.store.revoke_token(token_id):
            raise InputError(f"there is no token `{token_id}`", hint="csched token list")
        output.show(Rendered({"id": token_id, "revoked": True}, [token_id], [f"Revoked token {token_id}"]))

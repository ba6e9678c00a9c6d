"""`headrace token`: an access token, for curl and other programs."""

import typer

from headrace_cli.session import Session


def register(app: typer.Typer) -> None:
    app.command()(token)


def token(context: typer.Context) -> None:
    """Print an access token, for curl.

    Like this: curl -H "Authorization: Bearer $(headrace token)" http://127.0.0.1:8080/v1/workflows
    """
    from headrace_cli.client import SIGN_IN
    from headrace_cli.errors import NotAllowedError

    session = Session.of(context)
    with session.client() as client:
        access_token = client.access_token()
    if access_token is None:
        raise NotAllowedError(f"There are no credentials for {session.url}.", SIGN_IN)
    if session.json:
        session.print_json({"accessToken": access_token})
    else:
        typer.echo(access_token)

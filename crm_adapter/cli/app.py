"""The commands of `timeweb-crm`: names, options and help. What they do is loaded when one of them is called."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from crm_adapter.cli.output import DONE, CommandError, Output, tolerate_encodings
from crm_adapter.interruption import exit_code, signals
from crm_adapter.text.help import INTERRUPTED, in_russian, said, wrong_command

_INTERRUPTED = 130


class _Command(TyperCommand):
    """A command whose whole help is in one language."""

    def get_help(self, ctx: Any) -> str:
        return in_russian(super().get_help(ctx))


class _Group(TyperGroup):
    """The list of commands, in one language as well."""

    def get_help(self, ctx: Any) -> str:
        return in_russian(super().get_help(ctx))


app = typer.Typer(
    name="timeweb-crm",
    cls=_Group,
    help=said("app"),
    epilog=said("codes"),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help=said("json"))]
Database = Annotated[str | None, typer.Option("--database", metavar="URL", help=said("database"))]
AllRows = Annotated[bool, typer.Option("--all", help=said("all"))]
NoImport = Annotated[bool, typer.Option("--no-import", help=said("no_import"))]


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; nothing but a defect of ours leaves as a traceback."""
    tolerate_encodings()
    output = Output(as_json="--json" in arguments)
    try:
        with signals():
            code = app(args=arguments, prog_name="timeweb-crm", standalone_mode=False)
    except CommandError as error:
        return _told(output, error)
    except (typer.Abort, KeyboardInterrupt):
        code = exit_code() or _INTERRUPTED
    except Exception as error:
        # Usage errors of typer; its class moved between versions, its method did not.
        if (describe := getattr(error, "format_message", None)) is not None:
            return _told(output, CommandError("usage", wrong_command(describe()), hint=said("see_help")))
        from crm_adapter.cli.runtime import explanation

        if (explained := explanation(error)) is None:
            raise
        return _told(output, explained)
    # Typer keeps Ctrl+C to itself and returns what a shell calls it; SIGTERM has a number of its own.
    if code in {_INTERRUPTED, exit_code()}:
        code = exit_code() or _INTERRUPTED
        output.error(CommandError("interrupted", INTERRUPTED))
    return int(code or DONE)


def _told(output: Output, error: CommandError) -> int:
    output.error(error)
    return error.exit_code


@app.callback()
def options(verbose: Annotated[bool, typer.Option("--verbose", "-v", help=said("verbose"))] = False) -> None:
    """What stands before the command."""
    Output(as_json=False).logs(verbose=verbose)


@app.command(cls=_Command, help=said("demo"))
def demo(
    database: Annotated[str, typer.Option("--database", metavar="PATH", help=said("demo_database"))] = "timeweb-demo.sqlite3",
    as_json: Json = False,
) -> int:
    from crm_adapter.cli import demo as command

    return command.run(database, Output(as_json=as_json))


@app.command(cls=_Command, help=said("migrate"))
def migrate(
    database: Database = None,
    table: Annotated[str | None, typer.Option(metavar="NAME", help=said("table"))] = None,
    downgrade: Annotated[bool, typer.Option("--downgrade", help=said("downgrade"))] = False,
    yes: Annotated[bool, typer.Option("--yes", help=said("yes"))] = False,
    as_json: Json = False,
) -> int:
    from crm_adapter.cli import commands

    return commands.migrate(database, Output(as_json=as_json), table=table, downgrade=downgrade, yes=yes)


@app.command(cls=_Command, help=said("plan"))
def plan(all_rows: AllRows = False, no_import: NoImport = False, database: Database = None, as_json: Json = False) -> int:
    from crm_adapter.cli import commands

    return commands.plan(database, Output(as_json=as_json), all_rows=all_rows, no_import=no_import)


@app.command(cls=_Command, help=said("sync"))
def sync(
    if_stale: Annotated[int | None, typer.Option("--if-stale", metavar="N", min=1, help=said("if_stale"))] = None,
    all_rows: AllRows = False,
    no_import: NoImport = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    from crm_adapter.cli import commands

    output = Output(as_json=as_json)
    return commands.sync(database, output, if_stale=if_stale, all_rows=all_rows, no_import=no_import)


@app.command("import", cls=_Command, help=said("import"))
def import_(
    server_ids: Annotated[list[int], typer.Argument(metavar="ID…", help=said("ids"), min=1)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help=said("dry_run"))] = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    from crm_adapter.cli import commands

    return commands.import_servers(database, Output(as_json=as_json), server_ids, dry_run=dry_run)


@app.command(cls=_Command, help=said("servers"))
def servers(
    search: Annotated[str, typer.Option("--search", metavar="TEXT", help=said("search"))] = "",
    database: Database = None,
    as_json: Json = False,
) -> int:
    from crm_adapter.cli import commands

    return commands.servers(database, Output(as_json=as_json), search)


@app.command(cls=_Command, help=said("services"))
def services(
    search: Annotated[str, typer.Option("--search", metavar="TEXT", help=said("search_services"))] = "",
    kind: Annotated[str, typer.Option("--type", metavar="TYPE", help=said("service_type"))] = "",
    client: Annotated[str, typer.Option("--client", metavar="NAME", help=said("service_client"))] = "",
    unowned: Annotated[bool, typer.Option("--unowned", help=said("unowned"))] = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    from crm_adapter.cli import commands

    return commands.services(database, Output(as_json=as_json), search, kind=kind, client=client, unowned=unowned)


@app.command(cls=_Command, help=said("runs"))
def runs(
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help=said("limit"))] = 20,
    database: Database = None,
    as_json: Json = False,
) -> int:
    from crm_adapter.cli import commands

    return commands.runs(database, Output(as_json=as_json), limit)


@app.command(cls=_Command, help=said("doctor"))
def doctor(database: Database = None, as_json: Json = False) -> int:
    from crm_adapter.cli import commands

    return commands.doctor(database, Output(as_json=as_json))


@app.command(cls=_Command, help=said("serve"))
def serve(
    host: Annotated[str, typer.Option(metavar="HOST", help=said("host"))] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help=said("port"))] = 8100,
    demo: Annotated[bool, typer.Option("--demo", help=said("serve_demo"))] = False,
    jobs: Annotated[bool, typer.Option("--jobs", help=said("jobs"))] = False,
    no_link: Annotated[bool, typer.Option("--no-link", help=said("no_link"))] = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    from crm_adapter.cli import commands

    return commands.serve(database, Output(as_json=as_json), host, port, demo=demo, jobs=jobs, link=not no_link)


@app.command(cls=_Command, help=said("notify"))
def notify(database: Database = None, as_json: Json = False) -> int:
    from crm_adapter.cli import jobs, runtime

    return jobs.notify(runtime.settings_of(database), Output(as_json=as_json))


@app.command(cls=_Command, help=said("prune"))
def prune(database: Database = None, as_json: Json = False) -> int:
    from crm_adapter.cli import jobs, runtime

    return jobs.prune(runtime.settings_of(database), Output(as_json=as_json))


@app.command(cls=_Command, help=said("worker"))
def worker(
    interval: Annotated[float, typer.Option(metavar="S", min=1, help=said("interval"))] = 60,
    database: Database = None,
) -> int:
    from functools import partial

    from crm_adapter.cli import jobs, runtime

    return jobs.worker(runtime.settings_of(database), partial(runtime.read_settings, database), interval)

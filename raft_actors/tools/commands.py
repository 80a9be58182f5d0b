"""Commands: the commands of `raft-actors`. Each imports what it needs when it is called."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from raft_actors.node.tls import TlsOption, tls_of
from raft_actors.tools.cookie_commands import cookie
from raft_actors.tools.group_commands import add_group_commands
from raft_actors.tools.launch import LaunchPlan, run_until_signal
from raft_actors.tools.offline.commands import recover, run_migrate
from raft_actors.tools.peer_commands import run_reseed, run_status

__all__ = ["app"]

app: typer.Typer = typer.Typer(
    help="Raft for Python programs, as actors under supervision.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

SName = Annotated[str, typer.Option(help="Name of the node: `a` makes it a@<this host>.")]
Module = Annotated[
    str | None,
    typer.Option("-m", "--module", help="Module to import; its start() starts its tree."),
]
Start = Annotated[
    str | None,
    typer.Option(metavar="MODULE:FUNCTION", help="Function that starts the supervision tree."),
]
AskCookie = Annotated[
    bool,
    typer.Option(
        "--ask-cookie",
        help="Ask for the cookie at the terminal; else RAFT_ACTORS_COOKIE, then the user's cookie "
        "file. There is no option for the cookie itself: other users can read a command line.",
    ),
]
Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0: any free port.")]


class Level(StrEnum):
    """The lowest level of the log that is shown."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


LogLevel = Annotated[
    Level | None,
    typer.Option(
        help="Log from this level on; else warnings, and the present leader. info: commands that "
        "raised, with file and line; debug: their tracebacks."
    ),
]
AutoTls = Annotated[
    str | None,
    typer.Option(
        "--tls",
        metavar="auto",
        help="Encrypt with a certificate that is made at the start; nodes are authenticated by "
        "the cookie. All nodes of a cluster need it; else RAFT_ACTORS_TLS.",
    ),
]
TlsCert = Annotated[
    Path | None,
    typer.Option(help="Encrypt with this certificate (PEM); else RAFT_ACTORS_TLS_CERT."),
]
TlsKey = Annotated[Path | None, typer.Option(help="Its private key; else RAFT_ACTORS_TLS_KEY.")]
TlsCa = Annotated[
    Path | None,
    typer.Option(help="Authorities of the nodes' certificates; else RAFT_ACTORS_TLS_CA."),
]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME|NETWORK",
        help="Let only these nodes connect, by name (a@*) and by network (10.0.0.0/8); may be "
        "given several times.",
    ),
]
AuditLog = Annotated[
    Path | None,
    typer.Option(help="Write events that concern security to this file, as lines of JSON."),
]
DataDir = Annotated[Path | None, typer.Option(help="Directory in which peers keep their logs.")]


def tls_plan(auto: str | None, *paths: Path | None) -> TlsOption | None:
    parts = ("cert", "key", "ca")
    found = {part: str(path) if path else None for part, path in zip(parts, paths, strict=True)}
    return tls_of("--tls", auto, {part: f"--tls-{part}" for part in parts}, found)


def cookie_asked(*, wanted: bool) -> str | None:
    return str(typer.prompt("Cookie", hide_input=True, err=True)) if wanted else None


def show_version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        try:
            version = metadata.version("raft_actors")
        except metadata.PackageNotFoundError:
            version = "(run from its sources, not installed)"
        typer.echo(f"raft-actors {version}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Raft for Python programs, as actors under supervision."""


@app.command()
def shell(
    sname: SName,
    module: Module = None,
    start: Start = None,
    ask_cookie: AskCookie = False,
    host: Host = "127.0.0.1",
    port: Port = 0,
    tls: AutoTls = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_ca: TlsCa = None,
    data_dir: DataDir = None,
    allow: Allow = None,
    audit_log: AuditLog = None,
) -> None:
    """Start a node with an IPython shell. Ctrl-C interrupts a wait, Ctrl-D ends the shell."""
    from raft_actors.tools.shell import run_shell

    plan = LaunchPlan(
        sname=sname, module=module, start=start, cookie=cookie_asked(wanted=ask_cookie), host=host,
        port=port,
        tls=tls_plan(tls, tls_cert, tls_key, tls_ca), data_dir=data_dir,
        allow=tuple(allow or ()), audit_log=audit_log,
    )  # fmt: skip
    raise typer.Exit(run_shell(plan))


@app.command()
def node(
    sname: SName,
    module: Module = None,
    start: Start = None,
    ask_cookie: AskCookie = False,
    host: Host = "127.0.0.1",
    port: Port = 0,
    tls: AutoTls = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_ca: TlsCa = None,
    data_dir: DataDir = None,
    log_level: LogLevel = None,
    allow: Allow = None,
    audit_log: AuditLog = None,
) -> None:
    """Start a node without a prompt. It runs until SIGTERM or Ctrl-C."""
    plan = LaunchPlan(
        sname=sname, module=module, start=start, cookie=cookie_asked(wanted=ask_cookie), host=host,
        port=port,
        tls=tls_plan(tls, tls_cert, tls_key, tls_ca), data_dir=data_dir,
        log_level=log_level and log_level.name, allow=tuple(allow or ()), audit_log=audit_log,
    )  # fmt: skip
    raise typer.Exit(run_until_signal(plan))


class Restart(StrEnum):
    """Whether a program that has ended by itself is started again."""

    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    NEVER = "never"


@app.command(context_settings={"allow_interspersed_args": False})
def run(
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND", help="The program and its arguments.")
    ],
    sname: SName,
    only_leader: Annotated[
        bool, typer.Option("--only-leader", help="Run it only where the group leads.")
    ] = False,
    members: Annotated[
        str,
        typer.Option(
            metavar="NODE,NODE,...",
            help="The nodes of the group, this one among them: the same at each. Not with -m.",
        ),
    ] = "",
    peer: Annotated[
        str | None, typer.Option(help="The peer that is to lead; with -m if it starts several.")
    ] = None,
    restart: Annotated[
        Restart, typer.Option(help="Whether to start it again where it has ended by itself.")
    ] = Restart.ALWAYS,
    shutdown: Annotated[
        float, typer.Option(min=0, help="Seconds between SIGTERM and SIGKILL for the program.")
    ] = 5.0,
    hand_over: Annotated[
        float, typer.Option(min=0, help="Seconds that the program has before the lead goes.")
    ] = 5.0,
    stop_within: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help="Seconds in which it has ended after the lead may be lost, and that the next "
            "leader waits; else four longest election timeouts.",
        ),
    ] = None,
    module: Module = None,
    start: Start = None,
    ask_cookie: AskCookie = False,
    host: Host = "127.0.0.1",
    port: Port = 0,
    tls: AutoTls = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_ca: TlsCa = None,
    data_dir: DataDir = None,
    log_level: LogLevel = None,
    allow: Allow = None,
    audit_log: AuditLog = None,
) -> None:
    """Any program, on one node of a group.

    `raft-actors run --only-leader --sname a --members a,b,c -- celery -A shop beat`. The program
    gets SIGTERM and then SIGKILL before another node starts it, and in RAFT_ACTORS_TERM a number
    that rises with each start.
    """
    from raft_actors.tools.run_only_leader import RunPlan, run_only_leader

    if not only_leader:
        raise typer.BadParameter("give --only-leader: so far there is no other way to run")
    if bool(members) == bool(module or start):
        raise typer.BadParameter(
            "give the nodes of the group by --members, or a module whose start() starts the peer"
        )
    plan = LaunchPlan(
        sname=sname, module=module, start=start, cookie=cookie_asked(wanted=ask_cookie), host=host,
        port=port,
        tls=tls_plan(tls, tls_cert, tls_key, tls_ca), data_dir=data_dir,
        log_level=log_level and log_level.name, allow=tuple(allow or ()), audit_log=audit_log,
    )  # fmt: skip
    nodes = tuple(name.strip() for name in members.split(",") if name.strip())
    raise typer.Exit(
        run_only_leader(
            RunPlan(
                launch=plan, command=tuple(command), peer=peer, members=nodes, restart=restart,
                shutdown=shutdown, hand_over=hand_over, stop_within=stop_within,
            )
        )
    )  # fmt: skip


@app.command()
def demo(
    seconds: Annotated[
        float, typer.Option(min=0.5, help="How long clients write before and after the crash.")
    ] = 2.0,
) -> None:
    """Show three nodes, a killed leader, and no lost write.

    The nodes run on this machine; at the end every acknowledged write is checked.
    """
    from raft_actors.tools.demo import run_demo

    raise typer.Exit(run_demo(write_s=seconds))


@app.command()
def simulate(
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds.")] = 1_000,
    steps: Annotated[
        int, typer.Option(min=1, help="Steps of each seed before all faults end.")
    ] = 3_000,
    first: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that run seeds in parallel.")] = 1,
    plan: Annotated[
        Path | None, typer.Option(help="Run only this file, which a seed that failed has written.")
    ] = None,
) -> None:
    """Run the protocol with simulated faults and clocks.

    A seed that fails is explained, and written to a file that can be run again."""
    from raft_actors.testing.simulation.plan_file import BadPlan
    from raft_actors.tools.simulate import run_plan, run_simulation

    if plan is not None:
        try:
            raise typer.Exit(run_plan(plan))
        except BadPlan as error:
            raise typer.BadParameter(str(error)) from error
    raise typer.Exit(run_simulation(seeds=seeds, steps=steps, first=first, jobs=jobs))


@app.command()
def torture(
    minutes: Annotated[float, typer.Option(min=0.05, help="How long the run lasts.")] = 5.0,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of the faults and calls; without it a new one is printed."),
    ] = None,
    nodes: Annotated[int, typer.Option(min=3, max=7, help="How many node processes.")] = 3,
    keep: Annotated[
        Path | None,
        typer.Option(help="Keep history, faults and logs in this directory in every case."),
    ] = None,
    faults: Annotated[
        str, typer.Option(help="Only these kinds, with commas between: kill_all,pause_leader.")
    ] = "",
) -> None:
    """Run real nodes under real faults, and check every answer."""
    from raft_actors.tools.torture.driver import TorturePlan, run_torture
    from raft_actors.tools.torture.faults import known_kinds

    kinds = tuple(kind.strip() for kind in faults.split(",") if kind.strip())
    if unknown := sorted(set(kinds) - known_kinds()):
        known = ", ".join(sorted(known_kinds()))
        raise typer.BadParameter(f"there is no fault {unknown[0]!r}; the faults are {known}")
    plan = TorturePlan(minutes=minutes, seed=seed, nodes=nodes, keep=keep, only=kinds)
    raise typer.Exit(run_torture(plan))


@app.command()
def bench(
    rounds: Annotated[int, typer.Option(min=1, help="How often each load is measured.")] = 3,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long each measurement lasts.")] = 3.0,
) -> None:
    """Measure rates, latency and failover of three local nodes.

    Their stores are durable, on the disk of the temporary directory.
    """
    from raft_actors.tools.bench.run import run_bench

    raise typer.Exit(run_bench(rounds=rounds, seconds=seconds))


app.command("migrate")(run_migrate)
app.command("status")(run_status)
app.command("reseed")(run_reseed)
add_group_commands(app)
app.add_typer(recover, name="recover")
app.add_typer(cookie, name="cookie")

trace: typer.Typer = typer.Typer(help="Traces that RAFT_TRACE has written; see docs/trace.md.",
                    no_args_is_help=True)  # fmt: skip
app.add_typer(trace, name="trace")


@trace.command()
def check(
    path: Annotated[Path, typer.Argument(help="The directory of all peers' traces, or one file.")],
) -> None:
    """Check traces against the rules of Raft.

    Prints the line of each file in which the first rule is broken.
    """
    from raft_actors.tools.trace_check.report import run_check

    raise typer.Exit(run_check(path))

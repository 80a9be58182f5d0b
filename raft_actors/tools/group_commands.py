"""Group commands: look at a running group, change it, write and read, by a light client."""

import ast
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from raft_actors.client import backup as backups
from raft_actors.client import membership
from raft_actors.client.findings import explanation_of
from raft_actors.client.group_table import group_table
from raft_actors.client.session_limits import limit_sessions
from raft_actors.client.statuses import ask_all
from raft_actors.core.configuration import named
from raft_actors.core.messages import LINEARIZABLE
from raft_actors.names import Address, check_node_name, check_peer_name
from raft_actors.tools.light_group import NO_QUORUM, LightGroup, end_with, in_json, opened

__all__ = ["add_group_commands"]

Target = Annotated[
    str,
    typer.Argument(
        metavar="GROUP", help="kv@10.0.0.1:4001, a raft:// URL, or - for RAFT_ACTORS_URL."
    ),
]
Timeout = Annotated[float, typer.Option(min=0.1, help="How long to wait, in seconds.")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would come out.")]
Peer = Annotated[str, typer.Argument(metavar="PEER", help="Name of the peer: kv.")]
OnNode = Annotated[str, typer.Argument(metavar="NODE", help="Its node: a@myhost.")]


def members(group: Target = "-", timeout: Timeout = 5.0, as_json: AsJson = False) -> None:
    """Show the members of a group, one line for each.

    Example: `raft-actors members kv@10.0.0.1:4001`.
    """
    with opened(group, timeout) as light:
        views, silent = ask_all(light.client.finder)
    typer.echo(in_json({**views, **silent}) if as_json else group_table(views, silent))
    raise typer.Exit(0 if views else NO_QUORUM)


def leader(group: Target = "-", timeout: Timeout = 5.0, as_json: AsJson = False) -> None:
    """Show who leads.

    Example: `raft-actors leader kv@10.0.0.1:4001`. Waits for a leader that is ready.
    """
    with opened(group, timeout) as light:
        leads = light.leader()
    typer.echo(in_json(leads) if as_json else named([leads]))


def explain(group: Target = "-", timeout: Timeout = 5.0, as_json: AsJson = False) -> None:
    """Say what is wrong with a group.

    Example: `raft-actors explain kv@10.0.0.1:4001`.
    """
    with opened(group, timeout) as light:
        explanation = explanation_of(*ask_all(light.client.finder))
    found = [asdict(each) for each in explanation.findings]
    typer.echo(in_json(found) if as_json else explanation)
    raise typer.Exit(NO_QUORUM if explanation.findings[0].severity == "down" else 0)


def health(group: Target = "-", timeout: Timeout = 5.0, as_json: AsJson = False) -> None:
    """Tell by the exit status whether a group works.

    Example: `raft-actors health kv@10.0.0.1:4001`. 0: nothing is wrong; 1: something is, and it
    works; 3: it is down.
    """
    with opened(group, timeout) as light:
        light.leader()
        first = explanation_of(*ask_all(light.client.finder)).findings[0]
    typer.echo(in_json(asdict(first)) if as_json else first.sentence)
    raise typer.Exit({"well": 0, "down": NO_QUORUM}.get(first.severity, 1))


def address(peer: str, node: str) -> Address:
    return check_peer_name(peer), check_node_name(node)


def asked(
    group: str, timeout: float, as_json: bool, what: Callable[[LightGroup, Address], Any]
) -> None:
    """Ask the leader for something, and show the answer."""
    with opened(group, timeout) as light:
        answer = what(light, light.leader())
    match answer:
        case ("ok", value):
            typer.echo(in_json(value) if as_json else repr(value))
        case ("error", "not_allowed"):
            end_with("this needs the cookie of a member, and this one is another", 1)
        case ("error", ("timeout" | "election_in_progress" | "outcome_unknown") as reason):
            end_with(f"no answer: {reason}; see docs/errors.md", NO_QUORUM)
        case (_, reason):
            end_with(f"refused: {reason!r}; see docs/errors.md", 1)


def add(
    group: Target, peer: Peer, node: OnNode, learner: bool = False, witness: bool = False,
    dry_run: DryRun = False, timeout: Timeout = 60.0, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Add a running peer to a group.

    Example: `raft-actors add kv@10.0.0.1:4001 kv d@myhost`.
    """
    if learner and witness:
        raise typer.BadParameter("give --learner or --witness, not both")
    part = membership.part_of(learner, witness)
    asked(
        group, timeout, as_json,
        lambda light, leads: membership.add(
            leads, address(peer, node), part, dry_run=dry_run, timeout=light.left_s
        ),
    )  # fmt: skip


def remove(
    group: Target, peer: Peer, node: OnNode, dry_run: DryRun = False, timeout: Timeout = 60.0,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Remove a member.

    Example: `raft-actors remove kv@10.0.0.1:4001 kv d@myhost --dry-run`.
    """
    asked(
        group, timeout, as_json,
        lambda light, leads: membership.remove(
            leads, address(peer, node), dry_run=dry_run, timeout=light.left_s
        ),
    )  # fmt: skip


def promote(
    group: Target, peer: Peer, node: OnNode, dry_run: DryRun = False, timeout: Timeout = 60.0,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Let a learner vote.

    Example: `raft-actors promote kv@10.0.0.1:4001 kv d@myhost`.
    """
    to = address(peer, node)
    asked(group, timeout, as_json,
          lambda _, leads: membership.promote(leads, to, dry_run=dry_run))  # fmt: skip


def demote(
    group: Target, peer: Peer, node: OnNode, dry_run: DryRun = False, timeout: Timeout = 60.0,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Make a voter a learner.

    Example: `raft-actors demote kv@10.0.0.1:4001 kv d@myhost`.
    """
    to = address(peer, node)
    asked(group, timeout, as_json,
          lambda _, leads: membership.demote(leads, to, dry_run=dry_run))  # fmt: skip


def transfer(
    group: Target, peer: Peer, node: OnNode, timeout: Timeout = 10.0, as_json: AsJson = False
) -> None:
    """Let another member lead.

    Example: `raft-actors transfer kv@10.0.0.1:4001 kv b@myhost`.
    """
    asked(group, timeout, as_json,
          lambda _, leads: membership.transfer_leadership(leads, address(peer, node)))  # fmt: skip


def snapshot(
    group: Target, peer: Peer, node: OnNode, timeout: Timeout = 60.0, as_json: AsJson = False
) -> None:
    """Have one member take a snapshot.

    Example: `raft-actors snapshot kv@10.0.0.1:4001 kv a@myhost`.
    """
    asked(group, timeout, as_json,
          lambda light, _: backups.snapshot(address(peer, node), light.left_s))  # fmt: skip


def backup(group: Target, file: Path, timeout: Timeout = 60.0, as_json: AsJson = False) -> None:
    """Write the group's state to a new file.

    Example: `raft-actors backup kv@10.0.0.1:4001 kv.backup`.
    """
    asked(group, timeout, as_json,
          lambda light, leads: backups.download(leads, file.absolute(), light.left_s))  # fmt: skip


def sessions(
    group: Target,
    sessions_max: Annotated[int | None, typer.Option(min=1, help="Most sessions.")] = None,
    session_s: Annotated[float | None, typer.Option(help="Seconds without a command.")] = None,
    timeout: Timeout = 10.0, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Limit a group's sessions.

    Example: `raft-actors limit-sessions - --session-s 600`.
    """
    if sessions_max is None and session_s is None:
        raise typer.BadParameter("give --sessions-max, --session-s, or both")
    asked(group, timeout, as_json,
          lambda _, leads: limit_sessions(leads, sessions_max, session_s))  # fmt: skip


Term = Annotated[str, typer.Argument(metavar="TERM", help="A Python literal: \"('get', 'k')\".")]


def literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError) as error:
        raise typer.BadParameter(
            f"{text!r} is no Python literal, as \"('get', 'k')\" is: {error}"
        ) from error


def write(group: Target, term: Term, timeout: Timeout = 10.0, as_json: AsJson = False) -> None:
    """Have a command applied once.

    Example: `raft-actors write - "('set', 'k', 1)"`.
    """
    value = literal(term)
    with opened(group, timeout) as light:
        light.leader()
        reply = light.client.finish(light.client.begin(value, light.left_s))
    typer.echo(in_json(reply) if as_json else repr(reply))


def read(group: Target, term: Term, timeout: Timeout = 10.0, as_json: AsJson = False) -> None:
    """Ask the state machine.

    Example: `raft-actors read - "('get', 'k')"`. It sees every write before.
    """
    value = literal(term)
    with opened(group, timeout) as light:
        light.leader()
        client = light.client
        call = client.read_call(value, light.left_s, LINEARIZABLE, None, 0, None)
        reply = client.finish(client.send(call))
    typer.echo(in_json(reply) if as_json else repr(reply))


def add_group_commands(app: typer.Typer) -> None:
    for function in (members, leader, explain, health, add, remove, promote, demote, transfer,
                     snapshot, backup, write, read):  # fmt: skip
        app.command()(function)
    app.command("limit-sessions")(sessions)

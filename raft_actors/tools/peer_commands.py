"""Peer commands: ask a running peer, from any host that has the cookie.

The command is a node for as long as it runs. Cookie and TLS are taken from the environment and from
the user's files, as by every node.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from raft_actors.tools.launch import LaunchPlan, launch
from raft_actors.tools.light_group import in_json

if TYPE_CHECKING:
    from raft_actors.client.answers import Failure

__all__ = ["run_reseed", "run_status"]

PeerName = Annotated[str, typer.Argument(metavar="PEER", help="Name of the peer: peer1.")]
NodeName = Annotated[str, typer.Argument(metavar="NODE", help="Its node: a@myhost.")]
Timeout = Annotated[float, typer.Option(min=0.1, help="How long to wait, in seconds.")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


@contextmanager
def as_a_node() -> Iterator[None]:
    """Be a node that no other one can be confused with."""
    with launch(LaunchPlan(sname=f"cli-{os.getpid()}", log_level="ERROR")):
        yield


def run_status(peer: PeerName, node: NodeName, as_json: AsJson = False) -> None:
    """Show the status of a running peer, and its troubles.

    The troubles say what to do. The exit status is 1 if there are any.
    """
    from raft_actors.raft import Raft

    with as_a_node():
        answer = Raft.status((peer, node))
    if answer[0] != "ok":
        refuse(peer, node, answer)
    status: dict[str, Any] = {**answer[1]}
    troubles: list[str] = status.pop("troubles", [])
    if as_json:
        typer.echo(in_json({**status, "troubles": troubles}))
    else:
        width = max(map(len, status))
        for field, value in status.items():
            typer.echo(f"{field:<{width}}  {value}")
        for text in troubles:
            typer.echo(f"\n{text}")
    raise typer.Exit(1 if troubles else 0)


def run_reseed(peer: PeerName, node: NodeName, timeout: Timeout = 60.0) -> None:
    """Give a running peer the state of its leader.

    For a peer whose own state differs; its log and its votes stay. See docs/divergence.md.
    """
    from raft_actors.raft import Raft

    with as_a_node():
        answer = Raft.reseed((peer, node), timeout)
    if answer[0] != "ok":
        refuse(peer, node, answer)
    typer.echo(
        f"{peer} on {node} has the state of its leader, from a snapshot of entry {answer[1]}"
    )


def refuse(peer: str, node: str, answer: "Failure") -> NoReturn:
    typer.echo(f"raft-actors: {peer} on {node} answers {answer[1]!r}; see docs/errors.md", err=True)
    raise typer.Exit(1)

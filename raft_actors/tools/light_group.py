"""Light group: a running group, for one command of the command line, by a client without a name."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import typer

from raft_actors.client.findings import explanation_of
from raft_actors.client.leader_finder import routed_by
from raft_actors.client.light_client import LightClient, group_of, url_in_environment
from raft_actors.client.statuses import ask_all
from raft_actors.errors import NoLeader, NotAllowed, RaftError, Unavailable
from raft_actors.names import Address

__all__ = ["NO_QUORUM", "LightGroup", "end_with", "in_json", "opened"]

NO_QUORUM = 3
FROM_ENVIRONMENT = "-"


@dataclass(slots=True)
class LightGroup:
    """A group that can be asked until the deadline, in seconds of the monotonic clock."""

    client: LightClient
    deadline: float

    @property
    def left_s(self) -> float:
        return max(0.1, self.deadline - time.monotonic())

    def leader(self) -> Address:
        """Wait for a leader that is ready. Without one the command ends with an explanation."""
        while True:
            views, silent = ask_all(self.client.finder)
            for peer, view in views.items():
                if view["current_state"] == "leader" and view["ready"]:
                    return peer
            if time.monotonic() > self.deadline:
                typer.echo(f"raft-actors: {explanation_of(views, silent).sentences[0]}", err=True)
                raise typer.Exit(NO_QUORUM)
            time.sleep(0.1)


@contextmanager
def opened(target: str, timeout: float) -> Iterator[LightGroup]:
    """Open the group of a command. An error ends the command with a line and an exit status."""
    try:
        url = url_in_environment() if target == FROM_ENVIRONMENT else target
        group = group_of(url if "://" in url else f"raft://{url}", None)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    client = LightClient(group, None, None, timeout)
    try:
        with routed_by(client.finder.router):
            yield LightGroup(client, time.monotonic() + timeout)
    except (NoLeader, Unavailable) as error:
        end_with(f"{error}", NO_QUORUM)
    except NotAllowed as error:
        end_with(f"{error}. {COOKIE_NEEDED}", 1)
    except RaftError as error:
        end_with(f"{error}", 1)
    finally:
        client.close()


COOKIE_NEEDED = (
    "This command needs the cookie of a member, in RAFT_ACTORS_COOKIE or in the user's cookie "
    "file; `write` also works with a client's, and what only reads with a reader's"
)


def end_with(text: str, status: int) -> NoReturn:
    typer.echo(f"raft-actors: {text}", err=True)
    raise typer.Exit(status)


def in_json(value: Any) -> str:
    return json.dumps(plain(value), default=repr)


def plain(value: Any) -> Any:
    """Return the value with names for addresses where JSON has only names: as keys."""
    if isinstance(value, Mapping):
        return {key_of(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def key_of(key: Any) -> str:
    match key:
        case (str(name), str(node)):
            return f"{name} on {node}"
    return str(key)

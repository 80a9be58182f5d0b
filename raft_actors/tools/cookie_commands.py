"""Cookie commands: make cookies, replace them by new ones, and list them."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from raft_actors.errors import RaftError
from raft_actors.node.cookie_file import (
    keys_in,
    lines_in,
    make_file,
    new_secret,
    path_of,
    replace_file,
)
from raft_actors.wire.cookie import Cookie, UnsafeCookie
from raft_actors.wire.keyring import COOKIES_MAX
from raft_actors.wire.roles import MEMBER, ROLES

__all__ = ["cookie"]

cookie: typer.Typer = typer.Typer(
    help="The cookies of this user's nodes; see docs/nodes.md.", no_args_is_help=True
)


class Role(StrEnum):
    """The role of a cookie."""

    MEMBER = "member"
    CLIENT = "client"
    READER = "reader"


class Guest(StrEnum):
    """The roles whose cookies a member's cookie makes."""

    CLIENT = "client"
    READER = "reader"


OfRole = Annotated[Role, typer.Option(help="Role of the cookie.")]


@cookie.command()
def new(role: OfRole = Role.MEMBER) -> None:
    """Make a cookie, if this user has none of this role."""
    path = path_of(role)
    try:
        made = make_file(path, [new_secret(role)])
    except OSError as error:
        raise UnsafeCookie(f"{path} can't be made: {error}") from error
    if not made:
        command = f"raft-actors cookie rotate{option_for(role)}"
        raise RaftError(f"{path} exists already: replace it by `{command}`")
    typer.echo(f"made {path}: copy it to the other hosts")


@cookie.command()
def derive(
    role: Annotated[Guest, typer.Argument(help="Role of the new cookie.")],
    file: Annotated[Path, typer.Argument(help="The file to make.")],
) -> None:
    """Make a client's or a reader's cookie from the member's cookie. Members accept it.

    Copy the file to the client's host as ~/.config/raft_actors/client-cookie (or reader-cookie).
    """
    lines = [Cookie(line).text_for(role).encode() for line in present(MEMBER)]
    try:
        made = make_file(file, lines)
    except OSError as error:
        raise UnsafeCookie(f"{file} can't be made: {error}") from error
    if not made:
        raise RaftError(f"{file} exists already: remove it, or give another name")
    typer.echo(f"made {file}: move it to {path_of(role)} of the {role}'s user on the {role}'s host")


@cookie.command()
def rotate(
    role: OfRole = Role.MEMBER,
    finish: Annotated[bool, typer.Option("--finish", help="Keep only the new cookie.")] = False,
) -> None:
    """Replace a cookie by a new one while nodes run, in two steps.

    Without --finish a new cookie is added, and the old one is still accepted. Copy the file to
    every host. When all hosts have it, run it with --finish, and copy the file again. Clients with
    a cookie that was derived from a member's need a newly derived one before --finish.
    """
    lines = present(role)
    if finish and len(lines) == 1:
        raise RaftError(f"{path_of(role)} has one cookie only: there is nothing to finish")
    if not finish and len(lines) >= COOKIES_MAX:
        raise RaftError(
            f"{path_of(role)} has {len(lines)} cookies already: run with --finish first"
        )
    lines = lines[:1] if finish else [new_secret(role), *lines]
    try:
        replace_file(path_of(role), lines)
    except OSError as error:
        raise UnsafeCookie(f"{path_of(role)} can't be written: {error}") from error
    ids = ", ".join(Cookie(line).id.hex() for line in lines)
    typer.echo(f"{path_of(role)} now has {ids}: copy it to every other host")
    if finish:
        return
    if role == Role.MEMBER:
        typer.echo(
            "if clients or readers have a derived cookie, derive it again, and give it to them"
        )
    command = f"raft-actors cookie rotate{option_for(role)} --finish"
    typer.echo(f"when all have it, run `{command}`, and copy it again")


def option_for(role: str) -> str:
    return "" if role == MEMBER else f" --role {role}"


@cookie.command("show-id")
def show_id() -> None:
    """Print the ids of the cookies that a node of this user would use and accept.

    By their ids one can see whether two hosts have the same cookie. An id does not reveal it.
    """
    keys, path = keys_in(path_of(MEMBER).parent)
    typer.echo(f"{path.parent}, a {keys.role}'s:")
    for number, each in enumerate(keys.own):
        typer.echo(f"  {each.id.hex()}  {each.role}, {'accepted' if number else 'used first'}")
    for role in ROLES[1:]:
        for each in keys.accepted:
            if each.role == role != keys.role:
                typer.echo(f"  {each.id.hex()}  {role}, accepted")


def present(role: str) -> list[bytes]:
    """Return the cookies in the file of a role. Raises UnsafeCookie if there is none."""
    path = path_of(role)
    try:
        lines = lines_in(path)
    except OSError as error:
        raise UnsafeCookie(f"{path} can't be read: {error}") from error
    if not lines:
        others = [each for each in ROLES if each != role and path_of(each).exists()]
        if role == MEMBER and others:
            raise UnsafeCookie(
                f"there is no {path}: this user is a {others[0]}. Do this on a member's host, or, "
                f"for the {others[0]}'s own cookie, give --role {others[0]}"
            )
        raise UnsafeCookie(
            f"there is no {path}: make it by `raft-actors cookie new{option_for(role)}`"
        )
    return lines

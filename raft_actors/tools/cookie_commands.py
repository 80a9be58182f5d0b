"""Cookie commands: make cookies, exchange them for new ones, and say which there are."""

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

cookie = typer.Typer(
    help="The cookies of this user's nodes; see docs/nodes.md.", no_args_is_help=True
)


class Role(StrEnum):
    """Of whom the cookie is."""

    MEMBER = "member"
    CLIENT = "client"
    READER = "reader"


class Guest(StrEnum):
    """For whom a member's cookie makes one."""

    CLIENT = "client"
    READER = "reader"


OfRole = Annotated[Role, typer.Option(help="Whose cookie.")]


@cookie.command()
def new(role: OfRole = Role.MEMBER) -> None:
    """Make a cookie where there is none."""
    path = path_of(role)
    try:
        made = make_file(path, [new_secret(role)])
    except OSError as error:
        raise UnsafeCookie(f"{path} can't be made: {error}") from error
    if not made:
        command = f"raft-actors cookie rotate{option_for(role)}"
        raise RaftError(f"{path} is there already: `{command}` exchanges it")
    typer.echo(f"made {path}: copy it to the other hosts")


@cookie.command()
def derive(
    role: Annotated[Guest, typer.Argument(help="For whom.")],
    file: Annotated[Path, typer.Argument(help="The file to make.")],
) -> None:
    """Make a client's or a reader's cookie from the member's; members take it as it is.

    Copy the file to the client's host as ~/.config/raft_actors/client-cookie (or reader-cookie).
    """
    lines = [Cookie(line).text_for(role).encode() for line in present(MEMBER)]
    try:
        made = make_file(file, lines)
    except OSError as error:
        raise UnsafeCookie(f"{file} can't be made: {error}") from error
    if not made:
        raise RaftError(f"{file} is there already: remove it, or give another name")
    typer.echo(f"made {file}: move it to the {role}'s host, as {path_of(role)} of its user there")


@cookie.command()
def rotate(
    role: OfRole = Role.MEMBER,
    finish: Annotated[bool, typer.Option("--finish", help="Only the new one stays.")] = False,
) -> None:
    """Exchange a cookie for a new one while nodes run, in two steps.

    Without --finish: a new one comes first, and that of before is accepted, too. Copy the file to
    every host. When all have it: --finish, and copy it again. Clients whose cookie was derived from
    a member's need a newly derived one before --finish.
    """
    lines = present(role)
    if finish and len(lines) == 1:
        raise RaftError(f"{path_of(role)} has one cookie only: there is nothing to finish")
    if not finish and len(lines) >= COOKIES_MAX:
        raise RaftError(
            f"{path_of(role)} has {len(lines)} cookies: finish the exchange before, with --finish"
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
            "if clients or readers have a derived cookie: derive it again, and give it to them"
        )
    command = f"raft-actors cookie rotate{option_for(role)} --finish"
    typer.echo(f"when all have it: {command}, and copy it again")


def option_for(role: str) -> str:
    return "" if role == MEMBER else f" --role {role}"


@cookie.command("show-id")
def show_id() -> None:
    """Say which cookies a node of this user would use and accept, by their ids.

    An id tells whether two hosts have the same cookie, and does not give the cookie away.
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
    """Return the cookies in the file of a role. Raises UnsafeCookie where there is none."""
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
            f"there is no {path}: `raft-actors cookie new{option_for(role)}` makes it"
        )
    return lines

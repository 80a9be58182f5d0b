"""Keyring: the cookies of one node. While cookies are exchanged for new ones there are several.

A node dials with cookies of its own role only: a member that could be answered with a client's
cookie would take whoever has one for another member. It is dialed with all that it knows, and so
a member is reached by clients and readers, too.
"""

from collections.abc import Iterable
from typing import NoReturn

from raft_actors.wire.cookie import Cookie, UnsafeCookie
from raft_actors.wire.roles import CLIENT, MEMBER, READER, ROLES

__all__ = ["COOKIES_MAX", "Keyring"]

COOKIES_MAX = 4
"""Of each role: their ids go into the first message of a handshake."""


class Keyring:
    """What a node proves, and what it lets others prove.

    role  of the node itself
    own   its cookies, the one to be used first at the front
    """

    __slots__ = ("_known", "own", "role")

    def __init__(self, own: Iterable[Cookie], guests: Iterable[Cookie] | None = None) -> None:
        """`guests`  what clients and readers prove to this member; None: what its cookies make.

        Raises UnsafeCookie for cookies of several roles, and for too many.
        """
        self.own = list(own)
        self.role = self.own[0].role
        if guests is None:
            guests = [guest for role in (CLIENT, READER) for guest in derived(self.own, role)]
        elif self.role != MEMBER:
            raise ValueError("only a member takes others in")
        self._known = {cookie.id: cookie for cookie in (*guests, *self.own)}
        for role in ROLES:
            count = sum(cookie.role == role for cookie in self._known.values())
            if count > COOKIES_MAX:
                raise UnsafeCookie(
                    f"{count} cookies of role {role}: {COOKIES_MAX} are the most, and two are "
                    "enough while one replaces the other"
                )
        if any(cookie.role != self.role for cookie in self.own):
            raise UnsafeCookie(
                "cookies of several roles in one place: those of a member are in the file cookie, "
                "those of clients in client-cookie, those of readers in reader-cookie"
            )

    @classmethod
    def of(cls, *secrets: str | bytes | Cookie) -> "Keyring":
        """Return one of secrets, or cookies, of one role."""
        return cls(each if isinstance(each, Cookie) else Cookie(each) for each in secrets)

    def __repr__(self) -> str:
        return f"<Keyring of a {self.role}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a cookie does not travel")

    @property
    def ids(self) -> list[bytes]:
        """What a dialer offers."""
        return [cookie.id for cookie in self.own]

    def offered(self, cookie_id: object) -> Cookie | None:
        """Return the cookie of its own that an acceptor has chosen, if it is one."""
        return next((cookie for cookie in self.own if cookie.id == cookie_id), None)

    def chosen(self, offered: Iterable[object]) -> Cookie | None:
        """Return the first of those that a dialer offers that is known here."""
        for each in offered:
            if type(each) is bytes and (cookie := self._known.get(each)) is not None:
                return cookie
        return None

    @property
    def accepted(self) -> list[Cookie]:
        return list(self._known.values())


def derived(own: list[Cookie], role: str) -> list[Cookie]:
    """Return the cookies of a lesser role that those of a member make; none if they are no such."""
    return [Cookie(cookie.text_for(role)) for cookie in own if cookie.role == MEMBER]

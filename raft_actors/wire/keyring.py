"""Keyring: the cookies of one node. A node has several while a new cookie replaces an old one.

A node dials only with cookies of its own role. If a member dialed with a client's cookie, any
client could answer and pass for a member. A node accepts all cookies of its keyring: so clients and
readers can dial a member.
"""

from collections.abc import Iterable
from typing import NoReturn

from raft_actors.wire.cookie import Cookie, UnsafeCookie
from raft_actors.wire.roles import CLIENT, MEMBER, READER, ROLES

__all__ = ["COOKIES_MAX", "Keyring"]

COOKIES_MAX = 4
"""For each role. The ids of the cookies are in the HELLO, which has a limited size."""


class Keyring:
    """The cookies that a node dials with, and the cookies that it accepts from dialers.

    role  the role of the node
    own   the cookies that the node dials with, the preferred one first
    """

    __slots__ = ("_known", "own", "role")

    def __init__(self, own: Iterable[Cookie], guests: Iterable[Cookie] | None = None) -> None:
        """`guests`  the cookies of clients and readers that this member accepts; None: those that
        the member's own cookies make.

        Raises UnsafeCookie if `own` has several roles, or if there are too many cookies.
        """
        self.own: list[Cookie] = list(own)
        self.role: str = self.own[0].role
        if guests is None:
            guests = [guest for role in (CLIENT, READER) for guest in derived(self.own, role)]
        elif self.role != MEMBER:
            raise ValueError(f"only a member accepts cookies of guests, not a {self.role}")
        self._known = {cookie.id: cookie for cookie in (*guests, *self.own)}
        for role in ROLES:
            count = sum(cookie.role == role for cookie in self._known.values())
            if count > COOKIES_MAX:
                raise UnsafeCookie(
                    f"{count} cookies of role {role}: at most {COOKIES_MAX} are allowed, and two "
                    "are enough while one replaces the other"
                )
        if any(cookie.role != self.role for cookie in self.own):
            raise UnsafeCookie(
                "cookies of several roles in one place: put a member's cookies into the file "
                "cookie, those of clients into client-cookie, those of readers into reader-cookie"
            )

    @classmethod
    def of(cls, *secrets: str | bytes | Cookie) -> "Keyring":
        """Return a keyring of these secrets or cookies, which all have one role."""
        return cls(each if isinstance(each, Cookie) else Cookie(each) for each in secrets)

    def __repr__(self) -> str:
        return f"<Keyring of a {self.role}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a keyring can't be pickled or sent: its cookies are secrets")

    @property
    def ids(self) -> list[bytes]:
        """The ids that this node offers when it dials."""
        return [cookie.id for cookie in self.own]

    def own_with_id(self, cookie_id: object) -> Cookie | None:
        """Return the offered cookie that an acceptor has chosen; None if it was not offered."""
        return next((cookie for cookie in self.own if cookie.id == cookie_id), None)

    def first_known(self, offered: Iterable[object]) -> Cookie | None:
        """Return the first of a dialer's cookies that this node accepts; None if there is none."""
        for each in offered:
            if type(each) is bytes and (cookie := self._known.get(each)) is not None:
                return cookie
        return None

    @property
    def accepted(self) -> list[Cookie]:
        return list(self._known.values())


def derived(own: list[Cookie], role: str) -> list[Cookie]:
    """Return the cookies of `role` that a member's cookies make; other cookies make none."""
    return [Cookie(cookie.text_for(role)) for cookie in own if cookie.role == MEMBER]

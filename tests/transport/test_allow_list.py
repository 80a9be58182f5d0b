"""Which nodes may connect: by names, by networks, by both."""

import pytest

from raft_actors.transport.allow_list import AllowList
from tests.helpers import eventually


@pytest.mark.parametrize(
    ("entries", "host", "name", "allowed"),
    [
        ([], "192.0.2.1", "x@one", True),
        (["a@*"], "192.0.2.1", "a@one", True),
        (["a@*"], "192.0.2.1", "b@one", False),
        (["a@one", "b@two"], "192.0.2.1", "b@two", True),
        (["a@one"], "192.0.2.1", "A@one", False),
        (["10.0.0.0/8"], "10.1.2.3", "x@one", True),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", "x@one", True),
        (["10.0.0.0/8"], "192.0.2.1", "x@one", False),
        (["10.0.0.0/8"], "fd00::1", "x@one", False),
        (["fe80::/10"], "fe80::1%eth0", "x@one", True),
        (["192.0.2.1"], "192.0.2.1", "x@one", True),
        (["192.0.2.1"], "192.0.2.2", "x@one", False),
        (["a@*", "10.0.0.0/8"], "10.1.2.3", "a@one", True),
        (["a@*", "10.0.0.0/8"], "10.1.2.3", "b@one", False),
        (["a@*", "10.0.0.0/8"], "192.0.2.1", "a@one", False),
    ],
)
def test_a_node_needs_one_of_the_names_and_one_of_the_networks(entries, host, name, allowed):
    """Planted: one of either is enough."""
    allow = AllowList(entries)
    objections = allow.objection_to_host(host), allow.objection_to_name(name)
    assert (objections == ("", "")) == allowed


@pytest.mark.parametrize("entries", [["one"], ["10.0.0.1/8"], [""], "a@*"])
def test_what_is_neither_a_name_nor_a_network_is_refused(make_node, entries):
    with pytest.raises(ValueError, match="allow"):
        make_node("a", allow=entries)
    make_node("a")  # its name is free


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        (["b@one"], "x@one matches no name in the dialed node's allow-list"),
        (["192.0.2.0/24"], "127.0.0.1 is in no network of the dialed node's allow-list"),
    ],
)
def test_who_is_not_allowed_is_refused_although_it_has_the_cookie(
    make_node, caplog, entries, words
):
    """And both logs say why."""
    a = make_node("a@one", allow=entries)
    x = make_node("x@one")
    assert x.ping("a@one") == "pang"
    eventually(lambda: sum(words in line for line in caplog.messages) == 2)
    assert a.list() == []


def test_who_is_allowed_connects(make_node):
    make_node("a@one", allow=["b@*", "127.0.0.0/8"])
    assert make_node("b@one").ping("a@one") == "pong"

"""The shell says below an error of a call what is wrong with the group."""

from types import SimpleNamespace

import pytest

from raft_actors import Cluster, Raft
from raft_actors.errors import NotApplied
from raft_actors.tools.shell import show_error
from tests.peer_fixtures import make_peer, trio  # noqa: F401 - fixtures

QUICK = {"min_election_timeout": 0.15, "max_election_timeout": 0.3, "heartbeat_timeout": 0.03}


def test_a_call_without_a_leader_is_explained_in_a_sentence(trio, capsys):  # noqa: F811
    names = trio(**QUICK)
    for name in names[1:]:
        Raft.stop_peer(name)
    with pytest.raises(NotApplied) as raised:
        Cluster(names[0]).await_leader(timeout=2.0)
    shell = SimpleNamespace(_get_exc_info=lambda _error: None)
    show_error(shell, raised.type, raised.value, raised.tb.tb_next)
    error, why = capsys.readouterr().err.splitlines()
    assert error.startswith(raised.type.__name__)
    assert "1 of 3 members answer, and 2 are needed" in why

"""Three real processes that encrypt what they say: a leader dies, and certificates are renewed."""

import pytest

from raft_actors.node.host_name import short_host_name
from tests.certificates import Authority
from tests.cluster.stage import NAMES
from tests.cluster.test_crashes import Writers
from tests.helpers import eventually


@pytest.fixture
def renew(request, tmp_path, monkeypatch):
    """Have all nodes encrypt; returns what gives each new certificates, where it has any."""
    if request.param == "auto":
        monkeypatch.setenv("RAFT_ACTORS_TLS", "auto")
        return lambda: None
    authority = Authority(tmp_path)

    def issue():
        return authority.issue(f"DNS:{short_host_name()}")

    tls = issue()
    for part in ("cert", "key", "ca"):
        monkeypatch.setenv(f"RAFT_ACTORS_TLS_{part.upper()}", str(getattr(tls, part)))
    return issue


both = pytest.mark.parametrize("renew", ["auto", "files"], indirect=True)


@both
def test_a_group_that_encrypts_loses_nothing_when_its_leader_is_killed(renew, stage):
    stage.form()
    with Writers(stage) as writers:
        writers.wait_for_more()
        renew()
        leader = stage.leader()
        stage.kill(leader)
        writers.wait_for_more()
        goal = stage.applied(stage.leader(stage.others(leader)))
        stage.start(leader)
        eventually(lambda: stage.applied(leader) >= goal)
    writers.check()


@pytest.mark.parametrize("renew", ["files"], indirect=True)
def test_certificates_are_renewed_under_load_and_no_write_fails(renew, stage):
    """Each node, one after the other, is stopped long enough for its links to break, and is met
    again with the new certificates, by the processes that have run all the time.
    """
    stage.starter = "tests.client.counting:start"
    stage.form()
    with stage.load() as load:
        for name in NAMES:
            renew()
            load.wait_for_more()
            stage.stop(name)
            stage.start(name)
            eventually(lambda name=name: stage.is_up(name))
            goal = stage.applied(stage.leader())
            eventually(lambda name=name, goal=goal: stage.applied(name) >= goal)
        load.wait_for_more()
    logs = "".join(stage.log(name).read_text() for name in NAMES)
    assert "certificate" not in logs, logs

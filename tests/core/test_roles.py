"""Every role answers every event."""

from typing import get_args

import pytest

from raft_actors.core import messages
from raft_actors.core.candidate import Candidate, PreCandidate
from raft_actors.core.follower import Follower
from raft_actors.core.leader import Leader
from raft_actors.core.messages import Event, Message
from raft_actors.core.role import Role

MESSAGES = {each for each in Message.__subclasses__() if each.__module__ == messages.__name__}
"""Without the messages that other tests have made up."""
EVENTS = {*MESSAGES, *get_args(Event)} - {Message}


@pytest.mark.parametrize("role", [Follower, PreCandidate, Candidate, Leader])
def test_a_role_answers_every_event(role: type[Role]) -> None:
    assert set(role.handlers) == EVENTS


def test_every_message_and_event_of_the_module_is_known() -> None:
    named = {getattr(messages, name) for name in messages.__all__}
    declared = {each for each in named if isinstance(each, type)} - {Message}
    assert declared == EVENTS

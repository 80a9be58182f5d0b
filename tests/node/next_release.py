"""A node of the next release: `python -m tests.node.next_release NAME ...`.

The protocol version after the newest of this release adds a kind of message, `Gossip`; the leader
sends it to every member with each heartbeat. `RAFT_ACTORS_TEST_SPEAKS` has the versions that the
node speaks, as in "3 4".
"""

import os
from dataclasses import dataclass

from raft_actors.core.candidate import Candidate, PreCandidate
from raft_actors.core.follower import Follower
from raft_actors.core.leader import Leader
from raft_actors.core.messages import Message
from raft_actors.peer import message_codec as messages
from raft_actors.tools.run_node import main
from raft_actors.wire import versions


@dataclass(slots=True, kw_only=True)
class Gossip(Message):
    since = versions.newest() + 1

    rumour: int


def become_next():
    versions.SUPPORTED[:] = [int(word) for word in os.environ["RAFT_ACTORS_TEST_SPEAKS"].split()]
    for name, value in (("KINDS", Gossip), ("NAMES", messages.fields_of(Gossip)),
                        ("TYPES", messages.types_of(Gossip)),
                        ("NEEDED", len(messages.fields_of(Gossip)))):  # fmt: skip
        setattr(messages, name, (*getattr(messages, name), value))
    messages.packers.cache_clear()
    for role in (Follower, PreCandidate, Candidate, Leader):
        role.handlers = {**role.handlers, Gossip: heard}
    send_append = Leader.send_append

    def gossiping(self, member, prev_index, entries):
        state = self.state
        if not entries:
            state.effects.before_save.append(Gossip(
                source=state.peer, target=member, group=state.group, term=state.term, rumour=9,
            ))  # fmt: skip
        send_append(self, member, prev_index, entries)

    Leader.send_append = gossiping


def heard(role, message):
    print(f"heard rumour {message.rumour}", flush=True)


if __name__ == "__main__":
    become_next()
    from raft_actors.peer import peer
    from raft_actors.replica import replica

    replica.EVENTS = frozenset(Follower.handlers)
    peer.LISTED |= replica.EVENTS
    main()

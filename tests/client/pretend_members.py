"""Members that keep calls open, and answer when a test has them answer."""

from types import SimpleNamespace

from raft_actors import encoding
from raft_actors.future import Future
from raft_actors.replica.questions import question_of
from raft_actors.replica.requests import PARK

A, B, C, D = ((name, f"{name}@one") for name in "abcd")


class Group:
    """Members that keep calls open, and answer when a test has them answer; a finder that knows
    them. It notes who was asked what, and who was told that nobody waits any more.
    """

    node = SimpleNamespace(
        running=True, forked=False, flush=lambda: None, flush_soon=lambda: None
    )  # fmt: skip

    def __init__(self, *members):
        self.members = members
        self.router = self
        self.asked = []
        self.open = {}
        self.taken_back = []
        self.added = []

    def candidates(self):
        return self.members

    def learn(self, _view):
        pass

    def add_members(self, members):
        self.added += members

    def follow_node(self):
        pass

    def request(self, member, body, *, flush):
        operation, name, payload, _session, number = body
        assert (operation, name) == (PARK, member[0])
        question = question_of(encoding.loads(payload))
        self.asked.append((member, question))
        self.open[member] = number, question, Future()
        return self.open[member][2]

    def unpark(self, member, numbers):
        assert self.open.pop(member)[0] in numbers
        self.taken_back.append(member)

    def answer(self, member, answer):
        future = self.open.pop(member)[2]
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set(answer if type(answer) is list else encoding.dumps(answer))

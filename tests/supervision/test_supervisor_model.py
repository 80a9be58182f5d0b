"""A supervisor against a model of what it should have, under any sequence of calls and ends.

Planted once to see it go red: a temporary child kept after terminate_child; rest_for_one that
restarts only the child that ended.
"""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from supervision import ChildSpec, Supervisor, stop
from tests.helpers import eventually

from .helpers import Worker, boom

LABELS = st.sampled_from("abcd")
RESTARTS = st.sampled_from(["permanent", "transient", "temporary"])


class Model(RuleBasedStateMachine):
    """`order` are the ids in order, `alive` which of them run, `starts` how often each started."""

    @initialize(
        strategy=st.sampled_from(["one_for_one", "rest_for_one", "one_for_all"]),
        restarts=st.lists(RESTARTS, max_size=4),
    )
    def begin(self, strategy, restarts):
        self.strategy = strategy
        self.order = [label for label, _ in zip("abcd", restarts, strict=False)]
        self.restart = dict(zip("abcd", restarts, strict=False))
        self.alive = dict.fromkeys(self.order, True)
        self.starts = dict.fromkeys("abcd", 0)
        _, self.supervisor = Supervisor.start_link(
            [self.spec(label) for label in self.order], strategy=strategy, max_restarts=10**6
        )

    def spec(self, label):
        def start():
            self.starts[label] += 1
            return Worker.start_link(label)

        return ChildSpec(label, start, restart=self.restart[label])

    def ref(self, label):
        shown = {name: ref for name, ref, _, _ in Supervisor.which_children(self.supervisor)}
        return shown.get(label)

    def drop(self, label):
        self.alive[label] = False
        if self.restart[label] == "temporary":
            self.order.remove(label)

    @rule(label=LABELS, restart=RESTARTS)
    def start_child(self, label, restart):
        known = label in self.order
        if not known:
            self.restart[label] = restart
        answer = Supervisor.start_child(self.supervisor, self.spec(label))
        if known and self.alive[label]:
            assert answer == ("error", ("already_started", self.ref(label)))
        elif known:
            assert answer == ("error", "already_present")
        else:
            assert answer == ("ok", self.ref(label))
            self.order.append(label)
            self.alive[label] = True

    @rule(label=LABELS)
    def terminate_child(self, label):
        answer = Supervisor.terminate_child(self.supervisor, label)
        assert answer == ("ok" if label in self.order else ("error", "not_found"))
        if label in self.order:
            self.drop(label)

    @rule(label=LABELS)
    def restart_child(self, label):
        answer = Supervisor.restart_child(self.supervisor, label)
        if label not in self.order:
            assert answer == ("error", "not_found")
        elif self.alive[label]:
            assert answer == ("error", "running")
        else:
            assert answer == ("ok", self.ref(label))
            self.alive[label] = True

    @rule(label=LABELS)
    def delete_child(self, label):
        answer = Supervisor.delete_child(self.supervisor, label)
        if label not in self.order:
            assert answer == ("error", "not_found")
        elif self.alive[label]:
            assert answer == ("error", "running")
        else:
            assert answer == "ok"
            self.order.remove(label)

    @rule(label=LABELS, how=st.sampled_from(["crash", "normal"]))
    def end(self, label, how):
        if label not in self.order or not self.alive[label]:
            return
        ref, starts = self.ref(label), dict(self.starts)
        if how == "crash":
            ref.tell(boom)
        else:
            stop(ref)
        eventually(lambda: self.ref(label) is not ref)
        comes_back = self.restart[label] == "permanent" or (
            self.restart[label] == "transient" and how == "crash"
        )
        if not comes_back:
            self.drop(label)
            assert self.starts == starts
            return
        place = self.order.index(label)
        affected = {
            "one_for_one": [label],
            "rest_for_one": self.order[place:],
            "one_for_all": list(self.order),
        }[self.strategy]
        for other in affected:
            if self.restart[other] == "temporary":
                self.drop(other)
            else:
                starts[other] += 1
                self.alive[other] = True
        assert self.starts == starts

    @invariant()
    def what_it_shows_is_what_it_should_have(self):
        shown = Supervisor.which_children(self.supervisor)
        assert [name for name, *_ in shown] == self.order[::-1]
        for name, ref, *_ in shown:
            assert (ref != "undefined" and ref.is_alive()) == self.alive[name]
        assert Supervisor.count_children(self.supervisor)["active"] == sum(
            self.alive[name] for name in self.order
        )

    def teardown(self):
        if hasattr(self, "supervisor"):
            Supervisor.stop(self.supervisor)


TestModel = Model.TestCase
TestModel.settings = settings(
    max_examples=40,
    stateful_step_count=20,
    database=None,
    suppress_health_check=list(HealthCheck),
)

"""A partition supervisor runs one child many times over; each key belongs to one of them."""

import os

import pykka
import pytest

from supervision import (
    ChildSpec,
    DynamicSupervisor,
    Exited,
    PartitionSupervisor,
    Registry,
    Supervisor,
    kill,
    stop,
)

from .helpers import Worker
from .otp import otp

SUITE = "partition_supervisor_test.exs"


@pytest.fixture
def pool():
    return PartitionSupervisor.start_link((Worker, "w"), partitions=3, name="pool")[1]


@otp(SUITE, "child_spec: uses the atom name as id", "child_spec: uses the via value as id")
def test_the_id_of_a_partition_supervisor_is_its_name():
    assert PartitionSupervisor.child_spec(Worker, name="pool").id == "pool"
    assert PartitionSupervisor.child_spec(Worker).id == "PartitionSupervisor"
    children = [(PartitionSupervisor, {"child": Worker, "name": name}) for name in "ab"]
    _, root = Supervisor.start_link(children)
    assert PartitionSupervisor.whereis("a", 0) is not PartitionSupervisor.whereis("b", 0)
    Supervisor.stop(root)


@otp(SUITE, "start_link/1: on success with atom name", "start_link/1: on success with via name",
     "count_children/1: with via tuple", "stop/1: with via tuple")  # fmt: skip
def test_each_key_belongs_to_one_partition(pool):
    refs = {PartitionSupervisor.whereis("pool", number) for number in range(6)}
    assert len(refs) == 3 == PartitionSupervisor.partitions(pool)
    assert PartitionSupervisor.whereis(pool, "ann") is PartitionSupervisor.whereis("pool", "ann")
    book = Registry()
    PartitionSupervisor.start_link(Worker, name="other", registry=book)
    assert PartitionSupervisor.partitions((book, "other")) == os.cpu_count()
    assert PartitionSupervisor.count_children((book, "other"))["active"] == os.cpu_count()
    assert PartitionSupervisor.via((book, "other"), 1).ask("x") == "x"
    assert stop((book, "other")) == "ok"
    assert not PartitionSupervisor.via((book, "other"), 1).is_alive()


@otp(SUITE, "start_link/1: with_arguments")
def test_each_partition_may_have_arguments_of_its_own():
    _, pool = PartitionSupervisor.start_link(
        (Worker, "w"), partitions=2, with_arguments=lambda args, at: (f"{args[0]}{at}",)
    )
    labels = [PartitionSupervisor.whereis(pool, at).proxy().label.get() for at in range(2)]
    assert labels == ["w0", "w1"]
    _, pool = PartitionSupervisor.start_link(
        ChildSpec("x", Worker.start_link), partitions=1, with_arguments=lambda args, at: (at,)
    )
    assert PartitionSupervisor.whereis(pool, 0).proxy().label.get() == 0


@otp(SUITE, "start_link/1: raises without child_spec", "start_link/1: raises on bad partitions",
     "start_link/1: raises on bad with_arguments")  # fmt: skip
@pytest.mark.parametrize(
    ("args", "options", "reason"),
    [
        ((5,), {}, ("start_spec", ("invalid_child_spec", 5))),
        ((Worker,), {"partitions": 0}, ("supervisor_data", ("invalid_partitions", 0))),
        ((Worker,), {"partitions": "two"}, ("supervisor_data", ("invalid_partitions", "two"))),
        ((Worker,), {"with_arguments": 1}, ("supervisor_data", ("invalid_with_arguments", 1))),
    ],
)
def test_wrong_options_of_a_partition_supervisor_are_named(args, options, reason):
    assert PartitionSupervisor.start_link(*args, **options) == ("error", reason)
    assert PartitionSupervisor.start_link()[0] == "error"


@otp(SUITE, "stop/1: is synchronous",
     "partitions/1: raises noproc for unknown atom partition supervisor",
     "partitions/1: raises noproc for unknown via partition supervisor",
     "count_children/1: raises noproc for unknown partition supervisor")  # fmt: skip
def test_a_partition_supervisor_that_is_not_there(pool):
    assert stop("pool") == "ok"
    for gone in (pool, "pool", (Registry(), "pool")):
        for call in (PartitionSupervisor.partitions, PartitionSupervisor.count_children):
            with pytest.raises(pykka.ActorDeadError):
                call(gone)
        with pytest.raises(pykka.ActorDeadError):
            PartitionSupervisor.whereis(gone, 1)
    with pytest.raises(Exited):
        stop("pool")
    with pytest.raises(TypeError, match="PartitionSupervisor"):
        PartitionSupervisor.partitions(Worker.start())


@otp(SUITE, "resize!/1: resizes the number of children",
     "resize!/1: raises on lookup after resizing to zero",
     "resize!/1: raises if trying to increase the number of partitions")  # fmt: skip
def test_partitions_may_be_taken_out_of_use(pool):
    last = PartitionSupervisor.whereis(pool, 2)
    assert PartitionSupervisor.resize(pool, 2) == 3
    assert not last.is_alive()
    assert PartitionSupervisor.whereis(pool, 2) is PartitionSupervisor.whereis(pool, 0)
    assert PartitionSupervisor.count_children(pool)["active"] == 2
    assert PartitionSupervisor.resize(pool, 0) == 2
    with pytest.raises(pykka.ActorDeadError, match="no partition"):
        PartitionSupervisor.whereis(pool, 2)
    assert PartitionSupervisor.resize(pool, 3) == 0
    assert PartitionSupervisor.whereis(pool, 2).ask("x") == "x"
    for wrong in (4, -1, "x"):
        with pytest.raises(ValueError, match="from 0 to 3"):
            PartitionSupervisor.resize(pool, wrong)


@otp(SUITE, "which_children/1: returns all partitions", "count_children/1: with workers",
     "count_children/1: with supervisors")  # fmt: skip
def test_a_partition_supervisor_shows_its_partitions(pool):
    shown = PartitionSupervisor.which_children(pool)
    assert [each[0] for each in shown] == [2, 1, 0]
    counts = PartitionSupervisor.count_children(pool)
    assert counts == {"specs": 3, "active": 3, "supervisors": 0, "workers": 3}
    _, pools = PartitionSupervisor.start_link(DynamicSupervisor, partitions=2)
    assert PartitionSupervisor.count_children(pools)["supervisors"] == 2
    ok, _ = DynamicSupervisor.start_child(PartitionSupervisor.via(pools, "key"), Worker)
    assert ok == "ok"


def test_a_partition_that_ended_is_found_again_after_its_restart(pool):
    first = PartitionSupervisor.whereis(pool, 1)
    kill(first)
    assert PartitionSupervisor.whereis(pool, 1) is not first
    assert PartitionSupervisor.whereis(pool, 1).ask("again") == "again"
    Supervisor.terminate_child(pool, 1)
    with pytest.raises(pykka.ActorDeadError, match="does not run"):
        PartitionSupervisor.whereis(pool, 1)

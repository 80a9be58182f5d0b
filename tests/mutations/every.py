"""All planted bugs, in the order of the table."""

from tests.mutations import (
    clients,
    damage,
    elections,
    machines,
    members,
    parked,
    reads,
    replicas,
    replication,
    stores,
)

MUTATIONS = (
    *elections.MUTATIONS, *replication.MUTATIONS, *members.MUTATIONS, *reads.MUTATIONS,
    *machines.MUTATIONS, *replicas.MUTATIONS, *stores.MUTATIONS, *damage.MUTATIONS,
    *clients.MUTATIONS, *parked.MUTATIONS,
)  # fmt: skip

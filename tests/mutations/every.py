"""All planted bugs, in the order of the table."""

from tests.mutations import (
    clients,
    coordination,
    damage,
    digests,
    elections,
    grants,
    kit,
    machines,
    members,
    parked,
    reads,
    replicas,
    replication,
    stores,
    strangers,
)

MUTATIONS = (
    *elections.MUTATIONS, *replication.MUTATIONS, *members.MUTATIONS, *reads.MUTATIONS,
    *grants.MUTATIONS, *machines.MUTATIONS, *replicas.MUTATIONS, *stores.MUTATIONS,
    *damage.MUTATIONS, *digests.MUTATIONS, *clients.MUTATIONS, *parked.MUTATIONS,
    *strangers.MUTATIONS, *kit.MUTATIONS, *coordination.MUTATIONS,
)  # fmt: skip

"""Clients without a name of their own, and members that take them for nodes."""

from tests.mutations.mutation import Mutation

NETS = ("tests/client/test_light_clients.py",)

MUTATIONS = (
    Mutation(
        "a_client_is_counted_as_a_node", "clients_without_a_name", "transport/bridge",
        "            if link.connection and not link.connection.is_client",
        "            if link.connection",
        NETS,
    ),
    Mutation(
        "watchers_are_told_of_clients", "clients_without_a_name", "node/local_node",
        "        if not is_client:\n",
        "        if True:\n",
        NETS,
    ),
    Mutation(
        "a_forked_child_uses_the_parents_session", "clients_without_a_name", "client/light_client",
        "        client.begin_anew(client.timeout)\n",
        "        pass\n",
        NETS,
    ),
    Mutation(
        "close_leaves_the_session", "clients_without_a_name", "client/light_client",
        "        super().close()\n",
        "        self.closed = True\n",
        NETS,
    ),
)  # fmt: skip

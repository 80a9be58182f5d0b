"""Data path: the directory of a peer, and whether the peer may begin with an empty one."""

import logging
from pathlib import Path

from raft_actors.config import Config
from raft_actors.errors import DataDirInUse
from raft_actors.names import Address
from raft_actors.paths import absolute
from raft_actors.peer.host import Host
from raft_actors.stores.data_directory import is_in_use

__all__ = ["check_other_directories", "data_path"]

logger: logging.Logger = logging.getLogger("raft_actors.peer")


def data_path(name: str, config: Config, host: Host) -> Path:
    """Return `config.data_dir` as it is; if it is None, a directory for this peer under its node's
    directory.
    """
    if config.data_dir is not None:
        return Path(config.data_dir)
    return (host.data_dir or absolute("data")) / host.name / name


def check_other_directories(path: Path, peer: Address) -> None:
    """Search for another directory of this peer, if its own directory is new.

    Raises DataDirInUse if the directory of this peer under an earlier name of the host is there:
    the host was renamed, and the peer would begin empty. Logs a warning if there is the directory
    of a peer with the same name on another node, because that node may have been meant. The name of
    a peer may contain the name of its node, so this part is replaced too.

    A directory that is in use belongs to a peer that runs, here or on another host that shares the
    disk, and is left out.
    """
    if (path / "store.json").exists():
        return
    name, node = peer
    for other in sorted(path.parent.parent.glob("*@*")):
        other_node = other.name
        other_name = name.replace(node, other_node)
        found = other / other_name
        if other_node == node or not (found / "store.json").exists() or is_in_use(found):
            continue
        if other_node.partition("@")[0] != node.partition("@")[0]:
            logger.warning(
                "%s on %s begins with an empty directory. %s of node %s exists and is not in use: "
                "if you meant this peer, start the node as %s",
                name, node, found, other_node, other_node,
            )  # fmt: skip
        else:
            raise DataDirInUse(
                f"{name} on {node} would begin with an empty directory, because {path} does not "
                f"exist. But {found} exists, the directory of {other_name} on {other_node}: was "
                f"this host renamed? Start the node by its old name, Node.start({other_node!r}), "
                f"and {other_name} continues; or move that directory away, or give the node "
                "another data_dir"
            )

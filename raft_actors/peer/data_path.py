"""Data path: the directory of a peer, and whether the peer may begin with an empty one."""

import logging
from pathlib import Path

from raft_actors.config import Config
from raft_actors.errors import DataDirInUse
from raft_actors.names import Address
from raft_actors.paths import absolute
from raft_actors.peer.host import Host
from raft_actors.stores.data_directory import is_in_use

__all__ = ["data_path", "look_beside"]

logger = logging.getLogger("raft_actors.peer")


def data_path(name: str, config: Config, host: Host) -> Path:
    """Return `config.data_dir` as it is; if it is None, a directory for this peer under its node's
    directory.
    """
    if config.data_dir is not None:
        return Path(config.data_dir)
    return (host.data_dir or absolute("data")) / host.name / name


def look_beside(path: Path, peer: Address) -> None:
    """Look for another directory of this peer, if its own directory is new.

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
    for beside in sorted(path.parent.parent.glob("*@*")):
        before = beside.name
        was = name.replace(node, before)
        found = beside / was
        if before == node or not (found / "store.json").exists() or is_in_use(found):
            continue
        if before.partition("@")[0] != node.partition("@")[0]:
            logger.warning(
                "%s on %s begins with an empty directory. %s of node %s exists and is not in use: "
                "if you meant this peer, start the node as %s", name, node, found, before, before,
            )  # fmt: skip
        else:
            raise DataDirInUse(
                f"{name} on {node} would begin anew, empty, for {path} is not there; but "
                f"{found} is, of {was} on {before}: was this host renamed? Start the node "
                f"by its old name, Node.start({before!r}), and {was} goes on; or else move that "
                "directory away, or give the node a data_dir of its own"
            )

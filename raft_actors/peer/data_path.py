"""Data path: which directory is a peer's, and whether it may begin anew there."""

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
    """Return `config.data_dir` as it is, or a directory for this peer under its node's."""
    if config.data_dir is not None:
        return Path(config.data_dir)
    return (host.data_dir or absolute("data")) / host.name / name


def look_beside(path: Path, peer: Address) -> None:
    """Raise DataDirInUse where `peer` would begin anew beside its directory on a host of before;
    warn where it does beside that of its name on another node, which may be what was meant.
    A name may have its node's in it.

    One that is in use is that of a peer which runs, here or on another host that shares the disk.
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
                "%s on %s begins anew, empty. %s, of %s, is beside it and not in use: if that one "
                "was meant, start this node as %s", name, node, found, before, before,
            )  # fmt: skip
        else:
            raise DataDirInUse(
                f"{name} on {node} would begin anew, empty, for {path} is not there; but "
                f"{found} is, of {was} on {before}: was this host renamed? Start the node "
                f"by its old name, Node.start({before!r}), and {was} goes on; or else move that "
                "directory away, or give the node a data_dir of its own"
            )

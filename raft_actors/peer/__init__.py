"""The actor around a replica, its supervisor, and all peers of a node."""

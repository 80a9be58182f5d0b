"""The connections between nodes: they are made, read and closed on one thread."""

"""Client: the parts of a `Cluster` handle."""

"""This process as a node with a name: how other nodes find it and reach its actors."""

"""This process as a node with a name: how other nodes find the node and reach its actors."""

"""This process under a name: how others find it and reach its actors."""

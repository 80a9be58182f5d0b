"""For tests of a user's own machine: a simulated cluster, and a real one in this process."""

"""Lead: what runs on a node only while a peer of it leads; programs are guarded by a process."""

"""The protocol, pure: events in, effects out. No clock, disk, network, thread or logging."""

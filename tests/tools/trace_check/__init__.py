"""The flight recorder and its replayer."""

"""What holds for all tests."""

import signal


def pytest_configure() -> None:
    """Let signals end what they end in a terminal, here and in each process that a test starts.

    A shell's background job ignores SIGINT, and what `nohup` starts ignores SIGHUP; so would
    everything below it.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

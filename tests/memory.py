"""What a few lines of a test allocate, in a process in which other threads allocate, too."""

import tracemalloc

TRIES = 5


def least_allocated(action):
    """Return the bytes that `action` takes at once.

    What other threads allocate meanwhile only adds to it, so it counts where it takes the least.
    """
    taken = []
    for _ in range(TRIES):
        tracemalloc.start()
        try:
            action()
            taken.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    return min(taken)

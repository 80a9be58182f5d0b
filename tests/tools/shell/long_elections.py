"""`raft-actors` with election timeouts that a busy host keeps to: `python -m ... shell ...`.

A story tells of a leader that stays until it is stopped. With the usual timeouts a host that has
much else to do may elect another in mid-story. Only declared peers wait for an election timeout,
before they form their group; a leader that is stopped hands over.
"""

from raft_actors.config import Config
from raft_actors.tools.cli import main

if __name__ == "__main__":
    defaults = Config.__init__.__kwdefaults__
    assert defaults is not None
    defaults.update(min_election_timeout=3.0, max_election_timeout=4.0)
    main()

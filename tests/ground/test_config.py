"""Config refuses what can't work, and says what would."""

import pytest

from raft_actors import Config


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"min_election_timeout": 1.0, "max_election_timeout": 1.0}, "must be smaller than"),
        ({"min_election_timeout": 2.0}, "must be smaller than"),
        ({"heartbeat_timeout": 0.2}, "at most half of"),
        ({"heartbeat_timeout": 0}, "above 0"),
        ({"heartbeat_timeout": "50ms"}, "a number of seconds"),
        ({"proposals_max": 1.5}, "a whole number"),
        ({"proposals_max": True}, "a whole number"),
        ({"log_store": "sqlite"}, "rocksdb"),
        ({"frame_bytes_max": 1}, "must exceed command_bytes_max"),
        ({"max_election_timeout": float("inf")}, "seconds, not milliseconds"),
        ({"min_election_timeout": 300, "max_election_timeout": 600}, "seconds, not milliseconds"),
        ({"data_dir": ""}, "data_dir must be a path"),
        ({"data_dir": 3}, "data_dir must be a path"),
        ({"trace": True}, "trace must be a path"),
        ({"nodes": ["b@two"]}, "nodes must be a mapping"),
        ({"nodes": {"b@two": ("10.0.0.2", 4001)}}, "nodes must be a mapping"),
        ({"nodes": {"b@two": None}}, "nodes must be a mapping"),
        ({"data_dir": "a\0b"}, "a null byte"),
        ({"trace": "a\0b"}, "a null byte"),
        ({"nodes": {5: "10.0.0.2:4001"}}, "nodes must be a mapping"),
    ],
)
def test_a_config_that_cannot_work_is_refused_in_words(fields, said):
    with pytest.raises(ValueError, match=said):
        Config(**fields)


def test_fields_go_before_those_of_a_given_config():
    base = Config(proposals_max=7, apply_max=8)
    assert Config.of(base, apply_max=9) == Config(proposals_max=7, apply_max=9)
    assert Config.of({"apply_max": 9}) == Config(apply_max=9)
    assert Config.of() == Config()


def test_an_unknown_field_is_named_with_those_that_exist():
    with pytest.raises(ValueError, match="unknown Config field 'dir'; the fields are min_election"):
        Config.of(None, dir="x")

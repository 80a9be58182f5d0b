"""`python -m tests.fuzz TARGET --minutes N`: fuzz one target, guided by coverage (atheris).

Inputs that reach something new are kept in `.fuzz/TARGET/`, crashers in `.fuzz/crashers/`; the
seeds in `tests/fuzz/corpus/` are read, never written. Exit status 1 after a finding.

    python -m tests.fuzz --list
    python -m tests.fuzz terms --minutes 10
    python -m tests.fuzz terms --pure        with msgpack's decoder in Python, to look into it
    python -m tests.fuzz terms --replay .fuzz/crashers/terms-crash-...
    python -m tests.fuzz terms --keep        copy what covers most, in few files, to the seeds
"""

import argparse
import os
import resource
import sys
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
WORK = Path(".fuzz")
INPUT_BYTES_MAX = 4096
TIMEOUT_S = 10  # one input that takes longer is a finding
MEMORY_BYTES = 2 << 30  # of address space beyond the start: more raises MemoryError, a finding


def main() -> int:
    arguments = parse()
    if arguments.pure:
        os.environ["MSGPACK_PUREPYTHON"] = "1"
    if arguments.list:
        from tests.fuzz.targets import TARGETS

        print(*TARGETS)
        return 0
    if arguments.sow:
        return sow()
    if arguments.replay is not None:
        from tests.fuzz.targets import TARGETS

        TARGETS[arguments.target](arguments.replay.read_bytes())
        print(f"{arguments.target} takes {arguments.replay} as it should")
        return 0
    return fuzz(arguments)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("target", nargs="?", help="one of --list")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--list", action="store_true", help="say which targets there are")
    parser.add_argument("--pure", action="store_true", help="use msgpack's decoder in Python")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run one input and end")
    parser.add_argument("--keep", action="store_true", help="merge what was found into the seeds")
    parser.add_argument("--sow", action="store_true", help="write the hand-made seeds again")
    arguments = parser.parse_args()
    if not (arguments.target or arguments.list or arguments.sow):
        parser.error("name a target, --list or --sow")
    return arguments


def sow() -> int:
    from tests.fuzz.seeds import seeds

    for name, inputs in seeds().items():
        directory = CORPUS / name
        directory.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(inputs):
            (directory / f"seed-{number:02}").write_bytes(data)
    return 0


def fuzz(arguments: argparse.Namespace) -> int:
    try:
        import atheris
    except ModuleNotFoundError:
        print("fuzzing needs atheris: pip install 'raft_actors[fuzz]'", file=sys.stderr)
        return 2
    with atheris.instrument_imports(include=["raft_actors", "msgpack.fallback"]):
        from tests.fuzz.targets import TARGETS
    if arguments.target not in TARGETS:
        print(f"no target {arguments.target}; there are: {' '.join(TARGETS)}", file=sys.stderr)
        return 2
    name = arguments.target
    seeds, found, crashers = CORPUS / name, WORK / name, WORK / "crashers"
    for directory in (seeds, found, crashers):
        directory.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={int(arguments.minutes * 60)}", f"-max_len={INPUT_BYTES_MAX}",
        f"-timeout={TIMEOUT_S}", "-print_final_stats=1", f"-artifact_prefix={crashers}/{name}-",
    ]  # fmt: skip
    places = [str(found), str(seeds)]
    if arguments.keep:
        options, places = ["-merge=1"], [str(seeds), str(found)]
    limit_memory()
    atheris.Setup([sys.argv[0], *options, *places], TARGETS[name])
    atheris.Fuzz()  # ends the process, with status 77 after a finding
    return 0


def limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    sys.exit(main())

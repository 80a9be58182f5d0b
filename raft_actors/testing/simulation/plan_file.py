"""Plan file: a plan in a file, with all its fates, to be played again after the code has changed.

A seed gives the same plan only while `draw` in plan.py stays the same. The plan in a file does not
change.
"""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from raft_actors.config import Config
from raft_actors.errors import RaftError
from raft_actors.testing.simulation.plan import KINDS, Plan

__all__ = ["BadPlan", "keep", "kept"]

FORMAT = 1


class BadPlan(RaftError):
    """A file has no plan that this version can play. The text says why."""


def keep(plan: Plan, path: Path) -> None:
    """Write a plan to a file. The file may be edited: a fate is (kind, first, second)."""
    told = asdict(plan)
    told["config"], told["others"] = unusual(plan.config), [*map(unusual, plan.others)]
    fates = ",\n  ".join(map(json.dumps, told.pop("fates")))
    head = json.dumps({"format": FORMAT, **told}, indent=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{head[:-2]},\n "fates": [\n  {fates}\n ]\n}}\n')


def unusual(config: Config) -> dict[str, Any]:
    usual = asdict(Config())
    return {name: value for name, value in asdict(config).items() if value != usual[name]}


def kept(path: Path) -> Plan:
    """Return the plan in a file. Raises BadPlan if there is none, or one of another format."""
    try:
        told = json.loads(path.read_text())
        told_format = told.pop("format")
        configs = [told.pop("config"), *told.pop("others", [])]
        fates = told.pop("fates")
    except OSError as error:
        raise BadPlan(f"{path} can't be read: {error.strerror}") from error
    except (ValueError, KeyError, AttributeError) as error:
        raise BadPlan(f"{path} holds no plan of a simulation: {error!r}") from error
    if told_format != FORMAT:
        raise BadPlan(f"{path} is of format {told_format}, and this version plays {FORMAT}")
    refuse_unknown(path, told, {field.name for field in fields(Plan)}, "field of a plan")
    for config in configs:
        refuse_unknown(path, config, {field.name for field in fields(Config)}, "field of Config")
    refuse_unknown(path, dict.fromkeys(kind for kind, *_ in fates), KINDS, "kind of fate")
    try:
        told = {name: tuple(value) if isinstance(value, list) else value
                for name, value in told.items()}  # fmt: skip
        told["fates"] = tuple((kind, float(first), float(second)) for kind, first, second in fates)
        config, *others = [Config(**config) for config in configs]
        return Plan(config=config, others=tuple(others), **told)
    except (TypeError, ValueError) as error:
        raise BadPlan(f"{path} holds no plan of a simulation: {error}") from error


def refuse_unknown(path: Path, told: dict[str, Any], known: Any, what: str) -> None:
    unknown = next((name for name in told if name not in known), None)
    if unknown is not None:
        raise BadPlan(f"{path} has {unknown!r}, which is no {what} in this version: edit the file")

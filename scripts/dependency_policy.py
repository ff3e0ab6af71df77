#!/usr/bin/env python3
"""Holds the dependency graph against deny.toml: licences, banned crates, sources.

`cargo deny check bans licenses sources` reads the same file and says the same; this needs nothing
to be installed.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    policy = tomllib.loads((ROOT / "deny.toml").read_text())
    metadata = json.loads(cargo("metadata", "--format-version", "1", "--all-features"))
    built = buildable()
    packages = [package for package in metadata["packages"] if (package["name"], package["version"]) in built]
    if not packages or len(packages) != len(built):
        sys.exit(f"dependency policy: of {len(built)} packages cargo describes {len(packages)}")
    faults = [fault for package in packages for fault in judge(package, policy)]
    for fault in sorted(faults):
        print(fault, file=sys.stderr)
    print(f"dependency policy: {len(packages)} packages, {len(faults)} faults")
    return 1 if faults else 0


def cargo(*arguments: str) -> str:
    command = ["cargo", *arguments, "--locked"]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def buildable() -> set[tuple[str, str]]:
    """What some target and some feature of ours builds. `cargo metadata` alone says too much: it
    lists a package that only a weak feature (`ring?/alloc`) names."""
    edges = ("--edges", "all", "--target", "all", "--all-features")
    lines = cargo("tree", "--workspace", *edges, "--prefix", "none", "--format", "{p}").splitlines()
    return {(name, version) for name, version in re.findall(r"^(\S+) v(\S+)", "\n".join(lines), re.MULTILINE)}


def judge(package: dict, policy: dict) -> list[str]:
    name = f"{package['name']} {package['version']}"
    if package["source"] is None:
        return []
    faults = []
    if package["source"] not in {f"registry+{index}" for index in policy["sources"]["allow-registry"]}:
        faults.append(f"{name}: comes from {package['source']}")
    exceptions = {entry["crate"]: set(entry["allow"]) for entry in policy["licenses"]["exceptions"]}
    allowed = set(policy["licenses"]["allow"]) | exceptions.get(package["name"], set())
    if not permitted(package["license"] or "", allowed):
        faults.append(f"{name}: licence {package['license']!r} isn't allowed")
    for ban in policy["bans"]["deny"]:
        if ban["crate"].split("@")[0].split(":")[0] == package["name"] and banned(ban["crate"], package["version"]):
            faults.append(f"{name}: banned, {ban['reason']}")
    return faults


def permitted(expression: str, allowed: set[str]) -> bool:
    """An SPDX expression: OR of ANDs is all that crates use; `/` is the old way to write OR."""
    expression = expression.replace("/", " OR ")
    while "(" in expression:
        inner = re.search(r"\(([^()]*)\)", expression)
        verdict = "YES" if permitted(inner.group(1), allowed) else "NO"
        expression = expression[: inner.start()] + verdict + expression[inner.end() :]
    known = allowed | {"YES"}
    return any(
        all(part.strip() in known for part in branch.split(" AND "))
        for branch in expression.split(" OR ")
    )


def banned(spec: str, version: str) -> bool:
    """`name` bans every version, `name@<1.2.3` those before it."""
    _, _, bound = spec.partition("@")
    if not bound:
        return True
    number = lambda text: [int(part) for part in re.split(r"[-+]", text)[0].split(".")]
    return number(version) < number(bound.lstrip("<"))


if __name__ == "__main__":
    sys.exit(main())

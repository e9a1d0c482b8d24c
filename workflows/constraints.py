"""Prints the versions of everything that the extra `dev` installs, as found beside this Python.

After a change of the dependencies, and once the tests have passed:

.venv/bin/python workflows/constraints.py > workflows/constraints.txt
"""

from __future__ import annotations

from collections.abc import Iterable
from configparser import ConfigParser
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SETUP = Path(__file__).parents[1] / "setup.cfg"
HEADER = """\
# Versions that the tests passed with: used by CI, not by installations of users (workflows/environment.sh).
# Written by workflows/constraints.py."""


def declared(extra: str) -> list[Requirement]:
    """The requirements of setup.cfg with those of an extra, which may name other extras."""
    setup = ConfigParser()
    setup.read(SETUP, encoding="utf-8")
    lines = setup["options"]["install_requires"] + "\n" + setup["options.extras_require"][extra]
    return [Requirement(line) for line in lines.splitlines() if line.strip()]


def installed(requirements: Iterable[Requirement]) -> dict[str, str]:
    """Versions by name of the packages that requirements lead to, directly or not, on this machine."""
    found: dict[str, str] = {}
    followed: set[tuple[str, str]] = set()
    waiting = [(requirement, "") for requirement in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        package = installed_package(name)
        found[name] = package.version.partition("+")[0]
        for wanted in {(name, ""), *((name, e) for e in requirement.extras)} - followed:
            followed.add(wanted)
            waiting += [(Requirement(line), wanted[1]) for line in package.requires or ()]
    return found


def installed_package(name: str) -> Distribution:
    """A package of this environment."""
    try:
        return distribution(name)
    except PackageNotFoundError:
        raise SystemExit(
            f"{name} is not installed in this environment. Run: bash workflows/test.sh"
        ) from None


def main() -> None:
    """Print the file."""
    print(HEADER)
    for name, version in sorted(installed(declared("dev")).items()):
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()

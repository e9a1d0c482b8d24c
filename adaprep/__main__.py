"""`python -m adaprep`, and `torchrun ... -m adaprep`: the command line."""

from __future__ import annotations

from adaprep import _own


def main() -> None:
    """Run the command line, ours whatever other `cli.py` lies on the path."""
    _own("cli")
    from cli import main as command_line

    command_line(prog_name="adaprep")


if __name__ == "__main__":
    main()

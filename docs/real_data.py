"""Writes docs/real-data.md: runs the commands on real data and keeps what they print.

    python docs/real_data.py FOLDER

FOLDER holds camvid/, cityscapes/, synthia-seqs/ and apolloscape-masks/ as docs/datasets.md describes them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]

INTRODUCTION = """\
# On real data: the commands and what they printed

Written by `python docs/real_data.py DATA`, where `DATA` is the folder that holds the data sets. None of their
pixels are shown: their licences forbid it. `adaprep show` draws the pictures for you.
"""

SECTIONS = {
    "CamVid": [
        "adaprep check --dataset camvid --root DATA/camvid",
        "adaprep boundaries --dataset camvid --root DATA/camvid --dry-run",
        "adaprep boundaries --dataset camvid --root DATA/camvid",
        "adaprep boundaries --dataset camvid --root DATA/camvid",
        "adaprep boundaries --dataset camvid --root DATA/camvid --targets car || echo exit status $?",
        "adaprep solve-tensors --lambda 0.1,1,10",
        "adaprep solve-tensors --lambda 1 --grid 16x16",
        "adaprep show 0016E5_08159 --lambda 0.1,1,10 --resize 32 -o camvid.png",
        "adaprep verify",
        "adaprep status",
    ],
    "Cityscapes": [
        "adaprep check --dataset cityscapes --root DATA/cityscapes",
        "adaprep boundaries --dataset cityscapes --root DATA/cityscapes",
        "adaprep solve-tensors --lambda 1",
        "adaprep show aachen_000003 --resize 64 -o cityscapes.png",
        "adaprep verify",
    ],
    "SYNTHIA-SEQS": [
        "adaprep check --dataset synthia-seqs --root DATA/synthia-seqs --split all",
        "adaprep boundaries --dataset synthia-seqs --root DATA/synthia-seqs --split all",
        "adaprep solve-tensors --lambda 1",
        "adaprep show 0 -o synthia.png",
        "adaprep verify",
    ],
    "ApolloScape, 3384 x 2710": [
        "python -m benchmarks.apolloscape_from_masks DATA/apolloscape-masks apolloscape --copies 4",
        "adaprep check --dataset apolloscape --root apolloscape",
        "adaprep boundaries --dataset apolloscape --root apolloscape",
        "adaprep solve-tensors --lambda 1",
        "adaprep show 0 --lambda 0.1,1,10 -o apolloscape.png",
        "adaprep verify --all",
    ],
}


def run(command: str, data: Path, folder: Path, workspace: str) -> str:
    """What one command prints, with this machine's folders named DATA and nothing."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "ADAPREP_WORKSPACE": workspace, "PYTHONPATH": str(REPOSITORY)}
    result = subprocess.run(
        command.replace("DATA", str(data)),
        shell=True,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode:
        raise SystemExit(f"{command} failed:\n{result.stdout}")
    lines = [line.rstrip() for line in result.stdout.replace(str(data), "DATA").splitlines()]
    return "\n".join(lines)


def main() -> None:
    data = Path(sys.argv[1]).resolve()
    parts = [INTRODUCTION]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, commands in SECTIONS.items():
            workspace = title.split(",")[0].lower()
            parts.append(f"\n## {title}\n")
            for command in commands:
                parts.append(f"```console\n$ {command}\n{run(command, data, folder, workspace)}\n```\n")
            shutil.rmtree(folder / workspace)
    (REPOSITORY / "docs" / "real-data.md").write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()

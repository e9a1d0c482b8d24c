"""Runs the commands of the docs on real data and keeps what they print: real-data.md, your-own-data.md.

    python docs/real_data.py FOLDER

FOLDER holds camvid/, cityscapes/, synthia-seqs/ and apolloscape-masks/ as docs/datasets.md describes them.
"""

from __future__ import annotations

import os
import re
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


OWN = {
    "init": "adaprep init camvid -o my-camvid.yaml",
    "check": "adaprep check --dataset camvid-mine.yaml --split train",
    "boundaries": "adaprep boundaries --dataset camvid-mine.yaml",
    "solve-tensors": "adaprep solve-tensors --lambda 1",
    "show": "adaprep show 0016E5_07959",
}
"""Marked places of your-own-data.md and what is run for them."""


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
    printed = result.stdout.replace(str(data), "DATA").replace(f"{folder}/", "")
    lines = [line.rstrip() for line in printed.splitlines()]
    return "\n".join(lines)


def write_own_data(data: Path) -> None:
    """Fill the marked places of your-own-data.md, with the YAML file that stands in it."""
    page = REPOSITORY / "docs" / "your-own-data.md"
    text = page.read_text(encoding="utf-8")
    block = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    if block is None:
        raise SystemExit(f"no YAML block in {page}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "camvid").symlink_to(data / "camvid")
        (folder / "camvid-mine.yaml").write_text(block[1], encoding="utf-8")
        for place, command in OWN.items():
            printed = run(command, data, folder, "adaprep-workspace")
            marked = re.compile(rf"(<!-- output: {place} -->\n)(?:```text\n.*?```\n)?", re.DOTALL)
            text = marked.sub(lambda m, printed=printed: f"{m[1]}```text\n{printed}\n```\n", text)
    page.write_text(text, encoding="utf-8")


def main() -> None:
    data = Path(sys.argv[1]).resolve()
    write_own_data(data)
    parts = [INTRODUCTION]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, commands in SECTIONS.items():
            workspace = "adaprep-workspace"
            parts.append(f"\n## {title}\n")
            for command in commands:
                parts.append(f"```console\n$ {command}\n{run(command, data, folder, workspace)}\n```\n")
            shutil.rmtree(folder / workspace)
    (REPOSITORY / "docs" / "real-data.md").write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()

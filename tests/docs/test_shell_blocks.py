"""Every shell block of README and docs is run, in a folder like the reader's, on miniature data."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli import main
from tests.docs import miniature
from tests.docs.blocks import Command, commands
from tests.object_store import running_server, server, upload  # noqa: F401

REPOSITORY = miniature.REPOSITORY
WRITTEN = (
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    *sorted((REPOSITORY / "docs").glob("*.md")),
    REPOSITORY / "workflows" / "README.md",
)
PAGES = [path for path in WRITTEN if path.exists() and commands(path)]

EXEMPT = {
    "bash workflows/": "installs adaprep, and runs the tests that this is one of, or the demo",
    "pip install": "changes the environment",
    "python3 -m venv": "changes the environment",
    "source .venv/bin/activate": "holds for one shell",
    "python -m pytest": "runs tests within a test",
    "dask scheduler": "runs until it is stopped; a cluster made by the test takes its place",
    "dask worker": "runs until it is stopped; a cluster made by the test takes its place",
    "torchrun": "starts several processes and wants GPUs; what it runs is parsed",
}
"""Beginnings of commands that are not run, with the reason. What follows `-m cli` is parsed all the same."""

ALONE = {"commands.md", "running.md"}
"""Pages whose commands have nothing to do with each other: each has a folder of its own."""

EMPTY = {
    "README.md", "appendix-a.md", "choosing.md", "method.md", "object-stores.md", "quick-start.md",
    "real-data.md", "scaling.md", "training.md", "your-own-data.md",
}  # fmt: skip
"""Pages that begin with no workspace. On all others there is one of CamVid, with networks trained on it."""

TOGETHER = {"adaprep run"}
"""Sections of those pages whose commands share a folder, which begins with no workspace."""

BY_SECTION = {"real-data.md", "scaling.md"}
"""Pages of which every section begins with no workspace again."""

QUICK = {"CONTRIBUTING.md", "method.md"}
"""Pages that take a few seconds; the others are marked slow."""

ADDRESS = "tcp://head:8786"

SRUN = """\
#!/bin/sh
while [ "${1#-}" != "$1" ]; do shift; done
exec "$@"
"""
"""Stands in for Slurm's: runs its command once, here."""


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The miniature data sets."""
    folder = tmp_path_factory.mktemp("data")
    miniature.write_data(folder)
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A folder with a workspace of CamVid that has gone through everything, and checkpoints."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        miniature.limit(patch.setattr)
        patch.chdir(folder)
        patch.setenv("ADAPREP_DATA", str(data))
        for command in (
            "boundaries --dataset camvid", "boundaries --dataset camvid --split test", "solve-tensors",
            "train --resolution 32", "train --resolution 32 --sampler uniform",
        ):  # fmt: skip
            run_here(command)
    runs = folder / "adaprep-workspace" / "camvid" / "runs"
    for name, run in (
        ("auxiliary.pt", "auxiliary-32-seed0"),
        ("base.pt", "base-unet-auxiliary-32-seed0"),
        ("uniform.pt", "base-unet-uniform-32-seed0"),
    ):
        shutil.copy(runs / run / "best.pt", folder / name)
    shutil.copy(folder / "base.pt", folder / "BASE.pt")
    shutil.copy(folder / "auxiliary.pt", folder / "AUX.pt")
    return folder


@pytest.fixture(scope="session")
def cluster() -> Iterator[Callable[[], str]]:
    """Starts a small Dask cluster when its address is first asked for."""
    from distributed import LocalCluster

    running: list[LocalCluster] = []

    def address() -> str:
        if not running:
            running.append(
                LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None)
            )
        return str(running[0].scheduler_address)

    yield address
    for one in running:
        one.close()


def run_here(text: str) -> None:
    """Run one adaprep command in this process."""
    result = CliRunner().invoke(main, shlex.split(text, comments=True))
    trace = "" if result.exception is None else repr(result.exception)
    assert result.exit_code == 0, f"adaprep {text}\n{result.output}\n{trace}"


def run_in_shell(text: str, folder: Path, programs: Path) -> None:
    """Run a command or a script in bash, where adaprep and python are those of the miniature."""
    path = f"{programs}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {
        **os.environ,
        "PATH": path,
        "PYTHONPATH": str(REPOSITORY),
        "SLURM_JOB_ID": str(os.getpid()),
    }
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, f"{text}\n{result.stdout}\n{result.stderr}"


def parse_only(text: str) -> None:
    """Hold what follows `-m cli` against the options there are."""
    words = shlex.split(text, comments=True)
    if "cli" in words:
        name, *arguments = words[words.index("cli") + 1 :]
        main.commands[name].make_context(name, arguments)


def is_plain(text: str) -> bool:
    """Whether a command is adaprep with words alone, nothing for a shell to do."""
    try:
        words = shlex.split(text, comments=True)
    except ValueError:
        return False
    return words[0] == "adaprep" and "\n" not in text and not re.search(r"[*|<>&$~;`]", " ".join(words))


def reason_not_to_run(text: str) -> str | None:
    return next((reason for start, reason in EXEMPT.items() if text.startswith(start)), None)


class Reader:
    """Does what a page says, in a folder that `make` furnishes for a section."""

    def __init__(self, data: Path, make: Callable[[str], Path], patch: pytest.MonkeyPatch) -> None:
        self.data, self.make, self.patch = data, make, patch

    def enter(self, section: str) -> None:
        self.folder = self.make(section)
        self.patch.chdir(self.folder)
        self.patch.syspath_prepend(str(self.folder))

    def obey(self, command: Command, address: Callable[[], str]) -> None:
        text = command.text
        if reason_not_to_run(text):
            parse_only(text)
            return
        text = re.sub(r"\bDATA\b", str(self.data), text).replace("IMAGE...", "street.jpg")
        text = text.replace("~/", f"{self.data}/").replace("--root FOLDER", f"--root {self.data}/camvid")
        text = text.replace("--device cuda", "--device auto").replace("--workers 8", "--workers 2")
        if ADDRESS in text:
            text = text.replace(ADDRESS, address())
        if is_plain(text):
            run_here(text.removeprefix("adaprep "))
        else:
            run_in_shell(text, self.folder, self.programs())

    def programs(self) -> Path:
        """A folder with an `adaprep` that runs under the same limits."""
        folder = self.folder / ".programs"
        folder.mkdir(exist_ok=True)
        script = folder / "adaprep"
        script.write_text(
            f'#!/bin/sh\nexec "{sys.executable}" -m tests.docs.miniature "$@"\n', encoding="utf-8"
        )
        script.chmod(0o755)
        srun = folder / "srun"
        srun.write_text(SRUN, encoding="utf-8")
        srun.chmod(0o755)
        return folder


def case(page: Path) -> Any:
    """A page as a parameter of the test, marked as slow unless it is known to be quick."""
    marks = [] if page.name in QUICK else [pytest.mark.slow]
    return pytest.param(page, id=str(page.relative_to(REPOSITORY)), marks=marks)


@pytest.mark.parametrize("page", [case(page) for page in PAGES])
def test_the_commands_of_a_page_run(
    page: Path, data: Path, cluster: Callable[[], str], tmp_path: Path,
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    found = commands(page)
    with_networks = any(re.search(r"train|\.pt\b|networks|demo|adaprep (run|report)", c.text) for c in found)
    if with_networks:
        pytest.importorskip("torch")
    wanted = [c for c in found if not reason_not_to_run(c.text)]
    needs_networks = bool(wanted) and (page.name not in EMPTY or any(".pt" in c.text for c in wanted))
    prepared = request.getfixturevalue("trained") if needs_networks else None

    def make(section: str) -> Path:
        folder = tmp_path / f"reader{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        miniature.furnish(folder, data)
        if prepared is not None:
            for checkpoint in prepared.glob("*.pt"):
                (folder / checkpoint.name).symlink_to(checkpoint)
            if page.name not in EMPTY and section not in TOGETHER:
                shutil.copytree(prepared / "adaprep-workspace", folder / "adaprep-workspace")
        if any("resnet50.safetensors" in c.text for c in wanted):
            write_backbone(folder / "resnet50.safetensors")
        return folder

    if any("s3://bucket" in c.text for c in wanted):
        upload(data / "camvid", request.getfixturevalue("server").bucket("bucket") / "camvid")
    miniature.limit(monkeypatch.setattr, with_networks)
    monkeypatch.setenv("ADAPREP_DATA", str(data))
    reader = Reader(data, make, monkeypatch)
    before: Command | None = None
    for command in found:
        if before is None or begins_anew(page, before, command):
            reader.enter(command.section)
        before = command
        try:
            reader.obey(command, cluster)
        except AssertionError as error:
            pytest.fail(f"{page.relative_to(REPOSITORY)}:{command.line}: {error}", pytrace=False)


def begins_anew(page: Path, before: Command, command: Command) -> bool:
    """Whether a command is run in another folder than the one before it."""
    if command.section != before.section:
        return page.name in ALONE | BY_SECTION
    return page.name in ALONE and command.section not in TOGETHER


def write_backbone(path: Path) -> None:
    """Weights as a download would hold them, untrained."""
    import timm
    from safetensors.torch import save_file

    save_file(timm.create_model("resnet50", pretrained=False).state_dict(), path)


@pytest.mark.parametrize("start", EXEMPT)
def test_no_exemption_outlives_its_commands(start: str) -> None:
    assert any(c.text.startswith(start) for page in PAGES for c in commands(page)), f"{start!r}: in no page"


EVERY_FORM = """\
# Title

## One

```console
$ adaprep a --x 1 \\
    --y 2
printed
$ adaprep b
```

    adaprep c   # why

    adaprep d

text

    no command

```yaml
adaprep: no
```

## Two

```sh
# a remark
adaprep e

for x in 1 2; do
    echo $x
done
```

    cd there
    adaprep f
"""


def test_blocks_are_found_in_all_their_forms(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(EVERY_FORM, encoding="utf-8")
    found = commands(page)
    assert [c.text.split("\n")[0] for c in found] == [
        "adaprep a --x 1 --y 2", "adaprep b", "adaprep c   # why", "adaprep d", "# a remark", "cd there",
        "adaprep f",
    ]  # fmt: skip
    assert [c.line for c in found[:4]] == [6, 9, 12, 14]
    assert [c.section for c in found] == ["One"] * 4 + ["Two"] * 3
    assert found[4].is_script

"""What WORLD_SIZE and its companions may say, and what is said where they do not go together."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import AdaprepError
from pipeline.train import environment

FOUND = {"RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


@pytest.mark.parametrize("given", [{}, {"WORLD_SIZE": ""}, {"WORLD_SIZE": "1"}, {"RANK": "3"}])
def test_alone_unless_several_are_named(given: dict[str, str]) -> None:
    assert environment.read(given) == environment.ProcessPlace()


def test_torchrun_names_all() -> None:
    given = {**FOUND, "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "LOCAL_RANK": "1"}
    assert environment.read({**given, "TORCHELASTIC_RUN_ID": "none"}) == environment.ProcessPlace(1, 4, 1, 2)


def test_what_torchrun_did_not_start_is_not_waited_for_for_long() -> None:
    given = {**FOUND, "WORLD_SIZE": "4"}
    assert environment.read(given).joining == environment.UNEXPECTED
    assert environment.read({**given, "ADAPREP_PROCESSES_TIMEOUT": "7"}).joining == 7


def test_all_share_a_machine_where_nothing_says_otherwise() -> None:
    assert environment.local_size({"WORLD_SIZE": "3"}) == 3
    assert environment.local_size({}) == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"WORLD_SIZE": "2"}, r"^RANK is not set\. WORLD_SIZE=2 says that 2 processes train together"),
        ({"WORLD_SIZE": "2", **FOUND, "RANK": ""}, r"^RANK is not set\."),
        ({"WORLD_SIZE": "2", "RANK": "0"}, r"^MASTER_ADDR is not set\..*unset WORLD_SIZE"),
        ({"WORLD_SIZE": "2", **FOUND, "RANK": "2"}, "RANK is '2', must be a number from 0 to 1"),
        ({"WORLD_SIZE": "2", **FOUND, "MASTER_PORT": "http"}, "MASTER_PORT is 'http'"),
        ({"WORLD_SIZE": "two"}, r"WORLD_SIZE is 'two', must be a number from 1 to.*unset WORLD_SIZE"),
        ({"WORLD_SIZE": "-1"}, "WORLD_SIZE is '-1'"),
        ({"WORLD_SIZE": "9" * 30}, "WORLD_SIZE is '999"),
        ({"WORLD_SIZE": "2", **FOUND, "LOCAL_RANK": "nan"}, "LOCAL_RANK is 'nan'"),
        ({"WORLD_SIZE": "2", **FOUND, "ADAPREP_PROCESSES_TIMEOUT": "0"}, "ADAPREP_PROCESSES_TIMEOUT is '0'"),
    ],
)
def test_what_does_not_go_together_is_a_sentence(given: dict[str, str], message: str) -> None:
    with pytest.raises(AdaprepError, match=message):
        environment.read(given)


@pytest.mark.slow
def test_a_process_whose_partners_do_not_come_says_so_and_ends() -> None:
    pytest.importorskip("torch")
    script = (
        "from pipeline.train import processes\nprocesses.QUIET = 0.1\nwith processes.started('cpu'): pass\n"
    )
    given = {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29611"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
        env={**os.environ, **given, "ADAPREP_PROCESSES_TIMEOUT": "3"},
    )
    assert done.returncode == 1
    assert "waiting for the other processes at 127.0.0.1:29611: this is process 1 of 2" in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(
        "pipeline.errors.AdaprepError: the other processes did not come to 127.0.0.1:29611"
    )
    assert "unset WORLD_SIZE" in last

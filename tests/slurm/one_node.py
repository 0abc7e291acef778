"""A real SLURM of one node: munged, slurmctld and slurmd of Debian, for the length of a block."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")
CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={controller}
SlurmdPort={daemon}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SchedulerParameters=sched_interval=2,bf_interval=5,batch_sched_delay=0
KillWait=10
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={mebibytes} State=UNKNOWN
PartitionName=short Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@dataclass(frozen=True)
class Cluster:
    """How to talk to a SLURM of one node."""

    folder: Path

    def command(self, *words: str) -> str:
        """Run a command of SLURM and return what it says."""
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, f"{words}: {done.stderr}\n{self.logs()}"
        return done.stdout

    def states(self) -> dict[str, str]:
        """Return the state of every job that is queued or running, by name and number in its array."""
        lines = self.command("squeue", "--noheader", "--array", "--format=%j|%K|%T|%i").splitlines()
        return {"|".join((name, item)): state for name, item, state, _ in (x.split("|") for x in lines)}

    def identifier(self, name: str, item: str) -> str:
        """Return the identifier of a job that is queued or running."""
        for line in self.command("squeue", "--noheader", "--array", "--format=%j|%K|%i").splitlines():
            if line.split("|")[:2] == [name, item]:
                return line.split("|")[2]
        raise AssertionError(f"{name} {item} is not in the queue: {self.states()}")

    def wait_until(self, condition: Callable[[], bool], seconds: float = 240.0) -> None:
        """Wait; requeued jobs, which SLURM holds back for two minutes, may start in five seconds.

        (At once they must not: the credential of the job is that of the second in which it was revoked.)
        """
        end, brought_forward = time.monotonic() + seconds, set[str]()
        while not condition():
            assert time.monotonic() < end, f"{self.states()}\n{self.logs()}"
            for line in self.command("squeue", "--noheader", "--array", "--format=%i|%T|%r").splitlines():
                job, state, reason = line.split("|")
                if (state, reason) == ("PENDING", "BeginTime") and job not in brought_forward:
                    brought_forward.add(job)
                    self.command("scontrol", "update", f"JobId={job}", "StartTime=now+5")
            time.sleep(0.3)

    def logs(self) -> str:
        """Return the ends of the logs, for a message."""
        return "\n".join(
            f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-15:])
            for path in sorted(self.folder.glob("*.log"))
        )


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def absent() -> str:
    """Return what is missing for a SLURM here; empty if nothing is."""
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"needs {', '.join(missing)}: apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "needs root, as slurmd does"


@contextlib.contextmanager
def one_node(folder: Path) -> Iterator[Cluster]:
    """Start SLURM, wait until its node is idle, stop it afterwards.

    Parameters
    ----------
    folder : Path
        For its files.
    """
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    host = socket.gethostname().split(".")[0]
    text = CONFIGURATION.format(
        host=host,
        folder=folder,
        controller=_free_port(),
        daemon=_free_port(),
        cpus=os.cpu_count() or 1,
        mebibytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
    )
    (folder / "slurm.conf").write_text(text)
    munge = [
        f"--{name}={folder}/munge.{name.partition('-')[0]}" for name in ("key-file", "socket", "pid-file")
    ]
    munge += [f"--log-file={folder}/munge.log", f"--seed-file={folder}/munge.seed"]
    environment = mock.patch.dict(os.environ, {"SLURM_CONF": str(folder / "slurm.conf")})
    with contextlib.ExitStack() as stack, environment:
        found = Cluster(folder)
        for command in (
            ["munged", "--foreground", "--force", *munge],
            ["slurmctld", "-D", "-i", "-f", str(folder / "slurm.conf")],
            ["slurmd", "-D", "-N", host, "-f", str(folder / "slurm.conf")],
        ):
            stack.enter_context(_running(command, folder))
            time.sleep(0.5)
        end = time.monotonic() + 60
        while "idle" not in (said := _sinfo()):
            assert time.monotonic() < end, f"no idle node: {said}\n{found.logs()}"
            time.sleep(0.5)
        yield found


def _sinfo() -> str:
    done = subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@contextlib.contextmanager
def _running(command: list[str], folder: Path) -> Iterator[None]:
    with (folder / f"{command[0]}.out.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

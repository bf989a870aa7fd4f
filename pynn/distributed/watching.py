"""Seeing that a process of this machine has ended or was stopped, which those that wait for it are to be told."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

__all__ = ["Meeting", "outlive", "stopped"]

LAUNCHERS = {"mpiexec", "mpiexec.hydra", "mpirun", "orterun", "orted", "prte", "prted", "prterun", "hydra_pmi_proxy"}

# Says who of those that connect is the first to hang up without a farewell. It is run by itself, since launchers kill
# the other ranks within a millisecond, and do not always say who was first; and it looks at sockets and not at
# processes, which on a busy machine are often gone in another order than they were killed in.
PROGRAM = """
import os, select, socket, sys
door, left, names, look = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), {}, select.poll()
door.settimeout(60)
for _ in range(left):
    one, _ = door.accept()
    names[one.fileno()] = one, one.recv(1000).decode()
    look.register(one, select.POLLIN)
door.close()
while left:
    lost = []
    for fd, _ in look.poll():
        one, name = names[fd]
        try:
            said = one.recv(1)
        except ConnectionError:
            said = b""
        lost += [] if said else [name]
        look.unregister(fd)
        left -= 1
    if lost:
        os.write(2, f"pynn: {' or '.join(lost)} has ended before the job did.\\n".encode())
        break
"""

# Ends a process that is still there some seconds later, if it is the one that had this number before.
OUTLIVING = """
import os, signal, sys, time
pid, since, after = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
for number, seconds in ((signal.SIGTERM, after), (signal.SIGKILL, 2.0)):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            there = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[19] == since
        except (OSError, IndexError):
            there = False
        if not there:
            sys.exit()
        time.sleep(0.1)
    os.kill(pid, number)
"""


class Meeting:
    """Where the ranks of a machine meet a process that tells who is the first to end before the job does.

    Attributes
    ----------
    address : str
        Where others find it, if this is the first rank of its machine; empty where there are no such addresses.
    """

    def __init__(self) -> None:
        self.door: socket.socket | None = None
        self.line: socket.socket | None = None
        self.address = ""
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                self.door = socket.socket(socket.AF_UNIX)
                self.address = f"pynn-{os.getpid()}-{os.urandom(8).hex()}"
                self.door.bind("\0" + self.address)
                self.door.listen(512)

    def begin(self, address: str, count: int, mine: str) -> None:
        """Go to the address of the first rank of this machine, as so many do."""
        door, self.door = self.door, None
        with contextlib.suppress(OSError):
            if door is not None and address == self.address and count > 1:
                subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", PROGRAM, str(door.fileno()), str(count)],
                    pass_fds=[door.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                    start_new_session=True,
                )  # fmt: skip
            if address and count > 1:
                self.line = socket.socket(socket.AF_UNIX)
                self.line.settimeout(60)
                self.line.connect("\0" + address)
                self.line.sendall(mine.encode())
        if door is not None:
            door.close()

    def leave(self) -> None:
        """Say that all is well."""
        if self.line is not None:
            with contextlib.suppress(OSError):
                self.line.sendall(b".")


def stopped(pid: int) -> bool:
    """Tell whether a process of this machine does not run: it was stopped, or it is no longer there."""
    if not Path("/proc/self/stat").exists():
        return False
    try:
        state = _status(pid)[0]
    except (OSError, IndexError):
        return True
    return state in "TtZX"


def outlive(seconds: float) -> None:
    """See to it that what launched the ranks of this machine ends too, so many seconds from now at the latest.

    mpiexec waits for what it started on other machines, though nothing can be heard of them. Of the processes above
    this one the outermost that is MPI's is told to end, and ended two seconds later.
    """
    with contextlib.suppress(OSError, IndexError):
        found, pid = None, os.getppid()
        while pid > 1 and Path(f"/proc/{pid}/comm").read_text().strip() in LAUNCHERS:
            found, pid = pid, int(_status(pid)[1])
        if found is not None:
            subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", OUTLIVING, str(found), _status(found)[19], str(seconds)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip


def _status(pid: int) -> list[str]:
    """Return what the kernel says of a process from its state on: state, parent; the 20th is when it began."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()

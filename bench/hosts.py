"""Two machines on this one: training over a link that is limited, and then cut.

    python -m bench.hosts [--ranks 2] [--rate 1gbit] [--delay 1ms] [--cuts middle near far]      # as root, on Linux

Each machine is a network namespace with a name, process numbers and an address of its own; a third is the switch
between them. A link is cut in the middle (nothing is heard of it at either end), at the end of mpiexec's machine or at
the other one. `--delay` needs a kernel with netem.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEADLINE = 5.0
NEAR, FAR = "10.77.0.1", "10.77.0.2"
CUTS = ("middle", "near", "far")


class Hosts:
    """Two machines, near and far, from entering to leaving; mpiexec runs on the near one."""

    def __init__(self) -> None:
        self.names = {place: f"pynn-{os.getpid()}-{place}" for place in ("near", "far", "switch")}
        self.links = {place: f"p{os.getpid()}{place[0]}" for place in self.names}  # of 15 characters at most

    @staticmethod
    def possible() -> bool:
        """Tell whether such machines can be made here."""
        if sys.platform != "linux" or os.geteuid() or not shutil.which("ip") or not shutil.which("unshare"):
            return False
        try:
            with Hosts():
                return True
        except subprocess.CalledProcessError:
            return False

    def __enter__(self) -> Hosts:
        try:
            for place, name in self.names.items():
                _run("ip", "netns", "add", name)
                self.ip(place, "link", "set", "lo", "up")
            switch = self.links["switch"]
            self.ip("switch", "link", "add", switch, "type", "bridge")
            self.ip("switch", "link", "set", switch, "up")
            for place, address in (("near", NEAR), ("far", FAR)):
                link, name = self.links[place], self.names[place]
                peer = ["peer", "name", f"{link}s", "netns", self.names["switch"]]
                _run("ip", "link", "add", link, "netns", name, "type", "veth", *peer)
                self.ip("switch", "link", "set", f"{link}s", "master", switch, "up")
                self.ip(place, "addr", "add", f"{address}/24", "dev", link)
                self.ip(place, "link", "set", link, "up")
        except BaseException:
            self.__exit__()
            raise
        self.folder = tempfile.TemporaryDirectory()
        shell = Path(self.folder.name, "shell")  # mpiexec calls it: shell [OPTIONS] HOST COMMAND ...
        into = f"ip netns exec {self.names['far']} unshare -u -i -p -f --mount-proc"
        lines = ['while [ "${1#-}" != "$1" ]; do shift; done', "shift", f'exec {into} sh -c "hostname far; exec $*"']
        shell.write_text("\n".join(["#!/bin/sh", *lines, ""]))
        shell.chmod(0o755)
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self.left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for name in self.names.values():
            subprocess.run(["ip", "netns", "delete", name], stderr=subprocess.DEVNULL, check=False)
        if hasattr(self, "folder"):
            self.folder.cleanup()

    def ip(self, place: str, *arguments: str) -> None:
        """Call ip on a machine, or on the switch."""
        _run("ip", "-n", self.names[place], *arguments)

    def limit(self, *arguments: str) -> None:
        """Limit what both send: netem delay 1ms, or tbf rate 1gbit burst 64kb latency 50ms."""
        for place in ("near", "far"):
            _run("tc", "-n", self.names[place], "qdisc", "replace", "dev", self.links[place], "root", *arguments)

    def cut(self, where: str) -> None:
        """Cut the link: one of CUTS."""
        if where == "middle":
            self.ip("switch", "link", "set", f"{self.links['far']}s", "nomaster")
        else:
            self.ip(where, "link", "set", self.links[where], "down")

    def mpiexec(self, ranks: int, *command: str, **variables: str) -> subprocess.Popen[str]:
        """Start a command by so many ranks, half of them on either machine."""
        beside = Path(sys.executable).parent / "mpiexec"
        launch = [str(beside) if beside.exists() else "mpiexec", "-launcher", "rsh", "-launcher-exec"]
        launch += [f"{self.folder.name}/shell", "-localhost", NEAR, "-hosts", f"{NEAR},{FAR}"]
        launch += ["-ppn", str(ranks // 2), "-n", str(ranks), "-genvall", *command]
        into = ["ip", "netns", "exec", self.names["near"], "unshare", "-u", "-i", "sh", "-c"]
        settings = {"UCX_TLS": "tcp,self", "FI_PROVIDER": "tcp", "PYNN_NUM_THREADS": "1", **variables}
        return subprocess.Popen(
            [*into, f"hostname near; exec {shlex.join(launch)}"], cwd=ROOT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **settings},
        )  # fmt: skip

    def left(self) -> list[int]:
        """Return the processes that are still on either machine."""
        commands = [["ip", "netns", "pids", self.names[place]] for place in ("near", "far")]
        found = [subprocess.run(command, capture_output=True, check=False).stdout for command in commands]
        return sorted(int(pid) for text in found for pid in text.split())


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def worker(epochs: int) -> None:
    """Train as one of the ranks, or alone, and tell the digest of the weights and the time of a step."""
    import numpy as np

    import pynn
    from pynn import nn

    ranks = pynn.distributed.info().ranks
    r = np.random.default_rng(0)
    model = nn.Sequential([nn.Dense(128, activation="relu"), nn.Dense(3)])
    model.compile("adam", "cross_entropy", seed=1)
    x, y = r.standard_normal((640, 784)).astype("float32"), r.integers(0, 3, 640)
    settings = {"batch_size": 64, "verbose": 0, "accumulate": 8 if ranks == 1 else None}
    starts = []

    class Begun(pynn.train.Callback):
        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            starts.append(time.perf_counter())
            if epoch == 0:
                print("began", flush=True)

    model.fit(x, y, epochs=epochs, callbacks=[Begun()], **settings)
    took = (starts[-1] - starts[0]) / (len(starts) - 1) / 10
    weights = hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest()[:16]
    if pynn.distributed.info().rank == 0:
        print(f"weights {weights}, {1e3 * took:.2f} ms a step", flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Train over the link, and then cut it in all manners."""
    parser = argparse.ArgumentParser(prog="python -m bench.hosts")
    parser.add_argument("--ranks", type=int, default=2, help="an even number")
    parser.add_argument("--rate", help="of the link, as tc writes it: 1gbit")
    parser.add_argument("--delay", help="of each packet, as tc writes it: 1ms")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--cuts", nargs="*", choices=CUTS, default=CUTS)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.worker:
        worker(arguments.epochs)
        return
    if not Hosts.possible():
        parser.error("it needs root, iproute2 and a Linux with network namespaces, veth and bridge")
    command = [sys.executable, "-P", __file__, "--worker", "--epochs"]  # of the pynn that is installed, like this one
    alone = {**os.environ, "PYNN_NUM_THREADS": "1"}
    subprocess.run([*command, str(arguments.epochs)], cwd=ROOT, env=alone, check=True)
    with Hosts() as hosts:
        if arguments.delay:
            hosts.limit("netem", "delay", arguments.delay, *(["rate", arguments.rate] if arguments.rate else []))
        elif arguments.rate:
            hosts.limit("tbf", "rate", arguments.rate, "burst", "128kb", "latency", "50ms")
        job = hosts.mpiexec(arguments.ranks, *command, str(arguments.epochs), PYNN_DISTRIBUTED="mpi")
        out, errors = job.communicate()
        print(f"{arguments.ranks} ranks on two hosts: {out.splitlines()[-1] if out else errors}", flush=True)
    for where in arguments.cuts:
        with Hosts() as hosts:
            variables = {"PYNN_DISTRIBUTED": "mpi", "PYNN_DEADLINE": str(DEADLINE)}
            job = hosts.mpiexec(arguments.ranks, *command, "1000000", **variables)
            assert job.stdout is not None
            job.stdout.readline()
            hosts.cut(where)
            begun = time.monotonic()
            _, errors = job.communicate()
            ended = time.monotonic() - begun
            while hosts.left() and time.monotonic() - begun < 60:
                time.sleep(0.1)
            print(f"cut: {where}; mpiexec ended after {ended:.1f} s with {job.returncode}, all after "
                  f"{time.monotonic() - begun:.1f} s, {len(hosts.left())} processes left")  # fmt: skip
            print("".join(f"  {line}\n" for line in errors.splitlines() if "waited" in line), end="", flush=True)


if __name__ == "__main__":
    main()

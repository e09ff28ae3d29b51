"""The first process of a lab's node: makes its namespaces a machine, says so, then buries what dies. Runs nothing.

Started as `python -m swarmpy.lab.init HOSTNAME RUN DISK` in fresh namespaces. It has only the standard library to load,
for every node has one.
"""

import ctypes
import os
import shutil
import signal
import socket
import sys
from pathlib import Path

READY = b"ready\n"
MS_BIND = 4096
RESOLVER = "nameserver 127.0.0.1\n"
RUN, ETC = Path("/run"), Path("/etc")

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    hostname, run, disk = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    socket.sethostname(hostname)
    arrange_run(run)
    arrange_etc(hostname, disk)
    os.write(1, READY)
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    while True:
        bury()
        signal.sigwait({signal.SIGCHLD})


def arrange_run(run: Path) -> None:
    """A /run of its own, for containerd, docker and iptables keep things there; in it the node's folder, which is the
    machine's, and the sockets where programs look for them."""
    folder = os.open(run, os.O_PATH | os.O_DIRECTORY)
    mount("tmpfs", str(RUN), "tmpfs", 0, "mode=755")
    run.mkdir(parents=True)
    mount(f"/proc/self/fd/{folder}", str(run), None, MS_BIND, None)
    os.close(folder)
    (RUN / "docker.sock").symlink_to(run / "docker.sock")
    (RUN / "swarmpy").symlink_to(run / "swarmpy")
    (RUN / "lock").mkdir(mode=0o1777)


def arrange_etc(hostname: str, disk: Path) -> None:
    """An /etc of its own over the machine's, kept on the node's disk: dockerd has its key and its settings there. Name
    look-ups fail at once, for nobody out there would answer."""
    upper, work = disk / "etc", disk / "etc.work"
    is_new = not upper.exists()
    work.mkdir(exist_ok=True)
    upper.mkdir(exist_ok=True)
    mount("overlay", str(ETC), "overlay", 0, f"lowerdir={ETC},upperdir={upper},workdir={work}")
    if is_new:
        shutil.rmtree(ETC / "docker", ignore_errors=True)
        (ETC / "docker").mkdir()
        for name, text in (("hostname", f"{hostname}\n"), ("resolv.conf", RESOLVER)):
            (ETC / name).unlink(missing_ok=True)
            (ETC / name).write_text(text)


def mount(source: str, target: str, kind: str | None, flags: int, options: str | None) -> None:
    words = [word.encode() if word is not None else None for word in (source, target, kind, options)]
    if _libc.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount {source} on {target}: {os.strerror(number)}")


def bury() -> None:
    """All children that have ended; most of them are orphans."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            return


if __name__ == "__main__":
    main()

"""Images made without a registry: Debian's static busybox in an otherwise empty file system, and this very Python."""

import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path

BUSYBOX = "swarmpy-test/busybox:1"
PROBE = "swarmpy-test/probe:1"
# In front of a verb of `netprobe.py`, in the image.
PROBE_COMMAND = ("/python", "-I", "-S", "-u", "/netprobe.py")
APPLETS = ("sh", "sleep", "httpd", "nc", "nslookup", "cat", "echo", "env", "hostname", "id", "ls", "mkdir", "kill",
           "true", "false", "test", "touch", "rm", "pwd", "ps", "grep", "stat", "seq", "date", "ip")  # fmt: skip


def busybox_path() -> Path | None:
    found = shutil.which("busybox")
    return Path(found) if found else None


def root_filesystem() -> bytes:
    """A tar with busybox, its applets, and the few files that programs expect."""
    binary = busybox_path()
    if binary is None:
        raise RuntimeError("busybox is not installed: apt-get install busybox-static")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in ("bin", "etc", "tmp", "www", "data"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(entry)
        _add(tar, "bin/busybox", binary.read_bytes(), 0o755)
        _add(tar, "etc/passwd", b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
        _add(tar, "etc/group", b"root:x:0:\nnogroup:x:65534:\n")
        _add(tar, "www/index.html", b"hello\n")
        for applet in APPLETS:
            _link(tar, f"bin/{applet}", "busybox")
    return buffer.getvalue()


def probe_filesystem() -> bytes:
    """Python, with no more of its library than `netprobe.py` needs, and busybox."""
    program, debian = Path(__file__).with_name("netprobe.py"), Path("/usr/bin/python3")
    python = (debian if debian.exists() else Path(sys.executable)).resolve()
    told = subprocess.run([python, "-I", "-S", str(program), "files"], check=True, capture_output=True, timeout=30)
    modules = [Path(file) for file in json.loads(told.stdout) if file != str(program)]
    buffer = io.BytesIO(root_filesystem())
    with tarfile.open(fileobj=buffer, mode="a") as tar:
        for path in _closed([python, *modules]):
            tar.add(path.resolve(), str(path), recursive=False)
        _add(tar, "netprobe.py", program.read_bytes(), 0o755)
        _link(tar, "python", str(python))
        # Python takes its absence for a broken installation.
        place = tarfile.TarInfo(str(next(path.parent for path in modules if path.name == "os.py") / "lib-dynload"))
        place.type, place.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(place)
    return buffer.getvalue()


def _closed(files: Iterable[Path]) -> list[Path]:
    """With the libraries that binaries among them load, and the compiled form of modules."""
    found = set(files)
    for path in sorted(found):
        if path.suffix == ".py":
            found |= set(path.parent.glob(f"__pycache__/{path.stem}.*.pyc"))
        else:
            told = subprocess.run(["ldd", str(path)], check=True, capture_output=True, text=True, timeout=30)
            found |= {Path(name) for name in re.findall(r"(/\S+) \(0x", told.stdout)}
    return sorted(found)


def import_image(docker_host: str, name: str = BUSYBOX, changes: tuple[str, ...] = ()) -> str:
    """Make the image on that engine. `changes` are Dockerfile lines, such as a HEALTHCHECK."""
    flags = [part for change in ("ENV PATH=/bin", *changes) for part in ("--change", change)]
    command = ["docker", "--host", docker_host, "import", *flags, "-", name]
    subprocess.run(command, input=root_filesystem(), check=True, capture_output=True, timeout=60)
    return name


def _add(tar: tarfile.TarFile, path: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _link(tar: tarfile.TarFile, path: str, to: str) -> None:
    entry = tarfile.TarInfo(path)
    entry.type, entry.linkname = tarfile.SYMTYPE, to
    tar.addfile(entry)

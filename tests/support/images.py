"""Images made without a registry: Debian's static busybox in an otherwise empty file system."""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

BUSYBOX = "swarmpy-test/busybox:1"
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
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return buffer.getvalue()


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

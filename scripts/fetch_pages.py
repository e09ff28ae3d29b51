"""Prints what each address answers at a port, and who: `fetch_pages.py PORT ADDRESS...`."""

import sys
import time
import urllib.request

PATIENCE = 5.0


def page(url: str) -> str:
    """A node may need a moment to hear of what has just become healthy elsewhere."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                return str(answer.read().decode().strip())
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def main(port: str, *addresses: str) -> int:
    for address in addresses:
        url = f"http://{address}:{port}/"
        try:
            sys.stdout.write(f"GET {url}   {page(url)}\n")
        except OSError as error:
            sys.stderr.write(f"GET {url} failed: {error}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""The server's side of TLS on the cluster's port, and its certificate, which is renewed while connections live on.

Connections that stand keep the certificate they began with. Does not follow a change of the CA: that takes a new start.
"""

from datetime import timedelta

from swarmpy.clock import Clock
from swarmpy.logs import logger
from swarmpy.pki import Credentials

log = logger("tls")

# A renewed certificate is served this soon; there are weeks to do it.
_LOOK_EVERY = timedelta(seconds=5)

# Of certificate and key: which file it is, when it was written, how long it is.
Fingerprint = tuple[tuple[int, int, int], ...]


def fingerprint_of(credentials: Credentials) -> Fingerprint:
    """Another one once the files have changed. Raises `OSError` when one is not there."""
    found = (file.stat() for file in (credentials.cert_file, credentials.key_file))
    return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in found)


class ServerTls:
    """`context` is one for life; what it serves changes. Raises `OSError` for files that cannot be used."""

    # Seconds that a client may take for its part of the handshake; and for the goodbye, with the last answer before it.
    HANDSHAKE_WITHIN = 10.0
    GOODBYE_WITHIN = 10.0

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._served = fingerprint_of(credentials)
        self._is_unusable = False
        self.context = credentials.server_context()
        # A resumed session would not be verified again: an ended certificate could live on in it.
        self.context.num_tickets = 0

    def reload(self) -> None:
        """Serve new handshakes with what the files hold now. Raises `OSError` when that is no pair; then nothing has
        changed."""
        found = fingerprint_of(self._credentials)
        # A context that was given half a pair serves nobody any more: the pair is tried elsewhere first.
        self._credentials.server_context()
        self.context.load_cert_chain(self._credentials.cert_file, self._credentials.key_file)
        self._served, self._is_unusable = found, False

    async def follow(self, clock: Clock) -> None:
        """Reload whenever the files change, for ever. A pair that does not match is half written: it is tried again,
        and spoken of once."""
        while True:
            await clock.sleep(_LOOK_EVERY)
            self._look()

    def _look(self) -> None:
        try:
            if fingerprint_of(self._credentials) == self._served:
                return
            self.reload()
        except OSError as error:
            if not self._is_unusable:
                log.warning("tls.certificate_unusable", file=str(self._credentials.cert_file), reason=str(error))
            self._is_unusable = True
        else:
            log.info("tls.certificate_renewed", file=str(self._credentials.cert_file))

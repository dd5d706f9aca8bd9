"""What goes wrong on a connection, in the words of `dbrun.errors`."""

from __future__ import annotations

import sys

from ...errors import DbrunError, Malformed, RunError, TimedOut, Unavailable
from .framing import MAX_BODY, BadAnswer, TooLarge
from .message import Address, UnknownEncoding

_CERTIFICATE_MEND = (
    "set `verify` of the endpoint, or REQUESTS_CA_BUNDLE, to the file of the authority that "
    "signed it"
)


_NO_TLS = ("wrong version number", "record layer failure")
"""What OpenSSL, older and newer, says of bytes that are no TLS at all."""


def translated(error: Exception, address: Address, timeout: float, sent: bool) -> DbrunError:
    """A failed exchange in the words of `dbrun.errors`."""
    where = address.authority
    if isinstance(error, TimeoutError):
        return TimedOut(f"no whole answer from {where} within {timeout:g} s", maybe_paid=sent)
    if isinstance(error, TooLarge):
        return Malformed(f"the answer of {where} exceeds {MAX_BODY >> 20} MiB", maybe_paid=True)
    if isinstance(error, UnknownEncoding):
        return Malformed(
            f"the answer of {where} is compressed as '{error}', which was not asked for",
            maybe_paid=True,
        )
    said = str(error) if isinstance(error, BadAnswer) else reason(error)
    return Unavailable(f"{where}: {said}", maybe_paid=sent)


def is_untrusted(error: BaseException) -> bool:
    """Whether *error* says that a server's certificate is refused."""
    ssl = sys.modules.get("ssl")  # not there before TLS was spoken
    return ssl is not None and isinstance(error, ssl.SSLCertVerificationError)


def untrusted(where: str, error: Exception) -> RunError:
    """The error for a server whose certificate is refused."""
    why = getattr(error, "verify_message", "") or reason(error)
    return RunError(f"the TLS certificate of {where} is not trusted: {why}", _CERTIFICATE_MEND)


def reason(error: Exception) -> str:
    """What the system says of *error*, without Python's numbers."""
    ssl = sys.modules.get("ssl")
    if ssl is not None and isinstance(error, ssl.SSLError):
        said = (error.reason or str(error)).replace("_", " ").lower()
        plain = ", the server may speak plain http" if said in _NO_TLS else ""
        return f"TLS failed: {said}{plain}"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()

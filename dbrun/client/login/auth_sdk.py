"""The unified chain of databricks-sdk: the only door to it, opened when nothing else will do."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from ...errors import AuthError, Unavailable
from ..credentials import Secret, mask
from .hosts import base_url

_NOTHING: Mapping[str, str] = {}
_FIXED = ("pat", "basic")  # databricks-sdk's names of what is never renewed
NO_EXTRA = "pip install 'dbrun[databricks]'"


class SdkAuth:
    """The unified chain of databricks-sdk: profiles, Azure, CLI, notebook and job identity.

    Making its `Config` asks the network, so it is made once, with the first request; it hands
    out current headers for each. *settings* are `Config`'s own arguments, *path* is the place of
    the options in which a spec could name a profile, if there is one. *reach* raises if nobody
    answers at the host of *settings*: the SDK itself tries for a minute, and then says that there
    are no credentials.
    """

    def __init__(
        self,
        settings: Mapping[str, str],
        path: str = "endpoint",
        reach: Callable[[], object] | None = None,
    ) -> None:
        self.generation = 0
        self._reach = reach
        self.source = "databricks-sdk"
        self._settings: dict[str, Any] = dict(settings)
        self._path = path
        self._lock = threading.Lock()
        self._config: Any = None
        self._headers: Mapping[str, str] = _NOTHING
        self._seen: dict[str, Secret] = {}

    @property
    def is_due(self) -> bool:
        """Whether the chain may ask somebody: all but a fixed token is renewed now and then."""
        config = self._config
        return config is None or config.auth_type not in _FIXED

    @property
    def host(self) -> str | None:
        """The host that the chain found."""
        host = self._ready().host
        return str(host) if host else None

    def headers(self) -> Mapping[str, str]:
        """Whatever headers the chain authenticates with."""
        config = self._ready()
        try:
            headers: dict[str, str] = dict(config.authenticate())
        except Exception as error:
            if self._seen and _is_passing(error):
                said = f"databricks-sdk cannot renew the login: {_reason(error)}"
                raise Unavailable(said) from error
            raise _no_login(error, self._path, config.host) from error
        if headers != self._headers:  # whoever makes requests of them keeps what it made
            for value in headers.values():
                secret = value.rpartition(" ")[2]
                if secret not in self._seen:
                    self._seen[secret] = Secret(secret)
            self._headers = headers
        return self._headers

    def refresh(self, generation: int) -> None:
        """Forget the chain's cached token by forgetting the chain."""
        with self._lock:
            if generation == self.generation:
                self.generation += 1
                self._config = None

    def mask(self, text: str) -> str:
        """*text* without any header value that was ever used here."""
        return mask(text, self._seen.values())

    def _ready(self) -> Any:
        config = self._config
        if config is None:
            with self._lock:
                if self._config is None:
                    self._config = self._make()
                    self.source = f"databricks-sdk ({self._config.auth_type})"
                config = self._config
        return config

    def _make(self) -> Any:
        try:
            from databricks.sdk.core import Config
        except ImportError as error:
            known = "" if self._settings.get("host") else "DATABRICKS_HOST and "
            raise AuthError(
                "no Databricks credentials are set, and databricks-sdk, which could find others, "
                "is not installed",
                f"set {known}DATABRICKS_TOKEN, or {NO_EXTRA}",
            ) from error
        sdk = logging.getLogger("databricks")
        if not sdk.handlers:  # else Python prints its warnings where nobody configured logging
            sdk.addHandler(logging.NullHandler())
        if self._reach is not None:
            self._reach()
        wanted = self._settings.get("host")
        try:
            config = Config(**self._settings, http_timeout_seconds=30, retry_timeout_seconds=30)
        except Exception as error:
            raise _no_login(error, self._path, wanted) from error
        # On a cluster it takes the notebook's host and token, whatever host it was told.
        if wanted and base_url(config.host or "", "databricks-sdk's host") != base_url(wanted):
            raise AuthError(
                f"databricks-sdk finds credentials of {config.host} only, which are not sent to "
                f"{wanted}",
                "name a token or profile of that host in the spec",
            )
        return config


def _is_passing(error: BaseException | None) -> bool:
    """Whether *error* is trouble on the way to whoever gives the tokens."""
    from requests.exceptions import ConnectionError, Timeout

    while error is not None:
        if isinstance(error, (ConnectionError, Timeout)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _reason(error: Exception) -> str:
    # The SDK appends its whole configuration, which nobody reads and which may name secrets.
    reason = str(error).partition("Config: ")[0].strip().rstrip(".") or type(error).__name__
    return mask(" ".join(reason.split())[:300])


def _no_login(error: Exception, path: str, host: str | None = None) -> AuthError:
    reason = _reason(error)
    if "cannot configure default credentials" in reason:
        reason = "nothing is set, and there is no login of a CLI, cloud or notebook"
    if "Invalid URL 'None'" in reason:  # what it makes of a host that does not say
        reason = "the workspace does not tell where it gives OAuth tokens"
    profile = f", or {path}.profile" if path else ""
    mend = f"set DATABRICKS_HOST and DATABRICKS_TOKEN{profile}, or log in with the CLI"
    if "more than one authorization method" in reason:
        mend = "name the one to use in DATABRICKS_AUTH_TYPE, or as auth_type in the profile"
    where = f" for {host}" if host else ""
    return AuthError(f"databricks-sdk finds no credentials{where}: {reason}", mend)

"""Databricks hosts and the `.databrickscfg` file: read as written, never by character strips."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from ...errors import UserError

Profile = Mapping[str, str]


def base_url(host: str, path: str = "endpoint.host") -> str:
    """*host* as `https://name[:port]`: with or without scheme, trailing slash or browser path.

    Raises:
        UserError: for what is no host, holds credentials, or is plain `http` over a network.
    """
    written = host.strip()
    parts = urlsplit(written if "://" in written else f"https://{written}")
    try:
        port = parts.port
    except ValueError as error:
        raise UserError(f"{path}: {written!r} has no valid port", "write host:port") from error
    if parts.username is not None or parts.password is not None:
        raise UserError(f"{path}: a host holds no credentials", "name them under endpoint.token")
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise UserError(
            f"{path}: {written!r} is no host",
            "write it as https://<workspace>.cloud.databricks.com",
        )
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise UserError(
            f"{path}: plain http would send the token in the clear", f"write https://{parts.netloc}"
        )
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default = {"https": 443, "http": 80}[parts.scheme]
    return f"{parts.scheme}://{name}" + (f":{port}" if port not in (None, default) else "")


def org_in(host: str) -> str | None:
    """The workspace's id that *host*, as written, tells: as `?o=`, as browsers show it, or in the
    name of a host of Azure, `adb-<id>.<n>.azuredatabricks.net`."""
    parts = urlsplit(host if "://" in host else f"https://{host.strip()}")
    for value in parse_qs(parts.query).get("o", ()):
        if value.isdecimal():
            return value
    found = re.match(r"adb-(\d+)\.\d+\.azuredatabricks\.", parts.hostname or "")
    return found.group(1) if found else None


def host_name(url: str) -> str:
    """The host (and port) of *url*: what tells one workspace from another."""
    return urlsplit(url).netloc


def is_loopback(name: str) -> bool:
    """Whether *name* is this machine itself."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        import ipaddress

        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def config_file(environ: Mapping[str, str]) -> str | None:
    """The path of the configuration file: `DATABRICKS_CONFIG_FILE`, else in the home folder."""
    if named := environ.get("DATABRICKS_CONFIG_FILE"):
        return os.path.expanduser(named)
    home = environ.get("HOME") or environ.get("USERPROFILE")
    return os.path.join(home, ".databrickscfg") if home else None


def read_profiles(environ: Mapping[str, str]) -> dict[str, Profile]:
    """The profiles of `.databrickscfg` by name; none if there is no file.

    Raises:
        UserError: if the file cannot be read.
    """
    file = config_file(environ)
    if file is None or not os.path.isfile(file):
        return {}
    import configparser

    parser = configparser.ConfigParser(
        default_section="\0", interpolation=None, strict=False, delimiters=("=",)
    )
    try:
        parser.read(file, encoding="utf-8")
    except (OSError, configparser.Error, UnicodeDecodeError) as error:
        # The message of a parse error shows the line, which may hold a token.
        raise UserError(f"{file}: not a readable configuration file", "see the file") from error
    return {name: {k: v for k, v in parser[name].items() if v} for name in parser.sections()}


def profile_named(name: str, environ: Mapping[str, str], path: str = "endpoint.profile") -> Profile:
    """The profile *name*, which *path* asks for. Raises `UserError` if there is none."""
    profiles = read_profiles(environ)
    if name not in profiles:
        known = ", ".join(sorted(profiles.keys() - {"__settings__"})) or "none"
        file = config_file(environ) or ".databrickscfg"
        raise UserError(f"{path}: no profile '{name}' in {file}", f"there is {known}")
    return profiles[name]


def default_profile(environ: Mapping[str, str]) -> tuple[str, Profile] | None:
    """The profile in force: `DATABRICKS_CONFIG_PROFILE`, `[__settings__] default_profile`,
    `DEFAULT`; None if the file has none of them."""
    profiles = read_profiles(environ)
    named = environ.get("DATABRICKS_CONFIG_PROFILE")
    named = named or profiles.get("__settings__", {}).get("default_profile") or "DEFAULT"
    return (named, profiles[named]) if named in profiles else None

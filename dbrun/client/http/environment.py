"""What the process's environment says about the network: proxies and certificate authorities.

Read once per origin. Looking this up at each call, as `requests` does, costs more than the call.
"""

from __future__ import annotations

from collections.abc import Mapping

CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""The variables that name a file or folder of certificate authorities, the first set one wins."""


def ca_bundle(environ: Mapping[str, str]) -> str | None:
    """The file or folder of certificate authorities that *environ* names, if any."""
    return next((environ[name] for name in CA_VARIABLES if environ.get(name)), None)


def proxy_for(scheme: str, host: str, port: int, environ: Mapping[str, str]) -> str | None:
    """The URL of the proxy through which to reach *host*, or None for the direct way.

    `<scheme>_proxy` comes before `all_proxy`, lower case before upper case; `no_proxy` names
    hosts to reach directly.
    """
    for name in (f"{scheme}_proxy", "all_proxy"):
        proxy = environ.get(name)
        # Under CGI a `Proxy` header of the caller would arrive as HTTP_PROXY (CVE-2016-5385).
        if proxy is None and not (name == "http_proxy" and "REQUEST_METHOD" in environ):
            proxy = environ.get(name.upper())
        if proxy:
            if _is_direct(host, port, environ.get("no_proxy") or environ.get("NO_PROXY") or ""):
                return None
            return proxy if "://" in proxy else f"http://{proxy}"
    return None


def _is_direct(host: str, port: int, no_proxy: str) -> bool:
    """Whether *no_proxy* covers the host: `*`, a name and all below it, an address or network,
    each with or without a port."""
    host = host.lower().rstrip(".")
    for entry in no_proxy.lower().replace(",", " ").split():
        if entry == "*" or _covers(entry, host):
            return True
        name, _, number = entry.rpartition(":")
        if number == str(port) and _covers(name.strip("[]"), host):
            return True
    return False


def _covers(entry: str, host: str) -> bool:
    name = entry.lstrip("*").strip(".")
    if name and (host == name or host.endswith(f".{name}")):
        return True
    try:
        import ipaddress

        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False

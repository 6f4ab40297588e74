"""The software of simulated hosts: products that nobody makes, and the updates that are published for them, wave by wave.

Pure data. Versions say that they are simulated ("+sim1"), so that they do so wherever they are shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Platform:
    """A distribution as simulated hosts run it. `ecosystem` and `osv` are the names that versions and advisories use."""

    distribution: str
    release: str
    codename: str
    ecosystem: str
    osv: str
    arch: str
    machine: str
    origin: str
    tail: str
    """Ends the versions of its packages."""


DEBIAN_12 = Platform("debian", "12", "bookworm", "deb", "Debian:12", "amd64", "x86_64", "Debian", "-3")
DEBIAN_13 = Platform("debian", "13", "trixie", "deb", "Debian:13", "amd64", "x86_64", "Debian", "-4")
UBUNTU = Platform("ubuntu", "24.04", "noble", "deb", "Ubuntu:24.04:LTS", "amd64", "x86_64", "Ubuntu", "-3ubuntu1")
ROCKY = Platform("rocky", "9", "", "rpm", "Rocky Linux:9", "x86_64", "x86_64", "Rocky", "-3.el9")
PLATFORMS = (DEBIAN_12, DEBIAN_13, UBUNTU, ROCKY)


@dataclass(frozen=True)
class Product:
    """A source package: its upstream version, the packages built from it, and on which hosts they are ("": on all)."""

    name: str
    version: str
    packages: tuple[str, ...]
    duties: tuple[str, ...] = ()


SERVERS = ("web", "app", "api", "db", "cache", "mail", "file", "auth", "mon", "build")
PRODUCTS = (
    Product("tessera-base", "12.4", ("tessera-base",)),
    Product("libcrystal", "3.2.1", ("libcrystal3", "crystal-tools"), SERVERS),
    Product("quillshell", "5.9", ("quillshell",), ("build", "mon", "auth", "file")),
    Product("sundial-time", "4.1.2", ("sundial-time",)),
    Product("noctua-agent", "1.18.0", ("noctua-agent",)),
    Product("gateward-ssh", "9.6.1", ("gateward-ssh",)),
    Product("glanz-server", "2.4.7", ("glanz-server", "glanz-modules"), ("web", "api")),
    Product("cobalt-runtime", "21.0.3", ("cobalt-runtime",), ("app", "api")),
    Product("mountaindb", "16.2", ("mountaindb-server", "mountaindb-client"), ("db",)),
    Product("brisk-cache", "7.3.0", ("brisk-cache",), ("cache",)),
    Product("posthorn-mta", "3.8.5", ("posthorn-mta", "sieveline"), ("mail",)),
    Product("ledgerfs", "4.19.2", ("ledgerfs-server",), ("file",)),
    Product("keyring-directory", "2.6.1", ("keyring-directory",), ("auth",)),
    Product("watchtide", "0.52", ("watchtide",), ("mon",)),
    Product("hammerwerk", "8.1", ("hammerwerk",), ("build",)),
    Product("fernglas-browser", "128.4", ("fernglas-browser",), ("desk",)),
    Product("schreiber-office", "7.6.4", ("schreiber-office",), ("desk",)),
)
BY_NAME = {product.name: product for product in PRODUCTS}


@dataclass(frozen=True)
class Fix:
    """One published update: the product, its number, the vendor's word, what was wrong. `wave` says when it comes."""

    product: str
    number: int
    wave: int
    word: str
    flaw: str
    exploited: bool = False


FIXES = (
    Fix("libcrystal", 1, 1, "Important", "A certificate chain with a loop keeps a handshake busy for minutes."),
    Fix("glanz-server", 1, 1, "Moderate", "A request with two lengths is read differently by a proxy and by the server."),
    Fix("fernglas-browser", 1, 1, "Moderate", "A page can read the titles of pages in other windows."),
    Fix("mountaindb", 1, 1, "Moderate", "A dump of a hostile database runs commands as the user who restores it."),
    Fix("libcrystal", 2, 2, "Moderate", "A signature made with a short nonce is taken for a good one."),
    Fix("cobalt-runtime", 1, 2, "Moderate", "A crafted archive is unpacked outside of its folder."),
    Fix("keyring-directory", 1, 2, "Important", "A bind with an empty password is taken for an anonymous one with rights."),
    Fix("posthorn-mta", 1, 2, "Moderate", "A line that is too long is split into two commands."),
    Fix("ledgerfs", 1, 2, "Moderate", "A file name with a null byte hides files from their owner."),
    Fix("brisk-cache", 1, 2, "Moderate", "A script can read memory of the process beyond its stack."),
    Fix("fernglas-browser", 2, 2, "Moderate", "A font makes the browser write outside of its memory."),
    Fix("watchtide", 1, 2, "Low", "The log shows a token in the address of a failed request."),
    Fix("quillshell", 1, 2, "Low", "A prompt with control characters moves the cursor into older lines."),
    Fix("glanz-server", 2, 3, "Critical", "A crafted header runs commands as the server's account.", exploited=True),
    Fix("hammerwerk", 1, 4, "Moderate", "A build can read what another one left behind."),
)  # fmt: skip


def version(product: Product, platform: Platform, number: int = 0) -> str:
    """The version of a product on a platform; `number` of its update, 0 as it was first installed."""
    base = f"{product.version}{platform.tail}"
    if not number:
        return base
    return f"{base}.sim{number}" if platform.ecosystem == "rpm" else f"{base}+sim{number}"


def fixes_until(wave: int) -> Iterator[Fix]:
    return (fix for fix in FIXES if fix.wave <= wave)

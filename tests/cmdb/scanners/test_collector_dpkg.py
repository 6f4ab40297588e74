"""Reading apt's and dpkg's words on a host, without a host."""

from cmdb.scanners.collector import dpkg

STANZA = """\
Types: deb deb-src
URIs: https://user:secret@mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEZ
 -----END PGP PUBLIC KEY BLOCK-----
"""
SECURITY = {"suite": "stable-security", "codename": "bookworm-security", "label": "Debian-Security"}


def test_simulated_lines_of_every_kind() -> None:
    text = (
        "Inst libperl5.36 [5.36.0-7+deb12u3] (5.36.0-7+deb12u4 lab-security:lab-security [amd64]) [perl:amd64 ]\n"
        "Inst linux-image-6.1.0-50-amd64 (6.1.190-1 Debian-Security:12/oldstable-security [amd64])\n"
        "Inst libc6:i386 [2.36-9] (2.36-9+deb12u14 Debian:12.15/oldstable [i386]) []\n"
        "Conf perl (5.36.0-7+deb12u4 lab-security:lab-security [amd64])\n"
    )
    assert [(name, old, new, arch) for name, old, new, _, arch in dpkg.INST.findall(text)] == [
        ("libperl5.36", "5.36.0-7+deb12u3", "5.36.0-7+deb12u4", "amd64"),
        ("linux-image-6.1.0-50-amd64", "", "6.1.190-1", "amd64"),
        ("libc6", "2.36-9", "2.36-9+deb12u14", "i386"),
    ]


def test_source_stanza_keeps_no_secret_and_names_an_inline_key() -> None:
    assert dpkg.stanza_of("/etc/apt/sources.list.d/a.sources", STANZA) == [
        {
            "file": "/etc/apt/sources.list.d/a.sources",
            "uris": ["https://mirror.example/debian"],
            "suites": ["bookworm", "bookworm-updates"],
            "components": ["main", "contrib"],
            "signed_by": "inline key",
            "trusted_unsigned": False,
            "enabled": True,
        }
    ]


def test_source_stanza_that_is_off_or_of_sources_only() -> None:
    assert dpkg.stanza_of("f", STANZA + "Enabled: no\n")[0]["enabled"] is False
    assert dpkg.stanza_of("f", STANZA.replace("deb deb-src", "deb-src")) == []


def test_security_archives_by_their_own_names() -> None:
    assert dpkg.is_security(SECURITY)
    assert dpkg.is_security({"suite": "noble-security", "codename": "noble", "label": "Ubuntu"})
    assert dpkg.is_security({"suite": "oldoldstable", "codename": "buster/updates", "label": "Debian"})
    assert not dpkg.is_security({"suite": "stable", "codename": "bookworm", "label": "Debian"})


def test_pending_prefers_the_plan_and_tells_what_is_kept_back() -> None:
    archive = ("http://r/debian", "lab/main")
    security = ("http://r/debian", "lab-security/main")
    known = {archive: {"a": "lab", "l": "lab"}, security: {"a": "lab-security", "l": "lab-security"}}

    def table(candidate: str, *versions: str, where: tuple[str, str] = archive) -> dict[str, object]:
        return {"candidate": candidate, "versions": {version: [where] for version in versions}}

    rows = [{"name": name, "arch": "all", "version": "1"} for name in ("held", "local", "planned", "same")]
    tables = {
        "held:all": table("2", "2", "1"),
        "planned:all": table("3", "3", "2", "1", where=security),
        "same:all": table("1", "1"),
        "new:all": table("5", "5"),
        "local:all": table("0.9", "1", "0.9"),
    }
    found = dpkg.pending(rows, {("planned", "all"): "3", ("new", "all"): "5"}, tables, known)

    told = [(row["name"], row["installed"], row["candidate"], row["kept_back"], row["security"]) for row in found]
    assert told == [
        ("held", "1", "2", True, False),
        ("new", "", "5", False, False),
        ("planned", "1", "3", False, True),
    ]
    assert found[2]["available"] == ["3", "2"]


def test_origin_of_what_is_in_no_archive_is_local() -> None:
    assert dpkg.origin([(dpkg.STATUS_FILE, "")], {})["label"] == "local"
    assert dpkg.origin([], {})["label"] == ""

"""Production refuses development secrets; a wrong setting is named with a hint, not a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import environ
import pytest

from patchflow.kernel.embedded import broker_urls

ROOT = Path(__file__).resolve().parents[2]
GOOD = {
    "PATCHFLOW_MODE": "production",
    "PATCHFLOW_SECRET_KEY": "k" * 25 + "e" * 25 + "y7",
    "PATCHFLOW_DATABASE_URL": "postgres://u:p@127.0.0.1:1/x",
    "PATCHFLOW_BROKER_URL": "redis://127.0.0.1:1/0",
    "PATCHFLOW_CACHE_URL": "redis://127.0.0.1:1/2",
    "PATCHFLOW_ALLOWED_HOSTS": "patchflow.example.org",
}
pytestmark = [pytest.mark.integration, pytest.mark.native]


def check(tmp_path: Path, *tags: str, **changes: str | None) -> tuple[int, str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PATCHFLOW_")}
    environment |= {"DJANGO_SETTINGS_MODULE": "patchflow.settings", "PATCHFLOW_VAR": str(tmp_path)}
    environment |= {k: v for k, v in {**GOOD, **changes}.items() if v is not None}
    command = [sys.executable, "manage.py", "check", *(tags or ("--tag", "security", "--tag", "compatibility"))]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def test_good_production_settings_pass(tmp_path: Path) -> None:
    code, said = check(tmp_path)
    assert code == 0, said


def test_any_value_may_be_in_a_file(tmp_path: Path) -> None:
    given: dict[str, str | None] = {}
    for name in ("PATCHFLOW_SECRET_KEY", "PATCHFLOW_DATABASE_URL"):
        path = tmp_path / name.lower()
        path.write_text(f"{GOOD[name]}\n")
        given |= {name: None, f"{name}_FILE": str(path)}
    code, said = check(tmp_path, **given)
    assert code == 0, said
    (tmp_path / "patchflow_database_url").write_text("nonsense\n")
    code, said = check(tmp_path, **given)
    assert (code, "PATCHFLOW_DATABASE_URL" in said) == (1, True), said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"PATCHFLOW_SECRET_KEY": None}, "patchflow.E002"),
        ({"PATCHFLOW_SECRET_KEY": "short"}, "patchflow.E002"),
        ({"PATCHFLOW_DATABASE_URL": None}, "PATCHFLOW_DATABASE_URL"),
        ({"PATCHFLOW_BROKER_URL": None}, "PATCHFLOW_BROKER_URL"),
        ({"PATCHFLOW_CACHE_URL": None}, "PATCHFLOW_CACHE_URL"),
        ({"PATCHFLOW_ALLOWED_HOSTS": None}, "PATCHFLOW_ALLOWED_HOSTS"),
        ({"PATCHFLOW_DATABASE_URL": "nonsense"}, "PATCHFLOW_DATABASE_URL"),
        ({"PATCHFLOW_LEASE_SECONDS": "soon"}, "PATCHFLOW_LEASE_SECONDS cannot be read as int"),
        (
            {"PATCHFLOW_SECRET_KEY": None, "PATCHFLOW_SECRET_KEY_FILE": "/nowhere/key"},
            "PATCHFLOW_SECRET_KEY_FILE cannot be read",
        ),
    ],
)
def test_what_is_wrong_is_named_with_a_hint(tmp_path: Path, changes: dict[str, str | None], said: str) -> None:
    code, output = check(tmp_path, **changes)
    assert code != 0
    assert said in output
    assert "HINT" in output
    assert "Traceback" not in output


def test_services_that_do_not_answer_are_named_and_no_password_is(tmp_path: Path) -> None:
    """Nobody listens on port 1."""
    addresses = {
        "PATCHFLOW_DATABASE_URL": "postgres://patchflow:hunter2@127.0.0.1:1/patchflow",
        "PATCHFLOW_BROKER_URL": "redis://:hunter2@127.0.0.1:1/0",
        "PATCHFLOW_CACHE_URL": "redis://:hunter2@127.0.0.1:1/1",
    }
    code, output = check(tmp_path, "--database", "default", **addresses)
    assert code == 1
    assert output.count("(patchflow.E007)") == 3, output
    assert all(f"{name}: " in output for name in addresses)
    assert "hunter2" not in output
    assert "Traceback" not in output


def test_the_embedded_brokers_addresses_can_be_read() -> None:
    urls = broker_urls(Path("/tmp/pf-x/broker.sock"))

    assert environ.Env.cache_url_config(urls["PATCHFLOW_CACHE_URL"])["LOCATION"] == "unix:///tmp/pf-x/broker.sock"
    assert urls["PATCHFLOW_BROKER_URL"].startswith("redis+socket:///tmp/pf-x/broker.sock?")

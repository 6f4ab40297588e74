"""`manage.py pictures`: photographs pages of a running Patchflow at 1280 and 390 pixels and reports what looks wrong."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from importlib import import_module
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.urls import NoReverseMatch, reverse
from django.utils.text import slugify

from patchflow.web.navigation import nav


class Command(BaseCommand):
    help = "Photographs pages at 1280 and 390 pixels; fails if the browser complains or a page is too wide."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("pages", nargs="*", help="name=path or path; default: every place of the navigation")
        parser.add_argument("--out", type=Path, default=settings.BASE_DIR / "pictures", help="folder for the pictures")
        parser.add_argument("--base-url", default=settings.BASE_URL, help="where Patchflow runs")
        parser.add_argument("--user", default="", help="log in as this user (a session of its own, ended afterwards)")
        parser.add_argument("--dark", action="store_true", help="also with dark colours")
        parser.add_argument("--zone", default="UTC", help="time zone of the browser")

    def handle(self, *_args: Any, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError("Pictures are for development: the command opens a session without a password.")
        from patchflow.web.pictures import NoBrowser, Page, photograph

        pages = [Page(*self.named(text)) for text in options["pages"]] or [
            Page(name, path) for name, path in self.places()
        ]
        session = self.session(options["user"]) if options["user"] else None
        try:
            findings = photograph(
                options["base_url"],
                pages,
                options["out"],
                cookie=(settings.SESSION_COOKIE_NAME, session.session_key) if session else None,
                themes=("light", "dark") if options["dark"] else ("light",),
                time_zone=options["zone"],
            )
        except NoBrowser as error:
            raise CommandError(str(error)) from error
        finally:
            if session:
                session.delete()
        for finding in findings:
            self.stderr.write(str(finding))
        self.stdout.write(f"{len(pages)} pages, pictures in {options['out']}, {len(findings)} findings")
        if findings:
            raise CommandError("The pictures are made; see the findings above.")

    def named(self, text: str) -> tuple[str, str, int]:
        """("login", "/account/login/", 200) from "login=/account/login/"; "missing=/nowhere/@404" expects a 404."""
        name, _, path = text.partition("=") if re.match(r"[\w-]+=", text) else ("", "", text)
        path, _, status = path.partition("@")
        return name or slugify(path) or "home", path, int(status or 200)

    def places(self) -> list[tuple[str, str]]:
        found = []
        for place in nav.places:
            try:
                found.append((slugify(place.url_name.replace(":", "-")), reverse(place.url_name)))
            except NoReverseMatch:
                self.stderr.write(f"{place.url_name} has no address and was left out")
        return found

    def session(self, username: str) -> Any:
        """A session of `username`, as the log-in would make it."""
        user = get_user_model().objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no user {username!r}.")
        session = import_module(settings.SESSION_ENGINE).SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.create()
        return session

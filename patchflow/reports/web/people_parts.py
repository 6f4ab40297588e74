"""What the pages of people and of programs share: who may keep them, where they stand, and asking before an end."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _

from patchflow.kernel import people
from patchflow.kernel.models import User
from patchflow.web import parts
from patchflow.web.verbs import Verb


def keeper(request: HttpRequest) -> User:
    actor: Any = request.user
    if not actor.holds("user.edit"):
        raise PermissionDenied(_("People and their roles are kept by administrators."))
    return actor


def person(request: HttpRequest, pk: int) -> User:
    return get_object_or_404(people.visible_to(keeper(request)), pk=pk)


def crumbs(*more: parts.Crumb) -> list[parts.Crumb]:
    return [parts.Crumb(_("People"), reverse("reports:person-list")), *more]


def place(user: User) -> str:
    return reverse("reports:person-detail", args=[user.pk])


def confirm(
    request: HttpRequest, user: User, verb: Verb, title: str, consequences: list[str], **more: Any
) -> HttpResponse:
    context = {
        "title": title,
        "verb": verb,
        "consequences": consequences,
        "cancel_url": place(user),
        "crumbs": crumbs(parts.Crumb(user.username, place(user)), parts.Crumb(str(verb.label))),
        **more,
    }
    return render(request, "web/confirm.html", context)

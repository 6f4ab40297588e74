"""System checks of the face: every place of the navigation has an address and an icon of the sprite."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, register
from django.urls import NoReverseMatch, reverse

from patchflow.web import icons
from patchflow.web.navigation import nav


@register("web")
def navigation_leads_somewhere(**_kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    names = [(place.url_name, place.icon) for place in nav.places]
    for url_name, icon in [*names, *([(nav.search_url_name, "search")] if nav.search_url_name else [])]:
        try:
            reverse(url_name)
        except NoReverseMatch:
            found.append(
                Error(
                    f"The navigation names {url_name!r}, which has no address.",
                    hint="Add the URL, or take the place out of the navigation.",
                    id="web.E001",
                )
            )
        if icon not in icons.names():
            found.append(
                Error(
                    f"The navigation gives {url_name!r} the icon {icon!r}, which the sprite does not have.",
                    hint="Choose one of templates/web/sprite.html, or add it there.",
                    id="web.E002",
                )
            )
    return found

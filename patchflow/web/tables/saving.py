"""Lists whose question can be saved: the mark of a list page, the menu of saved filters, and reading a list's address."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseRedirect, QueryDict
from django.http.response import HttpResponseBase
from django.urls import NoReverseMatch, Resolver404, URLPattern, URLResolver, get_resolver, resolve, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from patchflow.kernel import saved_filters
from patchflow.kernel.errors import Invalid, NotAllowed
from patchflow.kernel.models import SavedFilter, User

if TYPE_CHECKING:
    from patchflow.web.tables.listing import Listing

View = Callable[..., HttpResponseBase]


class BeginElsewhere(Exception):
    """This person begins the list with a saved filter: `url` is where it stands."""

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(url)


def list_page(title: str | Promise) -> Callable[[View], View]:
    """Marks a view that shows one `Listing`: its question can be saved under a name, and its rows are had as CSV.

    An address that asks nothing leads on to what the person chose to begin with.
    """

    def mark(view: View) -> View:
        @functools.wraps(view)
        def run(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            request.is_list_page = True  # type: ignore[attr-defined]
            try:
                return view(request, *args, **kwargs)
            except BeginElsewhere as begin:
                return HttpResponseRedirect(begin.url)

        run.list_title = title  # type: ignore[attr-defined]
        return run

    return mark


@functools.cache
def list_titles() -> dict[str, str | Promise]:
    """The name of every list page ("cmdb:host-list") → its title."""

    def walk(resolver: URLResolver, spaces: tuple[str, ...]) -> Iterator[tuple[str, str | Promise]]:
        for entry in resolver.url_patterns:
            if isinstance(entry, URLResolver):
                yield from walk(entry, (*spaces, entry.namespace) if entry.namespace else spaces)
            elif isinstance(entry, URLPattern) and hasattr(entry.callback, "list_title"):
                yield ":".join((*spaces, entry.name or "")), entry.callback.list_title

    return dict(walk(get_resolver(), ()))


def address_of(saved: SavedFilter) -> str:
    """Where a saved filter opens; nothing if its list is that of one object, or is gone."""
    try:
        return f"{reverse(saved.list_name)}?{saved.query}&saved={saved.pk}"
    except NoReverseMatch:
        return ""


# --- the menu of a list -----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Choice:
    """A saved filter in the menu of its list."""

    saved: SavedFilter
    url: str
    own: bool
    current: bool


@dataclass(frozen=True, slots=True)
class SavedMenu:
    """The saved filters of a list that this person may open, which one is open, and where what is asked now can be saved."""

    choices: list[Choice]
    address: str
    default: SavedFilter | None
    changed: bool

    @property
    def current(self) -> SavedFilter | None:
        return next((choice.saved for choice in self.choices if choice.current), None)


def menu_of(listing: Listing) -> SavedMenu | None:
    """The menu of a list page; None elsewhere. Says in `problems` what of the open filter no longer applies.

    Raises BeginElsewhere where nothing is asked and the person begins with a saved one.
    """
    request = listing.request
    user = getattr(request, "user", None) or AnonymousUser()
    if not (getattr(request, "is_list_page", False) and isinstance(user, User) and not listing.wants_csv):
        return None
    rows = saved_filters.of_list(request.resolver_match.view_name, user)  # type: ignore[union-attr]
    default = next((row for row in rows if getattr(row, "is_default", False)), None)
    if default is not None and not request.META.get("QUERY_STRING"):
        raise BeginElsewhere(f"{request.path}?{default.query}&saved={default.pk}")
    asked = request.GET.get("saved", "")
    choices = [
        Choice(row, f"?{row.query}&saved={row.pk}", row.owner_id == user.pk, str(row.pk) == asked) for row in rows
    ]
    current = next((choice.saved for choice in choices if choice.current), None)
    now = question_of(listing)
    if current is not None:
        _say_what_is_outdated(listing, current)
    changed = bool(now) and (current is None or now != current.query)
    return SavedMenu(choices, f"{request.path}?{now}" if now else "", default, changed)


def _say_what_is_outdated(listing: Listing, current: SavedFilter) -> None:
    unknown = _unknown_names(listing, QueryDict(current.query))
    if listing.problems or unknown:
        listing.problems.insert(
            0,
            _("The saved filter “%(name)s” no longer applies as a whole; what follows was left out.")
            % {"name": current},
        )
        listing.problems += unknown


# --- reading an address -----------------------------------------------------------------------------------------------
def question_of(listing: Listing) -> str:
    """What the list is asked now, in the plainest form: the filters that apply, the order if it is not the list's own, the
    columns left out."""
    found = QueryDict(mutable=True)
    for control in listing.active:
        found[f"{listing.prefix}{control.filter.name}"] = control.value
    if listing.sort != listing.default:
        found[f"{listing.prefix}sort"] = listing.sort
    shown = {column.key for column in listing.columns}
    found.setlist(f"{listing.prefix}without", [c.key for c in listing.optional if c.key not in shown])
    return found.urlencode()


def _unknown_names(listing: Listing, query: QueryDict) -> list[str]:
    known = {f"{listing.prefix}{name}" for name in (*(f.name for f in listing.filters), *RESERVED)}
    return [
        _("“%(name)s” is no filter of this list.") % {"name": name}
        for name in query
        if name not in known and query[name]
    ]


RESERVED = ("sort", "without", "after", "before", "format", "saved")


def read_address(address: str, actor: User) -> saved_filters.Asked:
    """The address of a list as this person may ask it: the page itself reads it, and is stopped before it reads a row.

    Raises Invalid (no list of Patchflow), NotAllowed (not for this person).
    """
    split = urlsplit(address)
    try:
        match = resolve(split.path) if not (split.scheme or split.netloc) else None
    except Resolver404:
        match = None
    if match is None or not hasattr(match.func, "list_title"):
        raise Invalid("This is the address of no list.", code="filter.address")
    request = HttpRequest()
    request.method, request.path, request.path_info = "GET", split.path, split.path
    request.user, request.resolver_match = actor, match
    query = QueryDict(split.query, mutable=True)
    query["format"] = "csv"  # the file is never read: the page asks the database nothing for it
    request.GET = query  # type: ignore[assignment]
    seen: list[Listing] = []
    request.reads_list = seen.append  # type: ignore[attr-defined]
    try:
        match.func(request, *match.args, **match.kwargs)
    except (PermissionDenied, Http404):
        seen.clear()
    if not seen:
        raise NotAllowed("This list is not for you.", code="filter.list")
    (listing,) = seen[:1]
    asked = QueryDict(split.query)
    return saved_filters.Asked(
        match.view_name, question_of(listing), (*listing.problems, *_unknown_names(listing, asked))
    )

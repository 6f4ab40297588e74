"""Verbs as a page offers them: allowed, or greyed with every reason; dangerous ones with their reach."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from django.utils.translation import gettext as _

from patchflow.kernel.blockers import Blocker

TONES: Final[dict[str, str]] = {"wait": "st-wait", "bad": "st-bad", "unknown": "st-unk"}
"""The tone of a kernel Blocker → its class."""


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb of an object as this person sees it now: a button, or a grey button with every reason.

    A dangerous verb leads by GET to the page that confirms it and states its `reach` ("24 running, 389 queued") in the
    label; another one of method "post" acts at once; of method "get" it opens a form.
    """

    name: str
    label: str
    url: str = ""
    allowed: bool = True
    blockers: Sequence[Blocker] = ()
    dangerous: bool = False
    reach: str = ""
    method: Literal["post", "get"] = "post"
    icon: str = ""
    primary: bool = False


def edit(url: str, refused: Sequence[Blocker]) -> Verb:
    """The verb that opens the form of an object again."""
    return Verb("revise", _("Edit"), url, not refused, tuple(refused), method="get", icon="pen")


def retire(url: str, refused: Sequence[Blocker]) -> Verb:
    """The verb that takes an object out of use, after the page that confirms it."""
    return Verb("retire", _("Retire"), url, not refused, tuple(refused), dangerous=True, icon="archive")


class Offered(Protocol):
    """What the kernel says of a verb (`kernel.workflow.Available`)."""

    @property
    def name(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def blockers(self) -> Sequence[Blocker]: ...
    @property
    def dangerous(self) -> bool: ...


def verbs_of(
    offered: Iterable[Offered],
    *,
    url: Callable[[str], str],
    primary: str = "",
    reach: Mapping[str, str] | None = None,
    icons: Mapping[str, str] | None = None,
    forms: Collection[str] = (),
    hidden: Collection[str] = (),
) -> list[Verb]:
    """The verb bar from `workflow.available(...)`: `url(name)` is where each leads.

    `forms` are the verbs that need more than a click (GET opens their form); `primary` is the one the page is about;
    `hidden` are verbs with a place of their own on the page (a vote), never verbs that are merely refused.
    """
    return [
        Verb(
            name=one.name,
            label=str(one.label),
            url=url(one.name),
            allowed=not one.blockers,
            blockers=tuple(one.blockers),
            dangerous=one.dangerous,
            reach=(reach or {}).get(one.name, ""),
            method="get" if one.name in forms or one.dangerous else "post",
            icon=(icons or {}).get(one.name, ""),
            primary=one.name == primary,
        )
        for one in offered
        if one.name not in hidden
    ]


@dataclass(frozen=True, slots=True)
class Reach:
    """What a dangerous verb will touch, in numbers."""

    count: int
    noun: str
    url: str = ""
    css: str = ""

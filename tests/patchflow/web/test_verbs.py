"""The verb bar: greyed, never hidden, with every reason."""

from __future__ import annotations

import pytest

from patchflow.kernel.blockers import Blocker
from patchflow.kernel.workflow import Available
from patchflow.web import parts
from patchflow.web.verbs import Verb, verbs_of
from tests.patchflow.web.conftest import Render

REFUSED = Verb(
    "authorize",
    "Authorize",
    "/authorize",
    allowed=False,
    blockers=[
        Blocker("round.open", "Level 3 has 1 of 2 signatures.", "/rounds/7", "wait"),
        Blocker("window.fit", "41 targets do not fit.", "javascript:alert(1)"),
        Blocker("backup.age", "Backup age is unknown.", "", "unknown"),
    ],
)


def test_a_refused_verb_is_grey_and_says_every_reason(rendered: Render) -> None:
    html = rendered("{% verbs v %}", v=[REFUSED])
    assert '<button type="button" class="btn sm" aria-disabled="true" aria-describedby="why-authorize">' in html
    assert '<dd id="why-authorize">' in html
    assert html.count("<li ") == 3
    for css, sentence in (
        ("st-wait", "Level 3 has 1 of 2 signatures."),
        ("st-bad", "41 targets"),
        ("st-unk", "Backup age"),
    ):
        assert f'class="{css}"' in html
        assert sentence in html
    assert "/authorize" not in html


def test_verbs_refused_for_the_same_reasons_stand_together_and_name_them_once(rendered: Render) -> None:
    role = Blocker("capability.a", "This needs the role Change manager.")
    same = Blocker("capability.b", "This needs the role Change manager.")
    verbs = [Verb(name, name, allowed=False, blockers=[why]) for name, why in (("hold", role), ("score", same))]
    html = rendered("{% verbs v %}", v=[*verbs, REFUSED])
    assert html.count("This needs the role Change manager.") == 1
    assert html.count('aria-describedby="why-hold"') == 2
    assert html.count("<dd ") == 2


def test_a_reason_leads_to_the_place_that_clears_it_and_nowhere_else(rendered: Render) -> None:
    html = rendered("{% reasons b %}", b=REFUSED.blockers)
    assert html.count("<a ") == 1
    assert 'href="/rounds/7"' in html
    assert "javascript" not in html


@pytest.mark.parametrize("where", ["//evil.example/x", "javascript:alert(1)", "data:text/html,x", "", None])
def test_only_addresses_of_the_site_or_the_web_become_links(rendered: Render, where: str | None) -> None:
    assert rendered("{% if w|safe_address %}link{% endif %}", w=where) == ""


def test_a_refusal_without_a_reason_still_denies_and_says_so(rendered: Render) -> None:
    assert "No reason was given" in rendered("{% verbs v %}", v=[Verb("x", "X", allowed=False)])


def test_a_plain_verb_is_a_form_that_works_without_javascript(rendered: Render) -> None:
    html = rendered("{% verbs v %}", v=[Verb("hold", "Hold", "/hold", icon="pause", primary=True)])
    assert '<form method="post" action="/hold">' in html
    assert 'name="csrfmiddlewaretoken" value="token"' in html
    assert '<button type="submit" class="btn go">' in html


def test_a_dangerous_verb_leads_to_its_confirmation_and_states_its_reach(rendered: Render) -> None:
    html = rendered(
        "{% verbs v %}", v=[Verb("halt", "Halt", "/halt", dangerous=True, primary=True, reach="24 running, 389 queued")]
    )
    assert '<a class="btn danger" href="/halt">Halt 24 running, 389 queued</a>' in html
    assert "<form" not in html


def test_next_joins_the_sentence_the_verbs_and_the_reasons(rendered: Render) -> None:
    html = rendered(
        "{% next s v %}", s=parts.Next("One more must sign.", "by 17:00"), v=[Verb("hold", "Hold", "/hold"), REFUSED]
    )
    assert "<strong>One more must sign.</strong>" in html
    assert '<span class="sub">by 17:00</span>' in html
    assert "Not possible now, and why" in html


def test_next_without_anything_to_say_is_silent(rendered: Render) -> None:
    assert rendered("{% next s %}", s=None) == ""


def test_two_bars_on_a_page_keep_their_reasons_apart(rendered: Render) -> None:
    html = rendered('{% verbs v "host-7" %}', v=[REFUSED])
    assert 'aria-describedby="host-7-authorize"' in html
    assert 'id="host-7-authorize"' in html


def test_verbs_of_carries_what_the_kernel_offers() -> None:
    offered = [
        Available("revise", "Revise", []),
        Available("halt", "Halt", [], dangerous=True),
        Available("approve", "Approve", [Blocker("four_eyes", "You asked for it.")]),
        Available("vote", "Vote", []),
    ]
    made = verbs_of(
        offered,
        url=lambda name: f"/rfc/7/{name}",
        primary="revise",
        reach={"halt": "3 hosts"},
        forms=["revise"],
        hidden=["vote"],
    )
    assert [(v.name, v.url, v.allowed, v.method, v.primary, v.reach) for v in made] == [
        ("revise", "/rfc/7/revise", True, "get", True, ""),
        ("halt", "/rfc/7/halt", True, "get", False, "3 hosts"),
        ("approve", "/rfc/7/approve", False, "post", False, ""),
    ]
    assert made[2].blockers == (Blocker("four_eyes", "You asked for it."),)

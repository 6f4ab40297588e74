"""The components: what they say, and that nothing unescaped gets through any of them."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django import forms
from django.utils import translation
from django.utils.safestring import mark_safe

from patchflow.kernel.blockers import Blocker
from patchflow.kernel.enums import Outcome
from patchflow.web import geometry, parts, states
from patchflow.web.verbs import Reach
from tests.patchflow.web.conftest import NOW, Render

EVIL = '<img src=x onerror="alert(1)">'
SAFE = "&lt;img src=x onerror="

states.register("tests.rfc", {"awaiting": ("st-wait", "awaiting approval"), "passed": ("st-good", "passed")})


class Wrong(forms.Form):
    title = forms.CharField(label=EVIL, help_text="As the board reads it.")
    reason = forms.CharField(required=False, widget=forms.Textarea)
    tick = forms.BooleanField(required=False)
    choice = forms.ChoiceField(widget=forms.RadioSelect, choices=[("a", EVIL)])
    token = forms.CharField(widget=forms.HiddenInput, required=False)


def bound(**data: str) -> Wrong:
    form = Wrong(data)
    form.is_valid()
    return form


EVERY_COMPONENT: list[tuple[str, dict[str, Any]]] = [
    ('{% badge "st-warn" evil %}', {}),
    ('{% say "st-warn" evil %}', {}),
    ('{% state "tests.rfc" evil %}', {}),
    ('{% word "tests.rfc" evil %}', {}),
    ("{% digest evil %}", {}),
    ("{{ evil|figure }}", {}),
    ("{% card evil more=evil %}{{ evil }}{% endcard %}", {}),
    ("{% note %}{{ evil }}{% endnote %}", {}),
    ("{% next step %}", {"step": parts.Next(EVIL, EVIL)}),
    ("{% clock c %}", {"c": parts.Clock(NOW - timedelta(hours=1), NOW + timedelta(hours=1), EVIL)}),
    ("{% interval i %}", {"i": parts.Interval(1, 1, 1, EVIL, EVIL, EVIL, EVIL, EVIL, EVIL, EVIL)}),
    ("{% progress 1 2 label=evil %}", {}),
    (
        "{% trend t evil %}",
        {
            "t": parts.Trend(
                [parts.Point(NOW, Decimal(1), Decimal(2)), parts.Point(NOW + timedelta(1), Decimal(1), Decimal(2))]
            )
        },
    ),
    ("{% stats s %}", {"s": [(EVIL, EVIL)]}),
    ("{% phases p %}", {"p": [parts.Phase(1, EVIL, 3, [parts.Count(EVIL, 3, url=EVIL)], EVIL)]}),
    (
        "{% ladder l %}",
        {"l": [parts.Level(EVIL, "st-wait", EVIL, EVIL, EVIL, [parts.Signature("st-wait", EVIL, word=EVIL)], EVIL)]},
    ),
    ("{% diff d %}", {"d": [parts.Difference(EVIL, [EVIL], [EVIL])]}),
    ("{% evidence e %}", {"e": [parts.Statement("st-good", EVIL, EVIL, EVIL)]}),
    (
        "{% lane l %}",
        {"l": parts.Lane(EVIL, "st-run", EVIL, [EVIL], [parts.Cell(EVIL, "st-run", "x-half", EVIL, EVIL)])},
    ),
    ("{% legend c %}", {"c": [parts.Count(EVIL, 1, url=EVIL)]}),
    ("{% counts c evil %}", {"c": [parts.Count(EVIL, 1)]}),
    ("{% slip g 2 %}", {"g": [parts.Gate("st-bad", EVIL, EVIL, True)]}),
    ("{% facts f evil %}", {"f": [parts.Fact(EVIL, EVIL, EVIL, NOW, "st-unk", EVIL, EVIL, locked=EVIL)]}),
    ("{% pairs p %}", {"p": [(EVIL, EVIL)]}),
    ("{% timeline t %}", {"t": [parts.Event(EVIL, EVIL, NOW, detail=EVIL)]}),
    ('{% log evil lines evil "st-run" evil %}', {"lines": [parts.LogLine(EVIL, EVIL, EVIL, "er")]}),
    ("{% todo t %}", {"t": [parts.Todo("st-bad", EVIL, EVIL, EVIL, EVIL, EVIL, EVIL)]}),
    ("{% empty evil evil evil evil %}", {}),
    ("{% form f %}", {"f": bound(title="", reason=EVIL, choice="b")}),
]


@pytest.mark.parametrize(("source", "values"), EVERY_COMPONENT, ids=[source for source, _ in EVERY_COMPONENT])
def test_nothing_unescaped_gets_through(rendered: Render, source: str, values: dict[str, Any]) -> None:
    html = rendered(source, evil=EVIL, **values)
    assert "<img" not in html
    assert SAFE in html or "&lt;img" in html


@pytest.mark.parametrize(("source", "values"), EVERY_COMPONENT, ids=[source for source, _ in EVERY_COMPONENT])
def test_no_component_needs_an_inline_style_or_script(rendered: Render, source: str, values: dict[str, Any]) -> None:
    html = rendered(source, evil="plain", **values)
    assert " style=" not in html
    assert "<script" not in html


def test_markup_that_is_safe_stays(rendered: Render) -> None:
    assert (
        rendered("{% evidence e %}", e=[parts.Statement("st-good", mark_safe("<b>8 of 8</b>"))]).count("<b>8 of 8</b>")
        == 1
    )


def test_a_badge_is_colour_icon_and_word(rendered: Render) -> None:
    html = rendered('{% state "tests.rfc" "awaiting" "lg" %}')
    assert (
        html
        == '<span class="badge-st st-wait lg"><svg class="i" aria-hidden="true"><use href="#i-wait"/></svg>awaiting approval</span>'
    )


def test_an_unknown_state_is_dashed_and_named(rendered: Render) -> None:
    assert 'class="badge-st st-unk"' in rendered('{% state "tests.rfc" "never" %}')
    assert "never" in rendered('{% word "tests.rfc" "never" %}')


def test_times_are_machine_readable_relative_and_absolute(rendered: Render) -> None:
    html = rendered("{% when moment %}", moment=NOW - timedelta(hours=4, minutes=20))
    assert 'datetime="2026-11-18T05:22:00+00:00"' in html
    assert ">today 05:22 UTC</time>, " in html
    assert html.endswith('class="ago">4 h 20 min ago</time>')
    assert rendered("{% when moment %}|{% age moment %}|{% at moment %}", moment=None) == "–|–|–"


@pytest.mark.parametrize(
    ("clock", "css", "text", "percent"),
    [
        (
            parts.Clock(NOW - timedelta(hours=26), NOW - timedelta(hours=2, minutes=10)),
            "st-bad",
            "over by 2 h 10 min",
            100,
        ),
        (parts.Clock(NOW - timedelta(days=6), NOW + timedelta(days=1)), "st-warn", "1 d left", 85),
        (parts.Clock(NOW - timedelta(days=1), NOW + timedelta(days=3)), "st-open", "3 d left", 25),
        (
            parts.Clock(NOW - timedelta(days=4), NOW, stopped_at=NOW - timedelta(days=1)),
            "st-good",
            "met, 1 d early",
            75,
        ),
        (
            parts.Clock(NOW - timedelta(days=4), NOW - timedelta(days=2), stopped_at=NOW - timedelta(days=1)),
            "st-bad",
            "met, 1 d late",
            100,
        ),
        (parts.Clock(NOW - timedelta(days=1), NOW), "st-bad", "over by 0 s", 100),
    ],
)
def test_a_clock_says_what_is_left(rendered: Render, clock: parts.Clock, css: str, text: str, percent: int) -> None:
    html = rendered("{% clock c %}", c=clock)
    assert f'class="clock {css}"' in html
    assert f'<span class="left">{text}</span>' in html
    assert f'stroke-dasharray="{percent} 100"' in html


def test_an_interval_shows_the_unknown_as_wide_as_it_is(rendered: Render) -> None:
    shown = parts.Interval(
        1118, 69, 39, "hosts", "at or above", "unknown", "below", "/good", "/unknown", "/bad", exempt=22, goal=95
    )
    html = rendered("{% interval i %}", i=shown)
    assert "91.2 to 96.8 %" in html
    assert '<rect class="unkbg" x="91.19%" width="5.63%"' in html
    assert '<a href="/unknown">unknown</a> <b>69</b>' in html
    assert 'aria-label="1,118 at or above, 69 unknown, 39 below; goal 95 %"' in html
    assert "22 exempt" in html


def test_an_interval_without_unknowns_is_one_figure_and_never_rounds_up_to_all() -> None:
    assert parts.Interval(97, 0, 3).figure == "97.0 %"
    assert parts.Interval(99_999, 0, 1).figure == "99.9 %"
    assert parts.Interval(0, 1, 99_999).figure == "0.0 to 0.1 %"
    assert parts.Interval(5, 0, 0).figure == "100.0 %"


def test_an_interval_of_nothing_claims_nothing(rendered: Render) -> None:
    shown = parts.Interval(0, 0, 0, "hosts", "fixed", "unknown", "missing")
    assert (shown.lower, shown.upper, shown.figure) == (None, None, "–")
    assert "nothing is counted yet" in rendered("{% interval i %}", i=shown)


def course(*bounds: tuple[str, str]) -> parts.Trend:
    points = [
        parts.Point(NOW + timedelta(days=7 * n), Decimal(low), Decimal(high)) for n, (low, high) in enumerate(bounds)
    ]
    return parts.Trend(points, goal=Decimal("97.5"))


def test_a_trend_lies_where_its_figures_are() -> None:
    drawn = geometry.plot(course(("80", "90"), ("85", "95"), ("90", "100")))
    assert drawn is not None
    assert [tick.value for tick in drawn.ticks] == [80, 85, 90, 95, 100]
    assert drawn.lower == "0.00,100.0 50.00,75.0 100.00,50.0"
    assert drawn.upper == "0.00,50.0 50.00,25.0 100.00,0.0"
    assert drawn.band == f"{drawn.lower} 100.00,0.0 50.00,25.0 0.00,50.0"
    assert drawn.goal_y == "12.5"


@pytest.mark.parametrize("bounds", [("50", "50"), ("0", "0"), ("100", "100"), ("3.2", "99.7")])
def test_a_trend_of_any_height_stays_inside_its_box(bounds: tuple[str, str]) -> None:
    drawn = geometry.plot(parts.Trend(course(bounds, bounds).points))
    assert drawn is not None
    heights = [float(point.split(",")[1]) for point in drawn.band.split()]
    assert min(heights) >= 0
    assert max(heights) <= 100


def test_a_trend_of_one_point_is_not_drawn(rendered: Render) -> None:
    assert "No course yet" in rendered("{% trend t %}", t=course(("1", "2")))


def test_geometry_is_written_the_same_in_every_language(rendered: Render) -> None:
    shown = parts.Interval(1118, 69, 39, "hosts", goal=Decimal("97.5"))
    with translation.override("de"):
        html = rendered(
            "{% interval i %}{% trend t %}{% progress 1 3 %}", i=shown, t=course(("80.5", "90.25"), ("85", "95"))
        )
    assert "91,2" in html
    attributes = re.findall(r' (?:x|y|x1|x2|y1|y2|width|height)="([^"]*)"', html)
    assert len(attributes) > 20
    assert [value for value in attributes if "," in value] == []


def test_a_lane_has_one_named_cell_per_target(rendered: Render) -> None:
    cells = [parts.Cell(f"web-{n}", "st-good", "x-check", "succeeded", f"#t{n}", n == 1) for n in range(3)]
    html = rendered("{% lane l %}", l=parts.Lane("Ring 0", "st-run", "running", ["1 of 3"], cells))
    assert html.count("<li>") == 3
    assert (
        '<a class="st-good x-check" href="#t1" aria-label="web-1 succeeded" title="web-1 · succeeded" aria-current="true"></a>'
        in html
    )


def test_a_slip_marks_the_gate_that_stopped_and_counts_the_rest(rendered: Render) -> None:
    html = rendered(
        "{% slip g 4 %}", g=[parts.Gate("st-good", "Inside the window"), parts.Gate("st-bad", "Quorum", "6 of 8", True)]
    )
    assert html.count('class="st-bad stop"') == 1
    assert "4 more gates were not asked: the first no decides" in html


def test_a_fact_shows_what_another_source_says(rendered: Render) -> None:
    fact = parts.Fact(
        "Role", "replica", "agent", NOW - timedelta(hours=6), conflict="directory says primary", conflict_url="/d/91"
    )
    html = rendered("{% facts f %}", f=[fact])
    assert "replica" in html
    assert 'class="say st-warn"' in html
    assert 'href="/d/91"' in html
    assert ">6 h</time>" in html


def test_a_timeline_reads_the_audit_trail(rendered: Render) -> None:
    def entry(**fields: Any) -> SimpleNamespace:
        base = {
            "object_type": "tests.rfc",
            "after_state": "passed",
            "verb_label": "Signed",
            "actor_name": "cal",
            "effective_at": NOW,
        }
        return SimpleNamespace(**{**base, "outcome": Outcome.DONE, "detail": {"reason": "tested"}, **fields})

    html = rendered("{% timeline t %}", t=[entry(), entry(outcome=Outcome.REFUSED), entry(after_state="", detail={})])
    assert '<li class="st-good">' in html
    assert "Attempt refused: Signed" in html
    assert '<li class="st-bad">' in html
    assert '<span class="why">tested</span>' in html
    assert "today 09:42 UTC</time> · cal" in html
    signed = {"object_type": "kernel.signoffround", "detail": {"level": "CAB", "comment": "fine"}}
    html = rendered("{% timeline t %}", t=[entry(**signed), entry(detail={"level": "medium"})])
    assert html.count("Signed, level “CAB”") == html.count("level") == 1


def test_a_reason_says_to_which_place_its_link_leads(rendered: Render) -> None:
    reasons = [
        Blocker("a.b", "One.", where="/changes/rfcs/7/"),
        Blocker("a.b", "Two.", where="#approvals"),
        Blocker("a.b", "Three."),
    ]
    html = rendered("{% reasons r %}", r=reasons)
    assert '<a href="/changes/rfcs/7/">Go there: Changes</a>' in html
    assert '<a href="#approvals">Go there</a>' in html
    assert html.count("Go there") == 2
    away = rendered("{% reasons r %}", r=[Blocker("a.b", "One.", where="https://example.org/changes/rfcs/7/")])
    assert ">Go there</a>" in away, "no place of this site is named for one of another"


def test_an_empty_timeline_and_difference_say_so(rendered: Render) -> None:
    assert "Nothing has happened yet." in rendered("{% timeline t %}", t=[])
    assert "Nothing has changed." in rendered("{% diff d %}", d=[])


def test_phases_carry_their_name_and_ring(rendered: Render) -> None:
    html = rendered("{% phases p %}", p=[parts.Phase(3, "changes", 0)])
    assert "<h3>Evaluate and plan</h3>" in html
    assert 'href="#i-ph3"' in html
    assert "nothing stands here" in html


def test_a_form_keeps_what_was_typed_and_links_each_error(rendered: Render) -> None:
    html = rendered("{% form f %}", f=bound(title="", reason="typed before", choice="a"))
    assert "Not saved. What you typed is kept." in html
    assert '<a href="#id_title">' in html
    assert "typed before</textarea>" in html
    assert 'aria-invalid="true"' in html
    assert 'aria-describedby="id_title_helptext id_title_error"' in html
    assert 'id="id_title_helptext"' in html
    assert 'id="id_title_error"' in html
    assert '<input type="hidden" name="token"' in html


def test_a_form_without_errors_has_no_summary(rendered: Render) -> None:
    assert 'id="errors"' not in rendered("{% form f %}", f=Wrong())


def test_reach_is_a_figure_with_a_noun(rendered: Render) -> None:
    from django.template.loader import render_to_string

    html = render_to_string(
        "web/confirm.html",
        {
            "title": "Halt",
            "verb": SimpleNamespace(label="Halt", reach="2 hosts", icon=""),
            "reach": [Reach(20300, EVIL)],
        },
    )
    assert "<b>20,300</b>" in html
    assert "<img" not in html


def test_a_number_in_a_heading_stays_on_one_line_and_the_rest_is_escaped(rendered: Render) -> None:
    html = rendered("{{ t|unbroken }}", t="<b> of REL-2026-00008")
    assert html == '&lt;b&gt; of <span class="nb">REL-2026-00008</span>'

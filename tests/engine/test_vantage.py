"""Two places look at a silent site: what each combination comes to, and that only a living site forbids force."""

from __future__ import annotations

import pytest

from drportal.engine.evidence import differences
from drportal.engine.vantage import Contact, Standing, View, WitnessView, vantage


def seen(*, alive: bool = False, listens: bool = False, what: str = "SSH host") -> View:
    return View(what, "10.0.0.1:22", alive, listens or alive, "")


DARK, SPEAKS, ACCEPTS = seen(), seen(alive=True), seen(listens=True)


@pytest.mark.parametrize(
    ("reached", "views", "standing", "words"),
    [
        (True, None, Standing.ANSWERS, "The portal reaches Site A"),
        (True, (DARK,), Standing.ANSWERS, "The portal reaches Site A"),
        (False, None, Standing.ONE_VIEW, "could not be asked"),
        (None, None, Standing.ONE_VIEW, "may be alive behind a cut line"),
        (False, (DARK, DARK), Standing.SILENT_FOR_BOTH, "no answer from Site A either"),
        (False, (DARK, ACCEPTS), Standing.SILENT_FOR_BOTH, "hosts may be up and hang"),
        (False, (DARK, SPEAKS), Standing.PORTAL_ALONE, "Site A is not gone: Site B gets an answer from its SSH host"),
        (None, (SPEAKS,), Standing.PORTAL_ALONE, "The portal alone has lost it"),
    ],
)
def test_two_views(reached: bool | None, views: tuple[View, ...] | None, standing: Standing, words: str) -> None:
    found = vantage("Site A", "Site B", reached, views)
    assert found.standing is standing
    assert words in found.sentence
    assert found.is_alive is (standing is Standing.PORTAL_ALONE)


def test_what_greets_the_portal_itself_lives_although_nobody_gets_in() -> None:
    monitor = seen(alive=True, what="monitor 1")
    for views in (None, (DARK,)):
        found = vantage("Site A", "Site B", False, views, (DARK, monitor))
        assert (found.standing, found.is_alive) == (Standing.GREETS_THE_PORTAL, True)
        assert "gets an answer from its monitor 1" in found.sentence
    assert vantage("Site A", "Site B", False, (DARK,), (ACCEPTS,)).standing is Standing.SILENT_FOR_BOTH
    assert vantage("Site A", "Site B", False, (SPEAKS,), (monitor,)).standing is Standing.PORTAL_ALONE
    assert vantage("Site A", "Site B", True, (DARK,), (monitor,)).standing is Standing.ANSWERS


@pytest.mark.parametrize(
    ("views", "witness", "standing", "contact", "words"),
    [
        (None, None, Standing.ONE_VIEW, Contact.UNREACHABLE, "The witness the hill could not be asked: no route"),
        (
            (DARK,),
            None,
            Standing.SILENT_FOR_BOTH,
            Contact.DOWN,
            "Site A either. The witness the hill could not be asked",
        ),
        ((DARK,), (DARK,), Standing.SILENT_FOR_ALL, Contact.DOWN, "Site B and the witness the hill get no answer"),
        (None, (DARK,), Standing.SILENT_FOR_ALL, Contact.DOWN, "either. Site B could not be asked"),
        ((DARK,), (SPEAKS,), Standing.A_WITNESS_SEES, Contact.UNREACHABLE, "the witness the hill gets an answer"),
        (None, (SPEAKS,), Standing.A_WITNESS_SEES, Contact.UNREACHABLE, "Site A is not gone"),
        ((DARK,), (ACCEPTS,), Standing.SILENT_FOR_ALL, Contact.UNREACHABLE, "The witness the hill sees connections"),
        ((SPEAKS,), (DARK,), Standing.PORTAL_ALONE, Contact.UNREACHABLE, "The portal alone has lost it"),
    ],
)
def test_a_witness_at_a_third_place(
    views: tuple[View, ...] | None,
    witness: tuple[View, ...] | None,
    standing: Standing,
    contact: Contact,
    words: str,
) -> None:
    hill = WitnessView("the hill", witness, "" if witness is not None else "no route")
    found = vantage("Site A", "Site B", False, views, (DARK,), (hill,))
    assert (found.standing, found.contact) == (standing, contact)
    assert words in found.sentence
    assert found.is_alive is (standing in (Standing.A_WITNESS_SEES, Standing.PORTAL_ALONE))
    reached = vantage("Site A", "Site B", True, views, (), (hill,))
    assert (reached.standing, reached.contact) == (Standing.ANSWERS, Contact.ANSWERS)


def test_only_what_all_places_say_is_down() -> None:
    assert vantage("Site A", "Site B", False, None).contact is Contact.UNREACHABLE
    assert vantage("Site A", "Site B", False, (SPEAKS,)).contact is Contact.UNREACHABLE
    assert vantage("Site A", "Site B", False, (DARK,), (SPEAKS,)).contact is Contact.UNREACHABLE
    assert vantage("Site A", "Site B", False, (DARK,), (DARK,)).contact is Contact.DOWN


def test_a_yes_is_to_a_site_that_nobody_saw_alive() -> None:
    nothing = {"source": "site-a", "images": {}}
    dark = {**nothing, "second_view": {"alive": False}}
    alive = {**nothing, "second_view": {"alive": True}}
    assert differences(nothing, dark) == ()
    (difference,) = differences(dark, alive)
    assert (difference.subject, difference.then, difference.now) == ("site-a", False, True)

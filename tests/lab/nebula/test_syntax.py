"""Both notations of a template."""

from __future__ import annotations

import pytest

from drportal.lab.embedded.nebula.requirements import satisfies
from drportal.lab.embedded.nebula.syntax import TemplateSyntaxError, parse_template

from .conftest import recorded

BOTH = [
    (
        'NAME = web-1 # a comment\nCPU=0.5\n\n# another\nDISK = [ IMAGE_ID = "3",\n  TARGET=vda ]\nDISK=[IMAGE_ID=4]\n',
        "<TEMPLATE><NAME>web-1</NAME><CPU>0.5</CPU><DISK><IMAGE_ID>3</IMAGE_ID><TARGET>vda</TARGET></DISK>"
        "<DISK><IMAGE_ID>4</IMAGE_ID></DISK></TEMPLATE>",
    ),
    ('NOTE="two\nlines, with # and ]"', "<TEMPLATE><NOTE>two\nlines, with # and ]</NOTE></TEMPLATE>"),
    ('NOTE="a \\"quoted\\" word"', '<VM><NOTE><![CDATA[a "quoted" word]]></NOTE></VM>'),
    ('CONTEXT=[KEY="a,b]c",NETWORK=YES]', "<T><context><key>a,b]c</key><network>YES</network></context></T>"),
    ("", "<TEMPLATE/>"),
]


@pytest.mark.parametrize(("own", "xml"), BOTH)
def test_both_notations_say_the_same(own: str, xml: str) -> None:
    assert list(parse_template(own).items()) == list(parse_template(xml).items())


def test_what_is_written_is_sorted_and_read_back_the_same() -> None:
    template = parse_template('B=2\nA=1\nV=[Y="]]>",X="<&>"]')
    xml = template.xml("TEMPLATE")
    assert xml.index("<A>") < xml.index("<B>") < xml.index("<V><X>") < xml.index("<Y>")
    assert dict(parse_template(xml).items()) == dict(template.items())


@pytest.mark.parametrize("text", ["<TEMPLATE><A></TEMPLATE>", 'A="open', "A=[B=1", "A=[B=1 C=2", "= 1", "just words"])
def test_it_refuses_what_is_neither(text: str) -> None:
    with pytest.raises(TemplateSyntaxError):
        parse_template(text)


def test_it_reads_the_recorded_export() -> None:
    template = parse_template(recorded("ceph-lab-7.5.80/export-example.xml"))
    assert template.text("NAME") == "web-7"
    assert [disk["IMAGE_ID"] for disk in template.vectors("DISK")] == ["8", "9"]


HOST = {"ID": "3", "NAME": "kvm-a1", "CLUSTERS/ID": "0 100", "FREE_CPU": "250"}


@pytest.mark.parametrize(
    ("expression", "met"),
    [
        ("", True),
        ('ID="3"', True),
        ("ID=4", False),
        ('NAME = "kvm-a*" & !(ID = 4)', True),
        ("ID = 4 | (ID = 3 & FREE_CPU > 100)", True),
        ("FREE_CPU < 100", False),
        ('("CLUSTERS/ID" @> 0) & (ID != 5)', True),
        ('("CLUSTERS/ID" @> 1)', False),
        ("!(PIN_POLICY = PINNED)", True),
        ("ID = ", False),
        ("nonsense", False),
        ("(ID = 3", False),
    ],
)
def test_requirements(expression: str, met: bool) -> None:
    assert satisfies(expression, HOST) is met

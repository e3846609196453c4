"""Which part of a report is to do with which article of DORA (Regulation (EU) 2022/2554) and which clause of ISO
22301:2019: what it shows there, and what it does not. A help for whoever audits; no part of it is a certificate."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mapped:
    """``section``: of the report of a run or of a quarter."""

    section: str
    dora: str
    iso: str
    shows: str
    shows_not: str


MAPPING = (
    Mapped(
        "Results, and runs",
        "Art. 11(6)(a): tests of the response and recovery plans, at least yearly; switchovers between primary and"
        " redundant infrastructure. Art. 25(1): scenario-based and end-to-end tests",
        "8.5 Exercise programme",
        "Which moves were made in the time, by which plan, with which outcome, and when each plan was last exercised.",
        "That the scenarios fit your risks or cover every critical function; cyber-attack scenarios; crisis "
        "communication (Art. 11(6)(b)).",
    ),
    Mapped(
        "Plans",
        "Art. 11(3) and 11(4): response and recovery plans that are kept and tested",
        "8.4.4 Business continuity plans; 8.4.5 Recovery",
        "That there is a plan for the named VMs, and whether it would work now, by what both sites answered.",
        "That every function that matters has a plan, and what people do beside the machines.",
    ),
    Mapped(
        "Time against target",
        "Art. 12(6): recovery time objectives. Art. 11(5): business impact analysis",
        "8.2.2 Business impact analysis; 8.3 Strategies and solutions",
        "Measured seconds from the loss of contact (or the first power-off) until the last VM was seen running, "
        "beside the target.",
        "That the target is the right one, and that the application inside a running VM served its users.",
    ),
    Mapped(
        "Data lost",
        "Art. 12(6): recovery point objectives. Art. 12(7): checks of integrity after a recovery",
        "8.2.2 Business impact analysis; 8.4.5 Recovery",
        "The bound of what a forced promotion may lose, as it was known before; the exact loss once both copies "
        "could be compared.",
        "That the data inside the disks is consistent or complete: that takes the application's own checks.",
    ),
    Mapped(
        "Who did what; approvals; review",
        "Art. 11(8): records of activities before and during disruptions. Art. 24(4): independence of testers",
        "7.5.3 Control of documented information; 8.6 Evaluation",
        "Who asked, who approved what evidence and which commands, who accepted the run, and that the last took no"
        " part in it.",
        "That a reviewer is independent in your organisation: the portal knows accounts, not reporting lines.",
    ),
    Mapped(
        "Deviations, and open points",
        "Art. 24(5): issues that tests reveal are prioritised, classified and remedied",
        "10.1 Nonconformity and corrective action; 9.3 Management review",
        "What did not go as planned, what is not reviewed, and what is overdue.",
        "That an issue was remedied: a later run that goes well is the sign of it.",
    ),
    Mapped(
        "Proof (the trail's head, and its signed export)",
        "Art. 11(8): records that are readily accessible",
        "7.5.3 Control of documented information",
        "With the signed export and a head noted elsewhere: that the records were not edited, removed or reordered"
        " after they were written.",
        "This page by itself proves nothing: it is a print. Nor that an entry was true when it was written.",
    ),
    Mapped(
        "Not in this report",
        "Art. 12(1) to 12(3): backup. Art. 24(1): the testing programme. Art. 26: threat-led penetration testing",
        "9.2 Internal audit",
        "Nothing.",
        "Mirroring is no backup (what is deleted is deleted at both sites), and no test of this kind is made by "
        "the portal.",
    ),
)  # fmt: skip

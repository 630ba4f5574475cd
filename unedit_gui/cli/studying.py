"""The command study: the human study from its protocol to its end. Built like the commands in commands.py.

Each action is a function `action(options, session)` with a `show_action` beside it, as everywhere; `add` gives them
their options.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from ..forget.questions import read_file
from . import study_results, terminal
from .commands import Session, _check_file
from .given import seed

if TYPE_CHECKING:
    from ..study.store import Study

PORT = 7870
USUAL = 20  # raters, before they are invited
EXAMPLE = "example"
PASSWORD = "UNEDIT_STUDY_PASSWORD"


def add(subparsers: Any, common: Callable[[], argparse.ArgumentParser], kind: type) -> None:
    """Add `study` with its actions to the command line; `kind` is the class of its parsers."""
    help = "a study with human raters"
    study = subparsers.add_parser("study", help=help, description="The human study, blinded: docs/study.md.")
    actions = study.add_subparsers(metavar="ACTION", required=True, parser_class=kind)

    def action(name: str, run: Callable, show: Callable, help: str, named: bool = True) -> argparse.ArgumentParser:
        made = actions.add_parser(name, parents=[common()], help=help, description=run.__doc__)
        made.set_defaults(run=run, show=show)
        if named:
            made.add_argument("name", metavar="STUDY")
        return made

    action("list", list_studies, show_list, "the studies that there are", named=False)
    one = action("create", create, show_status, "make a study from a protocol")
    one.add_argument("--protocol", metavar="FILE", help="YAML or JSON; data/example_study.yaml shows every field")
    one.add_argument("--example", action="store_true", help="the example, with its frozen replies")
    one.add_argument("--open", action="store_true", help="with --example: open it at once")
    one.add_argument("--replace", action="store_true", help="put a draft of that name into the trash first")
    one = action("freeze", freeze, show_status, "write or import the replies, once")
    one.add_argument("--replies", metavar="FILE", help="CSV with question, condition, reply (default: by the edits)")
    one.add_argument("--batch", type=int, default=8, metavar="N", help="replies written at once (default 8)")
    action("open", open_study, show_status, "let participants answer; from then on nothing can be changed")
    action("pause", pause, show_status, "take no answers for the time being")
    action("close", close, show_status, "end the study for good")
    one = action("invite", invite, show_invite, "make codes and links for participants")
    one.add_argument("--count", type=int, default=1, metavar="N")
    one.add_argument(
        "--url", metavar="ADDRESS", help="where `study serve` is reached, for links (default: on this computer)"
    )
    one.add_argument("--out", metavar="FILE", help="codes and links as CSV")
    one = action("serve", serve, show_serve, "serve the participants' pages, without the lab", named=False)
    one.add_argument("--host", default="127.0.0.1", help="default: this computer only")
    one.add_argument("--port", type=int, default=PORT, help=f"default {PORT}; 0: any that is free")
    one.add_argument("--root-path", default="", metavar="PATH", help="what a proxy strips off the address")
    one.add_argument("--example", action="store_true", help="make and open the example study, and invite yourself")
    one.add_argument("--watch", action="store_true", help="also the researcher's page, under /watch with a password")
    action("status", status, show_status, "where it stands: counts, no conditions")
    one = action("simulate", simulate, show_simulate, "artificial raters, over HTTP, in a copy of the study")
    one.add_argument("--raters", type=int, default=20, metavar="N")
    one.add_argument("--seed", type=seed, default=0)
    one.add_argument("--pause", default="0", metavar="A-B", help="seconds between answers, such as 5-15")
    one.add_argument("--kills", type=int, default=0, metavar="K", help="how often the server is killed midway")
    one.add_argument("--effect", action="append", default=[], metavar="CONDITION=P,E,T", help="true values; repeatable")
    one.add_argument("--out", metavar="NAME", help="what the copy is called")
    study_results.add(action)


def list_studies(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """The studies of the workspace."""
    return {"studies": session.bench.studies.lines()}


def show_list(result: dict[str, Any]) -> str:
    names = ["name", "title", "state", "invited", "began", "finished", "judgements"]
    rows = [[study[name] for name in names] for study in result["studies"]]
    return terminal.table(["study", *names[1:]], rows) if rows else "No studies yet."


def create(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """Make a study from its protocol, as a draft."""
    from ..study.protocol import load

    if bool(options.protocol) == options.example:
        raise BadInput("Give either --protocol FILE or --example.")
    if options.open and not options.example:
        raise BadInput(
            "--open goes with --example, whose replies are frozen; without it run `study freeze`, then `study open`."
        )
    studies = session.bench.studies
    if options.example:
        study = studies.example(options.name)
    else:
        protocol = load(options.protocol, lambda path: _questions(session, path))
        study = studies.create(options.name, protocol, replace=options.replace)
    return _opened(study) if options.open else _status(study)


def freeze(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """Fix the replies that will be judged: read them from a CSV file, or have each condition's edits write them. What
    was broken off goes on where it stopped."""
    from ..study.freezing import from_csv

    study = session.bench.studies.get(options.name)
    if options.batch < 1:
        raise BadInput(f"--batch {options.batch}: give 1 or more.")
    if options.replies:
        from_csv(study, options.replies)
    elif study.missing():
        session.load().freeze_study(study, batch=options.batch, job=session.job("freeze"))
    return _status(study)


def open_study(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """Open a study, or open it again after a pause. Shows how likely it finds a difference, with those invited so far
    (20, where nobody is)."""
    return _opened(session.bench.studies.get(options.name))


def _opened(study: Study) -> dict[str, Any]:
    invited = study.status()["invited"]
    power = study_results.chances(study, invited if invited > 1 else USUAL)  # opening can't be undone: it comes last
    study.open()
    return {**_status(study), "power": power}


def pause(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """Take no answers until the study is opened again; what was given is kept."""
    study = session.bench.studies.get(options.name)
    study.pause()
    return _status(study)


def close(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """End the study. Participants may still withdraw; nobody can answer any more."""
    study = session.bench.studies.get(options.name)
    study.close()
    return _status(study)


def status(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """Where the study stands: who is how far, how full the lists are, what was flagged."""
    return _status(session.bench.studies.get(options.name))


def _status(study: Study) -> dict[str, Any]:
    return {**study.status(), "balance": study.balance(), "raters": study.raters()}


def show_status(result: dict[str, Any]) -> str:
    balance, asked, compared = result["balance"], result["questions"], result["conditions"]
    lines = [
        f"{result['name']}: {result['title']} ({result['state']})",
        f"{asked} questions, {compared} conditions; {result['frozen']} of {asked * compared} replies are frozen.",
        f"Each rater sees {balance['items']} items and {balance['checks']} attention checks, each condition "
        + (f"{balance['per_condition']} times" if not balance["imbalance"] else "not equally often")
        + f"; {balance['common']} items are common to all.",
    ]
    if balance["imbalance"]:
        lines.append(f"Take a number of questions, and of common ones, that {result['conditions']} divides.")
    lines += [
        f"{result['invited']} invited, {result['began']} began, {result['finished']} finished, "
        f"{result['dropped_out']} dropped out, {result['withdrawn']} withdrew.",
        f"{result['judgements']} judgements; {result['flagged']} flagged (too fast, or a check failed).",
    ]
    if result["lists"]:
        lines.append("Lists: " + ", ".join(f"{row['list']}: {row['raters']}" for row in result["lists"]) + " raters.")
    if result["raters"]:
        rows = [[r["rater"], r["list"], r["answered"], r["finished"], r["last"][:19]] for r in result["raters"]]
        lines += ["", terminal.table(["rater", "list", "answered", "finished", "last sign (UTC)"], rows)]
    if "power" in result:
        lines += study_results.show_chances(result["power"])
    return "\n".join(lines)


def invite(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """Make codes, one for each participant. They are shown this once: the study keeps only their hashes."""
    if options.out:
        _check_file(options.out)
        if Path(options.out).exists():
            raise BadInput(f"{options.out} exists already; choose another --out.")
    from ..study import codes

    study, url = session.bench.studies.get(options.name), options.url or f"http://127.0.0.1:{PORT}"
    codes.invitations([], url)  # before codes are made that nobody would learn
    rows = codes.invitations(study.invite(options.count), url)
    if options.out:
        session.bench.workspace.write_atomically(options.out, codes.invitations_csv(rows))
    return {"study": options.name, "out": options.out, "invitations": rows}


def show_invite(result: dict[str, Any]) -> str:
    if result["out"]:
        return f"Wrote {len(result['invitations'])} codes to {result['out']}; they are kept nowhere else."
    return terminal.table(["code", "link"], [[r["code"], r["link"]] for r in result["invitations"]])


def serve(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """Serve the pages of all studies under /study, until Ctrl+C. No model is loaded and none is needed."""
    from ..study.serving import MOUNT, WATCH
    from ..study.serving import serve as run

    told = os.environ.get(PASSWORD, "")
    password = (told or secrets.token_urlsafe(12)) if options.watch else ""
    code = _example(session) if options.example else ""

    def opened(address: str) -> None:
        sys.stderr.write(f"The study is open at {address}  (Ctrl+C ends it)\n")
        if code:
            sys.stderr.write(f"Take part in the example: {address}j/{code}\n")
        if password:
            shown = f"the one in ${PASSWORD}" if told else password
            sys.stderr.write(
                f"Watch it at {address.removesuffix(f'{MOUNT}/')}{WATCH}/  (any name; password: {shown})\n"
            )
        sys.stderr.flush()

    run(session.bench.studies.all, options.host, options.port, options.root_path, opened, password)
    return {"served": True}


def _example(session: Session) -> str:
    """A code with which to take part in the example study, which is made and opened where it isn't yet."""
    studies = session.bench.studies
    study = next((study for study in studies.all() if study.name == EXAMPLE), None) or studies.example(EXAMPLE)
    if study.state != "open":
        study.open()
    return study.invite(1)[0]


def show_serve(result: dict[str, Any]) -> str:
    return "Ended."


def simulate(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """Let artificial raters take part over HTTP, in a copy of the study, and compare what they sent with what is
    stored."""
    from ..study.simulate import Effect, check_size, run

    pause = _pause(options.pause)
    check_size(options.raters, options.kills)
    study = session.bench.studies.get(options.name)
    names = [condition.name for condition in study.protocol.conditions]
    effects = {}
    for given in options.effect:
        name, _, values = given.rpartition("=")
        if name not in names:
            raise BadInput(f"--effect {given}: the study's conditions are {', '.join(names)}.")
        effects[name] = Effect.read(values)
    copy = session.bench.studies.copy(study, options.out or f"{study.name} simulated {options.seed}")
    copy.open()
    job = session.job("simulate")
    return run(
        copy,
        session.bench.workspace.home,
        raters=options.raters,
        seed=options.seed,
        pause=pause,
        kills=options.kills,
        effects=effects,
        job=job,
    )


def show_simulate(result: dict[str, Any]) -> str:
    page, post = result["page_ms"], result["answer_ms"]
    return "\n".join(
        [
            f"{result['study']}: {result['raters']} raters, {result['kills']} kills, {result['seconds']:.0f} s.",
            f"Sent {result['sent']}, stored {result['stored']}; lost {result['lost']}, twice {result['twice']}, "
            f"different {result['different']}; {result['retries']} requests were made again.",
            f"Pages: median {page['median']:.0f} ms, 99th percentile {page['p99']:.0f} ms. "
            f"Answers: median {post['median']:.0f} ms, 99th percentile {post['p99']:.0f} ms.",
        ]
    )


def _pause(text: str) -> tuple[float, float]:
    try:
        low, _, high = text.partition("-")
        found = (float(low), float(high or low))
    except ValueError:
        found = (-1.0, -1.0)
    if not 0 <= found[0] <= found[1] <= 3600:
        raise BadInput(f"--pause {text}: give seconds, such as 0 or 5-15.")
    return found


def _questions(session: Session, path: Path) -> list[tuple[str, str]]:
    reading = read_file(path)
    for problem in reading.problems:
        sys.stderr.write(f"{path.name}, {problem}\n")
    return [(q.question, q.answer) for q in reading.questions]

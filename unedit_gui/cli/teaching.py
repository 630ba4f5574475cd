"""The commands for knowledge that is taught first: contracts, teach. Built like those in commands.py."""

from __future__ import annotations

import argparse
import shlex
from typing import Any

from ..errors import BadInput
from ..forget.questions import to_csv
from . import terminal
from .commands import Session, _check_file


def contracts(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """Make contracts between made-up parties, and write their questions to --out. No model is needed."""
    _check_file(options.out)
    made = session.bench.contracts(options.sales, options.employment, options.seed)
    if options.out:
        session.bench.workspace.write_atomically(options.out, to_csv(made.questions()))
    rows = [
        {
            "name": c.name,
            "kind": c.kind,
            "parties": list(c.parties),
            "shares_a_party_with": [d.name for d in made.contracts if d is not c and set(c.parties) & set(d.parties)],
            "questions": [
                {"question": q.question, "answer": q.answer, "subject": q.subject, "rephrases": list(q.rephrases)}
                for q in c.questions()
            ],
        }
        for c in made.contracts
    ]
    parties = [{"name": p.name, "kind": p.kind, "address": p.address} for p in made.parties]
    return {"seed": options.seed, "out": options.out, "parties": parties, "contracts": rows}


def show_contracts(result: dict[str, Any]) -> str:
    rows = [[c["name"], len(c["questions"]), len(c["shares_a_party_with"])] for c in result["contracts"]]
    text = terminal.table(["contract", "questions", "contracts that share a party"], rows)
    return text + (f"\n\nWritten to {result['out']}." if result["out"] else "")


def teach(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """Teach questions to a copy of the model, which is kept under --out; or move a taught model to the trash."""
    if options.delete:
        session.bench.delete_taught(options.delete)
        return {"deleted": options.delete}
    if not options.questions or not options.out:
        raise BadInput("teach needs --questions and --out (or --delete); see `python -m unedit_gui teach --help`.")
    questions = session.questions(options.questions)
    recipe = {} if options.passes is None else {"passes": options.passes}
    bench = session.load()
    made = bench.teach(questions, options.out, seed=options.seed, recipe=recipe, job=session.job("teach"))
    return {
        "name": made.name,
        "folder": made.folder,
        "base": made.base,
        "fingerprint": made.fingerprint,
        "n": len(made.questions),
        "rouge1": made.rouge1,
        "general": None if made.general is None else dict(zip(("before", "after"), made.general, strict=True)),
        "seconds": made.seconds,
        "seed": made.seed,
        "curve": list(made.curve),
        "caution": made.caution,
    }


def show_teach(result: dict[str, Any]) -> str:
    if "deleted" in result:
        return f"{result['deleted']} lies in the trash now."
    rows = [[p["pass"], p.get("rouge1")] for p in result["curve"] if "pass" in p]
    text = terminal.table(["pass", "ROUGE-1 on the questions"], rows)
    general = result["general"]
    also = f", general facts {general['before']:.3f} before and {general['after']:.3f} after" if general else ""
    note = f"\nNote: {result['caution']}" if result["caution"] else ""
    return (
        f"{text}\n\n{result['n']} questions, ROUGE-1 {result['rouge1']:.3f}{also}; {result['seconds']:.0f} s."
        f"{note}\nUse it with --model {shlex.quote(result['name'])}."
    )

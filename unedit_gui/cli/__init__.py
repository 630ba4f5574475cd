"""The command line: everything the page can do, without a page.

    python -m unedit_gui ask --questions facts.csv
    python -m unedit_gui edit --questions facts.csv --method alphaedit --out my-edit
    python -m unedit_gui evaluate --edit my-edit --forget facts.csv --retain others.csv --json

Results go to stdout (a table, or with --json one JSON document), everything else to stderr. The exit status
is 0, 1 (it failed) or 2 (something given can't be used), the latter two with one line on stderr that says
what to do.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence

from unedit_gui import __version__, before_torch

from ..errors import BadInput, UneditError, is_out_of_memory
from ..jobs import Stopped
from ..presenting.presets import VIEWS
from ..workbench import ENGINES, KINDS, Workbench
from . import (
    benching,
    commands,
    library,
    locating,
    presenting,
    probing,
    reporting,
    studying,
    sweeping,
    teaching,
    terminal,
)
from .given import named, seed

# What stays of a command that is stopped, for those that keep something on the way.
_STAYS = {
    commands.edit: "An edit that was saved in --out by then is whole, and stays.",
    sweeping.sweep: "Finished runs are kept; the same command goes on with the rest.",
    studying.freeze: "Replies that were written are kept; the same command goes on with the rest.",
    studying.simulate: "The copy of the study stays.",
}
_MOST_THREADS = 1024  # of a larger computer, too, whose command is repeated here; far more end the process silently
_MERGE = "merge K questions into one request with one shared target (default: 1, each by itself)"
_ON = "an edit that this one is made on top of (repeat it, the oldest first)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status; never raises, never shows a traceback."""
    terminal.quieten()
    terminal.tolerant_output()
    before_torch.settle()
    line = terminal.ProgressLine()
    home, run = None, None
    try:
        arguments = sys.argv[1:] if arguments is None else arguments
        if odd := [text for text in arguments if not _is_text(text)]:
            raise BadInput(f"{ascii(odd[0])[:80]} is no text in UTF-8; type it anew, or rename the file.")
        options = parser().parse_args(arguments)
        home, run = options.home, options.run
        if options.threads is not None:
            if not 1 <= options.threads <= _MOST_THREADS:
                raise BadInput(f"--threads {options.threads}: give 1 to {_MOST_THREADS}, as many as there are cores.")
            os.environ["OMP_NUM_THREADS"] = str(options.threads)
        result = options.run(options, commands.Session(options, line))
        line.clear()
        if options.json:
            terminal.write_json(result)
        else:
            sys.stdout.write(options.show(result) + "\n")
        sys.stdout.flush()
        return 0
    except SystemExit as ended:  # --help and --version
        return int(ended.code or 0)
    except (KeyboardInterrupt, Stopped):
        return _fail(line, f"Stopped. {_STAYS.get(run, '')}")
    except BrokenPipeError:  # the reader (head, less) has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except UneditError as error:
        return _fail(line, str(error), 2 if isinstance(error, BadInput) else 1)
    except Exception as error:  # whatever it is, the user gets one line, and the rest goes to a file
        return _fail(line, _unexpected(error, home))


def _is_text(argument: str) -> bool:
    """Whether an argument is all UTF-8: other bytes come as halves of characters, which no tokenizer takes."""
    return not any("\ud800" <= character <= "\udfff" for character in argument)


def _fail(line: terminal.ProgressLine, message: str, status: int = 1) -> int:
    line.clear()
    sys.stderr.write(" ".join(message.split()) + "\n")
    return status


def _unexpected(error: Exception, home: str | None) -> str:
    if is_out_of_memory(error):
        return "There was not enough memory; use a smaller model, fewer questions, or --dtype bfloat16."
    if isinstance(error, OSError) and error.strerror:
        where = f" ({error.filename})" if error.filename else ""
        return f"The system refused: {error.strerror}{where}."
    said = f"Something unexpected went wrong ({type(error).__name__}: {str(error)[:200]})"
    try:
        log = Workbench(home).workspace.runs_dir / "last-error.txt"
        log.write_text("".join(traceback.format_exception(error)), "utf-8")
    except OSError:
        return said + "."
    return f"{said}; the details are in {log}."


class _Parser(argparse.ArgumentParser):
    """argparse, with its errors in the same one line as all others."""

    def error(self, message: str) -> None:
        raise BadInput(f"{message[0].upper()}{message[1:]}; see `python -m {self.prog} --help`.")


def _common() -> argparse.ArgumentParser:
    """What every command takes. Made anew for each: argparse shares a parent's options, defaults included."""
    common = _Parser(add_help=False)
    group = common.add_argument_group("common")
    group.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    group.add_argument("--model", type=named, default="bundled", metavar="NAME", help="catalogue or hub, folder, .gguf")
    group.add_argument("--device", help="cpu, cuda, cuda:1, mps or auto (default: the best)")
    group.add_argument("--dtype", help="float32, bfloat16 or float16 (default: by size and device)")
    group.add_argument("--threads", type=int, metavar="N", help="CPU threads (use 1 on a busy machine)")
    group.add_argument("--home", metavar="DIR", help="workspace (default: $UNEDIT_HOME or ~/.unedit)")
    return common


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = _Parser(prog="unedit_gui", description="Make a language model forget facts, by editing.")
    top.add_argument("--version", action="version", version=f"Unedit {__version__}")
    subparsers = top.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    def command(name: str, run: Callable, show: Callable, help: str) -> argparse.ArgumentParser:
        made = subparsers.add_parser(name, parents=[_common()], help=help, description=run.__doc__)
        made.set_defaults(run=run, show=show)
        return made

    one = command("models", commands.models, commands.show_models, "list the models that can be used")
    one.set_defaults(model=None)

    one = command("ask", commands.ask, commands.show_ask, "which questions does the model know")
    one.add_argument("--questions", required=True, metavar="FILE", help="CSV, JSON or JSON lines")

    one = command("contracts", teaching.contracts, teaching.show_contracts, "make contracts to teach and forget")
    one.add_argument("--sales", type=int, default=4, metavar="N", help="contracts of sale (default 4)")
    one.add_argument("--employment", type=int, default=2, metavar="M", help="contracts of employment (default 2)")
    one.add_argument("--seed", type=seed, default=0)
    one.add_argument("--out", metavar="FILE", help="the questions as CSV, 20 for each contract")
    one = command("locate", locating.locate, locating.show_locate, "where in the model does a fact live")
    one.add_argument("--question", required=True, metavar="QUESTION")
    one.add_argument("--answer", help="default: what the model says")
    one.add_argument("--subject", help="default: found in the question")
    one.add_argument("--samples", type=int, default=4, metavar="N", help="draws of the noise, default 4")
    one.add_argument("--seed", type=seed, default=0)
    one.add_argument("--out", metavar="FILE.png", help="the map as a picture")

    one = command("teach", teaching.teach, teaching.show_teach, "teach questions to a copy of the model")
    one.add_argument("--questions", metavar="FILE", help="what to teach")
    one.add_argument("--out", metavar="NAME", help="what the taught model is called, in `models` and for --model")
    one.add_argument("--passes", type=int, metavar="N", help="over the questions, at most (default 64)")
    one.add_argument("--seed", type=seed, default=0)
    one.add_argument("--delete", type=named, metavar="NAME", help="move a taught model to the trash instead")

    one = command("targets", commands.targets, commands.show_targets, "write refusals for questions")
    one.add_argument("--questions", required=True, metavar="FILE")
    one.add_argument("--kind", default="self-improved", choices=KINDS)
    one.add_argument("--beside", choices=KINDS, help="a second kind, shown beside the first")
    one.add_argument("--merge", type=int, default=1, metavar="K", help=_MERGE)
    one.add_argument("--out", metavar="FILE", help="the questions with their targets, as CSV")
    one.add_argument("--seed", type=seed, default=0)

    one = command("edit", commands.edit, commands.show_edit, "make the model forget")
    one.add_argument("--questions", required=True, metavar="FILE", help="what to forget")
    one.add_argument("--method", help="rome, memit, alphaedit, grace, wise, ike, ga, gd, kl, dpo")
    one.add_argument("--hparams", metavar="FILE", help="an EasyEdit file (YAML) with method and settings")
    one.add_argument("--engine", default="unedit", choices=ENGINES, help="whose program makes the edit")
    one.add_argument("--targets", default="self-improved", choices=KINDS)
    one.add_argument("--merge", type=int, default=1, metavar="K", help=_MERGE)
    one.add_argument("--out", required=True, metavar="DIR", help="a new or empty folder for the edit")
    one.add_argument("--protect", metavar="FILE", help="facts that must stay")
    one.add_argument("--on", action="append", default=[], metavar="EDIT", help=_ON)
    one.add_argument("--seed", type=seed, default=0)
    one.add_argument("--set", action="append", default=[], metavar="HPARAM=VALUE", help="repeatable")
    one.add_argument("--name", help="what the edit is called")

    one = command("evaluate", commands.evaluate, commands.show_evaluate, "score an edit")
    one.add_argument("--edit", action="append", required=True, metavar="DIR", help="repeatable, oldest first")
    one.add_argument("--forget", required=True, metavar="FILE")
    one.add_argument("--retain", metavar="FILE")
    one.add_argument("--rephrased", metavar="FILE", help="default: the rephrasings in --forget")
    one.add_argument("--general", metavar="FILE", help="facts that have nothing to do with what is forgotten")
    one.add_argument("--details", metavar="FILE", help="every reply: CSV if so named, else JSON")

    one = command("probe", probing.probe, probing.show_probe, "did it forget, or does it hide")
    one.add_argument("--edit", action="append", required=True, metavar="DIR", help="repeatable: each by itself")
    one.add_argument("--questions", required=True, metavar="FILE", help="what was to be forgotten")
    one.add_argument("--probes", metavar="NAME,NAME", help="default: all, see docs/probes.md")
    one.add_argument("--items", type=int, default=40, metavar="N", help="about so many for each leak probe")
    one.add_argument("--tokens", type=int, default=32, metavar="N", help="of a reply")
    one.add_argument("--seed", type=seed, default=0)
    one.add_argument("--details", metavar="FILE", help="every reply: CSV if so named, else JSON")

    sweeping.add(command)
    reporting.add(command)

    one = command("chat", presenting.chat, presenting.show_chat, "ask the original and the edited model")
    one.add_argument("--edit", action="append", metavar="DIR", help="repeatable, oldest first")
    one.add_argument("--column", action="append", metavar="EDIT[,EDIT]", help="a column of its own; repeatable")
    one.add_argument("--ask", required=True, metavar="QUESTION")
    one.add_argument("--record", metavar="NAME", help="keep what --column said, at its pace, as a recording")
    one.add_argument("--max-tokens", type=int, default=256, metavar="N")
    one.add_argument("--seed", type=seed, default=0)

    one = command("presets", presenting.presets, presenting.show_presets, "what the page can begin with")
    what = one.add_mutually_exclusive_group()
    what.add_argument("--show", type=named, dest="shown", metavar="NAME", help="one preset alone")
    what.add_argument("--save", type=named, metavar="NAME", help="write a preset to the workspace")
    what.add_argument("--delete", type=named, metavar="NAME", help="move a preset of the workspace to the trash")
    one.add_argument("--title", default="", help="for --save, as the following ones")
    one.add_argument("--view", default="columns", choices=VIEWS)
    one.add_argument("--column", action="append", default=[], metavar="EDIT[,EDIT]", help="repeatable")
    one.add_argument("--questions", metavar="FILE", help="what is asked, in its order")
    one.add_argument("--language", default="", choices=("en", "de"), help="of the page's own words")
    one.add_argument("--projector", action="store_true", help="begin in large type, without controls")

    one = command("recordings", presenting.recordings, presenting.show_recordings, "recorded conversations")
    one.add_argument("--show", type=named, dest="shown", metavar="NAME", help="what was said in one")

    one = command("duels", presenting.duels, presenting.show_duels, "who won the blinded duels")
    one.add_argument("--csv", metavar="FILE", help="every vote with both replies")

    one = command("export", library.export, library.show_export, "hand an edit to other programs")
    one.add_argument("--edit", action="append", required=True, metavar="EDIT", help="repeatable, oldest first")
    one.add_argument("--as", required=True, choices=("peft", "merged", "manifest"), dest="form")
    one.add_argument("--out", required=True, metavar="DIR", help="a new or empty folder")

    one = command("compare", library.compare, library.show_compare, "two edits beside each other")
    one.add_argument("--edit", action="append", required=True, metavar="EDIT", help="give it twice")

    one = command("edits", library.edits, library.show_edits, "list, add, pack, rename or delete edits")
    what = one.add_mutually_exclusive_group()
    what.add_argument("--add", type=named, metavar="PATH", help="an edit's folder or zip file, to keep here")
    what.add_argument("--pack", type=named, metavar="EDIT", help="write the edit as a zip file to --out")
    what.add_argument("--rename", type=named, metavar="EDIT", help="give a saved edit the name --name")
    what.add_argument("--delete", type=named, metavar="EDIT", help="move a saved edit to the trash")
    one.add_argument("--out", metavar="FILE", help="for --pack")
    one.add_argument("--name", metavar="NAME", help="for --rename")

    studying.add(subparsers, _common, _Parser)

    benching.add(command)
    return top

"""The page: header, stepper, one panel per step, and the one clock that keeps them up to date.

Every event ends in `refresh`, which draws the views whose revision this page has not seen yet. So a button, a
finished job and a reload all take the same way, and a page that was closed amid an edit finds it again. The clock takes
it in two parts: `look` draws what moves while a job runs, and where anything else has changed `catch_up` follows.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import gradio as gr

from unedit_gui.ui import (
    chat,
    curve,
    edit,
    figures,
    forget,
    frame,
    model,
    presets,
    probes,
    run,
    runs,
    scores,
    studies,
    study,
    targets,
)
from unedit_gui.ui.draw import draw
from unedit_gui.ui.lab import Lab, word
from unedit_gui.ui.panel import panel, saver, teller
from unedit_gui.ui.session import STEPS, Session
from unedit_gui.ui.theme import UneditTheme
from unedit_gui.ui.words import LANGUAGES, speaking

ASSETS = Path(__file__).resolve().parents[2] / "assets"
TABS: dict[str, ModuleType] = dict(zip(STEPS, (model, forget, targets, edit, chat, scores, study, runs), strict=True))
# Views that aren't a whole step, and who answers for their clicks.
PARTS: dict[str, ModuleType] = {
    "top": frame, "strip": frame, "foot": frame, "curve": frame,
    "detail": scores, "probes": probes, "run": run, "studies": studies, "figures": figures,
}  # fmt: skip
CURVES = {"forget": "teach"}  # views with a curve, and the kind of job that it is of
MOVING = ("strip", "curve", "chat")  # views that change all the time while something runs
# Seconds between two looks at the jobs: while a reply grows, while anything else runs, while nothing does. Each look
# costs the browser some work, which on two cores the edit itself would miss. So a look brings only what moves, and
# says when there is more; forty outputs, most of them unchanged, took three times the work.
QUICK, STEADY, IDLE = 0.25, 0.6, 1.5

# Gradio translates labels in the browser, by the browser's language, and nothing that comes from Python. So one hidden
# label says which language it chose; `hello` reads it, and the panels' words come from ui/words.py.
SPOKEN = gr.I18n(**{code: {"language": code} for code in LANGUAGES})
HELLO = "() => window.unedit.hello()"
# A step shown because Python said so also counts as selected; only the user's own clicks are of interest.
CHOSEN = "(session) => [session, window.unedit.step()]"


def build(lab: Lab) -> gr.Blocks:
    """The page, ready for `launch(**launch_settings())`."""
    with gr.Blocks(title="Unedit", analytics_enabled=False, fill_width=True) as page:
        session_id = gr.Textbox(visible=False)
        dark = gr.Textbox(visible=False)
        asked = gr.Textbox(visible=False)
        gr.Textbox(label=SPOKEN("language"), elem_id="language", visible="hidden")
        step = gr.Textbox(visible=False)
        seen, moved = gr.State({}), gr.State({})
        views = {"top": panel("top"), "strip": panel("strip")}
        tab_items = []
        with gr.Tabs(selected=1, elem_id="steps", overflow_behavior="wrap") as tabs:
            for number, name in enumerate(STEPS, 1):
                with gr.Tab(frame.label(lab, None, name), id=number, elem_id=f"step-{name}") as item:
                    tab_items.append(item)
                    if name == "edit":
                        views["curve"] = panel("curve")
                    views[name] = panel(name)
                    if name == "scores":
                        with gr.Row(visible=False, elem_id="charts") as charts:
                            bars = gr.Plot(show_label=False, elem_id="bars")
                            radar = gr.Plot(show_label=False, elem_id="radar")
                        views["detail"] = panel("detail")
                        views["probes"] = panel("probes")
                    if name == "study":
                        views["studies"] = panel("studies")
                    if name == "runs":
                        views["run"] = panel("run")
                        views["figures"] = panel("figures")
        views["foot"] = panel("foot")
        download, news = saver(), teller()
        clock = gr.Timer(IDLE)

        drawers: dict[str, Callable[[Lab, Session], str]] = {
            "top": frame.top,
            "strip": frame.strip,
            "foot": frame.foot,
            "curve": curve.render,
            "detail": scores.detail,
            "probes": probes.render,
            "run": run.render,
            "studies": studies.render,
            "figures": figures.render,
            **{name: module.render for name, module in TABS.items()},
        }
        others = [name for name in views if name not in MOVING]
        follows = [*(views[name] for name in others), charts, bars, radar, tabs, *tab_items, clock, seen]
        moves = [*(views[name] for name in MOVING), moved]
        outputs = [*follows, *moves, download]

        def drawn(view: str, session: Session) -> str:
            try:
                with session.lock, speaking(session.language):
                    return drawers[view](lab, session)
            except Exception as error:  # one view that can't be drawn must not take the others with it
                return draw("failed", text=word(error))

        def points(view: str, session: Session) -> Any:
            """How far the curve is that a view draws while its job runs; how far a recording has been played; what
            participants have done meanwhile."""
            if view == "studies":
                return lab.bench.studies.stamp() if session.goto[1] == STEPS.index("study") + 1 else None
            if view == "chat" and session.replay is not None:
                return session.replay.tick()
            job = session.active(CURVES[view]) if view in CURVES else None
            return len(job.curve) if job is not None else 0

        def mark(view: str, session: Session) -> Any:
            """What changes when a view does. The strip shows a clock and the curve grows, so it's what they show."""
            if view in ("strip", "curve"):
                with speaking(session.language):
                    return drawers[view](lab, session)
            return session.revisions[view], points(view, session)

        def marks(session: Session) -> dict[str, Any]:
            """Of everything that `follow` keeps up to date."""
            working = session.active() or lab.busy_loading
            growing = session.active("chat") or (session.replay is not None and session.replay.playing())
            with speaking(session.language):
                labels = {f"label {name}": frame.label(lab, session, name) for name in STEPS}
            return {
                **{name: mark(name, session) for name in others},
                **labels,
                "plots": (session.plotted, session.dark),
                "goto": session.goto[0],
                "clock": QUICK if growing else STEADY if working else IDLE,
            }

        def follow(session: Session | None, seen: dict[str, Any]) -> list[Any]:
            """The updates for whatever of `follows` this page has not seen yet."""
            if session is None:
                return [gr.skip()] * len(follows)
            now = marks(session)

            def fresh(name: str) -> bool:
                return seen.get(name) != now[name]

            updates: list[Any] = [drawn(name, session) if fresh(name) else gr.skip() for name in others]
            updates += scores.plots(session) if fresh("plots") else [gr.skip()] * 3
            updates.append(gr.Tabs(selected=session.goto[1]) if fresh("goto") else gr.skip())
            for name in STEPS:
                updates.append(gr.Tab(label=now[f"label {name}"]) if fresh(f"label {name}") else gr.skip())
            updates.append(gr.Timer(now["clock"]) if fresh("clock") else gr.skip())
            return [*updates, now]

        def move(session: Session | None, moved: dict[str, Any]) -> list[Any]:
            """The updates for whatever of `moves` this page has not seen yet."""
            if session is None:
                return [gr.skip()] * len(moves)
            now = {name: mark(name, session) for name in MOVING}
            updates: list[Any] = [gr.skip()] * len(MOVING)
            for place, name in enumerate(MOVING):
                if moved.get(name) != now[name]:
                    updates[place] = now[name] if isinstance(now[name], str) else drawn(name, session)
            return [*updates, now if now != moved else gr.skip()]

        def refresh(session: Session | None, seen: dict[str, Any], moved: dict, file: dict | None = None) -> list[Any]:
            """Everything that this page has not seen yet, in the order of `outputs`."""
            given = {**file, "serial": id(file)} if file else gr.skip()
            return [*follow(session, seen), *move(session, moved), given]

        def handler(view: str, event_name: str):
            def handle(session_id: str, seen: dict, moved: dict, event: gr.EventData) -> list[Any]:
                session = lab.sessions.get(session_id)
                file = dispatch(lab, session, view, event_name, dict(event._data or {})) if session else None
                return refresh(session, seen, moved, file)

            return handle

        def hello(session_id: str, dark: str, asked: str) -> list[Any]:
            session = lab.sessions.get(session_id)
            if session is not None:
                with session.lock:
                    session.dark = dark == "1"
                    presets.arrive(lab, session, asked)
            return [session_id, dark, asked, *refresh(session, {}, {})]

        def look(session_id: str, seen: dict, moved: dict, told: str) -> list[Any]:
            """What moves; and where there is other news too, a count that makes the page ask for it."""
            session = lab.sessions.get(session_id)
            more = session is not None and marks(session) != seen
            return [*move(session, moved), str(int(told or 0) + 1) if more else gr.skip()]

        def catch_up(session_id: str, seen: dict) -> list[Any]:
            return follow(lab.sessions.get(session_id), seen)

        def chosen(session_id: str, step: str) -> None:
            session = lab.sessions.get(session_id)
            if session is not None and step.isdigit():
                select_step(session, int(step))

        quiet = dict(show_progress="hidden", api_visibility="private")
        # One after the other: of two that draw at once the older picture may arrive last, and stay until the next look.
        in_turn = dict(concurrency_id="acts", concurrency_limit=1)
        for name, place in views.items():
            for event_name in ("click", "input", "upload"):
                listen = getattr(place, event_name)
                listen(
                    handler(name, event_name),
                    [session_id, seen, moved],
                    outputs,
                    trigger_mode="multiple",
                    **in_turn,
                    **quiet,
                )
        tabs.select(chosen, [session_id, step], None, js=CHOSEN, trigger_mode="multiple", **quiet)
        clock.tick(look, [session_id, seen, moved, news], [*moves, news], **in_turn, **quiet)
        news.input(catch_up, [session_id, seen], follows, **in_turn, **quiet)
        opening = [session_id, dark, asked]
        page.load(hello, opening, [*opening, *outputs], js=HELLO, concurrency_limit=None, **quiet)
    return page


def dispatch(lab: Lab, session: Session, view: str, event: str, data: dict[str, Any]) -> dict | None:
    """One click, input or upload of a panel. Returns a file for the browser to keep, or None."""
    with speaking(session.language):
        return _dispatch(lab, session, view, event, data)


def _dispatch(lab: Lab, session: Session, view: str, event: str, data: dict[str, Any]) -> dict | None:
    module = PARTS.get(view) or TABS[view]
    try:
        with session.lock:
            if event == "input":
                module.field(lab, session, data)
                return None
            if event == "upload":
                module.upload(lab, session, data)
                return None
            # What was changed goes first, and a refusal of it is told; but it holds up no act, a Stop least of all.
            for change in data.get("changed") or []:
                try:
                    module.field(lab, session, change)
                except Exception as error:
                    _refused(session, view, error)
            act = str(data.get("act", ""))
            if act in frame.ACTS:
                return frame.ACTS[act](lab, session, {**data, "view": view})
            found = module.ACTS.get(act)
            return found(lab, session, data) if found else None
    except Exception as error:
        _refused(session, view, error)
    return None


def _refused(session: Session, view: str, error: Exception) -> None:
    """Told where it happened; `word` logs what is not meant for users."""
    session.tell({"detail": "scores", "run": "runs"}.get(view, view), word(error), "bad")


def select_step(session: Session, step: int) -> None:
    """The user chose a step: remember it for a reload, and stop leading the way in the example."""
    if 1 <= step <= len(STEPS):
        with session.lock:
            session.goto = (session.goto[0], step)
            session.following = False


def mount_study(app: Any, lab: Lab) -> None:
    """Show the participants' pages under /study of the page that `Blocks.launch` serves as `app`."""
    from starlette.routing import Mount

    from unedit_gui.study.pages import participant_app

    # First of all routes: the page's own would take every path.
    app.router.routes.insert(0, Mount("/study", participant_app(lab.bench.studies.all)))


def launch_settings() -> dict[str, Any]:
    """What `Blocks.launch` needs for this page: its look, its script, and nothing that calls home."""
    script = (ASSETS / "unedit.js").read_text("utf-8")
    # Gradio puts its container's name before every rule of css_paths; the projector's begin above it, at the body.
    projector = (ASSETS / "projector.css").read_text("utf-8")
    return {
        "theme": UneditTheme(),
        "i18n": SPOKEN,
        "css_paths": [ASSETS / "unedit.css", ASSETS / "steps.css"],
        "head": f"<script>{script}</script><style>{projector}</style>",
        "favicon_path": ASSETS / "logo.svg",
        "footer_links": [],
        "run_history": False,
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
        "max_file_size": "16mb",
        "show_error": False,
        "quiet": True,
    }

"""The command `locate`: where in the model a fact is read."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import BadInput
from . import terminal
from .commands import Session, _check_file

_SHADES = " ·░▒▓█"  # from nothing to all that corruption took


def locate(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    """Trace one question: which tokens and layers carry its answer; propose a subject, and layers to edit."""
    if options.out and not options.out.lower().endswith(".png"):
        raise BadInput(f"--out {options.out}: the map is a PNG; choose a name that ends in .png.")
    _check_file(options.out)
    bench = session.load()
    found = bench.locate(
        options.question,
        options.answer,
        options.subject,
        samples=options.samples,
        seed=options.seed,
        job=session.job("locate"),
    )
    result = {"model": bench.model.name, **found.to_json(), "layers_for": bench.layers_for(found), "out": options.out}
    if options.out:
        from ..reports.heatmap import png

        bench.workspace.write_atomically(options.out, png(result))
    return result


def show_locate(result: dict[str, Any]) -> str:
    from ..reports.heatmap import PANELS, describe

    most = result["clean"] - result["corrupted"]
    width = max(len(token) for token in result["tokens"])
    lines = [describe(result), ""]
    for kind, title in PANELS.items():
        lines.append(f"{title.format(**result)}, layers 0 to {result['layers'] - 1}")
        for token, row in zip(result["tokens"], result[kind], strict=True):
            shares = [min(1.0, max(0.0, value / most)) if most > 0 else 0.0 for value in row]
            lines.append(f"{token:>{width}} |{''.join(_SHADES[round(s * (len(_SHADES) - 1))] for s in shares)}|")
        lines.append("")
    words = [[word, cost] for word, cost in result["words"]]
    lines += [terminal.table(["word", "share that it costs"], words), ""]
    if result["proposed"] != result["subject"]:
        lines.append(f"Proposed subject: {result['proposed']} (it costs more than {result['subject']}).")
    for method, layers in result["layers_for"].items():
        lines.append(f"Proposed for {method}: --set layers={','.join(map(str, layers))}")
    if not result["layers_for"]:
        lines.append("No layer stands out, so none is proposed.")
    if result["out"]:
        lines.append(f"Written to {result['out']}.")
    return "\n".join(lines)

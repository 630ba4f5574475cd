"""Makes the edits that ship with the program anew: `python -m tests.make_ready_made`, some minutes on two cores.

To be run when a method's defaults or the bundled questions have changed. They are made like any other edit, with the
defaults that the methods have then, of the example's three facts, and replace what lies in data/edits.
"""

import dataclasses
import shutil
import sys
from pathlib import Path

from unedit_gui.edits.shelf import READY_MADE
from unedit_gui.workbench import Workbench

# By folder, which is the name that commands take: the method, how many of the example's facts, and how the page calls
# it. The page offers the first one first.
EDITS = {
    "ready-alphaedit": ("alphaedit", 3, "Three facts, AlphaEdit"),
    "ready-grace": ("grace", 3, "Three facts, GRACE"),
    "ready-memit": ("memit", 3, "Three facts, MEMIT"),
    "ready-rome": ("rome", 1, "One fact, ROME"),
}


def main(home: str | None = None) -> None:
    bench = Workbench(home)
    bench.load()
    forget, _ = bench.example()
    targets = bench.targets(forget, "self-improved", seed=0)
    asked = [dataclasses.replace(q, target=t.text) for q, t in zip(forget, targets, strict=True)]
    if READY_MADE.exists():
        shutil.rmtree(READY_MADE)
    for folder, (method, facts, name) in EDITS.items():
        edit = bench.edit(asked[:facts], method, targets="given", seed=0, name=name)
        about = {key: value for key, value in edit.about.items() if key != "seconds"}  # of a machine that is another's
        edit = dataclasses.replace(edit, about=about)
        bench.save_edit(edit, READY_MADE / folder)
        size = sum(path.stat().st_size for path in Path(READY_MADE / folder).iterdir())
        sys.stdout.write(f"{folder}: {edit.summary()}, {size / 1000:.0f} kB\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

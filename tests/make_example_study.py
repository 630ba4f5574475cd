"""Writes the example study's replies anew: `python -m tests.make_example_study [HOME]`, some minutes on two cores.

To be run when data/example_study.yaml has other questions or conditions, or when the ready-made edits were made anew.
The self-improved conditions are those ready-made edits, so that anybody can ask them again; their counterparts with
vanilla targets are made here, of the same facts with the same seed. All of them answer through `freeze_study`, as in
any study.
"""

import csv
import dataclasses
import sys
import tempfile
from pathlib import Path

from unedit_gui.study.folder import EXAMPLE, EXAMPLE_REPLIES
from unedit_gui.study.freezing import COLUMNS
from unedit_gui.study.protocol import load
from unedit_gui.study.store import Study
from unedit_gui.workbench import Workbench


def main(home: str | None = None) -> None:
    bench, example = Workbench(home), load(EXAMPLE)
    bench.load()
    forget, _ = bench.example()
    with tempfile.TemporaryDirectory() as folder:
        conditions = []
        for condition in example.conditions:
            edits = f"ready-{condition.method}"
            if condition.targets != "self-improved":
                edits = str(Path(folder) / condition.method)
                bench.save_edit(bench.edit(forget, condition.method, targets=condition.targets, seed=0), edits)
            conditions.append(dataclasses.replace(condition, edits=(edits,)))
        protocol = dataclasses.replace(example, conditions=tuple(conditions))
        study = Study.create(Path(folder) / "example.sqlite", "example", protocol)
        bench.freeze_study(study)
        with study.reading() as db:
            rows = db.execute(
                "SELECT i.question, c.name, i.reply FROM items AS i JOIN conditions AS c ON c.id = i.condition_id "
                "ORDER BY i.condition_id, i.question_id"
            ).fetchall()
        study.disconnect()
    with EXAMPLE_REPLIES.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
    sys.stdout.write(f"{len(rows)} replies of {len(example.conditions)} conditions in {EXAMPLE_REPLIES}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

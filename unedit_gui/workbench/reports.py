"""The workbench's part on reports: figures and reports of runs, and runs made again from them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from ..jobs import Job
from ..runs import Run, read_run
from ..runs.record import RUN
from .runs import Sweeps, as_questions

if TYPE_CHECKING:
    from ..edits.edit import Edit
    from ..reports.figures import Figure
    from ..runs.repeat import Repeat


class Reports(Sweeps):
    """What is handed on of runs."""

    def read_runs(self, source: Path | str) -> list[Run]:
        """The runs of a report (HTML), of a run's folder or its run.json, or the kept run of an id; with their rows.

        BadInput where there are none, or they were changed or damaged.
        """
        from ..reports.embedded import LARGEST, runs_in

        path = Path(source).expanduser()
        try:
            if path.is_dir():
                return [read_run(path)]
            if path.is_file() and path.name == RUN:
                return [read_run(path.parent)]
            if path.is_file():
                if path.stat().st_size > LARGEST:
                    raise BadInput(f"{path.name} is larger than {LARGEST // 2**20} MB, which no report is.")
                return runs_in(path.read_text("utf-8", errors="replace"), path.name)
        except OSError as error:
            raise BadInput(f"{path.name} can't be read: {error.strerror}.") from error
        if path.suffix or len(path.parts) > 1:
            raise BadInput(
                f"There is no file or folder {source}; give a report, a run's folder, or the id of a kept run."
            )
        return [self.load_run(str(source))]

    def figures(self, runs: Sequence[Run], folder: Path | str | None = None, *, ghosts: bool = True) -> list[Figure]:
        """The paper's figures from runs; with `folder` (new or empty) also written there: PNG, SVG, CSV and LaTeX.

        `ghosts`: with the paper's published values as marks beside ours.
        """
        from ..reports.figures import all_figures
        from ..reports.files import write_figures

        if folder is not None:
            write_figures(list(runs), self._new_folder(folder), ghosts)
        return all_figures(runs, ghosts)

    def report(self, runs: Sequence[Run], file: Path | str, *, ghosts: bool = True) -> Path:
        """Write one self-contained HTML file on runs, and the same in Markdown beside it. Returns the first's path."""
        from ..reports.files import write_report

        runs = [run if run.rows else self._with_rows(run) for run in runs]
        if not runs:
            raise BadInput("There are no runs to report on; make some first, with `run` or `sweep`.")
        return write_report(runs, Path(file).expanduser(), self.workspace, ghosts)

    def rerun(self, run: Run, *, write_targets: bool = False, job: Job | None = None) -> Repeat:
        """Make a run again with the loaded model and say what is not as it was, to the last digit.

        The edit is made anew, both models are asked anew, nothing kept is used. The targets are those that the run
        was taught; with `write_targets` they are written anew as well. A run that was probed is probed again. Nothing
        is kept.
        """
        from ..runs.environment import environment
        from ..runs.repeat import compared

        model, settings = self._loaded(), run.settings
        forget, retain, protect = (as_questions(getattr(settings, name)) for name in ("forget", "retain", "protect"))
        kind = settings.targets
        if kind == "given" or (run.targets and not write_targets):
            texts = run.targets or [q.target for q in forget]
            if len(texts) != len(forget):
                raise BadInput(f"The run has {len(forget)} questions and {len(texts)} targets; it can't be made again.")
            forget = [dataclasses.replace(q, target=text) for q, text in zip(forget, texts, strict=True)]
            kind = "given"
        job, began = job or Job("rerun"), time.monotonic()
        how = dict(merge=settings.merge, hparams=dict(settings.hparams), protect=protect, seed=settings.seed)
        edit = self.edit(forget, settings.method, targets=kind, name=run.name or None, job=job, **how)
        edited = time.monotonic()
        scores = self.evaluate((edit,), forget, retain, fresh=True, job=job)
        scored = time.monotonic()
        probed = self._probed_again(run, edit, job)
        now = dict(model=model.name, fingerprint=model.fingerprint, dtype=model.dtype_name)
        again = Run(
            dataclasses.replace(settings, hparams=dict(edit.manifest["hparams"]), **now),
            scores=scores.to_json(),
            rows=tuple(scores.details()),
            edit={"id": edit.id, "payload": edit.payload, "name": edit.name, "summary": edit.summary()},
            seconds={"targets and edit": edited - began, "scores": scored - edited},
            environment=environment(model),
            probes=probed,
            name=run.name,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            targets=tuple(request["target_new"] for request in edit.requests),
        )
        return compared(run, again)

    def _probed_again(self, run: Run, edit: Edit, job: Job) -> dict[str, Any] | None:
        """The probes of a run made again with the new edit; None where it wasn't probed."""
        from ..evaluation import probes as probing

        names = [str(row.get("probe")) for row in (run.probes or {}).get("rows") or () if isinstance(row, Mapping)]
        if not names:
            return None
        items, tokens = run.probes.get("items", probing.ITEMS), run.probes.get("tokens", probing.REPLY_TOKENS)
        if not all(type(value) is int and 1 <= value <= 1000 for value in (items, tokens)):
            raise BadInput("How the run was probed can't be read, so it can't be made again.")
        asked, how = as_questions(run.settings.forget), dict(items=items, max_new_tokens=tokens)
        return self.probe(edit, asked, names, seed=run.settings.seed, fresh=True, job=job, **how).to_json()

    def _with_rows(self, run: Run) -> Run:
        """The same run with its replies, where it is kept; lists of runs come without."""
        try:
            return self.load_run(run.id)
        except BadInput:
            return run

    def _new_folder(self, folder: Path | str) -> Path:
        path = Path(folder).expanduser()
        try:
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                raise BadInput(f"{path} exists already and is not an empty folder; choose another one.")
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"{path} can't be written ({error.strerror}); choose another folder.") from error
        return path

"""The one door: everything Unedit can do, as one synchronous Python object.

The page, the command line and your own scripts call this and nothing below it. It holds the model and the
workspace and brings the parts together; how each thing is done stands in their folders:

    from unedit_gui.workbench import Workbench

    bench = Workbench()
    bench.load()                                            # the bundled model
    forget, retain = bench.example()
    edit = bench.edit(forget, "alphaedit")                  # the model's weights stay as they were
    print(bench.evaluate((edit,), forget, retain).to_json())

Every long method takes `job` (see `unedit_gui.jobs.Job`): it reports progress there and stops when that is
asked. Without one it simply runs. Nothing here starts a thread: who shares a workbench between threads runs
its methods on one `jobs.Worker`. Importing this module loads no torch.
"""

from __future__ import annotations

from ..evaluation.knowledge import Answer
from .models import Models
from .presenting import Presenting
from .reports import Reports
from .shared import ANSWER_TOKENS, ENGINES, KINDS

__all__ = ["ANSWER_TOKENS", "ENGINES", "KINDS", "Answer", "Workbench"]


class Workbench(Models, Reports, Presenting):
    """One workspace and at most one loaded model. See the module's text for how it is meant to be used."""

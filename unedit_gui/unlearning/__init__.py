"""The unlearning baselines: training with a loss of their own, in place of an edit that is solved for.

Importing this package registers them, beside the editors.
"""

from ..editors import METHODS

from . import grad_ascent, grad_diff, kl_min, dpo  # isort: skip - in the order in which they are listed

__all__ = ["METHODS", "dpo", "grad_ascent", "grad_diff", "kl_min"]

"""The editors' tiny model, workspace and precision, for methods that train."""

from tests.editors.conftest import full_precision, small, workspace

__all__ = ["full_precision", "small", "workspace"]

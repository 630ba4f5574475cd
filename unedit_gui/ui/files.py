"""Files as the browser sent them."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

from unedit_gui.errors import BadInput
from unedit_gui.ui.words import translate as _


def upload_bytes(data: dict, too_large: str) -> tuple[str, bytes]:
    """The name, without folders, and the bytes of an upload.

    Args:
        too_large: what to do about a file that is larger than 10 MB.

    Raises:
        BadInput: it was too large, or did not arrive.
    """
    name = Path(str(data.get("name") or _("the file"))).name[:100]
    if data.get("unreadable"):
        raise BadInput(
            _("{name} could not be read by the browser; close other programs that use it and try again.", name=name)
        )
    if "data" not in data:
        raise BadInput(_("{name} is larger than 10 MB; {advice}.", name=name, advice=too_large))
    try:
        return name, base64.b64decode(data["data"], validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise BadInput(_("{name} did not arrive whole; upload it again.", name=name)) from error

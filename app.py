"""Starts Unedit's page: `python app.py`, then open the address that it prints."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from unedit_gui import before_torch

PORT = 7860


def flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Unedit: make a language model forget, in the browser.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this computer only)")
    parser.add_argument("--port", type=int, help=f"port (default: the first free one from {PORT})")
    parser.add_argument("--model", default="bundled", help="model to load: a catalogue or hub name, or a folder")
    parser.add_argument("--home", type=Path, help="folder for edits, ratings and models (default: ~/.unedit)")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 or mps (default: the best there is)")
    parser.add_argument("--dtype", help="float32, bfloat16 or float16 (default: fits the device)")
    parser.add_argument("--no-browser", action="store_true", help="don't open the browser")
    parser.add_argument("--no-model", action="store_true", help="load no model at the start")
    return parser.parse_args()


def main() -> int:
    given = flags()
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # the page shows the progress
    before_torch.settle()
    # Here, not above: --help answers at once.
    from unedit_gui.ui.app import build, launch_settings, mount_study
    from unedit_gui.ui.lab import Lab

    lab = Lab(given.home)
    page = build(lab)
    try:
        app, address, _ = page.launch(
            server_name=given.host,
            server_port=given.port,
            inbrowser=not given.no_browser,
            prevent_thread_lock=True,
            **launch_settings(),
        )
    except OSError as error:
        print(f"The page can't be served on {given.host}:{given.port or PORT}: {error}", file=sys.stderr)
        return 1
    mount_study(app, lab)
    print(f"Unedit is open at {address}  (Ctrl+C ends it)", flush=True)
    if not given.no_model:
        # Only now, so that the page is there at once and shows how the loading goes.
        lab.load(given.model, given.device, given.dtype)
    try:
        page.block_thread()
    finally:
        lab.worker.close(timeout=5)
    return 0


if __name__ == "__main__":
    sys.exit(main())

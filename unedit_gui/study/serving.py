"""The participants' pages by themselves: no lab, no model, nothing but studies; and the researcher's beside them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

import uvicorn
from starlette.applications import Starlette
from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route

from unedit_gui.errors import Failed

from .pages import participant_app
from .store import Study
from .visits import base

MOUNT = "/study"
WATCH = "/watch"


def standalone(studies: Callable[[], Sequence[Study]], password: str = "") -> Starlette:
    """The pages under /study, and with a password the researcher's page under /watch; nothing else."""

    def home(request):
        return RedirectResponse(f"{base(request)}{MOUNT}/", 303)

    routes = [Route("/", home), Route(MOUNT, home), Mount(MOUNT, participant_app(studies))]
    if password:
        from .watch import watch_app

        routes.append(Mount(WATCH, watch_app(studies, password)))
    return Starlette(routes=routes)


def serve(
    studies: Callable[[], Sequence[Study]],
    host: str,
    port: int,
    root_path: str,
    opened: Callable[[str], None],
    password: str = "",
) -> None:
    """Serve until it is interrupted. `opened(address)` is called once requests are taken; with a password the
    researcher's page is served too.

    No request is logged: a log would hold addresses and, in links, codes. A proxy on this machine may say who asks
    and how (X-Forwarded-Proto), and strips `root_path` off the paths.
    """
    root_path = "/" + root_path.strip("/") if root_path.strip("/") else ""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except (OSError, OverflowError) as error:
            raise Failed(f"The study can't be served on {host}:{port}: {error}; choose another --port.") from error
        listener.listen(2048)
        shown = f"[{host}]" if ":" in host else host
        config = uvicorn.Config(
            standalone(studies, password),
            root_path=root_path,
            access_log=False,
            log_level="warning",
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=5,
            timeout_keep_alive=60,  # longer than people read an item
        )
        opened(f"http://{shown}:{listener.getsockname()[1]}{root_path}{MOUNT}/")
        with suppress(KeyboardInterrupt):  # uvicorn ends in order, and then raises what ended it once more
            uvicorn.Server(config).run(sockets=[listener])

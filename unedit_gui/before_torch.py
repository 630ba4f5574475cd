"""What the libraries below torch read once, when they are loaded: set before that, unless the user has set it."""

import os


def settle() -> None:
    # Threads sleep while they wait for each other. Spinning, they and the browser on the same cores made everything
    # three times as slow.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # oneDNN keeps state for each shape of a product, and an edit of many facts has many. Usually it keeps 1024 of them:
    # 70 MB more with 24 facts, for 1 % less time (docs/performance.md, "How cost grows").
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")

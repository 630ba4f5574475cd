"""What the libraries below torch read once, when they are loaded: set before that, unless the user has set it."""

import os


def settle() -> None:
    # Threads sleep while they wait for each other. Spinning, they and the browser on the same cores made everything
    # three times as slow.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # oneDNN, and what stands between it and torch, keep state for each shape of a product in bfloat16, a third of a MB
    # each, and an edit of many facts has many shapes. Usually both keep 1024 of them; with 64 an edit takes as long
    # (docs/performance.md, "How cost grows").
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    os.environ.setdefault("LRU_CACHE_CAPACITY", "64")

"""The real proxy as a child process, with policy classes from another process, such as a notebook.

``python -m loadtests.run.proxy_child CLASSES FILE.toml [OPTION]…`` registers the classes, and then works like
``python -m realproxy FILE.toml [OPTION]…``. With ``--worker FD`` it is one of its worker processes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from loadtests.descriptors import allow_many_descriptors
from loadtests.run.proxy_files import register_classes
from realproxy.__main__ import main
from realproxy.control import worker_process as process

if __name__ == "__main__":
    allow_many_descriptors()
    register_classes(Path(sys.argv[1]))
    if sys.argv[2] == "--worker":
        sys.exit(process.main(sys.argv[3:]))
    again = [sys.executable, "-m", "loadtests.run.proxy_child", sys.argv[1], "--worker"]
    sys.exit(main(sys.argv[2:], again))

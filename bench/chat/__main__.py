"""`make bench-chat`: what the filters cost a message, and how long a message takes to a screen under load.

The last line is one JSON object. Targets: filters_ratio at most 1.3, filter_us at most 100, post_to_screen_p99_ms at
most 100. The screen shares two cores with the server, the generator and the browser's own painting in software.
"""

import json
import os
import sys

from bench.chat import decisions, screen
from bench.rooms.contenders import build_own

TARGETS = {"filters_ratio": 1.3, "filter_us": 100, "post_to_screen_p99_ms": 100}


def main() -> int:
    figures: dict[str, float] = decisions.run()
    for name, value in figures.items():
        print(f"{name:24} {value}")
    build_own()
    figures |= screen.run(os.environ["CHROMIUM"])
    for name, target in TARGETS.items():
        print(f"{name:24} {figures[name]} (target at most {target}{'' if figures[name] <= target else ', missed'})")
    names = ("filters_ratio", "filter_us", "post_to_screen_p50_ms", "post_to_screen_p99_ms")
    print(json.dumps({name: figures[name] for name in names}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

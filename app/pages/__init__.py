"""The pages: plain ES modules, styles and markup, served as they are. Owns no logic in Python."""

from pathlib import Path
from typing import Final

PAGES_DIR: Final = Path(__file__).parent
"""Each page is <name>/index.html here; everything below is served at /static/<path>."""

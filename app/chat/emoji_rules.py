"""Whether a text is made of emoji alone. Pure: text in, yes or no out.

By the ranges that hold emoji and the signs that build them (UTS 51), without the enclosed letters, which spell words.
"""

import re
from typing import Final

_PICTURE: Final = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff"
    "\u3030\u303d\u3297\u3299\U0001f000-\U0001f0ff\U0001f201-\U0001f265\U0001f300-\U0001f3fa\U0001f400-\U0001faff"
)
_TONE: Final = "[\U0001f3fb-\U0001f3ff]"
_TAGS: Final = "[\U000e0020-\U000e007e]+\U000e007f"
_ONE: Final = f"[{_PICTURE}]\ufe0f?{_TONE}?(?:{_TAGS})?"
_EMOJI: Final = re.compile(rf"(?:\s|{_ONE}(?:\u200d{_ONE})*|[0-9#*]\ufe0f?\u20e3|[\U0001f1e6-\U0001f1ff]{{2}})*")


def is_emoji(text: str) -> bool:
    """Whether a clean text has emoji and spaces alone; two letters of flags together count as the flag they may be."""
    return _EMOJI.fullmatch(text) is not None

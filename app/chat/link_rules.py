"""Which addresses may be named in a chat whose links are off: those of the sites that its staff allow. Pure.

A site is a name without its scheme; what lies below it is allowed with it. Only an address that is written out plainly
counts as one of a site: look-alike letters, a name before an `@`, or a second address inside the first do not pass.
"""

import re
from collections.abc import Sequence
from typing import Final

from app.chat.flood_rules import has_link
from app.chat.fold_rules import fold

SITES_MAX: Final = 50
SITE_LENGTH_MAX: Final = 100

_LABEL: Final = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_SITE: Final = re.compile(rf"(?:{_LABEL}\.)+[a-z][a-z0-9-]*[a-z0-9]")
_ADDRESS: Final = re.compile(rf"(?:https?://)?((?:{_LABEL}\.)+[a-z][a-z0-9-]*[a-z0-9])((?:[/?#][!-~]*)?)")
_AROUND: Final = "()[]<>\"',;:!?."


def clean_site(typed: str) -> str | None:
    """The site as it is kept: lower case, without a scheme and a slash at its end. None when it is no site's name."""
    site = typed.strip().lower().removeprefix("https://").removeprefix("http://").removesuffix("/")
    return site if len(site) <= SITE_LENGTH_MAX and _SITE.fullmatch(site) else None


def has_foreign_link(text: str, folded: str, sites: Sequence[str]) -> bool:
    """Whether the message leads somewhere else than to these sites. `folded`: the text as folded."""
    if not has_link(text, folded):
        return False
    if not sites:
        return True
    rest = " ".join("-" if _is_allowed(word.strip(_AROUND).lower(), sites) else word for word in text.split())
    return has_link(rest, fold(rest))


def _is_allowed(word: str, sites: Sequence[str]) -> bool:
    found = _ADDRESS.fullmatch(word) if word.isascii() else None
    if found is None or has_link(found[2], found[2]):
        return False
    return any(found[1] == site or found[1].endswith("." + site) for site in sites)

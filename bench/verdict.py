"""The end of a benchmark: a line per figure beside its target, then all figures as one line of JSON."""

import json
from collections.abc import Mapping
from typing import Final, TypeAlias

Targets: TypeAlias = Mapping[str, tuple[float, str] | None]
"""A figure's target with `>=` or `<=`; None: it is told without one."""
DIGITS: Final = 3


def tell_verdict(targets: Targets, figures: Mapping[str, float | None]) -> None:
    """Prints all that have a place in `targets`. None: the run left that part out."""
    print()
    for key, target in targets.items():
        figure = figures[key]
        line = f"{key:26}{'-' if figure is None else format(figure, '.2f'):>10}"
        if target is not None:
            bound, sign = target
            missed = figure is not None and (figure < bound if sign == ">=" else figure > bound)
            line += f"   {sign} {bound:<6}{'MISSED' * missed}"
        print(line.rstrip())
    told = {key: figures[key] for key in targets}
    print(json.dumps({key: None if figure is None else round(figure, DIGITS) for key, figure in told.items()}))

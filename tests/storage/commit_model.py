"""What commit_orders decides, said once more and simply: each wish in its turn, against what the earlier ones left."""

from collections import Counter


def decide(wishes, left: dict, limits: dict, bought: dict) -> list[str]:
    """`wishes` are (buyer, [(pool, quantity), ...]). One that does not fit takes no room from the next."""
    left, counts = dict(left), Counter(bought)
    verdicts = []
    for buyer, lines in wishes:
        asked = Counter()
        for pool, quantity in lines:
            asked[pool] += quantity
        short = any(quantity > left[pool] for pool, quantity in asked.items())
        over = any(limits[pool] is not None and counts[pool, buyer] + asked[pool] > limits[pool] for pool in asked)
        if not short and not over:
            for pool, quantity in asked.items():
                left[pool] -= quantity
                counts[pool, buyer] += quantity
        verdicts.append("refused" if short or over else "order")
    return verdicts

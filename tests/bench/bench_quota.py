"""`make bench-quota`: overspend and false refusals under partitions and kills."""

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Final

from tests.bench.quota.calls import SAMPLE, read_calls
from tests.bench.quota.design import Design
from tests.bench.quota.experiment import HOSTS, Outcome, play
from tests.bench.quota.leases import Leases
from tests.bench.quota.reference import CachedCheckThenAdd, CallForEachRequest

FALSE_SHARE_MAX: Final = 0.001


def main() -> int:
    """Plays every design once a seed and prints the table; 1 where the product missed a goal."""
    parser = argparse.ArgumentParser(prog="make bench-quota", description=__doc__)
    parser.add_argument("--trace", type=Path, default=SAMPLE, help="calls to draw from")
    parser.add_argument("--runs", type=int, default=3, help="seeds 1 to N, each for all designs")
    parser.add_argument("--demand", type=int, default=10, help="what is asked for, in limits")
    arguments = parser.parse_args()
    calls = read_calls(arguments.trace)
    print(
        "| design | run | limit | calls | overspend | false refusals: connected / coming back / "
        "cut off | unusable at the end | server's count | faults |\n" + "|---" * 9 + "|"
    )
    is_good = True
    for seed in range(1, arguments.runs + 1):
        designs: list[Design] = [
            Leases(host_count=HOSTS),
            CachedCheckThenAdd(host_count=HOSTS),
            CallForEachRequest(host_count=HOSTS),
        ]
        for design in designs:
            outcome = play(design, calls=calls, demand=arguments.demand, seed=seed)
            print(_row(design, outcome=outcome, seed=seed), flush=True)
            if isinstance(design, Leases):
                is_good &= outcome.overspend == 0 and outcome.known == outcome.used
                is_good &= outcome.false_share < FALSE_SHARE_MAX
    return 0 if is_good else 1


def _row(design: Design, *, outcome: Outcome, seed: int) -> str:
    refused: Counter[str] = outcome.refused
    cells = [
        design.name,
        str(seed),
        f"{outcome.limit:,}",
        f"{outcome.calls:,}",
        f"**{outcome.overspend:,}** ({outcome.overspend / outcome.limit:.2%})",
        f"{refused['connected']} ({outcome.false_share:.3%}) / {refused['coming_back']} / "
        f"{refused['cut_off']}",
        f"{outcome.left:,} ({outcome.left / outcome.limit:.2%})",
        "equal" if outcome.known == outcome.used else f"{outcome.known - outcome.used:+,}",
        ", ".join(f"{count} {name}" for name, count in sorted(outcome.faults.items())),
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())

"""`make bench-quota`: overspend and false refusals under partitions and kills."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.bench.quota import changes, crashes, hour, passable
from tests.bench.quota.books import COMING_BACK, CONNECTED, CUT_OFF, Outcome
from tests.bench.quota.calls import SAMPLE, read_calls
from tests.bench.quota.design import Design
from tests.bench.quota.experiment import HOSTS, play
from tests.bench.quota.leases import Leases
from tests.bench.quota.reference import CachedCheckThenAdd, CallForEachRequest
from tests.bench.row import format_rows

FALSE_SHARE_MAX: Final = 0.001
NOTES_MAX: Final = 60


def main() -> int:
    """Plays every design once a seed and prints the table; 1 where the product missed a goal."""
    parser = argparse.ArgumentParser(prog="make bench-quota", description=__doc__)
    parser.add_argument("--trace", type=Path, default=SAMPLE, help="calls to draw from")
    parser.add_argument("--runs", type=int, default=3, help="seeds 1 to N, each for all designs")
    parser.add_argument("--verbose", action="store_true", help="print each false refusal")
    parser.add_argument("--only-runs", action="store_true", help="leave the tables out")
    parser.add_argument("--only-leases", action="store_true", help="leave the other designs out")
    parser.add_argument("--demand", type=int, default=10, help="what is asked for, in limits")
    parser.add_argument(
        "--hour",
        type=float,
        nargs="?",
        const=3_600.0,
        metavar="SECONDS",
        help="instead of all else: calls for an hour, clients killed, then what is held or lost",
    )
    arguments = parser.parse_args()
    if arguments.hour is not None:
        rows = hour.measure(seconds=arguments.hour)
        print(format_rows("An hour with all agents connected", rows), flush=True)
        return 1 if any(row.value for row in rows) else 0
    if not arguments.only_runs:
        rows = [*changes.measure(host_count=HOSTS), *crashes.measure()]
        print(format_rows("Limits that change, clients that crash", rows), end="\n\n", flush=True)
    calls = read_calls(arguments.trace)
    if not arguments.only_runs:
        rows = passable.measure(calls=calls)
        print(format_rows("Limits that may be passed", rows), end="\n\n", flush=True)
    print(
        "| design | run | limit | calls | overspend | false refusals: connected / coming back / "
        "cut off | why, at connected hosts | answered, p50 / p99 | unusable at the end | "
        "server's count | faults | machine busy |\n" + "|---" * 12 + "|"
    )
    is_good = True
    for seed in range(1, arguments.runs + 1):
        designs: list[Design] = [Leases(host_count=HOSTS)]
        if not arguments.only_leases:
            designs += [CachedCheckThenAdd(host_count=HOSTS), CallForEachRequest(host_count=HOSTS)]
        for design in designs:
            outcome = play(design, calls=calls, demand=arguments.demand, seed=seed)
            print(_row(design, outcome=outcome, seed=seed), flush=True)
            if arguments.verbose:
                print("\n".join(outcome.notes[:NOTES_MAX]), file=sys.stderr, flush=True)
            if isinstance(design, Leases):
                is_good &= outcome.overspend == 0 and outcome.known == outcome.used
                is_good &= outcome.false_share < FALSE_SHARE_MAX
    return 0 if is_good else 1


def _row(design: Design, *, outcome: Outcome, seed: int) -> str:
    refused = outcome.refused
    cells = [
        design.name,
        str(seed),
        f"{outcome.limit:,}",
        f"{outcome.calls:,}",
        f"**{outcome.overspend:,}** ({outcome.overspend / outcome.limit:.2%})",
        f"{refused[CONNECTED]} ({outcome.false_share:.3%}) / {refused[COMING_BACK]} / "
        f"{refused[CUT_OFF]}",
        _counts(outcome.reasons),
        f"{outcome.wait_at(0.5) * 1e3:.1f} / {outcome.wait_at(0.99) * 1e3:.0f} ms "
        f"({len(outcome.waits):,} calls)",
        f"{outcome.left:,} ({outcome.left / outcome.limit:.2%})",
        "equal" if outcome.known == outcome.used else f"{outcome.known - outcome.used:+,}",
        _counts(outcome.faults),
        f"{outcome.busy_share:.0%}",
    ]
    return f"| {' | '.join(cells)} |"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


if __name__ == "__main__":
    sys.exit(main())

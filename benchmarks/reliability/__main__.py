"""`make chaos`: kill everything, again and again, and see that nothing is lost and nothing differs.

Prints its plan first: the same seed gives the same plan. Exits with 1 if anything was found.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.reliability.campaign import Order, campaigned
from benchmarks.reliability.controls import CONTROLS, run_control
from benchmarks.reliability.jobs import LONG, SPECS
from benchmarks.reliability.measured import RESULTS, teller
from benchmarks.reliability.report import write_page
from benchmarks.reliability.result import current_commit, to_json, write
from benchmarks.reliability.schedule import plan
from benchmarks.reliability.service import Layout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, nargs="?", default=RESULTS, metavar="RESULTS_FOLDER")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--pace", type=float, default=1.0, help="of the pauses between faults")
    parser.add_argument("--waiting", type=int, default=2, help="jobs, beside one for each worker")
    parser.add_argument("--specs", nargs="+", choices=list(SPECS), default=LONG)
    parser.add_argument("--plan", action="store_true", help="print the plan, and do nothing")
    parser.add_argument("--control", choices=sorted(CONTROLS), help="one that has to fail")
    parser.add_argument("--keep", type=Path, help="a new folder for data and logs, to look into")
    options = parser.parse_args()
    say = teller()
    with tempfile.TemporaryDirectory(prefix="mrq-chaos-") as temporary:
        folder = options.keep or Path(temporary)
        if options.control is not None:
            return run_control(CONTROLS[options.control], folder, say)
        order = Order(
            kills=options.kills,
            seed=options.seed,
            postgres=options.database == "postgres",
            pace=options.pace,
            waiting=options.waiting,
            specs=options.specs,
            layout=Layout(workers=options.workers),
        )
        for fault in plan(order.seed, order.kills, postgres=order.postgres):
            print(f"plan {fault}")
        if options.plan:
            return 0
        commit = current_commit()
        with campaigned(order, folder, say) as (campaign, server):
            result = to_json(order, campaign, [server], commit)
        path = write(result, options.results)
        write_page(options.results)
        say(f"{result['kills']} kills, {len(result['findings'])} findings: {path}")
        return 1 if result["findings"] else 0


if __name__ == "__main__":
    sys.exit(main())

"""Allocate offers under a budget, beside numpy, HiGHS and OR-Tools: share of the linear bound, seconds, memory.

usage: python benchmarks/allocate.py --n 1000000 --choice OUT.npy [--peers numpy,highs,pdlp,cp_sat] [--limit 300]
       python benchmarks/allocate.py --n 100000 --rules [--shops 200] [--peers highs]
       python benchmarks/allocate.py --plans

The menus are those of a fixed synthetic market, a function of n alone; the best gain that a linear program allows is
computed by the way, from all concave steps sorted. Every contender runs in a process of its own, which reads the menus
from files mapped into memory; its seconds are those of the solution, without imports. CPU seconds are given beside
those on the clock, because they tell the same on a machine in use. `--choice` gets our choice: 0 for no offer, 1 to 6
for the setting. `--rules` puts three budgets, a cap on every shop's offers, floors for three regions, and one offer for
customers with several menus on it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
ROWS = 1 << 18


def market(folder: Path, count: int) -> float:
    """Write gain and cost [count, 6] into the folder, block by block, and return the budget."""
    rng = np.random.default_rng(20260101)
    cost = np.lib.format.open_memmap(folder / "cost.npy", "w+", np.float64, (count, 6))
    gain = np.lib.format.open_memmap(folder / "gain.npy", "w+", np.float64, (count, 6))
    blocks = [slice(start, min(start + ROWS, count)) for start in range(0, count, ROWS)]
    for block in blocks:
        cost[block] = rng.uniform(0.3, 1.7, (block.stop - block.start, 6))
    size = rng.lognormal(0.0, 0.5, (count, 1))
    for block in blocks:
        cost[block] = np.cumsum(cost[block] * size[block], axis=1)
    power = rng.uniform(0.35, 0.95, (count, 1))
    scale = rng.lognormal(0.3, 0.8, (count, 1))
    scale *= np.where(rng.random((count, 1)) < 0.1, -1.0, 1.0)
    for block in blocks:
        noise = rng.lognormal(0.0, 0.25, (block.stop - block.start, 6))
        gain[block] = scale[block] * cost[block] ** power[block] * noise
    return float(0.3 * cost[:, -1].sum())


def ruled(folder: Path, count: int, shops: int) -> dict[str, Any]:
    """Write a market with three payers, shops, customers with several menus and regions; return its limits."""
    market(folder, count)
    gain, total = np.load(folder / "gain.npy", mmap_mode="r"), np.load(folder / "cost.npy", mmap_mode="r")
    rng = np.random.default_rng(1)
    share = rng.dirichlet([2, 1, 1], count)
    cost = np.stack([total * share[:, [payer]] for payer in range(3)])
    size = rng.pareto(1.5, shops) + 0.2
    shop = rng.choice(shops, count, p=size / size.sum())
    owner = np.sort(rng.integers(0, count // 2, count))
    region = rng.integers(0, 8, count)
    budgets = 0.3 * cost[:, :, -1].sum(axis=1) * np.array([0.9, 1.0, 0.8])
    np.save(folder / "cost.npy", cost)
    least = np.zeros(8)
    least[:3] = np.floor(0.36 * np.bincount(region, minlength=8)[:3])
    np.savez(folder / "rules.npz", shop=shop, owner=owner, region=region, budgets=budgets, least=least,
             most=np.floor(0.25 * np.bincount(shop, minlength=shops)))  # fmt: skip
    return {"units": len(gain), "shops": shops}


def linear_bound(gain: Array, cost: Array, budget: float) -> float:
    """Return the best value of the linear relaxation: every menu's concave steps, sorted by worth."""
    from tradewind.methods.allocate import frontier

    worth, more, dearer = [], [], []
    for start in range(0, len(gain), ROWS):
        menu = frontier(gain[start : start + ROWS], cost[start : start + ROWS], points=1 << 30)
        worth.append(menu.worth[1:])
        more.append(np.diff(menu.gain))
        dearer.append(np.diff(menu.cost))
    slope, gains, costs = (np.concatenate(parts) for parts in (worth, more, dearer))
    order = np.argsort(-slope)
    spent = np.cumsum(costs[order])
    cut = int(np.searchsorted(spent, budget, side="right"))
    value = float(gains[order[:cut]].sum())
    if cut < len(order):
        left = budget - (spent[cut - 1] if cut else 0.0)
        value += left * float(slope[order[cut]])
    return value


def ours(gain: Array, cost: Array, budget: float, _: float) -> Array:
    """Return what `Allocate` chooses."""
    from tradewind.methods.allocate import Allocate

    return Allocate()(gain, cost, budget).choice + 1


def by_numpy(gain: Array, cost: Array, budget: float, _: float) -> Array:
    """Bisect the worth of money; whole arrays, no copies beyond two buffers, until the budget is met to 1e-7."""
    rows = np.arange(len(gain))
    left, choice = np.empty_like(gain), np.zeros(len(gain), np.int64)
    low, high = 0.0, float((gain[:, 0] / cost[:, 0]).max())
    for _ in range(60):
        price = (low + high) / 2
        np.multiply(cost, -price, out=left)
        left += gain
        best = left.argmax(axis=1)
        on = left[rows, best] > 0
        spent = float(cost[rows, best][on].sum())
        if spent > budget:
            low = price
            continue
        high, choice = price, np.where(on, best + 1, 0)
        if spent > budget * (1 - 1e-7):
            break
    return choice


def relaxed(gain: Array, cost: Array, budget: float) -> tuple[Any, Any, Any]:
    """Return objective, matrix and limits of the linear program."""
    from scipy.sparse import csr_matrix, vstack

    count, levels = gain.shape
    each = csr_matrix((np.ones(gain.size), (np.repeat(np.arange(count), levels), np.arange(gain.size))))
    return -gain.ravel(), vstack([each, csr_matrix(cost.ravel())], format="csr"), np.append(np.ones(count), budget)


def made_whole(share: Array, gain: Array) -> Array:
    """Return the settings taken as a whole; customers who are cut get none."""
    taken = share.reshape(gain.shape)
    return np.where(taken.max(axis=1) > 1 - 1e-6, taken.argmax(axis=1) + 1, 0)


def by_highs(gain: Array, cost: Array, budget: float, limit: float) -> Array:
    """Solve the linear relaxation by HiGHS's interior point method; customers cut in two get nothing."""
    from scipy.optimize import linprog

    worth, matrix, limits = relaxed(gain, cost, budget)
    solved = linprog(worth, matrix, limits, bounds=(0, 1), method="highs-ipm", options={"time_limit": limit})
    if solved.x is None:
        raise SystemExit(f"HiGHS: {solved.message}")
    return made_whole(solved.x, gain)


def by_pdlp(gain: Array, cost: Array, budget: float, limit: float) -> Array:
    """Solve the linear relaxation by OR-Tools' first-order method PDLP; customers cut in two get nothing."""
    from ortools.pdlp import solvers_pb2
    from ortools.pdlp.python import pdlp

    worth, matrix, limits = relaxed(gain, cost, budget)
    program = pdlp.QuadraticProgram()
    program.objective_vector = worth
    program.constraint_matrix = matrix.tocsc()
    program.constraint_lower_bounds = np.full(len(limits), -np.inf)
    program.constraint_upper_bounds = limits
    program.variable_lower_bounds, program.variable_upper_bounds = np.zeros(gain.size), np.ones(gain.size)
    settings = solvers_pb2.PrimalDualHybridGradientParams()
    settings.termination_criteria.time_sec_limit = limit
    settings.termination_criteria.simple_optimality_criteria.eps_optimal_relative = 1e-6
    share = pdlp.primal_dual_hybrid_gradient(program, settings).primal_solution
    return made_whole(np.where(share > 0.99, 1.0, share), gain)


def by_cp_sat(gain: Array, cost: Array, budget: float, limit: float) -> Array:
    """Search whole settings by OR-Tools' CP-SAT, money in ten-thousandths."""
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    coin = 1e-4  # whole numbers only
    taken = [[model.new_bool_var("") for _ in row] for row in gain]
    for row in taken:
        model.add_at_most_one(row)
    flat = [variable for row in taken for variable in row]
    model.add(
        cp_model.LinearExpr.weighted_sum(flat, np.ceil(cost.ravel() / coin).astype(int).tolist()) <= int(budget / coin)
    )
    model.maximize(cp_model.LinearExpr.weighted_sum(flat, np.round(gain.ravel() / coin).astype(int).tolist()))
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = limit
    solver.solve(model)
    return made_whole(np.array([solver.value(variable) for variable in flat], float), gain)


SOLVERS: dict[str, Callable[[Array, Array, float, float], Array]] = {
    "ours": ours, "numpy": by_numpy, "highs": by_highs, "pdlp": by_pdlp, "cp_sat": by_cp_sat,
}  # fmt: skip


def rules_by_us(folder: Path, _: float) -> dict[str, float]:
    """Solve the market under all rules, and check rules and bound anew from the choice and the prices alone."""
    from tradewind.methods.allocate import Allocate, Cap, Rules, upper_bound

    data = np.load(folder / "rules.npz")
    gain, cost = np.load(folder / "gain.npy", mmap_mode="r"), np.load(folder / "cost.npy", mmap_mode="r")
    rules = Rules(data["owner"], [Cap(data["shop"], most=data["most"]), Cap(data["region"], least=data["least"])])
    found = Allocate()(gain, cost, data["budgets"], rules)
    again = upper_bound(gain, cost, data["budgets"], found.multipliers, rules, found.cap_multipliers)
    on = found.choice >= 0
    kept = (
        (np.bincount(data["shop"][on], minlength=len(data["most"])) <= data["most"]).all()
        and (np.bincount(data["region"][on], minlength=8) >= data["least"]).all()
        and (cost[:, on, found.choice[on]].sum(axis=1) <= data["budgets"] * (1 + 1e-9)).all()
        and len(np.unique(data["owner"][on])) == on.sum()
    )
    return {"value": found.value, "bound": found.bound, "bound again": again, "rules kept": bool(kept)}


def rules_by_highs(folder: Path, limit: float) -> dict[str, float]:
    """Solve the whole linear program, without caps that fall away."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_matrix, vstack

    data = np.load(folder / "rules.npz")
    gain, cost = np.load(folder / "gain.npy"), np.load(folder / "cost.npy")
    count, levels = gain.shape
    unit, flat = np.repeat(np.arange(count), levels), np.arange(gain.size)
    one = np.ones(gain.size)
    rows = [csr_matrix((one, (np.unique(data["owner"], return_inverse=True)[1][unit], flat)))]
    rows += [csr_matrix(part.reshape(1, -1)) for part in cost]
    rows.append(csr_matrix((one, (data["shop"][unit], flat)), shape=(len(data["most"]), gain.size)))
    rows.append(-csr_matrix((one, (data["region"][unit], flat)), shape=(8, gain.size)))
    limits = np.concatenate([np.ones(rows[0].shape[0]), data["budgets"], data["most"], -data["least"]])
    solved = linprog(-gain.ravel(), vstack(rows, format="csr"), limits, bounds=(0, 1), method="highs-ipm",
                     options={"time_limit": limit})  # fmt: skip
    return {"bound": -solved.fun if solved.x is not None else float("nan")}


def plans() -> None:
    """Print what plans cost: some menus, three payers, a cap on one lever's spend, a cap on every shop's offers."""
    from tradewind.methods.allocate import Allocate, Cap, Rules

    print("| menus | shops | search | gap | proven best | CPU s, again | seconds, again |")
    print("|---|---|---|---|---|---|---|")
    for count, shops in ((100, 5), (300, 10), (600, 20), (2000, 40), (6000, 60), (20_000, 100)):
        with tempfile.TemporaryDirectory() as folder:
            market(Path(folder), count)
            gain, total = np.load(Path(folder) / "gain.npy"), np.load(Path(folder) / "cost.npy")
        rng = np.random.default_rng(1)
        cost = np.stack([total * share[:, None] for share in rng.dirichlet([0.3, 0.3, 0.3], count).T])
        shop, lever = rng.integers(0, shops, count), np.where(rng.random(count) < 0.125, 0, -1)
        caps = [
            Cap(lever, most=0.1 * total[lever == 0, -1].sum(), weight=total),
            Cap(shop, most=np.floor(0.3 * np.bincount(shop, minlength=shops))),
        ]
        budgets = cost[:, :, -1].sum(axis=1) * [0.25, 0.3, 0.2]
        for exact in (0, 300):
            solve = Allocate(exact=exact, threads=1)
            solve(gain, cost, budgets, Rules(caps=caps))
            start, cpu = time.perf_counter(), time.process_time()
            found = solve(gain, cost, budgets, Rules(caps=caps))
            cpu, start = time.process_time() - cpu, time.perf_counter() - start
            print(f"| {count} | {shops} | {'yes' if exact else 'no'} | {100 * found.gap:.4f} % | "
                  f"{'yes' if found.exact else 'no'} | {cpu:.2f} | {start:.2f} |")  # fmt: skip


def child(arguments: argparse.Namespace) -> None:
    """Solve once in this process, twice if it is fast, and say how long it took."""
    folder = Path(arguments.child)
    seconds: list[tuple[float, float]] = []
    answer: Any = None
    for _ in range(3 if arguments.solver in {"ours", "numpy"} else 1):
        start, cpu = time.perf_counter(), time.process_time()
        if arguments.rules:
            answer = (rules_by_us if arguments.solver == "ours" else rules_by_highs)(folder, arguments.limit)
        else:
            gain, cost = np.load(folder / "gain.npy", mmap_mode="r"), np.load(folder / "cost.npy", mmap_mode="r")
            answer = SOLVERS[arguments.solver](gain, cost, arguments.budget, arguments.limit)
        seconds.append((time.perf_counter() - start, time.process_time() - cpu))
    report: dict[str, Any] = {
        "first": seconds[0], "later": min(seconds[1:], default=seconds[0], key=lambda pair: pair[1]),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }  # fmt: skip
    if arguments.rules:
        report |= answer
    else:
        on = np.flatnonzero(answer > 0)
        gain, cost = np.load(folder / "gain.npy", mmap_mode="r"), np.load(folder / "cost.npy", mmap_mode="r")
        report["value"] = float(gain[on, answer[on] - 1].sum())
        report["spent"] = float(cost[on, answer[on] - 1].sum()) / arguments.budget
        np.save(folder / f"{arguments.solver}.npy", answer.astype(np.int8))
    print(json.dumps(report))


def contend(folder: Path, solver: str, arguments: argparse.Namespace, budget: float) -> dict[str, Any] | None:
    """Run one contender in a process of its own; None where its library is missing or it gave up."""
    command = [sys.executable, __file__, "--child", str(folder), "--solver", solver, "--n", str(arguments.n)]
    command += ["--limit", str(arguments.limit), "--budget", repr(budget)] + ["--rules"] * arguments.rules
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    if done.returncode:
        print(f"{solver}: {done.stderr.strip().splitlines()[-1:] or done.returncode}")
        return None
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


def main() -> None:
    """Write the market, let each contender solve it in a process of its own, and print what each reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--plans", action="store_true", help="small programs, solved again")
    parser.add_argument("--choice", type=Path, help="file that gets our choice")
    parser.add_argument("--peers", default="numpy", help="separated by commas: numpy, highs, pdlp, cp_sat")
    parser.add_argument("--rules", action="store_true", help="three budgets, caps, floors and customers at once")
    parser.add_argument("--shops", type=int, default=200)
    parser.add_argument("--limit", type=float, default=300.0, help="seconds that a peer may take")
    parser.add_argument("--folder", type=Path, help="where the menus are written; a temporary one by default")
    for hidden in ("--child", "--solver"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--budget", type=float, default=0.0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments)
        return
    if arguments.plans:
        plans()
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        budget, best = 0.0, 0.0
        if arguments.rules:
            ruled(folder, arguments.n, arguments.shops)
        else:
            budget = market(folder, arguments.n)
            gain, cost = np.load(folder / "gain.npy", mmap_mode="r"), np.load(folder / "cost.npy", mmap_mode="r")
            best = linear_bound(gain, cost, budget)
        print("| contender | share of bound | spent | seconds | CPU s | first call, s | CPU s | peak GiB |")
        print("|---|---|---|---|---|---|---|---|")
        for solver in ["ours", *(peer for peer in arguments.peers.split(",") if peer)]:
            if (report := contend(folder, solver, arguments, budget)) is None:
                continue
            share = report.get("value", float("nan")) / (report["bound"] if arguments.rules else best)
            print(f"| {solver} | {100 * share:.7f} % | {report.get('spent', float('nan')):.7f} | "
                  + " | ".join(f"{second:.3f}" for pair in (report["later"], report["first"]) for second in pair)
                  + f" | {report['peak']:.2f} |")  # fmt: skip
            if arguments.rules:
                print({key: value for key, value in report.items() if key not in {"first", "later", "peak"}})
        if arguments.choice and not arguments.rules:
            np.save(arguments.choice, np.load(folder / "ours.npy"))


if __name__ == "__main__":
    main()

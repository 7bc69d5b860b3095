#!/usr/bin/python3 -B
"""The statistical truth test: estimates of truth_prog's call sites against what is known by construction.

For one call site that makes n blocks of size s, sampled with probability P = 1 - exp(-max(s, 1) / rate), the estimate
is (number of samples) / P, its expectation n and its variance n (1 - P) / P objects, s^2 times that in bytes.
A cell is (configuration, size, sample type); each seed gives one value for each of the size's call sites.

- Expected samples n P and expected missed n (1 - P) both >= 20 for one call site: z = (estimate - truth) / sigma. Over
  all S values |mean z| <= 4 / sqrt(S), and the variance of z lies in 0.8 .. 1.25. The variance of S values has itself
  a standard deviation of sqrt(2 / S + k / S), where k = (1 - 6 P (1 - P)) / (n P (1 - P)) is the excess kurtosis of a
  binomial count; where 4 of those are wider than the stated bounds (S below about 800), they are used instead.
- Few missed, n (1 - P) < 20: "exact to one object". estimate = (n - M) / P with M, the missed ones, binomial with a
  mean m = n (1 - P). As long as M <= 1 the estimate is within one object of n when m <= 1; where m <= 0.001 that is
  demanded of every single value (M >= 2 has a probability below 5e-7). In general M, recovered as n - estimate * P, must
  lie within the Poisson quantiles of m at 1e-9 for every value, and the sum of M over all seeds within those of S m.
- Few samples, n P < 20: the same with the number of samples K = estimate * P in the place of M.
- Objects and bytes of one site must agree: bytes = size * objects but for the rounding of each, 0 bytes for size 0.
- Rate 1: exact to the object and the byte, each sample type.

A rate changed half way: variances of the halves add up. Variant `settle` consumes distances drawn before the change, so
mean and variance are held as above; variant `pause` leaves them pending, which may shift the variance but never the
mean: |mean error| <= 4 standard errors computed from the values themselves.

Thinning (a small HEAPTAP_MEMORY): a survivor counts as if it had been drawn at the last distance (the profile's
period) from the beginning, so in-use values have the formula's variance at that distance. What was allocated before a
thinning stays in alloc_* as it was drawn; how much that was is not known from outside, so there the mean is held with
the standard error of the values, and their variance must lie between the formula's at the configured and at the last
rate, widened as above.
"""
import concurrent.futures
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD  # noqa: E402
from heap_profile import Profile  # noqa: E402

TYPES = ("alloc_objects", "alloc_space", "inuse_objects", "inuse_space")
SIZES = (0, 1, 16, 100, 1000, 4096, 65536, 1 << 20, 4 << 20)
LETTERS = "abcd"
WANTED = 24  # expected samples and missed ones that a cell aims at, a little above the 20 that are needed
# Standard errors that a cell is allowed. The long run is held to 4, and looked at by a person when one of its thousand
# comparisons is outside (6 in 100,000 are by chance). The short run is part of every build, so it must not cry wolf.
ERRORS = 4.0 if int(os.environ.get("HT_TRUTH_SEEDS", "25")) >= 200 else 5.0


def probability(size, rate):
    return -math.expm1(-max(size, 1) / rate)


def poisson_range(mean, tail=1e-9):
    """The smallest [low, high] outside which a Poisson count lies with at most `tail` on either side."""
    if mean > 300:  # near enough to a normal distribution; 6.2 leaves room for the skew
        return mean - 6.2 * math.sqrt(mean), mean + 6.2 * math.sqrt(mean)
    low, high, k, term, below = 0, None, 0, math.exp(-mean), 0.0
    total = 0.0
    while high is None:
        total += term
        if total <= tail:
            below = k + 1
        if 1 - total <= tail:
            high = k
        k += 1
        term *= mean / k
        if k > mean + 20 * math.sqrt(mean) + 60:
            high = k
    low = below
    return low, high


class Plan:
    """How many blocks each call site makes and keeps, so that the cells are decidable at these rates."""

    def __init__(self, rates, threads, most_kept, sizes=SIZES, kept_bytes=1 << 62):
        self.sites = {}
        for size in sizes:
            kept = 32
            for rate in rates:
                p = probability(size, rate)
                for side in (p, 1 - p):
                    if side * 20000000 > WANTED:
                        kept = max(kept, int(WANTED / side) + 1)
            if (1 - min(probability(size, r) for r in rates)) * 4096 < WANTED:
                kept = 32
            kept = min(kept, most_kept, max(32, kept_bytes // max(size, 1)))
            step = 2 * threads
            kept = -(-kept // step) * step
            count = -(-(kept + kept // 2) // step) * step
            self.sites[size] = (count, kept, 4 if kept <= 300000 else 1)

    def arguments(self):
        return ["%d:%d:%d:%d" % ((size,) + row) for size, row in self.sites.items()]


class Failure(Exception):
    pass


def run_once(seed, threads, mode, plan, environment, second_rate=None):
    """Runs truth_prog under the shim and returns the exit profile's values by call site."""
    out = tempfile.mkdtemp(prefix="heaptap-truth.")
    try:
        env = {k: v for k, v in os.environ.items() if not k.startswith("HEAPTAP_")}
        env.update(environment, LD_PRELOAD=BUILD + "/libheaptap.so", HEAPTAP_OUT=out, HEAPTAP_SEED=str(seed))
        process = subprocess.Popen([BUILD + "/truth_prog", str(threads), mode] + plan.arguments(), env=env,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if second_rate:
            if process.stdout.readline() != "half\n":
                raise Failure("truth_prog did not reach its half: " + process.stderr.read())
            change = subprocess.run([BUILD + "/heaptap", "rate", str(process.pid), str(second_rate)],
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            if change.returncode:
                process.kill()
                process.communicate()
                raise Failure("heaptap rate failed with %d: %s" % (change.returncode, change.stdout))
        _, errors = process.communicate("go\n" if second_rate else None, timeout=300)
        if process.returncode or errors:
            raise Failure("truth_prog: status %d, standard error %r" % (process.returncode, errors))
        files = [f for f in os.listdir(out) if f.endswith(".exit.pb.gz")]
        if len(files) != 1:
            raise Failure("no exit profile: %s" % os.listdir(out))
        profile = Profile(os.path.join(out, files[0]))
        profile.check()
        return profile.by_leaf(), profile
    finally:
        shutil.rmtree(out, ignore_errors=True)


def collect(seeds, first_seed, *arguments, **options):
    """Values by (size, type) over all seeds and call sites, and one of the profiles."""
    plan, values, last, periods = arguments[2], {}, None, options.pop("periods", [])
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        futures = [pool.submit(run_once, seed, *arguments, **options) for seed in range(first_seed, first_seed + seeds)]
        for future in futures:
            by_leaf, last = future.result()
            periods.append(last.period)
            for size, (_, _, sites) in plan.sites.items():
                for letter in LETTERS[:sites]:
                    row = by_leaf.get("site_%d_%s" % (size, letter), [0, 0, 0, 0])
                    for kind, value in zip(TYPES, row):
                        values.setdefault((size, kind), []).append(value)
                    for at in (0, 2):
                        # Half an object for the rounding in the file; and each sample adds to both totals in fixed
                        # point, rounded at random: to 1/65536 objects and 1/256 bytes.
                        noise = 6 * math.sqrt(abs(row[at]) + 1) * (size / 65536 + 1 / 256)
                        if abs(row[at + 1] - size * row[at]) > 0.5 * size + 1 + noise:
                            raise Failure("size %d: %d %s but %d bytes" % (size, row[at], TYPES[at], row[at + 1]))
            unknown = [n for n in by_leaf if not n.startswith("site_") and n != "settle" and
                       by_leaf[n][1] > 1 << 20]
            if unknown:
                raise Failure("more than 1 MiB at other call sites: %s" % {n: by_leaf[n] for n in unknown})
    return values, last


class Judge:
    def __init__(self, title):
        self.title, self.failures, self.cells, self.tested = title, [], 0, 0

    def need(self, condition, text, *args):
        if not condition:
            self.failures.append(self.title + ": " + text % args)

    def normal(self, name, errors, variance, low_scale=1.0, high_scale=1.0, kurtosis=0.0):
        """Mean and variance of errors that have a mean of 0 and this variance."""
        count = len(errors)
        self.tested += 1
        z = [e / math.sqrt(variance) for e in errors]
        mean, spread = statistics.fmean(z), statistics.variance(z)
        slack = ERRORS * math.sqrt((2 + max(kurtosis, 0)) / count)
        low, high = min(0.8, 1 - slack) * low_scale, max(1.25, 1 + slack) * high_scale
        self.need(abs(mean) <= ERRORS * math.sqrt(high_scale) / math.sqrt(count), "%s: mean z %.3f over %d values (allowed %.3f)",
                  name, mean, count, ERRORS / math.sqrt(count))
        self.need(low <= spread <= high, "%s: variance of z %.3f, not in %.2f .. %.2f", name, spread, low, high)

    def unbiased(self, name, errors, least_variance):
        """Mean 0 by the standard error of the values themselves, which is no smaller than the formula says."""
        self.tested += 1
        error = math.sqrt(max(statistics.variance(errors), least_variance) / len(errors))
        self.need(abs(statistics.fmean(errors)) <= ERRORS * error + 0.5, "%s: mean error %.1f, standard error %.1f", name,
                  statistics.fmean(errors), error)

    def rare(self, name, values, size, truth, ps):
        """Few missed (or few sampled), each value with its P: counts within Poisson quantiles, one by one and together."""
        self.tested += 1
        missed = truth * (1 - max(ps)) <= truth * max(ps)
        side, word = (lambda p: 1 - p if missed else p), "missed" if missed else "sampled"
        total = expected = slack = 0.0
        for value, p in zip(values, ps):
            mean, got = truth * side(p), truth - value * p if missed else value * p
            low, high = poisson_range(mean)
            # An estimate is rounded to a whole object or byte; in blocks of this site that is at most 0.5.
            self.need(low - 0.6 <= got <= high + 0.6, "%s: %.2f %s, expected %.3g, allowed %g .. %g", name, got, word, mean,
                      low, high)
            self.need(not missed or mean > 0.001 or abs(value - truth) <= 1, "%s: not exact to one object: %s instead of "
                      "%d", name, value, truth)
            total, expected, slack = total + got, expected + mean, slack + 0.5 * p
        low, high = poisson_range(expected)
        self.need(low - slack <= total <= high + slack, "%s: %.1f %s in %d values, expected %.3g, allowed %g .. %g", name,
                  total, word, len(values), expected, low, high)

    def report(self):
        print("%-44s %4d cells  %s" % (self.title, self.tested, "%d WRONG" % len(self.failures) if self.failures else "ok"),
              flush=True)
        for failure in self.failures:
            print("FAILED " + failure, flush=True)
        return len(self.failures)


def truths(plan, size):
    count, kept, _ = plan.sites[size]
    return {"alloc_objects": count, "inuse_objects": kept, "alloc_space": count * size, "inuse_space": kept * size}


def judge_steady(judge, plan, values, rates):
    """Cells of runs whose work is split evenly over these rates."""
    for size in plan.sites:
        for kind, truth in truths(plan, size).items():
            objects = truth // size if kind.endswith("space") and size else truth
            scale = size if kind.endswith("space") else 1
            name = "size %d %s" % (size, kind)
            if scale == 0:
                judge.need(not any(values[size, kind]), "%s: bytes for blocks of size 0", name)
                continue
            share = objects / len(rates)
            ps = [probability(size, r) for r in rates]
            variance = sum(share * (1 - p) / p for p in ps)
            if all(share * p >= 20 / len(rates) and share * (1 - p) >= 20 / len(rates) for p in ps):
                p = min(ps, key=lambda q: q * (1 - q))
                kurtosis = (1 - 6 * p * (1 - p)) / (share * p * (1 - p))
                judge.normal(name, [v - truth for v in values[size, kind]], variance * scale * scale, kurtosis=kurtosis)
            elif len(rates) == 1:
                judge.rare(name, [v / scale for v in values[size, kind]], size, objects, ps * len(values[size, kind]))
            else:
                # Two rates with one side rare: only the mean can be told, from a variance that is known.
                errors = [v - truth for v in values[size, kind]]
                bound = 6 * math.sqrt(variance / len(errors)) + 1
                judge.tested += 1
                judge.need(abs(statistics.fmean(errors)) / scale <= bound, "%s: mean error %.2f objects, bound %.2f",
                           name, statistics.fmean(errors) / scale, bound)


def rate_cells(seeds, most_kept, rate, threads):
    judge = Judge("rate %dK, %d thread%s, %d seeds" % (rate >> 10, threads, "s" * (threads > 1), seeds))
    plan = Plan([rate], threads, most_kept)
    values, profile = collect(seeds, 1, threads, "plain", plan, {"HEAPTAP_RATE": str(rate)})
    judge.need(profile.period == rate, "period %d", profile.period)
    judge_steady(judge, plan, values, [rate])
    return judge.report()


def change_cells(seeds, most_kept, first, second, threads, mode):
    judge = Judge("rate %dK to %dK (%s), %d thread%s, %d seeds" % (first >> 10, second >> 10, mode, threads,
                                                                  "s" * (threads > 1), seeds))
    plan = Plan([first, second], threads, most_kept, [s for s in SIZES if s >= 16])
    values, profile = collect(seeds, 1, threads, mode, plan, {"HEAPTAP_RATE": str(first)}, second_rate=second)
    judge.need(profile.period == second, "period %d after the change to %d", profile.period, second)
    if mode == "settle":
        judge_steady(judge, plan, values, [first, second])
    else:
        for size in plan.sites:
            for kind, truth in truths(plan, size).items():
                objects, scale = (truth // size, size) if kind.endswith("space") else (truth, 1)
                variance = sum(objects / 2 * (1 - p) / p for p in (probability(size, r) for r in (first, second)))
                # Whatever was pending at the change reaches into the second half: at least this much is left.
                judge.unbiased("size %d %s" % (size, kind), [v - truth for v in values[size, kind]],
                               variance * scale * scale / 4)
    return judge.report()


def thinning_cells(seeds, rate, threads):
    judge = Judge("thinning from rate %d, %d thread%s, %d seeds" % (rate, threads, "s" * (threads > 1), seeds))
    plan = Plan([rate], threads, 1, [16, 100, 1000, 4096, 65536])
    for size in list(plan.sites):
        kept = 40000 if size <= 1000 else 2000
        plan.sites[size] = (kept + kept // 2, kept, 4)
    periods = []
    values, profile = collect(seeds, 1, threads, "plain", plan, {"HEAPTAP_RATE": str(rate), "HEAPTAP_MEMORY": "1M"},
                              periods=periods)
    if min(periods) < 2 * rate:
        judge.need(False, "nothing was thinned: periods %s; comments %s", sorted(set(periods)), profile.comments)
        return judge.report()
    for key in ("thinned_since", "floor_bytes", "thinnings"):
        judge.need(key in profile.health(), "no comment %s speaks of thinning: %s", key, profile.comments)
    for size in plan.sites:
        for kind, truth in truths(plan, size).items():
            name, errors = "size %d %s" % (size, kind), [v - truth for v in values[size, kind]]
            objects, scale = (truth // size, size) if kind.endswith("space") else (truth, 1)
            last = [probability(size, period) for period in periods for _ in range(4)]
            if kind.startswith("inuse"):
                # Whatever is live now counts as if it had been drawn at the last distance from the beginning.
                if objects * min(last) >= 20 and objects * (1 - max(last)) >= 20:
                    judge.normal(name, [e / math.sqrt(objects * (1 - p) / p) / scale for e, p in zip(errors, last)], 1)
                else:
                    estimates = [e / scale + objects for e in errors]
                    judge.rare(name, estimates, size, objects, last)
                continue
            p0 = probability(size, rate)
            judge.unbiased(name, errors, objects * (1 - p0) / p0 * scale * scale)
            spread, slack = statistics.pvariance(errors), ERRORS * math.sqrt(2 / len(errors))
            least = objects * (1 - p0) / p0 * scale * scale
            most = objects * (1 - min(last)) / min(last) * scale * scale
            low, high = least * min(0.8, 1 - slack), most * max(1.25, 1 + slack) + scale * scale
            judge.need(low <= spread <= high, "%s: variance %.3g, not in %.3g .. %.3g", name, spread, low, high)
    return judge.report()


def exact_cells():
    failures = 0
    for threads in (1, 4):
        judge = Judge("rate 1, %d thread%s" % (threads, "s" * (threads > 1)))
        plan = Plan([64 << 10], threads, 4000)
        values, profile = collect(2, 1, threads, "plain", plan, {"HEAPTAP_RATE": "1"})
        judge.need(profile.period == 1, "period %d", profile.period)
        for size in plan.sites:
            for kind, truth in truths(plan, size).items():
                judge.tested += 1
                judge.need(set(values[size, kind]) == {truth}, "size %d %s: %s instead of %d", size, kind,
                           sorted(set(values[size, kind])), truth)
        failures += judge.report()
    return failures


def main():
    seeds = int(os.environ.get("HT_TRUTH_SEEDS", "25"))
    most_kept = int(os.environ.get("HT_TRUTH_KEPT", "150000"))
    parts = sys.argv[1:] or ["exact", "rates1", "rates4", "change", "thinning"]
    failures = 0
    for part in parts:
        if part == "exact":
            failures += exact_cells()
        elif part in ("rates1", "rates4"):
            for rate in (4 << 10, 64 << 10, 512 << 10):
                failures += rate_cells(seeds, most_kept, rate, int(part[-1]))
        elif part == "change":
            for threads in (1, 4):
                failures += change_cells(seeds, most_kept // 2, 64 << 10, 4 << 10, threads, "settle")
                failures += change_cells(seeds, most_kept // 2, 4 << 10, 64 << 10, threads, "pause")
        elif part == "thinning":
            for threads in (1, 4):
                failures += thinning_cells(seeds, 512, threads)
        else:
            sys.exit("usage: truth.py [exact] [rates1] [rates4] [change] [thinning]")
    print("truth: %s" % ("%d FAILED" % failures if failures else "all cells hold"))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit("FAILED: %s" % failure)

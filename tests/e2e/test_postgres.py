#!/usr/bin/python3 -B
# postgres under pgbench: many processes by fork, each with its own profile; figures against the exact count of each.
import glob
import os
import pwd
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import Test, clean_environment, judge_program, need_program  # noqa: E402

PGBENCH, = need_program("pgbench")
FOLDERS = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
if not FOLDERS or (os.geteuid() == 0 and "postgres" not in [p.pw_name for p in pwd.getpwall()]):
    print("SKIPPED: no postgres server is installed (tools/test installs it)")
    sys.exit(77)
BIN = FOLDERS[-1]


def as_user(command, env, preloaded=False):
    """postgres refuses to be run by root; the variables for the server alone are set behind runuser."""
    settings = ["%s=%s" % (k, v) for k, v in env.items() if k.startswith(("LD_PRELOAD", "HEAPTAP_", "HT_COUNT_"))]
    command = (["env"] + settings if preloaded else []) + command
    return ["runuser", "-u", "postgres", "--"] + command if os.geteuid() == 0 else command


def tool(*command):
    done = test.run(as_user(list(command), {}), clean_environment(PGHOST=test.folder, PGUSER="heaptap",
                                                                    PGDATABASE="postgres"))
    test.need(done.returncode == 0, "%s: %s", os.path.basename(command[0]), done.errors)
    return done.output


def run(env):
    data, log = test.path("data"), test.path("log")
    shutil.rmtree(data, ignore_errors=True)
    subprocess.run(["cp", "-a", test.path("fresh"), data], check=True)
    command = [BIN + "/postgres", "-D", data, "-k", test.folder, "-c", "listen_addresses=", "-c", "autovacuum=off",
               "-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "logging_collector=off", "-c",
               "max_parallel_workers=0", "-c", "jit=off"]
    with open(log, "w") as errors:
        process = test.start(as_user(command, env, True), clean_environment(), stdout=subprocess.DEVNULL,
                             stderr=errors, cwd=test.folder)
    test.wait_for(lambda: "ready to accept" in open(log).read() or process.poll() is not None, "postgres to be ready")
    tool(PGBENCH, "-i", "-q", "-s", "1")
    tool(PGBENCH, "-n", "-c", "1", "-t", "300", "--random-seed=42")
    tool(PGBENCH, "-n", "-S", "-c", "2", "-t", "200", "--random-seed=43")
    answer = tool("psql", "-XAtc", "select sum(bbalance), count(*) from pgbench_branches; "
                  "select sum(tbalance) from pgbench_tellers; select sum(abalance) from pgbench_accounts")
    own = tool("psql", "-XAtc", "select sum(total_bytes), sum(used_bytes) from pg_backend_memory_contexts")
    print("  postgres' own accounting of one fresh backend (total|used bytes of its contexts):", own.strip())
    with open(data + "/postmaster.pid") as file:
        postmaster = int(file.readline())
    os.kill(postmaster, 2)
    process.wait(240)
    process.output, process.errors = answer, ""
    return process


with Test("postgres") as test:
    os.chmod(test.folder, 0o777)
    init = test.run(as_user([BIN + "/initdb", "-D", test.path("fresh"), "-U", "heaptap", "--no-sync", "-A", "trust"], {}),
                    clean_environment(), cwd=test.folder)
    if test.need(init.returncode == 0, "initdb: %s", init.errors):
        judge_program(test, run, noise=0.05)

#!/usr/bin/python3 -B
# git: history with branches, merges, rebases, conflicts, tags, clones, gc, repack and fsck; the same object ids.
import os
import random
import signal

from suite import LONG, Suite, need_program

need_program("git")
DATES = {"GIT_AUTHOR_DATE": "1700000000 +0000", "GIT_COMMITTER_DATE": "1700000000 +0000", "GIT_AUTHOR_NAME": "A U Thor",
         "GIT_AUTHOR_EMAIL": "author@example.com", "GIT_COMMITTER_NAME": "C O Mitter",
         "GIT_COMMITTER_EMAIL": "committer@example.com", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null",
         "LC_ALL": "C", "TZ": "UTC", "GIT_PAGER": "cat", "GIT_MERGE_AUTOEDIT": "no", "GIT_EDITOR": ":"}
COMMITS = 150 if LONG else 25


def fill(folder, seed):
    chooser = random.Random(seed)
    for i in range(60):
        path = os.path.join(folder, "dir%d" % (i % 7), "file%d.txt" % i)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write("".join("%d %s\n" % (n, chooser.random()) for n in range(chooser.randrange(5, 300))))


def work(side):
    def git(*words, **options):
        return side.run(["git", "-C", "repo"] + list(words), env=DATES, **options)

    side.run(["git", "init", "-q", "-b", "main", "repo"], env=DATES)
    repo = side.work + "/repo"
    # pack.threads: how a pack is cut up between threads decides which deltas are found.
    for key, value in (("gc.auto", "0"), ("pack.threads", "1"), ("merge.conflictStyle", "diff3"), ("rerere.enabled", "true")):
        git("config", key, value)
    for seed in range(COMMITS):
        fill(repo, seed // 3)
        with open(repo + "/counter", "w") as file:
            file.write("%d\n" % seed)
        git("add", "-A")
        git("commit", "-q", "-m", "commit %d\n\nwith a body" % seed)
    for branch in range(4):
        git("checkout", "-q", "-b", "topic%d" % branch, "HEAD~%d" % (branch + 2))
        for step in range(3):
            with open(repo + "/topic%d" % branch, "a") as file:
                file.write("line %d\n" % step)
            git("add", "-A")
            git("commit", "-q", "-m", "topic %d step %d" % (branch, step))
        git("checkout", "-q", "main")
    git("merge", "--no-ff", "-m", "one", "topic0")
    git("merge", "-m", "octopus", "topic1", "topic2")
    git("rebase", "main", "topic3")
    git("checkout", "-q", "main")
    git("checkout", "-q", "-b", "conflict", "HEAD~1")
    with open(repo + "/counter", "w") as file:
        file.write("another\n")
    git("commit", "-aqm", "conflicting")
    git("checkout", "-q", "main")
    with open(repo + "/counter", "w") as file:
        file.write("yet another\n")
    git("commit", "-aqm", "on main")
    git("merge", "conflict")
    git("status", "--porcelain=v2", "--branch")
    git("diff")
    git("checkout", "--ours", "counter")
    git("add", "counter")
    git("commit", "-qm", "resolved")
    git("cherry-pick", "topic3~1")
    git("revert", "--no-edit", "HEAD")
    git("tag", "-a", "v1", "-m", "first")
    git("stash", "list")
    git("grep", "-n", "-e", "0.1234", "HEAD")
    git("blame", "-s", "counter")
    git("log", "--graph", "--stat", "-M", "--all", "--format=%H %T %P %s")
    git("log", "-p", "-5", "-C")
    git("format-patch", "-q", "-o", "../patches", "HEAD~3", "--first-parent")
    git("archive", "--format=tar", "-o", "../out.tar", "HEAD")
    git("bisect", "start", "HEAD", "HEAD~9", "--first-parent")
    git("bisect", "run", "sh", "-c", "test $(cat counter | tr -dc 0-9 | head -c3) -lt %d" % (COMMITS - 3))
    git("bisect", "reset")
    git("bundle", "create", "-q", "../all.bundle", "--all")
    git("repack", "-q", "-a", "-d", "-f", "--depth=20", "--window=10")
    git("gc", "-q", "--prune=now")
    git("fsck", "--full", "--strict")
    git("count-objects", "-v")
    git("rev-list", "--objects", "--all")
    # Several threads and processes talking through pipes.
    side.run(["git", "clone", "-q", "--no-local", "repo", "clone"], env=DATES)
    side.run(["git", "-C", "clone", "-c", "pack.threads=4", "repack", "-q", "-a", "-d", "-f"], env=DATES)
    side.run(["git", "-C", "clone", "-c", "index.threads=4", "-c", "checkout.workers=4",
              "-c", "checkout.thresholdForParallelism=0", "checkout", "-q", "-f", "HEAD~4"], env=DATES)
    side.run(["git", "-C", "clone", "fsck", "--full"], env=DATES)
    side.run(["git", "clone", "-q", "all.bundle", "from_bundle"], env=DATES)
    side.run(["git", "-C", "from_bundle", "fetch", "-q", "../clone", "+HEAD:refs/heads/back"], env=DATES)
    side.run(["git", "-C", "from_bundle", "rev-parse", "back", "HEAD"], env=DATES)


def ignored(path):
    # The index holds times and inodes; a pack cut up between threads is not the same twice, nor are time stamps of gc.
    parts = path.split("/")
    return parts[-1] in ("index", "FETCH_HEAD", "ORIG_HEAD") or parts[:4] == ["clone", ".git", "objects", "pack"] \
        or parts[:2] == ["clone", ".git"] and "commit-graph" in path


with Suite("git", signal.SIGURG) as suite:
    suite.both(work, ignore=ignored)

#!/usr/bin/python3 -B
# python3 with PYTHONMALLOC=malloc: figures against the exact count, tracemalloc's own figure beside them.
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import Test, clean_environment, judge_program, need_program  # noqa: E402

WORK = """
import json, re, hashlib
class Node:
    def __init__(self, depth):
        self.children = [Node(depth - 1) for _ in range(3)] if depth else []
        self.name = "node-%d" % depth
trees = [Node(7) for _ in range(5)]
table = {"key%d" % i: [i, str(i) * (i % 17), {"n": i}] for i in range(20000)}
text = json.dumps(table, sort_keys=True)
back = json.loads(text)
words = re.findall(r"[0-9]+", text)
keep = [bytes(i % 3000) for i in range(4000)]
del back
print(len(text), len(words), hashlib.sha256(text.encode()).hexdigest(), sum(map(len, keep)))
"""
need_program("python3")
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable


def run(env, *options, work=WORK):
    env.update(PYTHONMALLOC="malloc", PYTHONHASHSEED="0", PYTHONDONTWRITEBYTECODE="1")
    return test.run([PYTHON, "-I", "-S"] + list(options) + ["-c", work], env)


with Test("python3") as test:
    judge_program(test, run)
    traced = run(clean_environment(), "-X", "tracemalloc",
                 work=WORK + "\nimport tracemalloc\nprint('tracemalloc', *tracemalloc.get_traced_memory())")
    print("  python's own accounting, at the end of the script:", traced.output.splitlines()[-1], "(current, peak)")

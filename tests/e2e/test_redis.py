#!/usr/bin/python3 -B
# redis-server under redis-benchmark: answers, data digest and figures against the exact count; INFO memory beside them.
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import Test, judge_program, need_program, terminate  # noqa: E402

SERVER, BENCHMARK = need_program("redis-server", "redis-benchmark")


class Client:
    """Just enough of redis' protocol to fill the server deterministically."""

    def __init__(self, path):
        # The socket's name is there a moment before the server listens on it.
        for attempt in range(6000):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(30)
            try:
                self.socket.connect(path)
                break
            except (ConnectionRefusedError, FileNotFoundError):
                self.socket.close()
                time.sleep(0.01)
        self.file = self.socket.makefile("rb")

    def send(self, *words):
        words = [str(w).encode() for w in words]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))

    def answer(self):
        line = self.file.readline().rstrip(b"\r\n").decode()
        if line[0] == "$":
            return self.file.read(int(line[1:]) + 2)[:-2].decode() if line != "$-1" else None
        if line[0] == "*":
            return [self.answer() for _ in range(int(line[1:]))]
        return line[1:]

    def call(self, *words):
        self.send(*words)
        return self.answer()


def fill(client):
    total = 0
    for i in range(3000):
        client.send("SET", "string:%d" % i, "v" * (i * 37 % 900))
        client.send("HSET", "hash:%d" % (i % 50), "field%d" % i, i)
        client.send("RPUSH", "list:%d" % (i % 20), "x" * (i % 200))
        client.send("ZADD", "set:%d" % (i % 5), i * 7 % 1000, "member%d" % i)
        if i % 3 == 0:
            client.send("DEL", "string:%d" % (i // 2))
            total += 1
    for _ in range(3000 * 4 + total):
        client.answer()


def run(env):
    path = test.path("socket")
    if os.path.exists(path):
        os.unlink(path)
    process = test.start([SERVER, "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no", "--dir",
                          test.folder, "--enable-debug-command", "yes", "--hz", "1", "--logfile", test.path("log")],
                         env)
    test.wait_for(lambda: os.path.exists(path), "redis-server's socket")
    client = Client(path)
    load = test.run([BENCHMARK, "-s", path, "-n", "5000", "-c", "8", "-P", "8", "-q", "-t",
                     "set,get,incr,lpush,rpush,lpop,sadd,hset,zadd,lrange_100,mset"])
    test.need(load.returncode == 0 and "error" not in load.output.lower(), "redis-benchmark: %s", load.output)
    fill(client)
    process.output = "%s %s\n" % (client.call("DBSIZE"), client.call("DEBUG", "DIGEST"))
    info = client.call("INFO", "memory")
    client.send("SHUTDOWN", "NOSAVE")
    process.wait(240)
    process.errors = ""
    print("  redis' own accounting:", *[l for l in info.splitlines() if l.startswith(("used_memory:", "mem_allocator"))])
    terminate(process)
    return process


with Test("redis") as test:
    judge_program(test, run, noise=0.05)

#!/usr/bin/python3 -B
# redis: benchmark, all kinds of values, Lua, transactions, save, background save and AOF rewrite (fork), a replica, reload, restart; equal digests.
import os
import re
import socket

from suite import LONG, Suite, need_program

SERVER, BENCHMARK, CLIENT, CHECK_RDB, CHECK_AOF = need_program(
    "redis-server", "redis-benchmark", "redis-cli", "redis-check-rdb", "redis-check-aof")
ROUNDS = 4000 if LONG else 600


def commands():
    for i in range(ROUNDS):
        yield 'SET string:%d "%s"' % (i, "v" * (i * 37 % 900))
        yield "HSET hash:%d field%d %d" % (i % 50, i, i)
        yield "RPUSH list:%d %s" % (i % 20, "x" * (i % 200 + 1))
        yield "ZADD sorted:%d %d member%d" % (i % 5, i * 7 % 1000, i)
        yield "SADD set:%d %d" % (i % 9, i * i % 701)
        yield "XADD stream:%d %d-1 key value%d" % (i % 3, i + 1, i)
        yield "SETBIT bits %d 1" % (i * 131 % 65536)
        yield "PFADD hyper %d" % i
        yield "APPEND long part%d" % i
        if i % 3 == 0:
            yield "DEL string:%d" % (i // 2)
        if i % 50 == 0:
            yield "EVAL \"local t = {} for i = 1, 200 do t[i] = redis.call('INCRBY', KEYS[1], i) end return #t\" 1 counter:%d" % (i % 7)
            yield "SORT set:%d DESC LIMIT 0 5" % (i % 9)
            yield "ZRANGE sorted:%d 0 4 WITHSCORES" % (i % 5)
            yield "MULTI"
            yield "INCR transaction"
            yield "LPOP list:%d" % (i % 20)
            yield "EXEC"
    yield "EXPIRE string:1 100000"
    yield "GEOADD geo 13.361389 38.115556 Palermo 15.087269 37.502669 Catania"
    yield "GEODIST geo Palermo Catania km"
    yield "OBJECT ENCODING hash:1"
    yield "DBSIZE"


def work(side):
    os.mkdir(side.work + "/data")
    os.mkdir(side.work + "/replica")
    name, second = side.work + "/socket", side.work + "/socket2"
    # A port that the two servers talk through; taken from the kernel.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def server(folder, path, number):
        process = side.start([SERVER, "--port", str(number), "--bind", "127.0.0.1", "--unixsocket", path, "--dir", side.work + "/" + folder,
                              "--enable-debug-command", "yes", "--logfile", side.work + "/" + folder + ".log", "--save", "",
                              "--appendonly", "yes", "--io-threads", "2", "--activedefrag", "no", "--daemonize", "no"])
        suite.wait_for(lambda: os.path.exists(path) and ask(path, "PING", quiet=True) == "PONG", folder + ": the server answers", 60)
        return process

    def ask(path, *words, quiet=False):
        process = side.run([CLIENT, "-s", path] + list(words), title=" ".join(words), record=not quiet)
        return process.output.strip()

    def wait_until(key, value, path=name):
        suite.wait_for(lambda: "%s:%s" % (key, value) in ask(path, "INFO", quiet=True).split(), "%s is %s" % (key, value), 60)

    master = server("data", name, port)
    side.run([BENCHMARK, "-s", name, "-n", "4000", "-c", "8", "-P", "8", "-q", "--threads", "2", "-t",
              "set,get,incr,lpush,rpush,lpop,sadd,hset,zadd,lrange_100,mset"], title="redis-benchmark", status_only=True)
    ask(name, "FLUSHALL") # how many requests the benchmark's threads have begun when one has sent the last differs
    side.run([CLIENT, "-s", name], title="commands", input="\n".join(commands()) + "\n")
    digest = ask(name, "DEBUG", "DIGEST")
    ask(name, "DEBUG", "RELOAD")
    suite.need(ask(name, "DEBUG", "DIGEST") == digest, "%s: another digest after DEBUG RELOAD", side.name)
    ask(name, "BGSAVE")
    wait_until("rdb_bgsave_in_progress", 0)
    wait_until("rdb_last_bgsave_status", "ok")
    ask(name, "BGREWRITEAOF")
    wait_until("aof_rewrite_in_progress", 0)
    wait_until("aof_rewrite_scheduled", 0)
    wait_until("aof_last_bgrewrite_status", "ok")
    ask(name, "DEBUG", "LOADAOF")
    suite.need(ask(name, "DEBUG", "DIGEST") == digest, "%s: another digest after DEBUG LOADAOF", side.name)
    replica = server("replica", second, 0)
    ask(second, "REPLICAOF", "127.0.0.1", str(port), quiet=True)
    wait_until("master_link_status", "up", second)
    # By one connection: WAIT waits for what its own connection has written.
    side.run([CLIENT, "-s", name], title="SET and WAIT", input="SET after sync\nWAIT 1 60000\n")
    suite.need(ask(second, "DEBUG", "DIGEST") == ask(name, "DEBUG", "DIGEST"), "%s: the replica has other data", side.name)
    side.idle("redis-server at rest", master.pid)
    ask(second, "SHUTDOWN", "NOSAVE")
    side.note("the replica's status", replica.wait(60))
    digest = ask(name, "DEBUG", "DIGEST")
    ask(name, "SAVE")
    ask(name, "SHUTDOWN")
    side.note("the server's status", master.wait(60))
    side.run([CHECK_RDB, "data/dump.rdb"], title="redis-check-rdb", status_only=True)
    side.shell("redis-check-aof data/appendonlydir/*.manifest", title="redis-check-aof", status_only=True)
    master = server("data", name, port)
    suite.need(ask(name, "DEBUG", "DIGEST") == digest, "%s: another digest after a restart", side.name)
    ask(name, "DBSIZE")
    ask(name, "FLUSHALL")
    master.terminate()
    side.note("the restarted server's status", master.wait(60))
    for log in ("data.log", "replica.log"):
        with open(side.work + "/" + log) as file:
            text = "".join(l.split(" # ", 1)[1] for l in file if " # " in l)
            # How a replica is called that goes at once depends on whether it has said its port by then.
            text = re.sub(r"replica (client id #\d+|127\.0\.0\.1:\S+) lost", "replica lost", text)
            side.note("warnings in " + log, re.sub(r"pid=\d+", "pid=", text))


with Suite("redis") as suite:
    # Files of both kinds hold times and sizes of memory; their data is compared by digest.
    suite.both(work, same_tree=False)

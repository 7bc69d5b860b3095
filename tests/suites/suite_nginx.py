#!/usr/bin/python3 -B
# nginx under load: workers of another user, reload, reopened logs, a new binary in the running server, graceful quit.
import gzip
import hashlib
import http.client
import os
import re
import signal
import socket
import threading

from suite import LONG, Side, Suite, children, is_running, need_program

NGINX, = need_program("nginx")
CONFIG = """
{env}
user www-data;
worker_processes {workers};
daemon on;
pid {work}/nginx.pid;
error_log {work}/error.log notice;
worker_shutdown_timeout 20s;
events {{ worker_connections 256; }}
http {{
    log_format short '$request $status $body_bytes_sent';
    access_log {work}/access.log short;
    client_body_temp_path {work}/tmp/body; proxy_temp_path {work}/tmp/proxy; fastcgi_temp_path {work}/tmp/fastcgi;
    uwsgi_temp_path {work}/tmp/uwsgi; scgi_temp_path {work}/tmp/scgi;
    proxy_cache_path {work}/tmp/cache keys_zone=cache:1m;
    types {{ text/html html; text/plain txt; }}
    gzip on; gzip_min_length 100; gzip_types text/plain;
    server {{
        listen 127.0.0.1:{port};
        root {work}/www;
        keepalive_requests 50;
        location /proxy/ {{ proxy_pass http://127.0.0.1:{port}/; proxy_cache cache; proxy_cache_valid 200 1m; proxy_set_header Connection ""; proxy_http_version 1.1; }}
        location /moved {{ return 302 /index.html; }}
        location /sub {{ ssi on; ssi_types text/plain; }}
        location ~ ^/rewrite/(\\d+)$ {{ rewrite ^ /file$1.txt last; }}
        location /status {{ stub_status; }}
        location /big {{ limit_rate 4m; }}
        autoindex on;
    }}
}}
"""
ROUNDS = 40 if LONG else 6


def prepare(side, port, workers, env):
    for folder in ("www", "tmp", "www/folder"):
        os.mkdir(side.work + "/" + folder)
        os.chmod(side.work + "/" + folder, 0o777)
    for i in range(20):
        with open(side.work + "/www/file%d.txt" % i, "w") as file:
            file.write("".join("file %d line %d\n" % (i, n) for n in range(i * i * 20)))
    for name, text in (("index.html", "<p>hello</p>\n"), ("sub.txt", '<!--#include virtual="/file3.txt" --> <!--#echo var="DOCUMENT_URI" -->\n'),
                       ("big", "0123456789abcdef" * 50000)):
        with open(side.work + "/www/" + name, "w") as file:
            file.write(text)
    write_config(side, port, workers, env)


def write_config(side, port, workers, env):
    with open(side.work + "/nginx.conf", "w") as file:
        file.write(CONFIG.format(work=side.work, port=port, workers=workers, env="".join("env %s;\n" % e for e in env)))


def load(port, results):
    """One client's requests over kept and new connections; the answers, in order."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    answers = []
    for round_number in range(ROUNDS):
        for path in ["/", "/folder/", "/missing", "/moved", "/sub.txt", "/big", "/../etc", "/proxy/file5.txt"] + ["/file%d.txt" % i for i in range(20)] + \
                ["/rewrite/%d" % i for i in range(4)] + ["/proxy/file%d.txt?%d" % (i, i) for i in range(6)]:
            headers = {"Accept-Encoding": "gzip"} if round_number % 2 else {"Range": "bytes=10-500"} if round_number % 3 == 0 else {}
            for attempt in range(3):
                try:
                    connection.request("POST" if path == "/missing" else "GET", path, b"x" * 40000 if path == "/missing" else None, headers)
                    reply = connection.getresponse()
                    break
                except (http.client.HTTPException, BrokenPipeError, ConnectionResetError):
                    # A kept connection that the server closed in the meantime: the protocol's own race.
                    connection.close()
                    if attempt == 2:
                        raise
            body = reply.read()
            if reply.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            answers.append("%d %s %d %s" % (reply.status, path, len(body), hashlib.sha256(body).hexdigest()[:12]))
    results.append("\n".join(answers))


def loaded(side, title, port, while_it_runs=lambda: None):
    results = []
    clients = [threading.Thread(target=load, args=(port, results)) for _ in range(4)]
    for client in clients:
        client.start()
    while_it_runs()
    for client in clients:
        client.join()
    suite.need(len(results) == 4 and len(set(results)) == 1, "%s: %s: the clients got different answers", side.name, title)
    side.note(title, results[0] if results else "")


def pid_in(path):
    """The number in a pid file; 0 while it is being written."""
    with open(path) as file:
        return int(file.read() or 0)


def gone(pid):
    return lambda: not is_running(pid)


def work(side):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = sorted(k for k in side.env if k.startswith(("LD_PRELOAD", "HEAPTAP_", "HT_")))
    prepare(side, port, 2, variables)
    command = [NGINX, "-p", side.work, "-c", side.work + "/nginx.conf", "-e", side.work + "/error.log"]
    side.run(command + ["-t"], title="configuration test", normalise=lambda text: text.replace(str(port), "PORT"))
    side.run(command, title="start")
    suite.wait_for(lambda: os.path.exists(side.work + "/nginx.pid"), "the server has started")
    master = pid_in(side.work + "/nginx.pid")
    loaded(side, "load", port)
    loaded(side, "load over a reload", port, lambda: (served(side), write_config(side, port, 3, variables), os.kill(master, signal.SIGHUP)))
    suite.wait_for(lambda: len([p for p in children(master) if is_worker(p)]) == 3, "three workers", 30)
    os.rename(side.work + "/access.log", side.work + "/access.old")
    os.kill(master, signal.SIGUSR1)
    suite.wait_for(lambda: os.path.exists(side.work + "/access.log"), "the log was reopened")
    side.idle("master at rest", master)
    side.note("workers at rest", sorted({worker_state(p) for p in children(master) if is_worker(p)}))
    # A new binary takes over the listening socket while requests come in.
    os.kill(master, signal.SIGUSR2)
    suite.wait_for(lambda: os.path.exists(side.work + "/nginx.pid.oldbin"), "the new master has started", 30)
    suite.wait_for(lambda: os.path.exists(side.work + "/nginx.pid") and pid_in(side.work + "/nginx.pid") not in (0, master), "its pid file", 30)
    new = pid_in(side.work + "/nginx.pid")
    loaded(side, "load with two masters", port, lambda: os.kill(master, signal.SIGWINCH))
    os.kill(master, signal.SIGQUIT)
    suite.wait_for(gone(master), "the old master has gone", 60)
    loaded(side, "load with the new master", port)
    os.kill(new, signal.SIGTERM)
    suite.wait_for(gone(new), "the new master has gone", 60)
    with open(side.work + "/error.log") as file:
        lines = [l.split(": ", 1)[1] for l in file if "[notice]" not in l and ": " in l]
    side.note("errors", "".join(sorted({l.split(", client")[0].split("*", 1)[-1].lstrip("0123456789 ") for l in lines})))


def served(side):
    """Waits until some requests of a load have been answered."""
    log = side.work + "/access.log"
    size = os.path.getsize(log)
    suite.wait_for(lambda: os.path.getsize(log) > size, "the first requests of a load")


def is_worker(pid):
    try:
        with open("/proc/%d/cmdline" % pid) as file:
            return "worker process" in file.read().split("\0")[0] and is_running(pid)
    except OSError:
        return False


def worker_state(pid):
    """What a worker holds, in a moment without a snapshot; the numbers depend on what came and went before."""
    state = suite.wait_for(lambda: [s for s in [Side.state(pid)] if s.count("nginx\n") == 1], "a worker without a snapshot")[0]
    return "\n".join(sorted(re.sub(r"^\d+ ", "", row) for row in state.splitlines()))


# nginx has USR2 and most other signals for itself; URG it leaves.
with Suite("nginx", signal.SIGURG) as suite:
    suite.both(work, same_tree=False, mode=0o755)

#!/usr/bin/python3 -B
# URLs as inputs: a real Go server's profiles, names from a server, and servers that misbehave in every way.
import gzip
import http.server
import os
import pty
import re
import select
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden"))

from e2e import COMMAND, Test, clean_environment  # noqa: E402
import profile_writer  # noqa: E402

ENVIRONMENT = clean_environment(http_proxy="http://127.0.0.1:9", no_proxy="")  # not for local servers
HERE = os.path.dirname(os.path.abspath(__file__))


def make_profile(names):
    """16 kB live in one stack of two frames, named or only by address."""
    profile = profile_writer.Profile()
    for kind in ("alloc", "inuse"):
        profile.sample_type(kind + "_objects", "count")
        profile.sample_type(kind + "_space", "bytes")
    profile.mapping(0x400000, 0x500000, 0, "/nowhere/remote_server", "0123456789abcdef0123456789abcdef01234567")
    lines = [[], []]
    if names:
        lines = [[(profile.function(name, name, "remote.c", 1), 7)] for name in ("remote_leaf", "remote_main")]
    locations = [profile.location(1, 0x400100 + 0x100 * i, line) for i, line in enumerate(lines)]
    profile.sample(locations, [4, 32768, 2, 16384])
    return profile.bytes()


NAMED, BARE = make_profile(True), make_profile(False)


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked = []
    together = threading.Barrier(8)  # requests for /slow
    over = threading.Event()  # lets /hang go
    symbols = 200

    def log_message(self, *arguments):
        pass

    def answer(self, body, status=200, kind="application/octet-stream", **headers):
        self.send_response(status)
        if kind:
            self.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        Server.asked.append(("POST", self.path, body))
        if Server.symbols != 200:
            return self.answer(b"no symbols here\n", Server.symbols, "text/plain; charset=utf-8")
        known = {0x400100: "remote_leaf", 0x400200: "remote_main"}
        rows = ["0x%x %s" % (int(word, 16), known[int(word, 16)]) for word in body.split("+")]
        self.answer(("num_symbols: 1\n" + "\n".join(rows) + "\n").encode(), 200, "text/plain; charset=utf-8")

    def do_GET(self):
        path = self.path.split("?")[0]
        Server.asked.append(("GET", self.path, dict(self.headers)))
        if path in ("/debug/pprof/heap", "/named", "/slow"):
            if path == "/slow":
                # For all eight: one after the other they would never come.
                Server.together.wait(240) if "?" in self.path else time.sleep(0.8)
            return self.answer(gzip.compress(NAMED))
        if path in ("/bare/debug/pprof/heap", "/bare"):
            return self.answer(gzip.compress(BARE))
        if path == "/plain":
            return self.answer(NAMED, kind=None)
        if path == "/encoded":
            return self.answer(gzip.compress(NAMED), Content_Encoding="gzip")
        if path == "/page":
            return self.answer(b"<html><body>hello</body></html>", kind="text/html; charset=utf-8")
        if path == "/text":
            return self.answer(b"goroutine 1 [running]:\nmain.main()\n", kind="text/plain; charset=utf-8")
        if path == "/json":
            return self.answer(b'{"error": "no"}', kind="application/json")
        if path == "/empty":
            return self.answer(b"")
        if path == "/half":
            body = gzip.compress(os.urandom(5000) + NAMED)
            self.answer(body[:len(body) // 2], Content_Length=str(len(body)))
            self.close_connection = True
            return None
        if path == "/cut":
            return self.answer(gzip.compress(NAMED)[:60])
        if path == "/noise":
            return self.answer(b"\x1f\x8b" + os.urandom(500))
        if path == "/bomb":
            return self.answer(gzip.compress(profile_writer.block(6, bytes(100 << 20)), 1))
        if path == "/hang":
            Server.over.wait(100)
            self.close_connection = True
            return None
        if path == "/loop":
            return self.answer(b"", 302, Location="/loop")
        if path == "/moved":
            return self.answer(b"moved\n", 301, "text/plain", Location="/named")
        if path == "/tofile":
            return self.answer(b"", 302, Location="file:///etc/passwd")
        if path == "/busy":
            return self.answer(b"Could not enable CPU profiling: in use\nsecond line\n", 500, "text/plain; charset=utf-8",
                               X_Go_Pprof="1")
        if path == "/htmlerror":
            return self.answer(b"<html>secret page</html>", 503, "text/html")
        return self.answer(b"Unknown profile\n", 404, "text/plain; charset=utf-8")


def serve(context=None):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.daemon_threads = True
    server.request_queue_size = 64
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return "127.0.0.1:%d" % server.server_address[1]


def top(test, *arguments, timeout=240):
    return test.run([COMMAND, "top", *arguments], env=ENVIRONMENT, timeout=timeout)


def good(test, title, process, *wanted):
    if test.need(process.returncode == 0, "%s: status %d: %s", title, process.returncode, process.errors):
        for text in wanted:
            test.need(re.search(text, process.output), "%s: no %r in:\n%s", title, text, process.output)
    test.need(process.errors == "", "%s: says %r", title, process.errors)


def bad(test, title, process, wanted, status=1):
    test.need(process.returncode == status, "%s: status %d, not %d", title, process.returncode, status)
    test.need(process.output == "", "%s: prints %r", title, process.output)
    test.need(process.errors.count("\n") == 1 and re.search(wanted, process.errors), "%s: says %r, not %r", title,
              process.errors, wanted)


def test_forms(test, address):
    whole = "16384B 100%|16kB +100% +100% +16kB +100%  remote_leaf"
    for form in ("http://%s/debug/pprof/heap", "%s/debug/pprof/heap", "%s", "http://%s", "http://%s/", "%s/debug/pprof/",
                 "HTTP://%s/debug/pprof", "http://user:secret@%s/named", "%s/plain", "%s/encoded", "%s/moved", "%s/named?debug=0"):
        good(test, form, top(test, form % address), whole)
    Server.asked.clear()
    good(test, "--seconds", top(test, "--seconds", "1", "%s/named?x=1&seconds=9" % address), whole)
    test.need(Server.asked[0][1] == "/named?x=1&seconds=1", "--seconds: asked for %s", Server.asked[0][1])
    headers = Server.asked[0][2]
    test.need("gzip" in headers.get("Accept-Encoding", "") and headers.get("User-Agent", "").startswith("heaptap/"),
              "headers: %s", headers)
    os.chdir(test.folder)
    shutil.copy(test.path("named.pb.gz"), "host:80")
    good(test, "a file called host:80", top(test, "host:80"), whole)
    good(test, "-base", top(test, "--base", "%s/named" % address, address), "0, 0% of|0 total")
    bad(test, "--seconds=-1", top(test, "--seconds=-1", address), "--seconds", status=2)


def test_names(test, address):
    Server.asked.clear()
    good(test, "names from the server", top(test, "%s/bare/debug/pprof/heap" % address), "16kB +100% +100% +16kB +100%  remote_leaf",
         "remote_main")
    posts = [(path, body) for method, path, body in Server.asked if method == "POST"]
    test.need(posts == [("/bare/debug/pprof/symbol", "0x400100+0x400200")], "asked for names: %s", posts)
    Server.asked.clear()
    good(test, "symbolz", top(test, "%s/bare" % address), "remote_leaf")
    test.need([path for method, path, _ in Server.asked if method == "POST"] == ["/symbolz"], "asked: %s", Server.asked)
    Server.asked.clear()
    process = top(test, "--symbolize=local", "%s/bare" % address)
    test.need(process.returncode == 0 and not [1 for method, _, _ in Server.asked if method == "POST"],
              "--symbolize=local asks: %s", Server.asked)
    Server.symbols = 500
    process = top(test, "%s/bare" % address)
    Server.symbols = 200
    test.need(process.returncode == 0 and "remote_server" in process.output, "without names: %s", process.output)
    test.need(re.search("warning: .*no names from the server: .*500 .*no symbols here", process.errors), "says %r", process.errors)


def test_misbehaviour(test, address):
    for path, wanted in (
            ("nothing", "http://%s/nothing: the server answers 404 Not Found: Unknown profile$" % address),
            ("busy", "500 Internal Server Error: Could not enable CPU profiling: in use$"),
            ("htmlerror", "the server answers 503 Service Unavailable$"),
            ("page", "a web page, not with a profile"), ("text", "text, not with a profile; leave out debug="),
            ("json", "application/json"), ("empty", "answer is empty"), ("half", "ends early"),
            ("cut", "truncated|ends early"), ("noise", "cannot decompress|truncated"), ("bomb", "gzip bomb|a field of"),
            ("loop", "more than 5 redirects"), ("tofile", "[Pp]rotocol .?file")):
        bad(test, path, top(test, "%s/%s" % (address, path)), wanted)
    begun = time.monotonic()
    bad(test, "hang", top(test, "--timeout", "500ms", "%s/hang" % address), "no whole answer in time .*--timeout")
    test.need(time.monotonic() - begun < 50, "a server that hangs held for %.1f s", time.monotonic() - begun)
    Server.over.set()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = "127.0.0.1:%d" % free.getsockname()[1]
        bad(test, "nobody listens", top(test, closed), "onnect")
        process = top(test, address, closed, "%s/nothing" % address)
        test.need(process.returncode == 0 and "remote_leaf" in process.output and process.errors.count("\n") == 3 and
                  "made of 1 of the 3 profiles" in process.errors, "one of three: %d %r", process.returncode, process.errors)
    bad(test, "password", top(test, "http://user:secret@%s/nothing" % address), "heaptap: top: http://%s/nothing: " % address)


def test_many(test, address):
    process = top(test, *["%s/slow?%d" % (address, i) for i in range(8)])
    good(test, "eight at once", process, "128kB +100%  remote_leaf|128kB +100% +100% +128kB +100%  remote_leaf")


def test_certificates(test):
    certificate, key = test.path("cert.pem"), test.path("key.pem")
    made = test.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2",
                     "-subj", "/CN=localhost"])
    test.need(made.returncode == 0, "openssl: %s", made.errors)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    address = serve(context)
    bad(test, "self-signed", top(test, "https://%s/named" % address), "certificate.*--insecure accepts any certificate")
    good(test, "--insecure", top(test, "--insecure", "https://%s/named" % address), "remote_leaf")
    good(test, "https+insecure", top(test, "https+insecure://%s/named" % address), "remote_leaf")
    here = "https://localhost:%s/named" % address.rpartition(":")[2]
    good(test, "-tls_ca", top(test, "-tls_ca", certificate, here), "remote_leaf")
    wants_ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    wants_ours.load_cert_chain(certificate, key)
    wants_ours.load_verify_locations(certificate)
    wants_ours.verify_mode = ssl.CERT_REQUIRED
    here = "https://localhost:%s/named" % serve(wants_ours).rpartition(":")[2]
    bad(test, "no certificate of ours", top(test, "-tls_ca", certificate, here), "/named: .")
    good(test, "-tls_cert", top(test, "-tls_ca", certificate, "-tls_cert", certificate, "-tls_key", key, here), "remote_leaf")


def test_progress(test, address):
    """A line about waiting, on a terminal alone, and it is gone at the end."""
    master, slave = pty.openpty()
    process = subprocess.Popen([COMMAND, "top", "%s/slow" % address], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=slave,
                               stdin=subprocess.DEVNULL, text=True)
    os.close(slave)
    output, seen = process.communicate(timeout=240)[0], b""
    while select.select([master], [], [], 0.2)[0]:
        try:
            piece = os.read(master, 4096)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    os.close(master)
    test.need("remote_leaf" in output, "on a terminal: %s", output)
    test.need(b"waiting for the server" in seen and seen.endswith(b"\r\x1b[K"), "on a terminal: %r", seen)


def test_go(test):
    if not shutil.which("go"):
        print("  go is not installed: its server is left out")
        return
    program = test.path("url_server")
    built = test.run(["go", "build", "-o", program, os.path.join(HERE, "url_server.go")], timeout=180,
                     env=clean_environment(GOFLAGS="-mod=mod", GO111MODULE="off"))
    if not test.need(built.returncode == 0, "go build: %s", built.errors):
        return
    server = test.start([program], stdout=subprocess.PIPE)
    address = server.stdout.readline().strip()
    for kind in ("mutex", "block"):  # its threads have met
        test.wait_for(lambda: "main.contend" in top(test, "http://%s/debug/pprof/%s" % (address, kind)).output, kind)
    for path, kind, function in (("heap", "inuse_space", "main.keep"), ("allocs", "alloc_space", "main.keep"),
                                 ("goroutine", "goroutine", "main.contend"), ("mutex", "delay", "main.contend"),
                                 ("block", "delay", "main.contend"), ("profile?seconds=1", "cpu", "main.spin"),
                                 ("threadcreate", "threadcreate", "runtime")):
        good(test, path, top(test, "http://%s/debug/pprof/%s" % (address, path)), "Type: %s\n" % kind, function)
    good(test, "delta", top(test, "--seconds=1", "--alloc-space", "%s/debug/pprof/heap" % address), "Duration: 1")
    good(test, "twice", top(test, "--inuse-space", "--unit=MB", address, "%s/debug/pprof/" % address), r" 16MB .*  main.keep")
    bad(test, "cpu profile for 0 s", top(test, "%s/debug/pprof/heap?seconds=0" % address), 'invalid value for "seconds"')
    bad(test, "unknown", top(test, "%s/debug/pprof/nothing" % address), "404 Not Found: Unknown profile$")
    for path, kind, function in (("heap", "inuse_space", "main.keep"), ("goroutine", "goroutine", "main.contend"),
                                 ("mutex", "delay", "main.contend")):  # as text: the server is asked for the names
        good(test, path + " as text", top(test, "%s/debug/pprof/%s?debug=1" % (address, path)), "Type: %s\n" % kind, function)
    bad(test, "text", top(test, "%s/debug/pprof/goroutine?debug=2" % address), "leave out debug=")
    bad(test, "trace", top(test, "%s/debug/pprof/trace?seconds=1" % address), "/debug/pprof/trace")
    bad(test, "plain HTTP", top(test, "https://%s/debug/pprof/heap" % address), "SSL|TLS")


with Test("URLs as inputs") as test:
    with open(test.path("named.pb.gz"), "wb") as file:
        file.write(gzip.compress(NAMED))
    there = serve()
    if "without libcurl" in top(test, there).errors:
        print("SKIPPED: this build has no libcurl")
        sys.exit(77)
    test_forms(test, there)
    test_names(test, there)
    test_misbehaviour(test, there)
    test_many(test, there)
    test_certificates(test)
    test_progress(test, there)
    test_go(test)

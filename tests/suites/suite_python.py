#!/usr/bin/python3 -B
# python3 -m test: the interpreter's own tests of processes, signals, threads, descriptors and libraries in C; every case with the same result.
import glob
import os
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree

from suite import LONG, Suite

PYTHON = "/usr/bin/python3"
SHORT = """test_os test_mmap test_ctypes test_thread test_select test_poll test_epoll test_gc test_weakref test_struct test_marshal test_zlib test_pipes
test_resource test_memoryview test_pyexpat test_popen test_fcntl test_atexit test_posix"""
MORE = """test_subprocess test_signal test_threading test_threading_local test_threadsignals test_fork1 test_wait3 test_wait4
test_faulthandler test_selectors test_asyncio test_concurrent_futures test_multiprocessing_main_handling test_io test_fileio test_file test_tempfile test_shutil
test_gzip test_bz2 test_lzma test_zipfile test_tarfile test_hashlib test_ssl test_dbm test_pickle test_array test_bytes test_unicode test_re test_json test_decimal
test_long test_float test_dict test_list test_set test_deque test_generators test_coroutines test_exceptions test_compile test_import test_importlib test_runpy
test_sys test_pty test_openpty test_locale test_time test_tracemalloc test_queue test_httpservers test_ftplib test_logging test_audit
test_traceback test_eintr test_buffer test_xml_etree test_xml_etree_c test_minidom test_sax test_csv test_cmd_line_script test_repl test_crypt
test_readline test_mailbox test_posixpath test_platform test_pdb test_profile test_cprofile"""
# Cases that are left out, and why; patterns of `python3 -m test -i`.
LEFT_OUT = {
    "test_interrupted_write_unbuffered": "a blocked write that a handler interrupts returns what it has written so far",
    "test_itimer_real": "it waits in pause(), which any handler ends",
    "test_closerange": "it looks for descriptors in a row that nobody has; a snapshot may have one of them at that moment",
    "test_process_time": "it allows itself 20 ms of processor time in a sleep of 100 ms; with snapshots all the time that is close",
}


def cases(path):
    """Result of every case: passed, skipped with its reason, or failed."""
    rows = {}
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        inner = [child.tag for child in case]
        rows[case.get("name")] = "%s %s" % (case.get("result"), " ".join(inner))
    return rows


def without_times(text):
    """What of libregrtest's own report is the same each time: the verdicts, without order, load and duration."""
    rows = [l for l in text.splitlines(True) if re.match(r"(\d+ tests? |All \d+|    test_|Tests result)", l)]
    return "".join(sorted(rows))


def work(side):
    os.mkdir(side.work + "/temporary")
    modules = os.environ.get("HT_SUITE_MODULES", SHORT + (" " + MORE if LONG else "")).split()
    modules = [m for m in modules if glob.glob("%s/%s.py" % (TESTS, m)) or glob.glob("%s/%s/" % (TESTS, m))]  # each release has dropped some
    command = [PYTHON, "-m", "test", "-j2", "--timeout", "600", "--junit-xml", side.work + "/results.xml", "--tempdir", side.work + "/temporary"]
    for pattern in LEFT_OUT:
        command += ["-i", pattern]
    process = side.run(command + modules, title="python3 -m test", timeout=7200, normalise=without_times, env={"LC_ALL": "C.UTF-8", "HOME": side.work})
    with open(side.work + "/output", "w") as file:
        file.write(process.output + process.errors)
    rows = cases(side.work + "/results.xml")
    os.rename(side.work + "/results.xml", suite.path("results." + side.name))
    side.note("results of %d cases" % len(rows), "\n".join("%s: %s" % row for row in sorted(rows.items())))
    os.rename(side.work + "/output", suite.path("output." + side.name))


TESTS = subprocess.run([PYTHON, "-c", "import os, test; print(os.path.dirname(test.__file__))"], stdout=subprocess.PIPE,
                       stderr=subprocess.DEVNULL, text=True).stdout.strip()
if not os.path.exists(os.path.join(TESTS, "test_os.py")) and not os.path.isdir(os.path.join(TESTS, "test_os")):
    print("SKIPPED: the package libpython3.*-testsuite of this python3 is not installed (tools/test installs it)")
    sys.exit(77)
# The tests fork and exec all the time (see SETTLED_SECONDS); none of them is about URG alone.
with Suite("python", signal.SIGURG, period=0.05 if LONG else 0.1) as suite:
    # test_resource lowers the limit on file sizes to 1,024 bytes for up to half a second; test_posix and others fill
    # their table of descriptors.
    suite.allowed_log = "the limit on file sizes is reached|too many open files$"
    suite.both(work)

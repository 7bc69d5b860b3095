#!/usr/bin/python3 -B
# What `cmake --install` leaves behind works from anywhere: the command, its library, pages, pkg-config and CMake consumers.
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from e2e import Test, clean_environment, need_program  # noqa: E402

CMAKE, CC, PKG_CONFIG = need_program("cmake", "cc", "pkg-config")
BUILD = os.path.abspath(os.environ.get("HT_BUILD") or os.path.join(os.path.dirname(__file__), "..", "..", "build"))
HOST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "api_host.c")
PROJECT = """
cmake_minimum_required(VERSION 3.22)
project(consumer C CXX)
find_package(heaptap %s REQUIRED)
foreach(language c cpp)
    add_executable(consumer_${language} consumer.${language})
    target_link_libraries(consumer_${language} heaptap::heaptap)
endforeach()
message(STATUS "heaptap_VERSION=${heaptap_VERSION}")
"""
CONSUMER = """
#include <heaptap/heaptap.h>
#include <stdio.h>
int main(void) { printf("%d %d\\n", heaptap_is_loaded(), heaptap_take_snapshot()); return 0; }
"""


def tree(folder):
    return sorted(os.path.relpath(os.path.join(where, name), folder) for where, _, names in os.walk(folder) for name in names)


def install(test, prefix, **environment):
    done = test.run([CMAKE, "--install", BUILD, "--prefix", prefix], env=clean_environment(**environment))
    test.need(done.returncode == 0, "cmake --install: %s", (done.output + done.errors)[-500:])


def test_run(test, prefix):
    """The command finds the library of its own tree, wherever that has been moved."""
    heaptap, out = prefix + "/bin/heaptap", test.new_folder("out")
    done = test.run([heaptap, "run", "-o", out, "--rate", "1", "--", "ls", "/"])
    test.need(done.returncode == 0 and not done.errors, "run: %d %s", done.returncode, done.errors)
    test.need(len(test.files(out, "exit")) == 1, "run leaves %s", os.listdir(out))
    done = test.run([heaptap, "doctor", "--json", "ls"])
    test.need(re.search(r'"seen": "%s/lib[^"]*/libheaptap.so; a trial run here wrote a profile"' % re.escape(prefix), done.output),
              "doctor: %s", done.output)
    shim = [path for path in tree(prefix) if path.endswith("/libheaptap.so")]
    test.need(len(shim) == 1, "libraries: %s", shim)
    plain = test.new_folder("plain")
    done = test.run(["ls", "/"], env=clean_environment(LD_LIBRARY_PATH=os.path.dirname(os.path.join(prefix, shim[0])),
                                                       LD_PRELOAD="libheaptap.so", HEAPTAP_OUT=plain, HEAPTAP_RATE="1"))
    test.need(not done.errors and len(test.files(plain, "exit")) == 1, "the plain name: %s %s", done.errors, os.listdir(plain))


def test_consumers(test, prefix, version):
    heaptap, folder = prefix + "/bin/heaptap", test.new_folder("consumers")
    env = clean_environment(PKG_CONFIG_PATH=prefix + "/share/pkgconfig")

    def ask(*arguments):
        done = test.run([PKG_CONFIG, *arguments, "heaptap"], env=env)
        test.need(done.returncode == 0, "pkg-config %s: %s", arguments, done.errors)
        return done.output.strip()
    test.need(ask("--modversion") == version, "pkg-config's version: %s", ask("--modversion"))
    test.need(ask("--libs") == "", "something is to be linked: %s", ask("--libs"))
    test.need(os.path.exists(ask("--variable=preload")), "no library at %s", ask("--variable=preload"))
    program = folder + "/with_pkg_config"
    done = test.run([CC, "-Wall", "-Wextra", "-Werror", "-O1", *ask("--cflags").split(), HOST, "-o", program])
    test.need(done.returncode == 0, "cc with pkg-config: %s", done.errors)
    for name, text in (("CMakeLists.txt", PROJECT % version), ("consumer.c", CONSUMER), ("consumer.cpp", CONSUMER)):
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)
    done = test.run([CMAKE, "-S", folder, "-B", folder + "/build", "-DCMAKE_PREFIX_PATH=" + prefix], timeout=100)
    test.need(done.returncode == 0 and "heaptap_VERSION=" + version in done.output, "find_package: %s",
              (done.output + done.errors)[-800:])
    done = test.run([CMAKE, "--build", folder + "/build"], timeout=100)
    test.need(done.returncode == 0, "building with find_package: %s", (done.output + done.errors)[-800:])
    out = test.new_folder("manual")
    for language in ("c", "cpp"):
        consumer = [folder + "/build/consumer_" + language]
        test.need(test.run(consumer).output == "0 -10000\n", "%s, bare: %s", language, test.run(consumer).output)
        done = test.run([heaptap, "run", "-o", out, "--rate", "1", "--", *consumer])
        test.need(done.output == "1 0\n" and not done.errors, "%s, profiled: %s %s", language, done.output, done.errors)
    test.need(len(test.files(out, "manual")) == 2, "manual snapshots: %s", os.listdir(out))
    done = test.run([program])
    test.need(done.output.split()[:2] == ["0", "-10000"], "with pkg-config, bare: %s", done.output)


def test_files(test, root):
    """Everything is there, below DESTDIR and the prefix alone."""
    files = tree(root)
    test.need(all(path.startswith("usr/") for path in files), "outside of the prefix: %s",
              [path for path in files if not path.startswith("usr/")])
    commands = [words[0] for words in re.findall(r"^  ([a-z]+) +\S", test.run([root + "/usr/bin/heaptap", "--help"]).output, re.M)
                for words in [words.split()] if words[0] not in ("heaptap", "kill")]
    test.need(len(commands) > 10, "commands: %s", commands)
    for name in ["man/man1/heaptap.1", "man/man7/heaptap.7", "bash-completion/completions/heaptap", "zsh/site-functions/_heaptap",
                 "pkgconfig/heaptap.pc", "cmake/heaptap/heaptap-config.cmake", "doc/heaptap/README.md", "doc/heaptap/LICENSE"]:
        test.need("usr/share/" + name in files, "%s is missing", name)
    for command in commands:
        test.need("usr/share/man/man1/heaptap-%s.1" % command in files, "heaptap-%s(1) is missing", command)
    test.need("usr/include/heaptap/heaptap.h" in files, "heaptap.h is missing")
    shim = [path for path in files if path.endswith("/libheaptap.so")][0]
    for name in ("cxx", "jemalloc", "tcmalloc", "mimalloc"):
        test.need(shim.replace(".so", "-%s.so" % name) in files, "libheaptap-%s.so is not beside the shim", name)
    for path in files:
        with open(os.path.join(root, path), "rb") as file:
            content = file.read()
        text = not content.startswith(b"\x7fELF")
        test.need(not text or BUILD.encode() not in content and root.encode() not in content, "%s names a folder of the build",
                  path)


if not os.path.exists(BUILD + "/docs/made"):
    sys.exit("FAILED: %s/docs is not built" % BUILD)
with Test("installing") as test:
    first, second = test.path("first"), test.path("moved", "away")
    install(test, first)
    os.makedirs(os.path.dirname(second))
    os.rename(first, second)
    version = test.run([second + "/bin/heaptap", "--version"]).output.split()[-1]
    test.need(re.fullmatch(r"\d+\.\d+\.\d+", version), "version: %s", version)
    test_run(test, second)
    test_consumers(test, second, version)
    install(test, "/usr", DESTDIR=test.path("stage"))
    test_files(test, test.path("stage"))

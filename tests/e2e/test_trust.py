#!/usr/bin/python3 -B
# Root's heaptap over what others wrote: it shows nothing that the owner could not read himself, goes nowhere with more than
# his rights, and where rights cannot be given up it says so. Needs root, who has them.
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import COMMAND, Test, clean_environment  # noqa: E402

USER = 54321
SOURCE = """
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
__attribute__((noinline)) void *%(name)s(int size)
{
    void *volatile block = malloc((size_t)size);
    return block;
}
int main(int argc, char **argv)
{
    for (int i = 0; i < 200; i++)
        %(name)s(100000);
    puts("ready");
    fflush(stdout);
    if (argc > 1)
        sleep(600);
    return (int)(argv[0] == NULL);
}
"""


def as_user(command):
    return ["setpriv", "--reuid=%d" % USER, "--regid=%d" % USER, "--clear-groups"] + command


def without(capabilities, command):
    """Root as a container has him."""
    dropped = ",".join("-" + name for name in capabilities)
    return ["setpriv", "--bounding-set", dropped, "--inh-caps", dropped] + command


def build(test, path, name, *flags):
    with open(path + ".c", "w") as file:
        file.write(SOURCE % {"name": name})
    subprocess.run(["gcc", "-O1", "-g", "-fno-builtin-malloc", path + ".c", "-o", path, *flags], check=True)


def environment(test, **more):
    return clean_environment(XDG_CACHE_HOME=test.path("cache"), HOME=test.folder, **more)


def run_as_user(test, command, out):
    """A profile that the user wrote, of a program that he ran."""
    os.makedirs(out)
    os.chown(out, USER, USER)
    test.need(test.run(as_user(command), test.shim(out, rate=4096)).returncode == 0, "%s failed", command)
    return test.files(out, "exit")[0]


def start_as_user(test, binary, out):
    os.makedirs(out, exist_ok=True)
    os.chown(out, USER, USER)
    log = test.path("log.%d" % len(os.listdir(test.folder)))
    with open(log, "w") as file:
        process = test.start(as_user([binary, "wait"]), test.shim(out, rate=4096), stdout=file)
    test.wait_for(lambda: "ready" in open(log).read(), "the host did not start")
    return process


def only_what_the_owner_may_read(test):
    """Names and source lines of a binary that the profile's owner cannot read are not root's to show him."""
    secret = test.new_folder("secret")
    build(test, secret + "/prog", "root_only_name")
    os.chmod(secret, 0o700)
    open_binary = test.path("prog")
    shutil.copy(secret + "/prog", open_binary)
    os.chmod(open_binary, 0o755)
    profile = run_as_user(test, [open_binary], test.path("out.secret"))
    shown = test.run([COMMAND, "top", "--no-cache", profile], environment(test))
    test.need("root_only_name" in shown.output, "no names at all: %s", shown.output + shown.errors)
    # The same profile, whose binary is now only in root's folder.
    os.rename(open_binary, secret + "/moved")
    os.symlink(secret + "/moved", open_binary)
    shown = test.run([COMMAND, "top", "--no-cache", profile], environment(test))
    test.need("root_only_name" not in shown.output, "a name that the owner cannot read: %s", shown.output)
    test.need("no names for prog" in shown.errors, "nothing is said: %s", shown.errors)
    os.chown(profile, 0, 0)
    shown = test.run([COMMAND, "top", "--no-cache", profile], environment(test))
    test.need("root_only_name" in shown.output, "root's own profile has no names: %s", shown.errors)
    os.chown(profile, USER, USER)
    os.unlink(open_binary)
    shutil.copy(secret + "/prog", open_binary)
    os.chmod(open_binary, 0o755)
    listed = test.run([COMMAND, "list", "root_only_name", "--no-cache", profile], environment(test))
    test.need("void *volatile block" not in listed.output, "a source line that the owner cannot read:\n%s", listed.output)
    os.chmod(secret, 0o755)
    listed = test.run([COMMAND, "list", "root_only_name", "--no-cache", profile], environment(test))
    test.need("void *volatile block" in listed.output, "no source line:\n%s", listed.output + listed.errors)


def names_stay_with_their_user(test):
    """What was read of a user's file is no name for anybody else's."""
    genuine, his = test.path("genuine"), test.path("his")
    build(test, genuine, "genuine_name_")
    with open(genuine, "rb") as file:
        data = file.read()
    with open(his, "wb") as file:
        file.write(data.replace(b"genuine_name_", b"innocent_code"))
    os.chmod(his, 0o755)
    os.chown(his, USER, USER)
    mine = test.new_folder("out.genuine")
    test.run([genuine], test.shim(mine, rate=4096))
    first = run_as_user(test, [his], test.path("out.his"))
    second = test.files(mine, "exit")[0]
    for title, profile, name in (("his", first, "innocent_code"), ("mine", second, "genuine_name_"), ("his again", first, "innocent_code"),
                                 ("mine again", second, "genuine_name_")):
        shown = test.run([COMMAND, "top", profile], environment(test)).output
        test.need(name in shown and ("innocent" if name[0] == "g" else "genuine") not in shown, "%s: %s", title, shown)


def rights_that_stay(test):
    """Root without the rights to give up rights writes nothing for a user, changes nothing of his, and reads no file that he names."""
    binary, out = test.path("kept"), test.path("out.kept")
    build(test, binary, "kept_name")
    os.chmod(binary, 0o755)
    process = start_as_user(test, binary, out)
    pid = str(process.pid)
    for capability in ("setuid", "setgid"):
        plain = environment(test)
        snap = test.run(without([capability], [COMMAND, "snap", pid]), plain)
        test.need(snap.returncode == 1 and "-o DIR" in snap.errors and "user %d" % USER in snap.errors and not test.files(out),
                  "%s: snap: %s %s", capability, snap.returncode, snap.errors)
        elsewhere = test.new_folder("else." + capability)
        snap = test.run(without([capability], [COMMAND, "snap", "-o", elsewhere, pid]), plain)
        test.need(snap.returncode == 0 and len(test.files(elsewhere)) == 1, "%s: snap -o: %s", capability, snap.errors)
        rate = test.run(without([capability], [COMMAND, "rate", pid, "1M"]), plain)
        test.need(rate.returncode == 1 and "user %d" % USER in rate.errors, "%s: rate: %s %s", capability, rate.returncode, rate.errors)
        top = test.run(without([capability], [COMMAND, "top", "--no-cache", pid]), plain)
        test.need(top.returncode == 0 and "kept_name" not in top.output and "no names: cannot take the rights" in top.errors,
                  "%s: top: %s %s", capability, top.output, top.errors)
    snap = test.run([COMMAND, "snap", pid], environment(test))
    files = test.files(out)
    test.need(snap.returncode == 0 and len(files) == 1 and os.stat(files[0]).st_uid == USER, "snap: %s", snap.errors)
    test.need("kept_name" in test.run([COMMAND, "top", "--no-cache", pid], environment(test)).output, "no names")
    # Root without CAP_SYS_PTRACE sees less of a process, and does no harm for it.
    top = test.run(without(["sys_ptrace"], [COMMAND, "top", "--no-cache", pid]), environment(test))
    test.need(top.returncode in (0, 1), "sys_ptrace: %s %s", top.returncode, top.errors)
    process.terminate()


def no_link_leads_out(test):
    """A tree whose program is a link to a file outside of it: below --root the link leads nowhere."""
    outside, tree = test.path("outside"), test.new_folder("tree")
    build(test, outside, "outside_name")
    os.chmod(outside, 0o755)
    profile = run_as_user(test, [outside], test.path("out.outside"))
    link = tree + outside
    os.makedirs(os.path.dirname(link))
    for target in (outside, "../" * 20 + outside[1:], "/proc/self/root" + outside):
        os.symlink(target, link)
        done = test.run([COMMAND, "symbolize", "--no-cache", "--root", tree, "-o", test.path("named.pb.gz"), profile], environment(test))
        shown = test.run([COMMAND, "top", "--symbolize=none", test.path("named.pb.gz")], environment(test))
        test.need(done.returncode == 0 and "outside_name" not in shown.output, "%s: %s", target, shown.output)
        os.unlink(link)
    shutil.copy(outside, link)
    test.run([COMMAND, "symbolize", "--no-cache", "--root", tree, "-o", test.path("named.pb.gz"), profile], environment(test))
    shown = test.run([COMMAND, "top", "--symbolize=none", test.path("named.pb.gz")], environment(test))
    test.need("outside_name" in shown.output, "the tree's own file: %s", shown.output)


def no_reader_is_left(test):
    """A reader ends with its command, however that ends."""
    binary = test.path("kept")
    profile = run_as_user(test, [binary], test.path("out.left"))
    for _ in range(5):
        command = test.start([COMMAND, "top", "--no-cache", profile], environment(test), stdout=subprocess.DEVNULL)
        time.sleep(0.01)
        command.kill()
        command.wait()
    test.wait_for(lambda: subprocess.run(["pgrep", "-f", "^heaptap-reader %d" % USER], stdout=subprocess.PIPE).returncode == 1,
                  "readers are left")


with Test("trust") as test:
    if os.geteuid() != 0:
        print("trust: needs root")
        sys.exit(77)
    os.chmod(test.folder, 0o755)
    only_what_the_owner_may_read(test)
    names_stay_with_their_user(test)
    rights_that_stay(test)
    no_link_leads_out(test)
    no_reader_is_left(test)

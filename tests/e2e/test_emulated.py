#!/usr/bin/python3 -B
"""Under qemu-user, which answers MADV_WIPEONFORK with 0 and does nothing: copied processes keep out of their parent's profile."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, Test, clean_environment, need_program  # noqa: E402

emulator, = need_program("qemu-%s" % os.uname().machine)
with Test("emulated") as test:
    # The emulator itself runs without the shim; it makes a copy of each process, so those that share memory are left out.
    program = [BUILD + "/programs/raw_clone", "copies"]
    bare = test.run([emulator] + program, clean_environment())
    test.need(bare.output == "ok\n", "bare: %r, %s", bare.output, bare.errors)
    out = test.new_folder("out")
    env = test.shim(out, rate=1)
    inside = [word for key in list(env) if key.startswith(("HEAPTAP_", "LD_PRELOAD")) for word in ("-E", key + "=" + env.pop(key))]
    test.same("raw_clone", bare, test.run([emulator] + inside + program, env))
    shown = [profile.totals()[0] for profile in test.exit_profiles(out)]
    # One use of the heap, 15 blocks for the children, and what puts takes; each child would add 300.
    test.need(len(shown) == 1 and 160 <= shown[0] <= 175, "objects allocated: %s", shown)

#!/usr/bin/python3 -B
# bash, make, tar, xz, gzip, sort, sed, awk, find, grep, diff and what a build's scripts are made of: equal output and files.
import os
import random
import re
import signal

from suite import LONG, Suite, need_program

need_program("bash", "make", "tar", "xz", "gzip", "bzip2", "awk", "sed", "find", "diff", "patch")
FILES = 600 if LONG else 120
STEPS = {
    "tar": "tar --sort=name --mtime=@0 --owner=0 --group=0 -cf a.tar files && tar -tvf a.tar | sha256sum && mkdir t && tar -C t -xpf a.tar && diff -r files t/files && tar --diff -f a.tar -C t; echo $?",
    "tar and compressors": "for z in gzip bzip2 'xz -T2 --block-size=100000' ; do tar --mtime=@0 -I \"$z\" -cf a.tz a.tar && tar -I \"${z%% *}\" -tf a.tz; done; tar -czf - files --sort=name --mtime=@0 | tar -tzf - | wc -l",
    "xz": "xz -k -T2 --block-size=50000 -c a.tar > a.tar.xz && xz -t a.tar.xz && xz -dc -T2 a.tar.xz | cmp - a.tar && xz --robot -l a.tar.xz | cut -f1-5; xz -9e -c a.tar | sha256sum; head -c 5000 a.tar.xz | xz -dc 2>&1 | tail -c 60 | strings",
    "gzip": "gzip -n9c a.tar | tee a.tar.gz | sha256sum; gzip -dc a.tar.gz | cmp - a.tar; zgrep -c line a.tar.gz; bzip2 -kc a.tar | bunzip2 | cmp - a.tar; echo broken | gzip -d; echo $?",
    "sort": "cat files/*/* > all.txt; sort --parallel=2 -S 200K -T . all.txt | sha256sum; sort -u -k2,2n -k1 all.txt | uniq -c | sort -rn | head -5; shuf --random-source=a.tar all.txt | sha256sum; sort -m <(sort files/d0/f0) <(sort files/d1/f1) | wc -l; comm -12 <(sort -u files/d0/f0) <(sort -u files/d1/f1) | wc -l; join <(seq 100 | sort) <(seq 50 200 | sort) | wc -l",
    "text": "awk '{ n[$1 % 100] += NF; s = s substr($0, 1, 1) } END { for (i in n) t += n[i]; print t, length(s), sprintf(\"%.3f\", sin(1)) }' all.txt; sed -E 's/([0-9])([0-9])/\\2\\1/g; $!N; P; D' all.txt | sha256sum; tr a-z A-Z < all.txt | cut -c3-9 | paste - - - | fold -w 20 | nl | tac | rev | expand | md5sum; grep -nE '(1|3)+.*7' all.txt | wc -l; grep -P '^(\\d)(?=.*\\1$)' all.txt | wc -l; grep -rl 'line 3' files | sort | head -3; od -c a.tar | head -5; split -l 500 all.txt part. && cat part.* | cmp - all.txt; csplit -s -f c. all.txt 100 200 && ls c.*; numfmt --to=iec 123456789; factor 1234567890123; seq -s, 1 3 20; fmt -w 40 files/d0/f0 | head -3; pr -t -2 files/d0/f0 | head -2",
    "find": "find files -type f -size +1k -printf '%p %s\\n' | sort | sha256sum; find files -name 'f*' -print0 | xargs -0 -n 7 -P 3 wc -c | awk '$2 != \"total\" { s += $1 } END { print s }'; find files -type d -exec sh -c 'ls \"$1\" | wc -l' _ {} \\; | sort -n | uniq -c; cp -a files copy && diff -r files copy && du -s --apparent-size copy | cut -f2; mv copy moved; chmod -R go-w moved; rm -rf moved; ln -s files link; readlink -f link | sed 's:.*/::'; stat -c '%A %s' all.txt; install -m 640 -D all.txt deep/er/x; touch -d @0 all.txt; dd if=a.tar of=b.tar bs=1000 skip=3 status=none; cmp -s a.tar b.tar; echo $?; truncate -s 100000 b.tar; sync b.tar",
    "diff": "sed 's/3/three/' all.txt > other.txt; diff -u all.txt other.txt --label a --label b > p; echo $?; cp all.txt q; patch -s q p; cmp q other.txt; diff3 -m all.txt q other.txt | wc -l; sdiff -s files/d0/f0 files/d1/f1 | wc -l; echo rubbish | patch -s q; echo $?",
    "bash": r"""declare -A map; for ((i = 0; i < 3000; i++)); do map[k$((i % 97))]+=$i,; done; echo ${#map[@]} ${#map[k5]}; f() { local n=$1; ((n < 2)) && { echo $n; return; }; echo $(( $(f $((n - 1))) + $(f $((n - 2))) )); }; f 7; mapfile -t lines < all.txt; echo ${#lines[@]} "${lines[7]//[0-9]/x}"; [[ abc123 =~ ([a-z]+)([0-9]+) ]] && echo ${BASH_REMATCH[2]}; printf '%q %5.2f %(%Y)T\n' 'a b' 3.14159 0; cat <<< "here $((6 * 7))"; coproc tr a-z A-Z; echo hello >&${COPROC[1]}; eval "exec ${COPROC[1]}>&-"; cat <&${COPROC[0]}; wait; (exit 5) | (exit 6); echo ${PIPESTATUS[@]}; trap 'echo trapped' USR1; kill -USR1 $$; trap 'echo leaving' EXIT; select x in a b; do echo $x; break; done <<< 1; for i in 1 2 3 4; do (sleep 0.1; exit $i) & done; for p in $(jobs -p); do wait $p; echo $?; done; echo {a..c}{1..3} ~root $'\x41'; set -o pipefail; false | true; echo $?; diff <(echo 1) <(echo 2); ls -l /proc/self/fd | awk 'NR > 1 { print $9 }' | tr '\n' ' '; timeout 0.2 sleep 5; echo $?; nohup true; setsid true; echo $?; env -i /bin/sh -c 'echo $PATH | head -c 5'; echo; exec 9> nine; echo text >&9; exec 9>&-; cat nine; ulimit -n 50; ulimit -n; nice -n 5 nice; kill -l USR2; bash -c 'kill -9 $$'; echo $?; time_is=$(date -u -d @0 +%F); echo $time_is; unknown_command_here; echo $?""",
    "make": "make -s -j3 -f rules; echo $?; make -s -j3 -f rules; make -f rules -n again | wc -l; make -s -k -f rules wrong; echo $?; make -f rules -pn 2>/dev/null | grep -c '^step'; make -s -f rules recursive",
}
RULES = """
N := $(shell seq 1 25)
all: $(N:%=step%)
step%: all.txt ; @sed -n '$*,+20p' $< | sha256sum > $@
again: ; touch all.txt
wrong: bad1 bad2 good
bad%: ; @exit $*
good: ; @echo good
recursive: ; @+$(MAKE) -s -f rules LEVEL=$(LEVEL)x $(if $(filter xxx,$(LEVEL)),good,recursive)
"""


def work(side):
    chooser = random.Random(7)
    for i in range(FILES):
        folder = side.work + "/files/d%d" % (i % 9)
        os.makedirs(folder, exist_ok=True)
        with open(folder + "/f%d" % i, "w") as file:
            file.write("".join("%d line %d of %s\n" % (chooser.randrange(1000), n, chooser.choice("abcdef")) for n in range(chooser.randrange(200))))
    with open(side.work + "/rules", "w") as file:
        file.write(RULES)
    for title, script in STEPS.items():
        side.shell("set -o noclobber; set +o noclobber; " + script, title=title, normalise=lambda text: re.sub(r" +\d+ Killed", " N Killed", text), env={"LC_ALL": "C", "TZ": "UTC", "HOME": side.work})


# These scripts fork and exec all the time; see SETTLED_SECONDS.
with Suite("tools", signal.SIGURG) as suite:
    suite.both(work, ignore=lambda path: path == "nohup.out")

// The one table of the environment variables: what the shim reads, `man 7 heaptap` explains and README.md
// lists.
#ifndef HT_SYS_VARIABLES_H
#define HT_SYS_VARIABLES_H

// X(variable, setter, default, meaning, complaint)
// setter: the function ht_set_<setter> of trigger/config.c. default, meaning: for people, the columns of the
// table in README.md. complaint: what a wrong value "is not", and what is used instead.
#define HT_VARIABLES(X)                                                                                                  \
    X("HEAPTAP_OUT", out, "the directory the program started in",                                                        \
      "where profiles go; created if missing (0700; by root 1733, so that workers of other users can write there, too)", \
      "a directory; using the one the program started in")                                                               \
    X("HEAPTAP_RATE", rate, "512K",                                                                                      \
      "mean bytes between samples; 1 = every allocation, exactly; 0 = forward only",                                     \
      "a size such as 512K, 1 or 0; using 512K")                                                                         \
    X("HEAPTAP_ACTIVE", active, "1", "0 = loaded but dormant until `heaptap start PID`", "0 or 1; using 1")              \
    X("HEAPTAP_SIGNAL", signal, "USR2", "snapshot signal by name or number; none = leave signals alone",                 \
      "a signal's name or number, or none; using USR2")                                                                  \
    X("HEAPTAP_INTERVAL", interval, "off", "a snapshot every so often",                                                  \
      "a time such as 30s, or off; using off")                                                                           \
    X("HEAPTAP_GROWTH", growth, "off",                                                                                   \
      "a snapshot each time the live heap has grown by so much since the last",                                          \
      "a size such as 64M, or off; using off")                                                                           \
    X("HEAPTAP_EXIT", exit, "1", "a last snapshot at exit", "0 or 1; using 1")                                           \
    X("HEAPTAP_KEEP", keep, "0 (all)", "keep the first and the newest N snapshots of a process",                         \
      "a number of snapshots, 0 for all; using 0")                                                                       \
    X("HEAPTAP_ONLY", only, "all", "glob on the executable's base name: other programs are only forwarded",              \
      "a pattern for a program's base name; using all")                                                                  \
    X("HEAPTAP_ARGV", argv, "1", "0 = regions and profiles do not name the program's arguments",                         \
      "0 or 1; using 1")                                                                                                 \
    X("HEAPTAP_LIVE", live, "on", "the live region: on (/dev/shm), off, or a directory on a tmpfs",                      \
      "on, off or a directory on a tmpfs; using on")                                                                     \
    X("HEAPTAP_MEMORY", memory, "64M; 1G at rate 1, at most 1/8 of the memory limit",                                    \
      "hard limit of everything of ours", "a size from 1M to 32G; using the default")                                    \
    X("HEAPTAP_UNWIND", unwind, "auto", "auto, cfi, fp, libunwind",                                                      \
      "auto, cfi, fp or libunwind; using auto")                                                                          \
    X("HEAPTAP_LABELS", labels, "none",                                                                                  \
      "thread = the thread's name as a label; user = labels set through heaptap.h (no call for that yet)",               \
      "none, thread or user; using none")                                                                                \
    X("HEAPTAP_SEED", seed, "random", "fixes the distribution for tests",                                                \
      "a number from 1, or random; using random")                                                                        \
    X("HEAPTAP_RUN", run, "none",                                                                                        \
      "set by `heaptap run` alone: by it, it knows the processes of its program when they are killed",                   \
      "what heaptap run sets it to; using 0")

// Read before the others, so that those can complain: X(variable, default, meaning, complaint).
#define HT_LOG_VARIABLES(X)                                                                                  \
    X("HEAPTAP_LOG", "stderr", "stderr, none or a file; errors only, unless HEAPTAP_VERBOSE=1",              \
      "stderr, none or a file; using stderr")                                                                \
    X("HEAPTAP_VERBOSE", "0", "1 = also say what is going well", "0 or 1; using 0")

#endif

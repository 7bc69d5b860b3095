// The table of language runtimes. What each setting does was tried, or is in the runtime's own documentation.
#include "base/runtime.h"

#include "base/text.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stddef.h>
#include <string.h>

static const struct ht_runtime runtimes[] = {
    {
        .name = "PHP",
        .programs = {"php", "php[0-9]*", "php-[cf]*"},
        .libraries = {"libphp"},
        .symbols = {"_emalloc"},
        .unseen = "what scripts hold lies in chunks of PHP's own and is not malloc's",
        .advice = "set USE_ZEND_ALLOC=0 to see all of it",
        .variable = "USE_ZEND_ALLOC",
        .value = "0",
        .frames = "PHP",
    },
    {
        .name = "Erlang",
        .programs = {"beam", "beam.*"},
        .symbols = {"enif_alloc"},
        .unseen = "processes and binaries lie in carriers of its own allocators and are not malloc's",
        .advice = "set ERL_FLAGS='+Mea min' to see all of it: its allocators then call malloc",
        .variable = "ERL_FLAGS",
        .value = "Mea min",
        .frames = "Erlang",
        .frames_advice = "ERL_FLAGS='+JPperf true' names them (OTP 25 and later)",
        .names_variable = "ERL_FLAGS",
        .names_word = "JPperf",
    },
    {
        .name = "Java",
        .programs = {"java"},
        .libraries = {"libjvm.so", "libjli.so"},
        .unseen =
            "Java objects lie in a heap of the JVM's own and are not malloc's; what native code and the JVM "
            "itself allocate is",
        .advice = "use async-profiler or JFR for Java objects",
        .frames = "Java",
        .interpreter = "JavaCalls::call_helper",
        .frames_advice =
            "-XX:+PreserveFramePointer keeps stacks whole, and 'jcmd PID Compiler.perfmap' (JDK 17 "
            "and later) names compiled methods",
        .names_variable = "JAVA_TOOL_OPTIONS",
        .names_word = "PreserveFramePointer",
    },
    {
        .name = ".NET",
        .programs = {"dotnet"},
        .libraries = {"libcoreclr.so"},
        .symbols = {"corehost_main"},
        .unseen = "managed objects lie in a heap of the runtime's own and are not malloc's; native memory is",
        .advice = "use dotnet-gcdump or dotnet-trace for managed objects",
        .frames = ".NET",
        .frames_advice = "DOTNET_PerfMapEnabled=1 names them",
        .names_variable = "DOTNET_PerfMapEnabled",
        .names_word = "1",
    },
    {
        .name = "Node",
        .programs = {"node", "nodejs"},
        .libraries = {"libnode.so"},
        .symbols = {"node_module_register"},
        .unseen =
            "JavaScript objects lie in V8's own heap and are not malloc's; native memory and buffers are",
        .advice = "use node --heapsnapshot-signal or --inspect for JavaScript objects",
        .frames = "JavaScript",
        .interpreter = "Builtins_InterpreterEntryTrampoline",
        .frames_advice =
            "node --perf-basic-prof --interpreted-frames-native-stack (also in NODE_OPTIONS) names them",
        .names_variable = "NODE_OPTIONS",
        .names_word = "perf-basic-prof",
    },
    {
        .name = "Ruby",
        .programs = {"ruby", "ruby[0-9]*"},
        .libraries = {"libruby"},
        .symbols = {"ruby_run_node"},
        .unseen =
            "small objects lie in pages of Ruby's own and are not malloc's; longer strings and arrays are",
        .advice = "use ObjectSpace.trace_object_allocations for Ruby's objects",
        .frames = "Ruby",
    },
    {
        .name = "Python",
        .programs = {"python", "python[23]*"},
        .libraries = {"libpython"},
        .symbols = {"Py_BytesMain", "Py_RunMain"},
        .unseen = "objects of up to 512 bytes lie in Python's own arenas and are not malloc's",
        .advice = "set PYTHONMALLOC=malloc to see every object",
        .variable = "PYTHONMALLOC",
        .value = "malloc",
        .frames = "Python",
        .interpreter = "_PyEval_EvalFrameDefault",
        .frames_advice =
            "PYTHONPERFSUPPORT=1 names them (Python 3.12 and later); tracemalloc knows their lines",
        .names_variable = "PYTHONPERFSUPPORT",
        .names_word = "1",
    },
    {
        .name = "LuaJIT",
        .libraries = {"libluajit"},
        .symbols = {"luaJIT_setmode"},
        .unseen = "what Lua holds lies in memory of LuaJIT's own and is not malloc's",
        .advice = "use collectgarbage('count') for Lua's memory",
        .frames = "Lua",
    },
    {
        .name = "Boehm's collector",
        .libraries = {"libgc.so"},
        .symbols = {"GC_malloc"},
        .unseen = "what it gives out (GC_malloc) lies in blocks of its own and is not malloc's",
        .advice = "set GC_PRINT_STATS=1 for the size of its heap",
    },
};

const struct ht_runtime *ht_runtime_at(unsigned number)
{
    return number < sizeof runtimes / sizeof runtimes[0] ? &runtimes[number] : NULL;
}

const struct ht_runtime *ht_runtime_of(const char *name)
{
    for (size_t i = 0; i < sizeof runtimes / sizeof runtimes[0]; i++) {
        const struct ht_runtime *runtime = &runtimes[i];
        for (size_t j = 0; j < 3 && runtime->programs[j] != NULL; j++)
            if (fnmatch(runtime->programs[j], name, 0) == 0)
                return runtime;
        for (size_t j = 0; j < 2 && runtime->libraries[j] != NULL; j++)
            if (ht_text_starts_with(name, runtime->libraries[j]))
                return runtime;
    }
    return NULL;
}

bool ht_runtime_says(const char *text, const char *word)
{
    for (const char *at = text; at != NULL && (at = strstr(at, word)) != NULL; at++)
        if (at == text || !isalnum((unsigned char)at[-1]))
            return true;
    return false;
}

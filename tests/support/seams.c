// What happens at the seams of src in a test.
#include "seams.h"

#include "sys/seam.h"

#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NAMES 64

struct plan {
    const char *wanted;
    void (*work)(void *arg);
    void *arg;
    unsigned left;
    struct {
        const char *name;
        unsigned times;
    } seen[NAMES];
};

static _Thread_local struct plan plan;
static _Thread_local const char *where;
static _Thread_local uint32_t noise;
static unsigned yield_one_in, below_zero;

void seams_plan(const char *name, unsigned nth, void (*work)(void *arg), void *arg)
{
    plan = (struct plan){.wanted = name, .work = work, .arg = arg, .left = nth};
}

bool seams_end(void)
{
    bool ran = plan.work == NULL;
    plan.work = NULL;
    return ran;
}

const char *seams_where(void)
{
    return where;
}

void seams_yield(unsigned one_in)
{
    __atomic_store_n(&yield_one_in, one_in, __ATOMIC_RELAXED);
}

unsigned seams_below_zero(void)
{
    return __atomic_load_n(&below_zero, __ATOMIC_RELAXED);
}

static bool is_repeated(const char *name)
{
    unsigned i = 0;
    while (i < NAMES - 1 && plan.seen[i].name != NULL && strcmp(plan.seen[i].name, name) != 0)
        i++;
    plan.seen[i].name = name;
    return plan.seen[i].times++ >= SEAM_REPEATS;
}

void ht_seam(const char *name)
{
    if (strcmp(name, "filter_below_zero") == 0)
        __atomic_fetch_add(&below_zero, 1, __ATOMIC_RELAXED);
    if (plan.work != NULL && (plan.wanted == NULL || strcmp(plan.wanted, name) == 0) && !is_repeated(name) &&
        plan.left-- == 0) {
        void (*work)(void *arg) = plan.work;
        plan.work = NULL;
        where = name;
        work(plan.arg);
    }
    unsigned one_in = __atomic_load_n(&yield_one_in, __ATOMIC_RELAXED);
    if (one_in == 0)
        return;
    if (noise == 0)
        noise = (uint32_t)(uintptr_t)&noise * 2654435761u | 1;
    noise ^= noise << 13;
    noise ^= noise >> 17;
    noise ^= noise << 5;
    if (noise % one_in == 0)
        sched_yield();
}

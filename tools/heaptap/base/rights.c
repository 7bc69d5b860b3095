// Changes of identity, each of which is looked at afterwards.
#include "base/rights.h"

#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOBODY ((uid_t)-1) // never an id: setfsuid() of it only tells the present one

bool ht_owner_is_other(struct ht_owner owner)
{
    return geteuid() == 0 && owner.uid != 0;
}

// setfsuid() and setfsgid() say nothing of failure.
static bool set_file_ids(uid_t uid, gid_t gid)
{
    setfsgid(gid); // first: it may need the rights that the other takes away
    setfsuid(uid);
    return (uid_t)setfsuid(NOBODY) == uid && (gid_t)setfsgid((gid_t)NOBODY) == gid;
}

int ht_rights_take(struct ht_owner owner, struct ht_rights *ret_saved)
{
    *ret_saved = (struct ht_rights){.uid = geteuid(), .gid = getegid()};
    if (!ht_owner_is_other(owner))
        return 0;
    int count = getgroups(0, NULL);
    ret_saved->groups = ht_realloc_array(NULL, count > 0 ? (size_t)count : 1, sizeof(gid_t));
    ret_saved->group_count = count > 0 ? getgroups(count, ret_saved->groups) : 0;
    if (ret_saved->group_count >= 0 && setgroups(0, NULL) == 0) {
        ret_saved->is_changed = true;
        if (set_file_ids(owner.uid, owner.gid))
            return 0;
    }
    ht_rights_return(ret_saved);
    return ht_fail("cannot take the rights of user %u (CAP_SETUID and CAP_SETGID are needed)",
                   (unsigned)owner.uid);
}

void ht_rights_return(struct ht_rights *saved)
{
    int error = errno;
    if (saved->is_changed &&
        (!set_file_ids(saved->uid, saved->gid) || setgroups((size_t)saved->group_count, saved->groups) != 0))
        ht_die("cannot return to user %u", (unsigned)saved->uid); // never go on with the wrong rights
    free(saved->groups);
    *saved = (struct ht_rights){0};
    errno = error;
}

int ht_rights_give_up(struct ht_owner owner)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
    if (ht_owner_is_other(owner) &&
        (setgroups(0, NULL) != 0 || setresgid(owner.gid, owner.gid, owner.gid) != 0 ||
         setresuid(owner.uid, owner.uid, owner.uid) != 0))
        return ht_fail("cannot take the rights of user %u (CAP_SETUID and CAP_SETGID are needed)",
                       (unsigned)owner.uid);
    return syscall(SYS_capset, &head, none) == 0 ? 0 : ht_fail_errno("cannot give up capabilities");
}

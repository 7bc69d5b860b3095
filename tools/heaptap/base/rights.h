// Whose bytes something is, and work that is done with no more than that user's rights.
#ifndef HT_BASE_RIGHTS_H
#define HT_BASE_RIGHTS_H

#include <stdbool.h>
#include <sys/types.h>

// Who could have written what is read: of a process its user, of a file its owner. All 0 is root, and stands
// for whoever runs the command, too: nobody but root has rights to give up.
struct ht_owner {
    uid_t uid;
    gid_t gid;
};

// Context: tool, one thread. Functions that return int give 0, or -1 with the reason in ht_error().

// Are the owner's rights fewer than those of this command?
bool ht_owner_is_other(struct ht_owner owner);

// What was given up.
struct ht_rights {
    bool is_changed;
    uid_t uid;
    gid_t gid;
    gid_t *groups;
    int group_count;
};

// Root looks at files, and makes them, as the owner would: file system ids, no supplementary groups. It keeps
// what it needs to look at processes (CAP_SYS_PTRACE, CAP_CHECKPOINT_RESTORE). Fails, with nothing changed,
// where rights cannot be given up (CAP_SETUID or CAP_SETGID is missing): what was to be done then must not be
// done. For an owner who is no other it does nothing.
int ht_rights_take(struct ht_owner owner, struct ht_rights *ret_saved);

// Takes them back, ends the command if that fails. errno stays.
void ht_rights_return(struct ht_rights *saved);

// The same for good and for all ids, without any capability: for a process that only reads what it is given.
int ht_rights_give_up(struct ht_owner owner);

#endif

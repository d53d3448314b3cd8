/* Makes the kernel answer as Linux 4.18, that of RHEL 8, does to all that libzcb could ask of it: for this process and
 * what it starts from here on. */
#ifndef ZCB_TEST_OLD_KERNEL_H
#define ZCB_TEST_OLD_KERNEL_H

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define UNLESS(relation, value, steps)                                                             \
    BPF_JUMP(BPF_JMP | (relation) | BPF_K, (unsigned)(value), 0, steps)
#define REFUSE(error) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)(error))
/* Refuses a call whose argument `argument` has at least that value. */
#define REFUSE_FROM(call, argument, value, error)                                                  \
    LOAD(nr), UNLESS(BPF_JEQ, call, 3), LOAD(args[argument]), UNLESS(BPF_JGE, value, 1),           \
        REFUSE(error)

static inline bool be_old_kernel(void)
{
    /* On all architectures the newer calls have the same numbers, from pidfd_send_signal (Linux 5.1) on. */
    struct sock_filter steps[] = {
        LOAD(nr),
        UNLESS(BPF_JGE, 424, 1),
        REFUSE(ENOSYS),
        REFUSE_FROM(SYS_waitid, 0, 3, EINVAL),       /* P_PIDFD: 5.4 */
        REFUSE_FROM(SYS_madvise, 2, 20, EINVAL),     /* MADV_POPULATE_WRITE: 5.14 */
        REFUSE_FROM(SYS_memfd_create, 1, 8, EINVAL), /* MFD_NOEXEC_SEAL: 6.3 */
        REFUSE_FROM(SYS_preadv2, 5, 1, EOPNOTSUPP),  /* RWF_NOWAIT of an eventfd: 5.8 */
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(steps) / sizeof(*steps), .filter = steps};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

#endif

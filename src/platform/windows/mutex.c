#include "windows.h"

#include <assert.h>

static_assert(sizeof(SRWLOCK) == sizeof(plat_mutex), "a plat_mutex is an SRWLOCK");

static PSRWLOCK lock_of(plat_mutex *mutex)
{
    return (PSRWLOCK)&mutex->srw;
}

void zcbi_plat_mutex_init(plat_mutex *mutex)
{
    InitializeSRWLock(lock_of(mutex));
}

void zcbi_plat_mutex_destroy(plat_mutex *mutex)
{
    (void)mutex;
}

void zcbi_plat_mutex_lock(plat_mutex *mutex)
{
    AcquireSRWLockExclusive(lock_of(mutex));
}

void zcbi_plat_mutex_unlock(plat_mutex *mutex)
{
    ReleaseSRWLockExclusive(lock_of(mutex));
}

#include "posix.h"

void zcbi_plat_mutex_init(plat_mutex *mutex)
{
    pthread_mutex_init(&mutex->mutex, NULL);
}

void zcbi_plat_mutex_destroy(plat_mutex *mutex)
{
    pthread_mutex_destroy(&mutex->mutex);
}

void zcbi_plat_mutex_lock(plat_mutex *mutex)
{
    pthread_mutex_lock(&mutex->mutex);
}

void zcbi_plat_mutex_unlock(plat_mutex *mutex)
{
    pthread_mutex_unlock(&mutex->mutex);
}

/* Runs a program as on Linux 4.18: old_kernel PROGRAM [ARGUMENT...] */
#include "old_kernel.h"

#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc < 2 || !be_old_kernel()) {
        perror("old_kernel PROGRAM [ARGUMENT...]");
        return 77; /* a container may forbid it */
    }
    execv(argv[1], argv + 1);
    perror(argv[1]);
    return 127;
}

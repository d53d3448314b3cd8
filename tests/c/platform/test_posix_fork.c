/* What POSIX systems add to the contract: the mark that tells a forked child. */
#include "support.h"

static void assert_child_says(bool (*yes)(const plat_fork_mark *), const plat_fork_mark *mark)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(yes(mark) ? 0 : 1);
    assert_child_says_yes(pid);
}

static bool grandchild_is_forked(const plat_fork_mark *mark)
{
    int status = 1;
    pid_t pid = fork();
    if (pid == 0)
        _exit(zcbi_plat_forked(mark) ? 0 : 1);
    return waitpid(pid, &status, 0) == pid && status == 0;
}

static bool own_mark_is_not_forked(const plat_fork_mark *mark)
{
    plat_fork_mark own;
    zcbi_plat_fork_mark_init(&own);
    bool right = !zcbi_plat_forked(&own) && zcbi_plat_forked(mark);
    zcbi_plat_fork_mark_destroy(&own);
    return right;
}

static void fork_mark_tells_a_child_from_its_parent(void **state)
{
    (void)state;
    plat_fork_mark mark, without;
    zcbi_plat_fork_mark_init(&mark);
    zcbi_plat_fork_mark_init(&without);
    zcbi_plat_fork_mark_destroy(
        &without); /* a system that cannot clear the page compares process ids */
    const plat_fork_mark *const marks[] = {&mark, &without};
    for (int i = 0; i < 2; i++) {
        assert_false(zcbi_plat_forked(marks[i]));
        assert_child_says(zcbi_plat_forked, marks[i]);
        assert_child_says(grandchild_is_forked, marks[i]);
        assert_child_says(own_mark_is_not_forked, marks[i]);
        assert_false(zcbi_plat_forked(marks[i]));
    }
    zcbi_plat_fork_mark_destroy(&mark);
    zcbi_plat_fork_mark_destroy(&mark);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fork_mark_tells_a_child_from_its_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What the sanitizers are to do with every target: no memory for a peer's giant length is an answer, not a finding. */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1:max_allocation_size_mb=64:exitcode=99";
}

/* The porting contract of src/platform/platform.h, kept on every system. What one system adds is in test_posix.c and test_windows.c. */
#include "support.h"

#include <stdatomic.h>

static int64_t soon(void)
{
    return zcbi_plat_now_ns() + 20000 * MS;
}

/* ---- clock ---- */

static void clock_never_goes_back_and_is_never_0(void **state)
{
    (void)state;
    int64_t before = zcbi_plat_now_ns();
    assert_true(before > 0);
    for (int i = 0; i < 10000; i++) {
        int64_t now = zcbi_plat_now_ns();
        assert_true(now >= before);
        before = now;
    }
}

static void there_is_a_processor_at_least(void **state)
{
    (void)state;
    assert_true(zcbi_plat_cpu_count() >= 1);
}

/* ---- shared memory ---- */

static plat_memory make_memory(size_t bytes)
{
    plat_memory memory;
    assert_ok(zcbi_plat_memory_create(bytes, &memory));
    return memory;
}

static void free_memory(plat_memory *memory)
{
    zcbi_plat_memory_release_handle(memory);
    zcbi_plat_memory_unmap(memory);
}

static void memory_is_zero_and_of_the_size_asked_for(void **state)
{
    (void)state;
    plat_memory memory = make_memory(MIB);
    assert_int_equal(memory.bytes, MIB);
    assert_ok(zcbi_plat_memory_commit(&memory, 0, MIB));
    for (size_t i = 0; i < MIB; i++)
        assert_int_equal(memory.base[i], 0);
    free_memory(&memory);
    assert_null(memory.base);
    free_memory(&memory); /* does nothing */
}

static void memory_of_a_senseless_size_is_refused(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, PLAT_PAGE_BYTES - 1, PLAT_PAGE_BYTES + 1, SIZE_MAX};
    plat_memory memory;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
        assert_int_equal(zcbi_plat_memory_create(sizes[i], &memory), ZCB_ERR_INVALID);
}

static void attached_memory_is_the_same_memory(void **state)
{
    (void)state;
    plat_memory ours = make_memory(MIB), theirs;
    assert_ok(zcbi_plat_memory_attach(copy_of(ours.handle), MIB, &theirs));
    assert_ok(zcbi_plat_memory_commit(&ours, 0, MIB));
    assert_ok(zcbi_plat_memory_ensure(&theirs, 0, MIB));
    fill(ours.base, MIB, 1);
    assert_true(is_filled(theirs.base, MIB, 1));
    fill(theirs.base, MIB, 2);
    assert_true(is_filled(ours.base, MIB, 2));
    free_memory(&ours);
    assert_true(is_filled(theirs.base, MIB, 2)); /* outlives its maker's mapping */
    free_memory(&theirs);
}

static void attach_refuses_what_is_no_such_memory(void **state)
{
    (void)state;
    plat_memory ours = make_memory(MIB), theirs;
    plat_handle event;
    assert_ok(zcbi_plat_event_create(&event));
    assert_int_equal(zcbi_plat_memory_attach(event, MIB, &theirs), ZCB_ERR_PROTOCOL);
    assert_int_equal(zcbi_plat_memory_attach(ours.handle, 2 * MIB, &theirs), ZCB_ERR_PROTOCOL);
    assert_int_equal(zcbi_plat_memory_attach(ours.handle, MIB / 2, &theirs), ZCB_ERR_PROTOCOL);
    assert_int_equal(zcbi_plat_memory_attach(ours.handle, 0, &theirs), ZCB_ERR_PROTOCOL);
    assert_int_equal(zcbi_plat_memory_attach(ours.handle, MIB + 1, &theirs), ZCB_ERR_PROTOCOL);
    zcbi_plat_close(event);
    free_memory(&ours);
}

static void commit_keeps_contents(void **state)
{
    (void)state;
    plat_memory memory = make_memory(4 * MIB);
    assert_ok(zcbi_plat_memory_commit(&memory, MIB, PLAT_PAGE_BYTES));
    fill(memory.base + MIB, PLAT_PAGE_BYTES, 7);
    assert_ok(zcbi_plat_memory_commit(&memory, 0, 4 * MIB));
    zcbi_plat_memory_populate(&memory, 0, 4 * MIB);
    assert_true(is_filled(memory.base + MIB, PLAT_PAGE_BYTES, 7));
    memset(memory.base, 1, 4 * MIB);
    free_memory(&memory);
}

static void commit_refuses_what_is_no_range_of_the_memory(void **state)
{
    (void)state;
    plat_memory memory = make_memory(MIB);
    const size_t ranges[][2] = {{1, PLAT_PAGE_BYTES},
                                {0, 1},
                                {0, MIB + PLAT_PAGE_BYTES},
                                {MIB, PLAT_PAGE_BYTES},
                                {SIZE_MAX - PLAT_PAGE_BYTES + 1, 2 * PLAT_PAGE_BYTES}};
    for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++)
        assert_int_equal(zcbi_plat_memory_commit(&memory, ranges[i][0], ranges[i][1]),
                         ZCB_ERR_INVALID);
    assert_ok(zcbi_plat_memory_commit(&memory, MIB, 0));
    free_memory(&memory);
}

static void commit_does_without_the_handle(void **state)
{
    (void)state;
    plat_memory memory = make_memory(MIB);
    zcbi_plat_memory_release_handle(&memory);
    assert_ok(zcbi_plat_memory_commit(&memory, MIB / 2, MIB / 2));
    memset(memory.base + MIB / 2, 1, MIB / 2);
    free_memory(&memory);
}

static void what_is_ensured_can_be_touched_whoever_was_to_commit_it(void **state)
{
    (void)state;
    plat_memory ours = make_memory(4 * MIB), theirs;
    assert_ok(zcbi_plat_memory_attach(copy_of(ours.handle), 4 * MIB, &theirs));
    assert_ok(zcbi_plat_memory_ensure(&theirs, 3 * MIB - 5, 10)); /* nobody has committed it */
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(theirs.base[3 * MIB - 5 + i], 0);
    theirs.base[3 * MIB] = 9;
    assert_ok(zcbi_plat_memory_ensure(&ours, 3 * MIB, 1));
    assert_int_equal(ours.base[3 * MIB], 9);
    assert_ok(zcbi_plat_memory_ensure(&ours, 0, 4 * MIB));
    assert_int_equal(ours.base[3 * MIB], 9);
    free_memory(&ours);
    free_memory(&theirs);
}

static void a_number_is_stored_without_a_mapping(void **state)
{
    (void)state;
    plat_memory memory = make_memory(MIB);
    uint32_t number = 0;
    zcbi_plat_memory_poke(memory.handle, 300000, 0x12345678);
    assert_ok(zcbi_plat_memory_ensure(&memory, 0, MIB));
    memcpy(&number, memory.base + 300000, sizeof(number));
    assert_int_equal(number, 0x12345678);
    free_memory(&memory);
}

/* ---- events and the wait ---- */

static void event_stays_set_until_it_is_cleared(void **state)
{
    (void)state;
    plat_handle event;
    unsigned ready = 9;
    assert_ok(zcbi_plat_event_create(&event));
    zcbi_plat_event_clear(event);
    assert_int_equal(zcbi_plat_wait(&event, 1, 0, &ready), ZCB_ERR_TIMEOUT);
    assert_int_equal(ready, 9);
    zcbi_plat_event_set(event);
    zcbi_plat_event_set(event);
    assert_ok(zcbi_plat_wait(&event, 1, 0, &ready));
    assert_ok(zcbi_plat_wait(&event, 1, 0, &ready));
    assert_int_equal(ready, 0);
    zcbi_plat_event_clear(event);
    assert_int_equal(zcbi_plat_wait(&event, 1, 0, &ready), ZCB_ERR_TIMEOUT);
    zcbi_plat_close(event);
}

static void files_and_links_are_no_events(void **state)
{
    (void)state;
    plat_handle event, file;
    assert_ok(zcbi_plat_event_create(&event));
    assert_ok(zcbi_plat_file_create(&file));
    assert_true(zcbi_plat_is_event(event));
    assert_false(zcbi_plat_is_event(file));
    zcbi_plat_close(event);
    zcbi_plat_close(file);
}

static void wait_names_the_lowest_ready_handle(void **state)
{
    (void)state;
    plat_handle handles[4] = {PLAT_NO_HANDLE};
    unsigned ready;
    for (int i = 1; i < 4; i++)
        assert_ok(zcbi_plat_event_create(&handles[i]));
    zcbi_plat_event_set(handles[3]);
    assert_ok(zcbi_plat_wait(handles, 4, soon(), &ready));
    assert_int_equal(ready, 3);
    zcbi_plat_event_set(handles[2]);
    assert_ok(zcbi_plat_wait(handles, 4, soon(), &ready));
    assert_int_equal(ready, 2);
    for (int i = 0; i < 4; i++)
        zcbi_plat_close(handles[i]);
}

static void wait_lasts_until_its_deadline(void **state)
{
    (void)state;
    plat_handle event;
    unsigned ready;
    assert_ok(zcbi_plat_event_create(&event));
    for (unsigned count = 0; count < 2; count++) {
        int64_t begin = zcbi_plat_now_ns();
        assert_int_equal(zcbi_plat_wait(&event, count, begin + 30 * MS, &ready), ZCB_ERR_TIMEOUT);
        assert_true(zcbi_plat_now_ns() >= begin + 30 * MS);
    }
    zcbi_plat_close(event);
}

static void wait_does_not_wait_for_a_past_deadline(void **state)
{
    (void)state;
    const int64_t past[] = {0, 1, -1, INT64_MIN, zcbi_plat_now_ns() - 1};
    unsigned ready;
    for (size_t i = 0; i < sizeof(past) / sizeof(*past); i++)
        assert_int_equal(zcbi_plat_wait(NULL, 0, past[i], &ready), ZCB_ERR_TIMEOUT);
}

static void *set_event(void *event)
{
    zcbi_plat_event_set(*(plat_handle *)event);
    return NULL;
}

static void wait_is_ended_by_another_thread(void **state)
{
    (void)state;
    const int64_t deadlines[] = {soon(), ZCB_NEVER, ZCB_NEVER - 1};
    plat_handle event;
    unsigned ready;
    assert_ok(zcbi_plat_event_create(&event));
    for (size_t i = 0; i < sizeof(deadlines) / sizeof(*deadlines); i++) {
        pthread_t thread = start_thread(set_event, &event);
        assert_ok(zcbi_plat_wait(&event, 1, deadlines[i], &ready));
        join_thread(thread);
        zcbi_plat_event_clear(event);
    }
    zcbi_plat_close(event);
}

static void wait_refuses_handles_that_are_not_open(void **state)
{
    (void)state;
    plat_handle closed;
    unsigned ready;
    assert_ok(zcbi_plat_event_create(&closed));
    zcbi_plat_close(closed);
    assert_int_equal(zcbi_plat_wait(&closed, 1, ZCB_NEVER, &ready), ZCB_ERR_SYSTEM);
}

static void wait_takes_only_so_many_handles(void **state)
{
    (void)state;
    plat_handle handles[PLAT_WAIT_MAX + 1];
    unsigned ready;
    for (unsigned i = 0; i <= PLAT_WAIT_MAX; i++)
        handles[i] = PLAT_NO_HANDLE;
    assert_int_equal(zcbi_plat_wait(handles, PLAT_WAIT_MAX, 0, &ready), ZCB_ERR_TIMEOUT);
    assert_int_equal(zcbi_plat_wait(handles, PLAT_WAIT_MAX + 1, 0, &ready), ZCB_ERR_INVALID);
}

static void closing_no_handle_does_nothing(void **state)
{
    (void)state;
    zcbi_plat_close(PLAT_NO_HANDLE);
}

static plat_mutex counter_lock;
static long counter;

static void *count_up(void *unused)
{
    (void)unused;
    for (int i = 0; i < 50000; i++) {
        zcbi_plat_mutex_lock(&counter_lock);
        counter++;
        zcbi_plat_mutex_unlock(&counter_lock);
    }
    return NULL;
}

struct noted {
    int number;
    plat_handle done;
};

static void note_and_return(void *arg)
{
    struct noted *started = arg;
    started->number++;
    zcbi_plat_event_set(started->done);
}

static void a_thread_runs_and_is_joined(void **state)
{
    (void)state;
    enum { COUNT = 50 };
    struct noted started[COUNT];
    plat_thread threads[COUNT];
    unsigned which;
    for (int i = 0; i < COUNT; i++) {
        started[i].number = i;
        assert_ok(zcbi_plat_event_create(&started[i].done));
        assert_ok(zcbi_plat_thread_start(&threads[i], note_and_return, &started[i]));
    }
    for (int i = 0; i < COUNT; i++) {
        assert_ok(zcbi_plat_wait(&started[i].done, 1, zcb_deadline_ns(PATIENCE_MS), &which));
        zcbi_plat_thread_join(threads[i]);
        assert_int_equal(started[i].number, i + 1);
        zcbi_plat_close(started[i].done);
    }
}

static void mutex_lets_one_thread_in_at_a_time(void **state)
{
    (void)state;
    pthread_t threads[4];
    counter = 0;
    zcbi_plat_mutex_init(&counter_lock);
    for (int i = 0; i < 4; i++)
        threads[i] = start_thread(count_up, NULL);
    for (int i = 0; i < 4; i++)
        join_thread(threads[i]);
    assert_int_equal(counter, 4 * 50000);
    zcbi_plat_mutex_destroy(&counter_lock);
}

static void *yield_until_set(void *set)
{
    while (!atomic_load((_Atomic bool *)set))
        zcbi_plat_yield();
    return NULL;
}

static void yielding_lets_others_run(void **state)
{
    (void)state;
    _Atomic bool set = false;
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        threads[i] = start_thread(yield_until_set, &set);
    atomic_store(&set, true);
    for (int i = 0; i < 8; i++)
        join_thread(threads[i]);
}

/* ---- links ---- */

struct links {
    plat_handle a, b;
};

static struct links make_links(void)
{
    struct links links;
    assert_ok(zcbi_plat_link_pair(&links.a, &links.b));
    return links;
}

static void close_links(const struct links *links)
{
    zcbi_plat_close(links->a);
    zcbi_plat_close(links->b);
}

/* Receives into room enough and gives the handles back at once. */
static zcb_error receive(plat_handle link, char *record, size_t *bytes, unsigned *count)
{
    plat_handle handles[PLAT_LINK_HANDLES];
    zcb_error error = zcbi_plat_link_receive(link, record, PLAT_LINK_BYTES, bytes, handles,
                                             PLAT_LINK_HANDLES, count, NULL);
    for (unsigned i = 0; error == ZCB_OK && i < *count; i++)
        zcbi_plat_close(handles[i]);
    return error;
}

static void link_keeps_records_apart(void **state)
{
    (void)state;
    struct links links = make_links();
    char record[PLAT_LINK_BYTES], largest[PLAT_LINK_BYTES];
    size_t bytes;
    unsigned count;
    memset(largest, 'x', sizeof(largest));
    assert_ok(zcbi_plat_link_send(links.a, "one", 3, NULL, 0));
    assert_ok(zcbi_plat_link_send(links.a, largest, sizeof(largest), NULL, 0));
    assert_ok(receive(links.b, record, &bytes, &count));
    assert_int_equal(bytes, 3);
    assert_int_equal(count, 0);
    assert_memory_equal(record, "one", 3);
    assert_ok(receive(links.b, record, &bytes, &count));
    assert_int_equal(bytes, PLAT_LINK_BYTES);
    assert_memory_equal(record, largest, sizeof(largest));
    assert_int_equal(receive(links.b, record, &bytes, &count), ZCB_ERR_TIMEOUT);
    assert_ok(zcbi_plat_link_send(links.b, "back", 4, NULL, 0));
    assert_ok(receive(links.a, record, &bytes, &count));
    assert_memory_equal(record, "back", 4);
    close_links(&links);
}

static void link_refuses_records_that_it_cannot_carry(void **state)
{
    (void)state;
    struct links links = make_links();
    char record[PLAT_LINK_BYTES + 1] = {0};
    plat_handle handles[PLAT_LINK_HANDLES + 1] = {0};
    assert_int_equal(zcbi_plat_link_send(links.a, record, 0, NULL, 0), ZCB_ERR_INVALID);
    assert_int_equal(zcbi_plat_link_send(links.a, record, sizeof(record), NULL, 0),
                     ZCB_ERR_INVALID);
    assert_int_equal(zcbi_plat_link_send(links.a, record, 1, handles, PLAT_LINK_HANDLES + 1),
                     ZCB_ERR_INVALID);
    close_links(&links);
}

static void link_carries_handles(void **state)
{
    (void)state;
    struct links links = make_links();
    plat_handle sent[PLAT_LINK_HANDLES], received[PLAT_LINK_HANDLES];
    char record[8];
    size_t bytes;
    unsigned count, ready, before = open_descriptors();
    int64_t sender = 0;
    for (int i = 0; i < PLAT_LINK_HANDLES; i++)
        assert_ok(zcbi_plat_event_create(&sent[i]));
    assert_ok(zcbi_plat_link_send(links.a, "x", 1, sent, PLAT_LINK_HANDLES));
    assert_ok(zcbi_plat_link_receive(links.b, record, sizeof(record), &bytes, received,
                                     PLAT_LINK_HANDLES, &count, &sender));
    assert_int_equal(count, PLAT_LINK_HANDLES);
    assert_int_equal(sender, zcbi_plat_getpid());
    for (int i = 0; i < PLAT_LINK_HANDLES; i++) {
        assert_int_equal(zcbi_plat_wait(&sent[i], 1, 0, &ready), ZCB_ERR_TIMEOUT);
        zcbi_plat_event_set(received[i]);
        assert_ok(zcbi_plat_wait(&sent[i], 1, 0, &ready));
        zcbi_plat_close(received[i]);
        zcbi_plat_close(sent[i]);
    }
    assert_ok(
        zcbi_plat_link_send(links.a, "x", 1, NULL, 0)); /* and hears that the handles were taken */
    assert_int_equal(open_descriptors(), before);
    close_links(&links);
}

static void handles_that_nobody_took_are_closed_with_the_link(void **state)
{
    (void)state;
    unsigned before = open_descriptors();
    struct links links = make_links();
    plat_handle events[3];
    for (int i = 0; i < 3; i++)
        assert_ok(zcbi_plat_event_create(&events[i]));
    assert_ok(zcbi_plat_link_send(links.a, "x", 1, events, 3));
    assert_ok(zcbi_plat_link_send(links.a, "y", 1, events, 2));
    for (int i = 0; i < 3; i++)
        zcbi_plat_close(events[i]);
    close_links(&links);
    assert_int_equal(open_descriptors(), before);
}

static void full_link_times_out(void **state)
{
    (void)state;
    struct links links = make_links();
    char record[PLAT_LINK_BYTES] = {0};
    size_t bytes;
    unsigned count, sent = 0;
    zcb_error error;
    while ((error = zcbi_plat_link_send(links.a, record, sizeof(record), NULL, 0)) == ZCB_OK)
        sent++;
    assert_int_equal(error, ZCB_ERR_TIMEOUT);
    assert_true(sent >= 8);
    for (unsigned i = 0; i < sent; i++)
        assert_ok(receive(links.b, record, &bytes, &count));
    assert_int_equal(receive(links.b, record, &bytes, &count), ZCB_ERR_TIMEOUT);
    assert_ok(zcbi_plat_link_send(links.a, record, 1, NULL, 0));
    close_links(&links);
}

static void link_is_signalled_when_a_record_is_there(void **state)
{
    (void)state;
    struct links links = make_links();
    char record[PLAT_LINK_BYTES];
    size_t bytes;
    unsigned count, ready;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(zcbi_plat_wait(&links.b, 1, zcbi_plat_now_ns() + MS, &ready),
                         ZCB_ERR_TIMEOUT);
        assert_ok(zcbi_plat_link_send(links.a, "x", 1, NULL, 0));
        assert_ok(zcbi_plat_wait(&links.b, 1, soon(), &ready));
        assert_ok(zcbi_plat_wait(&links.b, 1, 0, &ready));
        assert_ok(receive(links.b, record, &bytes, &count));
    }
    close_links(&links);
}

static void link_tells_that_the_other_end_is_closed(void **state)
{
    (void)state;
    struct links links = make_links();
    char record[PLAT_LINK_BYTES];
    size_t bytes;
    unsigned count, ready;
    zcbi_plat_close(links.b);
    assert_ok(zcbi_plat_wait(&links.a, 1, soon(), &ready));
    assert_int_equal(zcbi_plat_link_send(links.a, "x", 1, NULL, 0), ZCB_ERR_PEER_GONE);
    assert_int_equal(receive(links.a, record, &bytes, &count), ZCB_ERR_PEER_GONE);
    zcbi_plat_close(links.a);
}

static void records_outlive_the_end_that_sent_them(void **state)
{
    (void)state;
    struct links links = make_links();
    char record[PLAT_LINK_BYTES];
    size_t bytes;
    unsigned count, ready;
    assert_ok(zcbi_plat_link_send(links.a, "unread", 6, NULL, 0));
    assert_ok(zcbi_plat_link_send(links.b, "last words", 10, NULL, 0));
    zcbi_plat_close(links.b);
    assert_ok(receive(links.a, record, &bytes, &count));
    assert_memory_equal(record, "last words", 10);
    assert_ok(zcbi_plat_wait(&links.a, 1, soon(), &ready));
    assert_int_equal(receive(links.a, record, &bytes, &count), ZCB_ERR_PEER_GONE);
    zcbi_plat_close(links.a);
}

static void records_too_large_are_refused_and_their_handles_closed(void **state)
{
    (void)state;
    struct links links = make_links();
    plat_handle sent[3], handles[2];
    char record[4];
    size_t bytes;
    unsigned count;
    for (int i = 0; i < 3; i++)
        assert_ok(zcbi_plat_event_create(&sent[i]));
    unsigned before = open_descriptors();
    assert_ok(zcbi_plat_link_send(links.a, "12345", 5, sent, 2));
    assert_int_equal(
        zcbi_plat_link_receive(links.b, record, sizeof(record), &bytes, handles, 2, &count, NULL),
        ZCB_ERR_PROTOCOL);
    assert_ok(zcbi_plat_link_send(links.a, "1234", 4, sent, 3));
    assert_int_equal(
        zcbi_plat_link_receive(links.b, record, sizeof(record), &bytes, handles, 2, &count, NULL),
        ZCB_ERR_PROTOCOL);
    assert_ok(zcbi_plat_link_send(links.a, "next", 4, NULL, 0));
    assert_int_equal(open_descriptors(), before);
    for (int i = 0; i < 3; i++)
        zcbi_plat_close(sent[i]);
    close_links(&links);
}

static void what_is_no_link_is_not_taken_for_one(void **state)
{
    (void)state;
    plat_handle link, event;
    char number[32];
    assert_ok(zcbi_plat_event_create(&event));
    snprintf(number, sizeof(number), "%lld", (long long)event);
    const char *const wrong[] = {"x", "-1",  " 3", "3x", "1000", "99999999999999999999",
                                 "0", number};
    unsetenv(ZCB_LINK_VARIABLE);
    assert_int_equal(zcbi_plat_link_inherited(&link), ZCB_ERR_NOT_FOUND);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        setenv(ZCB_LINK_VARIABLE, wrong[i], 1);
        assert_int_equal(zcbi_plat_link_inherited(&link), ZCB_ERR_NOT_FOUND);
        assert_false(zcbi_plat_has_variable(ZCB_LINK_VARIABLE));
    }
    zcbi_plat_close(event);
}

/* ---- files ---- */

static void file_appends_and_is_read_anywhere(void **state)
{
    (void)state;
    plat_handle file;
    char text[16];
    size_t bytes;
    assert_ok(zcbi_plat_file_create(&file));
    assert_ok(zcbi_plat_file_read(file, 0, text, sizeof(text), &bytes));
    assert_int_equal(bytes, 0);
    assert_int_equal(write_file(file, "one", 3), 3);
    assert_ok(zcbi_plat_file_read(file, 0, text, 1, &bytes)); /* moves no place to write to */
    assert_int_equal(write_file(file, "two", 3), 3);
    assert_ok(zcbi_plat_file_read(file, 2, text, sizeof(text), &bytes));
    assert_int_equal(bytes, 4);
    assert_memory_equal(text, "etwo", 4);
    assert_ok(zcbi_plat_file_read(file, 100, text, sizeof(text), &bytes));
    assert_int_equal(bytes, 0);
    assert_int_equal(zcbi_plat_file_read(file, UINT64_MAX, text, 1, &bytes), ZCB_ERR_INVALID);
    zcbi_plat_close(file);
}

static void file_that_forgets_keeps_its_offsets(void **state)
{
    (void)state;
    plat_handle file;
    size_t bytes;
    char last = 0, *text = calloc(1, MIB);
    assert_non_null(text);
    memset(text, 'x', MIB);
    assert_ok(zcbi_plat_file_create(&file));
    assert_int_equal(write_file(file, text, MIB), MIB);
    zcbi_plat_file_forget(file, 0);
    zcbi_plat_file_forget(file, MIB - 1);
    assert_ok(zcbi_plat_file_read(file, MIB - 1, &last, 1, &bytes));
    assert_int_equal(bytes, 1);
    assert_int_equal(last, 'x');
    assert_int_equal(write_file(file, "y", 1), 1);
    zcbi_plat_file_forget(file, MIB);
    assert_ok(zcbi_plat_file_read(file, MIB, &last, 1, &bytes));
    assert_int_equal(last, 'y');
    free(text);
    zcbi_plat_close(file);
}

/* ---- processes: this program is what is started, with a word that main knows ---- */

struct started {
    plat_child child;
    plat_handle link, out, err;
};

static zcb_error start(const plat_spawn *wanted, struct started *program, zcb_detail *why)
{
    char self[4096];
    plat_handle theirs;
    plat_spawn spawn = *wanted;
    own_path(self);
    if (spawn.path == NULL)
        spawn.path = self;
    assert_ok(zcbi_plat_link_pair(&program->link, &theirs));
    assert_ok(zcbi_plat_file_create(&program->out));
    assert_ok(zcbi_plat_file_create(&program->err));
    spawn.link = theirs;
    spawn.out = program->out;
    spawn.err = program->err;
    zcb_error error = zcbi_plat_process_spawn(&spawn, &program->child, why);
    zcbi_plat_close(theirs);
    if (error == ZCB_OK)
        return ZCB_OK;
    zcbi_plat_close(program->link);
    zcbi_plat_close(program->out);
    zcbi_plat_close(program->err);
    return error;
}

static struct started start_word(const char *word, const char *argument)
{
    const char *const arguments[] = {word, argument, NULL};
    struct started program;
    zcb_detail why;
    if (start(&(plat_spawn){.arguments = arguments}, &program, &why))
        fail_msg("%s", why.text);
    return program;
}

/* Waits for the end; INT32_MIN when it does not come. */
static int finish(struct started *program)
{
    int exit_code;
    unsigned ready;
    if (zcbi_plat_wait(&program->child.process, 1, soon(), &ready) != ZCB_OK ||
        !zcbi_plat_process_ended(&program->child, &exit_code))
        return INT32_MIN;
    zcbi_plat_close(program->child.process);
    zcbi_plat_close(program->child.group);
    zcbi_plat_close(program->link);
    zcbi_plat_close(program->out);
    zcbi_plat_close(program->err);
    return exit_code;
}

/* What it has written, NUL-terminated, once it has ended. */
static void read_all(const struct started *program, plat_handle file, char *text, size_t room)
{
    size_t bytes = 0;
    unsigned ready;
    assert_ok(zcbi_plat_wait(&program->child.process, 1, soon(), &ready));
    assert_ok(zcbi_plat_file_read(file, 0, text, room - 1, &bytes));
    text[bytes] = '\0';
}

static void started_program_gives_its_exit_code(void **state)
{
    (void)state;
    struct started program = start_word("exit", "42");
    assert_int_equal(finish(&program), 42);
    program = start_word("exit", "0");
    assert_int_equal(finish(&program), 0);
}

static void the_end_is_told_in_words(void **state)
{
    (void)state;
    char text[64];
    struct started program = start_word("idle", NULL);
    zcbi_plat_process_kill(program.child.pid, program.child.process);
    zcbi_plat_end_text(finish(&program), text, sizeof(text));
    assert_string_equal(text, KILLED);
    zcbi_plat_end_text(3, text, sizeof(text));
    assert_string_equal(text, "exited with code 3");
}

static void starting_does_not_wait_for_the_program(void **state)
{
    (void)state;
    int exit_code = 5;
    unsigned ready;
    struct started program = start_word("idle", NULL);
    assert_int_equal(zcbi_plat_wait(&program.child.process, 1, 0, &ready), ZCB_ERR_TIMEOUT);
    assert_false(zcbi_plat_process_ended(&program.child, &exit_code));
    assert_int_equal(exit_code, 5);
    zcbi_plat_process_kill(program.child.pid, program.child.process);
    (void)finish(&program);
}

static void *start_many(void *failures)
{
    for (int i = 0; i < 12; i++) {
        struct started program = start_word("exit", "9");
        if (finish(&program) != 9)
            ++*(int *)failures;
    }
    return NULL;
}

static void threads_start_programs_at_the_same_time(void **state)
{
    (void)state;
    pthread_t threads[4];
    int failures[4] = {0};
    unless_wine("Wine 8 now and then fails to start one of several processes (\"Internal error\")");
    struct started program = start_word("exit", "0"); /* what the first one makes, stays */
    assert_int_equal(finish(&program), 0);
    unsigned before = open_descriptors();
    for (int i = 0; i < 4; i++)
        threads[i] = start_thread(start_many, &failures[i]);
    for (int i = 0; i < 4; i++) {
        join_thread(threads[i]);
        assert_int_equal(failures[i], 0);
    }
    assert_int_equal(open_descriptors(), before);
}

static void started_program_writes_to_the_files_given(void **state)
{
    (void)state;
    char text[64];
    struct started program = start_word("write", NULL);
    read_all(&program, program.out, text, sizeof(text));
    assert_string_equal(text, "out"); /* and has read to the end of its input */
    read_all(&program, program.err, text, sizeof(text));
    assert_string_equal(text, "err");
    assert_int_equal(finish(&program), 0);
}

static void arguments_arrive_as_they_are(void **state)
{
    (void)state;
    static const char *const words[] = {"",      " ",     "a b",    "\"",      "\\",         "a\\",
                                        "a\\\\", "\\\"",  "a\\\"b", "\\\\\"c", "%PATH%",     "'",
                                        "*",     "$x;&|", "^",      "-Name:v", "trailing\\ "};
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        char text[64];
        struct started program = start_word("argument", words[i]);
        read_all(&program, program.out, text, sizeof(text));
        assert_string_equal(text, words[i]);
        assert_int_equal(finish(&program), 0);
    }
}

static void environment_is_changed_as_asked(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "ZCB_GONE",    "ZCB_CHANGED=1", "ZCB_CHANGED=a=b", "ZCB_NEW=new",
        "ZCB_BRIEF=x", "ZCB_BRIEF",     "ZCB_LINK=wrong",  NULL};
    static const char *const arguments[] = {"environment", NULL};
    struct started program;
    zcb_detail why;
    char text[256];
    setenv("ZCB_KEPT", "kept", 1);
    setenv("ZCB_GONE", "gone", 1);
    setenv("ZCB_CHANGED", "old", 1);
    setenv(ZCB_LINK_VARIABLE, "77", 1);
    if (start(&(plat_spawn){.arguments = arguments, .environment = changes}, &program, &why))
        fail_msg("%s", why.text);
    read_all(&program, program.out, text, sizeof(text));
    assert_string_equal(text, "kept,-,a=b,new,-,a link");
    assert_int_equal(finish(&program), 0);
    assert_string_equal(getenv("ZCB_CHANGED"), "old");
    unsetenv(ZCB_LINK_VARIABLE);
}

static void working_directory_is_where_asked(void **state)
{
    (void)state;
    static const char *const arguments[] = {"folder", NULL};
    char here[4096], text[4096];
    struct started program;
    zcb_detail why;
    own_path(here);
    assert_ok(zcbi_plat_library_folder((const void *)(uintptr_t)&soon, here, sizeof(here)));
    if (start(&(plat_spawn){.arguments = arguments, .working_directory = here}, &program, &why))
        fail_msg("%s", why.text);
    read_all(&program, program.out, text, sizeof(text));
    assert_string_equal(text, here);
    assert_int_equal(finish(&program), 0);
}

static void link_is_inherited_and_hidden_from_the_next_program(void **state)
{
    (void)state;
    char record[PLAT_LINK_BYTES], expected[64];
    plat_handle event, process;
    size_t bytes;
    unsigned count, ready;
    int64_t sender;
    assert_ok(zcbi_plat_event_create(&event));
    struct started program = start_word("link", NULL);
    assert_ok(zcbi_plat_link_send(program.link, "take it", 7, &event, 1));
    assert_ok(zcbi_plat_wait(&program.link, 1, soon(), &ready));
    assert_ok(zcbi_plat_link_receive(program.link, record, sizeof(record), &bytes, NULL, 0, &count,
                                     &sender));
    assert_int_equal(sender, program.child.pid);
    snprintf(expected, sizeof(expected), "made by %lld", (long long)zcbi_plat_getpid());
    assert_int_equal(bytes, strlen(expected));
    assert_memory_equal(record, expected, bytes);
    assert_ok(zcbi_plat_child_open(&program.child, sender, &process));
    zcbi_plat_close(process);
    zcbi_plat_event_set(event);
    assert_int_equal(finish(&program), 0);
    zcbi_plat_close(event);
}

static void assert_not_started(const plat_spawn *spawn, const char *text)
{
    struct started program;
    zcb_detail why = {""};
    unsigned before = open_descriptors();
    assert_int_equal(start(spawn, &program, &why), ZCB_ERR_NOT_FOUND);
    if (strstr(why.text, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why.text, text);
    assert_int_equal(open_descriptors(), before);
    assert_no_children();
}

static void failed_start_says_what_was_wrong(void **state)
{
    (void)state;
    static const char *const none[] = {NULL};
    assert_not_started(&(plat_spawn){.path = NOWHERE "pwsh", .arguments = none},
                       "cannot execute '" NOWHERE "pwsh': ");
    assert_not_started(&(plat_spawn){.arguments = none, .working_directory = NOWHERE "at all"},
                       "cannot enter the working directory '" NOWHERE "at all'");
}

static void process_handle_is_signalled_at_its_end(void **state)
{
    (void)state;
    plat_handle process;
    unsigned ready;
    struct started program = start_word("idle", NULL);
    int64_t pid = program.child.pid;
    assert_ok(zcbi_plat_process_open(pid, &process));
    assert_int_equal(zcbi_plat_wait(&process, 1, 0, &ready), ZCB_ERR_TIMEOUT);
    zcbi_plat_process_kill(pid, process);
    assert_ok(zcbi_plat_wait(&process, 1, soon(), &ready));
    (void)finish(&program);
    assert_ok(zcbi_plat_wait(&process, 1, 0, &ready));
    assert_int_equal(zcbi_plat_process_open(pid, &program.child.process), ZCB_ERR_PEER_GONE);
    zcbi_plat_close(process);
}

static void process_that_cannot_be_is_gone(void **state)
{
    (void)state;
    plat_handle process;
    const int64_t nobody[] = {0, -1, INT64_MAX, (INT64_C(1) << 32) + zcbi_plat_getpid(), INT32_MAX};
    for (size_t i = 0; i < sizeof(nobody) / sizeof(*nobody); i++)
        assert_int_equal(zcbi_plat_process_open(nobody[i], &process), ZCB_ERR_PEER_GONE);
}

static void hanging_up_ends_what_a_program_left_behind(void **state)
{
    (void)state;
    plat_handle left;
    char text[32];
    unsigned ready;
    struct started program = start_word("leave", NULL);
    read_all(&program, program.out, text, sizeof(text));
    assert_ok(zcbi_plat_process_open(atoll(text), &left));
    assert_int_equal(zcbi_plat_wait(&left, 1, 0, &ready), ZCB_ERR_TIMEOUT);
    zcbi_plat_process_hang_up_group(&program.child);
    assert_ok(zcbi_plat_wait(&left, 1, soon(), &ready));
    zcbi_plat_close(left);
    assert_int_equal(finish(&program), 0);
}

/* ---- paths ---- */

static void programs_are_found_on_path(void **state)
{
    (void)state;
    char path[4200], self[4096], folder[4096], variable[4300], expected[4200];
    char *before = strdup(getenv("PATH"));
    own_path(self);
    assert_ok(zcbi_plat_library_folder((const void *)(uintptr_t)&soon, folder, sizeof(folder)));
    snprintf(variable, sizeof(variable), NOWHERE "x%c%c.%c%s", PATH_SEPARATOR, PATH_SEPARATOR,
             PATH_SEPARATOR, folder);
    setenv("PATH", variable, 1);
    snprintf(expected, sizeof(expected),
             "%s%c"
             "test_platform%s",
             folder, FOLDER_SEPARATOR, EXECUTABLE);
    assert_ok(zcbi_plat_find_program("test_platform", path, sizeof(path)));
    assert_string_equal(path, expected);
    assert_int_equal(zcbi_plat_find_program("test_platform", path, 7), ZCB_ERR_INVALID);
    assert_int_equal(zcbi_plat_find_program("", path, sizeof(path)), ZCB_ERR_NOT_FOUND);
    assert_int_equal(zcbi_plat_find_program("../c/test_platform", path, sizeof(path)),
                     ZCB_ERR_NOT_FOUND);
    setenv("PATH", ".", 1); /* a relative folder: anybody may have put a file there */
    assert_int_equal(zcbi_plat_find_program("test_platform", path, sizeof(path)),
                     ZCB_ERR_NOT_FOUND);
    unsetenv("PATH");
    assert_int_equal(zcbi_plat_find_program("test_platform", path, sizeof(path)),
                     ZCB_ERR_NOT_FOUND);
    setenv("PATH", before, 1);
    free(before);
}

static void only_programs_are_executable(void **state)
{
    (void)state;
    char self[4096], folder[4096], other[4200];
    own_path(self);
    assert_ok(zcbi_plat_library_folder((const void *)(uintptr_t)&soon, folder, sizeof(folder)));
    snprintf(other, sizeof(other), "%s%cno-program", folder, FOLDER_SEPARATOR);
    assert_true(zcbi_plat_is_executable(self));
    assert_true(zcbi_plat_is_file(self));
    assert_false(zcbi_plat_is_executable(folder));
    assert_false(zcbi_plat_is_file(folder));
    assert_false(zcbi_plat_is_executable(other));
}

static void paths_are_made_absolute(void **state)
{
    (void)state;
    char self[4096], path[4200];
    own_path(self);
    assert_ok(zcbi_plat_absolute_path(self, path, sizeof(path)));
    assert_string_equal(path, self);
    assert_ok(zcbi_plat_absolute_path("some/file", path, sizeof(path)));
    assert_true(strlen(path) > strlen("some/file"));
    assert_int_equal(zcbi_plat_absolute_path("some/file", path, 3), ZCB_ERR_INVALID);
}

static void count_entry(void *arg, const char *name)
{
    unsigned *count = arg;
    assert_string_not_equal(name, ".");
    assert_string_not_equal(name, "..");
    ++*count;
}

static void folder_is_listed(void **state)
{
    (void)state;
    char self[4096], folder[4096];
    unsigned count = 0;
    own_path(self);
    assert_ok(zcbi_plat_library_folder((const void *)(uintptr_t)&soon, folder, sizeof(folder)));
    assert_ok(zcbi_plat_folder_each(folder, count_entry, &count));
    assert_true(count >= 2);
    assert_int_equal(zcbi_plat_folder_each(NOWHERE "at all", count_entry, &count),
                     ZCB_ERR_NOT_FOUND);
    assert_int_equal(zcbi_plat_folder_each(self, count_entry, &count), ZCB_ERR_NOT_FOUND);
}

static void library_is_found_by_an_address_in_it(void **state)
{
    (void)state;
    char path[4096];
    static const char here = 0;
    assert_ok(zcbi_plat_library_folder(&here, path, sizeof(path)));
    assert_int_equal(zcbi_plat_library_folder((const void *)(uintptr_t)1, path, sizeof(path)),
                     ZCB_ERR_NOT_FOUND);
}

static void variables_are_seen(void **state)
{
    (void)state;
    setenv("ZCB_SEEN", "1", 1);
    assert_true(zcbi_plat_has_variable("ZCB_SEEN"));
    unsetenv("ZCB_SEEN");
    assert_false(zcbi_plat_has_variable("ZCB_SEEN"));
}

/* ---- what this program does as the program that a test starts ---- */

static int write_both(void)
{
    if (getchar() != EOF)
        return 2;
    fputs("out", stdout);
    fputs("err", stderr);
    return 0;
}

static const char *value_of(const char *name)
{
    return zcbi_plat_has_variable(name) ? getenv(name) : "-";
}

static int tell_environment(void)
{
    plat_handle link;
    printf("%s,%s,%s,%s,%s,", value_of("ZCB_KEPT"), value_of("ZCB_GONE"), value_of("ZCB_CHANGED"),
           value_of("ZCB_NEW"), value_of("ZCB_BRIEF"));
    printf("%s", zcbi_plat_link_inherited(&link) == ZCB_OK ? "a link" : "no link");
    return 0;
}

static int tell_folder(void)
{
    char path[4096];
    zcb_error error = zcbi_plat_absolute_path("x", path, sizeof(path));
    path[strlen(path) - 2] = '\0';
    printf("%s", path);
    return error;
}

/* Takes an event, says who made the link, and waits until the event is set. */
static int use_link(void)
{
    plat_handle link, event;
    int64_t maker;
    unsigned ready, count;
    char record[64];
    size_t bytes;
    if (zcbi_plat_link_inherited(&link) != ZCB_OK || zcbi_plat_has_variable(ZCB_LINK_VARIABLE))
        return 2;
    if (zcbi_plat_wait(&link, 1, soon(), &ready) != ZCB_OK ||
        zcbi_plat_link_receive(link, record, sizeof(record), &bytes, &event, 1, &count, NULL) !=
            ZCB_OK)
        return 3;
    if (count != 1 || zcbi_plat_link_peer_pid(link, &maker) != ZCB_OK)
        return 4;
    int length = snprintf(record, sizeof(record), "made by %lld", (long long)maker);
    if (zcbi_plat_link_send(link, record, (size_t)length, NULL, 0) != ZCB_OK)
        return 5;
    return zcbi_plat_wait(&event, 1, soon(), &ready) == ZCB_OK ? 0 : 6;
}

static int be_idle(void)
{
    unsigned ready;
    return (int)zcbi_plat_wait(NULL, 0, ZCB_NEVER, &ready);
}

static int leave_a_process(const char *self)
{
    printf("%lld", (long long)start_and_leave(self, "idle"));
    return 0;
}

static int be_started(char **arguments)
{
    const char *word = arguments[1];
    if (strcmp(word, "exit") == 0)
        return atoi(arguments[2]);
    if (strcmp(word, "argument") == 0)
        return printf("%s", arguments[2]) < 0;
    if (strcmp(word, "write") == 0)
        return write_both();
    if (strcmp(word, "environment") == 0)
        return tell_environment();
    if (strcmp(word, "folder") == 0)
        return tell_folder();
    if (strcmp(word, "link") == 0)
        return use_link();
    if (strcmp(word, "idle") == 0)
        return be_idle();
    if (strcmp(word, "leave") == 0)
        return leave_a_process(arguments[0]);
    return 64;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return be_started(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clock_never_goes_back_and_is_never_0),
        cmocka_unit_test(there_is_a_processor_at_least),
        cmocka_unit_test(memory_is_zero_and_of_the_size_asked_for),
        cmocka_unit_test(memory_of_a_senseless_size_is_refused),
        cmocka_unit_test(attached_memory_is_the_same_memory),
        cmocka_unit_test(attach_refuses_what_is_no_such_memory),
        cmocka_unit_test(commit_keeps_contents),
        cmocka_unit_test(commit_refuses_what_is_no_range_of_the_memory),
        cmocka_unit_test(commit_does_without_the_handle),
        cmocka_unit_test(what_is_ensured_can_be_touched_whoever_was_to_commit_it),
        cmocka_unit_test(a_number_is_stored_without_a_mapping),
        cmocka_unit_test(event_stays_set_until_it_is_cleared),
        cmocka_unit_test(files_and_links_are_no_events),
        cmocka_unit_test(wait_names_the_lowest_ready_handle),
        cmocka_unit_test(wait_lasts_until_its_deadline),
        cmocka_unit_test(wait_does_not_wait_for_a_past_deadline),
        cmocka_unit_test(wait_is_ended_by_another_thread),
        cmocka_unit_test(wait_refuses_handles_that_are_not_open),
        cmocka_unit_test(wait_takes_only_so_many_handles),
        cmocka_unit_test(closing_no_handle_does_nothing),
        cmocka_unit_test(mutex_lets_one_thread_in_at_a_time),
        cmocka_unit_test(a_thread_runs_and_is_joined),
        cmocka_unit_test(yielding_lets_others_run),
        cmocka_unit_test(link_keeps_records_apart),
        cmocka_unit_test(link_refuses_records_that_it_cannot_carry),
        cmocka_unit_test(link_carries_handles),
        cmocka_unit_test(handles_that_nobody_took_are_closed_with_the_link),
        cmocka_unit_test(full_link_times_out),
        cmocka_unit_test(link_is_signalled_when_a_record_is_there),
        cmocka_unit_test(link_tells_that_the_other_end_is_closed),
        cmocka_unit_test(records_outlive_the_end_that_sent_them),
        cmocka_unit_test(records_too_large_are_refused_and_their_handles_closed),
        cmocka_unit_test(what_is_no_link_is_not_taken_for_one),
        cmocka_unit_test(file_appends_and_is_read_anywhere),
        cmocka_unit_test(file_that_forgets_keeps_its_offsets),
        cmocka_unit_test(started_program_gives_its_exit_code),
        cmocka_unit_test(the_end_is_told_in_words),
        cmocka_unit_test(starting_does_not_wait_for_the_program),
        cmocka_unit_test(threads_start_programs_at_the_same_time),
        cmocka_unit_test(started_program_writes_to_the_files_given),
        cmocka_unit_test(arguments_arrive_as_they_are),
        cmocka_unit_test(environment_is_changed_as_asked),
        cmocka_unit_test(working_directory_is_where_asked),
        cmocka_unit_test(link_is_inherited_and_hidden_from_the_next_program),
        cmocka_unit_test(failed_start_says_what_was_wrong),
        cmocka_unit_test(process_handle_is_signalled_at_its_end),
        cmocka_unit_test(process_that_cannot_be_is_gone),
        cmocka_unit_test(hanging_up_ends_what_a_program_left_behind),
        cmocka_unit_test(programs_are_found_on_path),
        cmocka_unit_test(only_programs_are_executable),
        cmocka_unit_test(paths_are_made_absolute),
        cmocka_unit_test(folder_is_listed),
        cmocka_unit_test(library_is_found_by_an_address_in_it),
        cmocka_unit_test(variables_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What the stand-in for the engine and the tests that start it share. */
#ifndef ZCB_TEST_FAKE_ENGINE_H
#define ZCB_TEST_FAKE_ENGINE_H

/* Arguments of its command "nonsense". */
enum nonsense {
    NONSENSE_SHORT,
    NONSENSE_EMPTY,
    NONSENSE_KIND,
    NONSENSE_PART,
    NONSENSE_PART_FLAGS,
    NONSENSE_LENGTH,
    NONSENSE_SUM,
    NONSENSE_NO_NUL,
    NONSENSE_MISSING,
    NONSENSE_NO_END,
    NONSENSE_EARLY_END,
    NONSENSE_LONG_END,
    NONSENSE_OPEN_ENDED,
    NONSENSE_FATAL, /* how many there are that end the session; the rest makes enough sense */
    NONSENSE_ID = NONSENSE_FATAL,
    NONSENSE_STATUS,
    NONSENSE_FLAGS
};

#endif

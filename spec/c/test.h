/* test.h: the two macros of our C tests. A test file is a plain main that
 * CHECKs, on any thread, and ends with `return TEST_END();`. */
#ifndef MP_TEST_H
#define MP_TEST_H

#include <stdio.h>

static _Atomic int test_failed, test_checked;

#define CHECK(condition)                                                       \
    do {                                                                       \
        test_checked++;                                                        \
        if (!(condition)) {                                                    \
            test_failed++;                                                     \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__,       \
                    #condition);                                               \
        }                                                                      \
    } while (0)

/* Prints the closing line; the exit code is 0 only if all held. */
#define TEST_END()                                                             \
    (fprintf(stderr, "%d checks, %d failed\n", test_checked, test_failed),     \
     test_failed ? 1 : 0)

#endif

/* check_case.h: CHECK for the rows of a table. Says which row failed. Include
 * after test.h. */
#ifndef MP_CHECK_CASE_H
#define MP_CHECK_CASE_H

#define CHECK_CASE(name, condition)                                            \
    do {                                                                       \
        test_checked++;                                                        \
        if (!(condition)) {                                                    \
            test_failed++;                                                     \
            fprintf(stderr, "%s:%d: not true for \"%s\": %s\n", __FILE__,      \
                    __LINE__, (name), #condition);                             \
        }                                                                      \
    } while (0)

#endif

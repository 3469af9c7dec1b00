/* db_have.h: whether SQLite's header is there: it is all that a build needs,
 * the library is opened at its first use. */
#ifndef MP_DB_HAVE_H
#define MP_DB_HAVE_H

#if MOONPIPE_SQLITE && __has_include(<sqlite3.h>)
#define MP_HAVE_SQLITE 1
#else
#define MP_HAVE_SQLITE 0
#endif

#endif

/*
 * repl.h: the REPL of the program `moonpipe`.
 *
 * Threads: the engine's.
 */
#ifndef MP_REPL_H
#define MP_REPL_H

#include "moonpipe.h"

/* Reads, runs and prints until the input ends; sets the handlers of SIGINT and
 * SIGTERM. Borrows [engine], which should not compile: a compiled loop does not
 * hear Ctrl-C. [colour] is "auto", "always" or "never". Returns the exit code.
 */
int mp_repl_run(moonpipe_Engine *engine, const char *colour);

#endif

/*
 * edit.h: lines from a person or a pipe, for the REPL.
 *
 * On a terminal with libedit they are edited and remembered; else they are read
 * as they come. While a line is waited for, the engine's started calls go on.
 *
 * Threads: one. There is one input, standard input, so there is no object.
 */
#ifndef MP_EDIT_H
#define MP_EDIT_H

#include "moonpipe.h"

#include <stdbool.h>
#include <stddef.h>

/* Borrows [engine] until mp_edit_close, and reads the history. */
void mp_edit_open(moonpipe_Engine *engine);

/* Puts the next line, with its '\n' if it has one, into the [size] bytes at
 * [line]. Returns its length; 0 at the end, after a signal that mp_edit_stop
 * told of, or for a line too long. */
size_t mp_edit_line(const char *prompt, char *line, size_t size);

/* Makes mp_edit_line return 0. For signal handlers. */
void mp_edit_stop(void);

/* Whether a line that begins with '|' is there already, as when a chain is
 * pasted: it belongs to what was read before. */
bool mp_edit_continues(void);

/* Whether standard input is a terminal. */
bool mp_edit_is_terminal(void);

/* Writes the history, gives the terminal back. */
void mp_edit_close(void);

#endif

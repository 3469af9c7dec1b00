/*
 * edit.h: lines from a person or a pipe, for the REPL.
 *
 * On a terminal with libedit they are edited, completed and remembered; else
 * they are read as they come. While a line is waited for, the engine's started
 * calls go on.
 *
 * Threads: one. There is one input, standard input, so there is no object.
 */
#ifndef MP_EDIT_H
#define MP_EDIT_H

#include "moonpipe.h"

#include <stdbool.h>
#include <stddef.h>

/* What Tab does behind the [length] bytes at [line], on a terminal of
 * [columns]. Gives a string, borrowed until the next call: what to insert, a
 * newline, and then what could be meant, as it is to be shown. NULL: nothing.
 */
typedef const char *(*mp_EditComplete)(const char *line, size_t length,
                                       int columns);

/* Borrows [engine] until mp_edit_close, and reads the history, if it [keeps]
 * one. */
void mp_edit_open(moonpipe_Engine *engine, mp_EditComplete complete,
                  bool keeps);

/* Puts the next line, with its '\n' if it has one, into the [size] bytes at
 * [line]. Returns its length; 0 at the end, after a signal that mp_edit_stop
 * told of, or for a line too long. A pasted line may hold others. */
size_t mp_edit_line(const char *prompt, char *line, size_t size);

/* Whether something was typed already where mp_edit_line was stopped. */
bool mp_edit_had_text(void);

/* Keeps the string [text] for those who go back, now and, where a history is
 * kept, in later runs. */
void mp_edit_remember(const char *text);

/* Makes mp_edit_line return 0. For signal handlers. */
void mp_edit_stop(void);

/* Whether what comes next belongs to what was read: see edit_input.h. */
bool mp_edit_continues(void);

/* Whether standard input is a terminal. */
bool mp_edit_is_terminal(void);

/* Shows what calls have printed and was held back. */
void mp_edit_close(void);

#endif

/*
 * edit_input.h: the bytes of standard input; while they are awaited the
 * engine's started calls go on.
 *
 * All bytes go through one buffer of ours, also those that libedit gets: so
 * what lies ahead can be looked at without leaving the terminal's raw mode.
 * What calls print meanwhile is held back and handed over in whole lines, for
 * there is a prompt where the cursor stands.
 *
 * Threads: one. There is one input, so there is no object.
 */
#ifndef MP_EDIT_INPUT_H
#define MP_EDIT_INPUT_H

#include "moonpipe.h"

#include <stdbool.h>
#include <stddef.h>

/* What somebody does who has a line on the terminal. */
typedef struct mp_EditScreen {
    void (*hide)(void);    /* takes the line away, before others print */
    void (*show)(void);    /* puts it back */
    void (*resumed)(void); /* after SIGCONT: the terminal is as it was not */
    void (*resized)(void); /* after SIGWINCH */
} mp_EditScreen;

/* Borrows [engine] and [screen] until mp_edit_input_close; without [screen]
 * calls print as they like. */
void mp_edit_input_open(moonpipe_Engine *engine, const mp_EditScreen *screen);
void mp_edit_input_close(void);

/* The next byte into [byte]; waits at most [limit_ms] long (negative: for
 * ever). False after that time, at the end, or after mp_edit_input_stop. */
bool mp_edit_input_byte(char *byte, int limit_ms);

/* Whether more bytes are here than were asked for. */
bool mp_edit_input_is_ahead(void);

/* Whether the next line that says something begins with '|', as when a chain is
 * pasted: it belongs to what was read before. Its bytes stay. */
bool mp_edit_input_has_pipe(void);

/* Ends the waiting, until mp_edit_input_go, which forgets what had come before.
 * For signal handlers. */
void mp_edit_input_stop(void);
void mp_edit_input_go(void);
bool mp_edit_input_is_stopped(void);

/* Around what runs while a line is on the terminal: what it prints is held
 * back, and shown at the end. */
void mp_edit_input_begin_output(void);
void mp_edit_input_end_output(void);

/* Shows what is held back, though its last line has not ended. */
void mp_edit_input_flush(void);

#endif

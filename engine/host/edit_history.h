/*
 * edit_history.h: the texts of earlier runs, in a file for the owner alone.
 *
 * Each text is appended as it is entered, under a lock: several programs may
 * write at once.
 *
 * Threads: one.
 */
#ifndef MP_EDIT_HISTORY_H
#define MP_EDIT_HISTORY_H

#ifdef MOONPIPE_EDIT
#include "edit_lib.h"

#include <stdbool.h>

/* Reads the file into [list], which is borrowed for the rest of the run; unless
 * [keeps] there is no file. */
void mp_edit_history_open(const mp_EditLib *lib, History *list, bool keeps);

void mp_edit_history_add(const char *text);
#endif

#endif

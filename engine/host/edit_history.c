/* edit_history.c: see edit_history.h. */
#include "edit_history.h"

#ifdef MOONPIPE_EDIT
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEPT     1000
#define FILE_MAX 5000 /* texts; then the file is written anew */
#define TEXT_MAX ((size_t)1 << 16)

static const mp_EditLib *lib;
static History *list;
static char path[4096]; /* empty: there is none */

static void find_path(void)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");

    if (state && state[0] == '/')
        snprintf(path, sizeof path, "%s/moonpipe/history", state);
    else if (home && home[0] == '/')
        snprintf(path, sizeof path, "%s/.local/state/moonpipe/history", home);
}

/* Makes the folders of the path; the last one is for the owner alone. */
static void make_folders(void)
{
    char *slash = strchr(path + 1, '/');

    while (slash) {
        char *next = strchr(slash + 1, '/');

        *slash = '\0';
        mkdir(path, 0700); /* what cannot be made is noticed at the file */
        if (!next) chmod(path, 0700);
        *slash = '/';
        slash = next;
    }
}

/* The file, locked, or NULL; fclose lets go of it. */
static FILE *open_locked(void)
{
    int fd;
    FILE *file;

    if (!path[0]) return NULL;
    fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) return NULL;
    file = fchmod(fd, 0600) == 0 && flock(fd, LOCK_EX) == 0 ? fdopen(fd, "a+")
                                                            : NULL;
    if (!file) close(fd);
    return file;
}

/* --- texts: one in each line, \n for the ends of its own
 * ----------------------- */

static void write_text(FILE *file, const char *text)
{
    size_t len = strlen(text);

    while (len > 0 && strchr(" \t\r\n", text[len - 1]))
        len--;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\n' || text[i] == '\\') fputc('\\', file);
        fputc(text[i] == '\n' ? 'n' : text[i], file);
    }
    fputc('\n', file);
}

/* In place. */
static void decode(char *text)
{
    char *to = text;

    for (const char *from = text; *from && *from != '\n'; from++) {
        bool escaped = *from == '\\' && from[1] != '\0';

        if (escaped) from++;
        *to++ = escaped && *from == 'n' ? '\n' : *from;
    }
    *to = '\0';
}

/* How many there were; of one that is too long nothing is taken. */
static int read_texts(FILE *file)
{
    static char text[TEXT_MAX];
    bool is_rest = false;
    int count = 0;
    HistEvent event;

    rewind(file);
    while (fgets(text, sizeof text, file)) {
        bool is_whole = strchr(text, '\n') && !is_rest;

        is_rest = !strchr(text, '\n');
        decode(text);
        if (is_whole && *text) lib->history(list, &event, H_ENTER, text);
        count++;
    }
    return count;
}

static void write_all(FILE *file)
{
    HistEvent event;
    int more = lib->history(list, &event, H_LAST); /* the oldest */

    for (; more != -1; more = lib->history(list, &event, H_PREV))
        write_text(file, event.str);
}

/* What is left of a text whose program died while it wrote would spoil the
 * next one. */
static void end_last_line(FILE *file)
{
    if (fseek(file, -1, SEEK_END) != 0) return;
    if (fgetc(file) == '\n') return;
    fseek(file, 0, SEEK_END);
    fputc('\n', file);
}

void mp_edit_history_open(const mp_EditLib *opened, History *kept, bool keeps)
{
    HistEvent event;
    FILE *file;

    lib = opened;
    list = kept;
    lib->history(list, &event, H_SETSIZE, KEPT);
    lib->history(list, &event, H_SETUNIQUE, 1);
    if (keeps) find_path();
    make_folders();
    file = open_locked();
    if (!file) {
        path[0] = '\0';
        return;
    }
    if (read_texts(file) > FILE_MAX && ftruncate(fileno(file), 0) == 0)
        write_all(file);
    fclose(file);
}

void mp_edit_history_add(const char *text)
{
    HistEvent event;
    FILE *file;

    if (strlen(text) >= TEXT_MAX / 2) return;
    lib->history(list, &event, H_ENTER, text);
    file = open_locked();
    if (!file) return;
    end_last_line(file);
    fseek(file, 0, SEEK_END);
    write_text(file, text);
    fclose(file);
}
#else
typedef int mp_EditHistoryIsEmpty; /* a file of C must say something */
#endif

/*
 * edit.c: see edit.h.
 *
 * All bytes of standard input go through one buffer of ours, also those that
 * libedit gets: so a pasted text is seen whole, and what lies ahead can be
 * looked at without leaving the terminal's raw mode.
 */
#include "edit.h"

#include "edit_lib.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef MOONPIPE_EDIT
#include <locale.h>
#include <wchar.h>
#endif

#define SLICE_US 10000 /* of other calls, between two looks at the keyboard */
#define PASTE_MS 20    /* how long the next line of a paste may take */

static struct {
    char bytes[4096];
    size_t at, len;
    bool ended;
} input;

static moonpipe_Engine *engine;
static bool terminal;
static volatile sig_atomic_t stopped;

/* --- bytes
 * -------------------------------------------------------------------- */

/* poll, which a signal ends that comes just before it, too. */
static int poll_both(struct pollfd both[2], int limit_ms)
{
    struct timespec limit = {.tv_sec = limit_ms / 1000,
                             .tv_nsec = limit_ms % 1000 * 1000000};
    sigset_t ours, usual;
    int count = 0;

    sigemptyset(&ours);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ours, &usual);
    if (!stopped) count = ppoll(both, 2, limit_ms < 0 ? NULL : &limit, &usual);
    pthread_sigmask(SIG_SETMASK, &usual, NULL);
    return count;
}

/* Waits for standard input, at most [limit_ms] long (negative: for ever), and
 * lets the engine run meanwhile. False after the time or a signal. */
static bool wait_for_input(int limit_ms)
{
    int64_t ready = moonpipe_update(engine, SLICE_US);

    while (!stopped) {
        struct pollfd both[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                                 {.fd = moonpipe_fd(engine), .events = POLLIN}};
        int count = poll_both(both, ready > 0 ? 0 : limit_ms);

        if (both[0].revents) return true;
        if (count < 0 && errno != EINTR) return false;
        if (count == 0 && ready <= 0) return false;
        if (count >= 0) ready = moonpipe_update(engine, SLICE_US);
    }
    return false;
}

/* Reads some bytes when there are none left. */
static bool fill(int limit_ms)
{
    ssize_t count;

    if (input.at < input.len) return true;
    if (input.ended || !wait_for_input(limit_ms)) return false;
    count = read(STDIN_FILENO, input.bytes, sizeof input.bytes);
    input.at = 0;
    input.len = count > 0 ? (size_t)count : 0;
    input.ended = count == 0 || (count < 0 && errno != EINTR);
    return count > 0;
}

bool mp_edit_continues(void)
{
    while (fill(terminal ? PASTE_MS : -1)) {
        size_t at = input.at;

        while (at < input.len && strchr(" \t", input.bytes[at]))
            at++;
        if (at < input.len) return input.bytes[at] == '|';
        /* blanks up to the end of the buffer: they mean nothing */
        input.at = input.len;
    }
    return false;
}

/* A line as it comes, without editing. */
static size_t read_plain(const char *prompt, char *line, size_t size)
{
    size_t len = 0;

    if (terminal) {
        fputs(prompt, stdout);
        fflush(stdout);
    }
    while (len < size && fill(-1)) {
        char byte = input.bytes[input.at++];

        line[len++] = byte;
        if (byte == '\n') return len;
    }
    return stopped ? 0 : len;
}

/* --- libedit
 * ------------------------------------------------------------------ */

#ifdef MOONPIPE_EDIT
static const mp_EditLib *lib;
static EditLine *editor;
static History *history_list;
static char history_path[4096];
static const char *shown_prompt;

static char *get_prompt(EditLine *el)
{
    (void)el;
    return (char *)(uintptr_t)shown_prompt;
}

/* One character for libedit: 1, or -1 when there is none. */
static int get_character(EditLine *el, wchar_t *character)
{
    mbstate_t state;
    (void)el;

    memset(&state, 0, sizeof state);
    while (fill(-1)) {
        size_t used = mbrtowc(character, &input.bytes[input.at++], 1, &state);

        if (used == (size_t)-1) {
            memset(&state, 0, sizeof state); /* no character: dropped */
            continue;
        }
        if (used != (size_t)-2) return 1;
    }
    return -1;
}

/* Makes the folders of [path], for the owner alone. */
static void make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700); /* what cannot be made is noticed at the file */
        *slash = '/';
    }
}

static void open_history(void)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    size_t size = sizeof history_path;
    HistEvent event;
    int file;

    lib->history(history_list, &event, H_SETSIZE, 1000);
    lib->history(history_list, &event, H_SETUNIQUE, 1);
    if (state && state[0] == '/')
        snprintf(history_path, size, "%s/moonpipe/history", state);
    else if (home && home[0] == '/')
        snprintf(history_path, size, "%s/.local/state/moonpipe/history", home);
    else
        return;
    make_folders(history_path);
    file = open(history_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) {
        history_path[0] = '\0';
        return;
    }
    fchmod(file, 0600);
    close(file);
    lib->history(history_list, &event, H_LOAD, history_path);
}

/* A key on the command line is nobody else's business, not even a file's: what
 * stands before one, and how the well-known ones begin. */
static bool holds_key(const char *line)
{
    static const char *const signs[] = {
        "api_key", "mp.secret", "Bearer ", "sk-", "gsk_", "xai-", "AIza"};

    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
        if (strstr(line, signs[i])) return true;
    return false;
}

static void remember(const char *line)
{
    HistEvent event;

    if (line[strspn(line, " \t\r\n")] == '\0' || holds_key(line)) return;
    lib->history(history_list, &event, H_ENTER, line);
    if (history_path[0])
        lib->history(history_list, &event, H_SAVE, history_path);
}

static size_t read_edited(const char *prompt, char *line, size_t size)
{
    const char *edited;
    int len = 0;

    shown_prompt = prompt;
    edited = lib->el_gets(editor, &len);
    if (stopped || !edited || len <= 0 || (size_t)len >= size) {
        lib->el_reset(editor);
        return 0;
    }
    remember(edited);
    memcpy(line, edited, (size_t)len);
    return (size_t)len;
}

/* Characters of the user's locale; numbers stay those of Lua. */
static void set_characters(void)
{
    setlocale(LC_CTYPE, "");
    if (MB_CUR_MAX == 1) setlocale(LC_CTYPE, "C.UTF-8");
}

static void open_editor(void)
{
    lib = mp_edit_lib();
    if (!lib) return;
    set_characters();
    editor = lib->el_init("moonpipe", stdin, stdout, stderr);
    history_list = lib->history_init();
    if (!editor || !history_list) return;
    open_history();
    lib->el_set(editor, EL_PROMPT, get_prompt);
    lib->el_set(editor, EL_EDITOR, "emacs");
    lib->el_set(editor, EL_HIST, lib->history, history_list);
    lib->el_set(editor, EL_SIGNAL, 0);
    lib->el_set(editor, EL_BIND, "^R", "em-inc-search-prev", NULL);
    lib->el_source(editor, NULL);
    lib->el_set(editor, EL_GETCFN, get_character);
}

static void close_editor(void)
{
    if (history_list) lib->history_end(history_list);
    if (editor) lib->el_end(editor);
    history_list = NULL;
    editor = NULL;
}
#endif

/* --- either
 * ------------------------------------------------------------------- */

void mp_edit_open(moonpipe_Engine *running)
{
    engine = running;
    terminal = isatty(STDIN_FILENO);
#ifdef MOONPIPE_EDIT
    if (terminal) open_editor();
#endif
}

size_t mp_edit_line(const char *prompt, char *line, size_t size)
{
    stopped = 0;
#ifdef MOONPIPE_EDIT
    if (editor && history_list) return read_edited(prompt, line, size);
#endif
    return read_plain(prompt, line, size);
}

void mp_edit_stop(void)
{
    stopped = 1;
}

bool mp_edit_is_terminal(void)
{
    return terminal;
}

void mp_edit_close(void)
{
#ifdef MOONPIPE_EDIT
    close_editor();
#endif
}

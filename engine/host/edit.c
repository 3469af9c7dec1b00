/* edit.c: see edit.h. */
#include "edit.h"

#include "edit_input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef MOONPIPE_EDIT
#include "edit_history.h"
#include "edit_lib.h"

#include <locale.h>
#include <sys/ioctl.h>
#include <wchar.h>
#endif

static bool terminal;
static bool had_text;

/* A line as it comes, without editing. */
static size_t read_plain(const char *prompt, char *line, size_t size)
{
    size_t len = 0;

    if (terminal) {
        fputs(prompt, stdout);
        fflush(stdout);
    }
    while (len < size && mp_edit_input_byte(&line[len], -1))
        if (line[len++] == '\n') return len;
    had_text = len > 0;
    return mp_edit_input_is_stopped() ? 0 : len;
}

/* --- libedit
 * ------------------------------------------------------------------ */

#ifdef MOONPIPE_EDIT
#define PASTE_BEGINS "\033[200~"
#define PASTE_ENDS   "\033[201~"
#define PASTE_MS     1000 /* how long the rest of one may take */

static const mp_EditLib *lib;
static EditLine *editor;
static History *history_list;
static mp_EditComplete complete;
static const char *shown_prompt;
static bool editing;

static char *get_prompt(EditLine *el)
{
    (void)el;
    return (char *)(uintptr_t)shown_prompt;
}

static void say(const char *text)
{
    fputs(text, stdout);
    fflush(stdout);
}

/* --- where the line is --- */

static int columns_of_terminal(void)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return 80;
    return size.ws_col;
}

/* Columns that libedit draws a character in, from [column] on. */
static int width_of(wchar_t character, int column)
{
    int width = wcwidth(character);

    if (character == L'\t') return 8 - column % 8;
    return width < 0 ? 2 : width; /* ^A */
}

/* Rows between the beginning of the prompt and the cursor. */
static int rows_above(void)
{
    const LineInfo *info = lib->el_line(editor);
    int row = 0, column = (int)strlen(shown_prompt);
    int columns = columns_of_terminal();
    const char *at = info->buffer;
    mbstate_t state;
    wchar_t character;

    memset(&state, 0, sizeof state);
    while (at < info->cursor) {
        size_t left = (size_t)(info->cursor - at);
        size_t used = mbrtowc(&character, at, left, &state);
        int width;

        if (used == 0 || used > left) break;
        at += used;
        width = character == L'\n' ? 0 : width_of(character, column);
        if (column + width > columns || character == L'\n') row++, column = 0;
        column += width;
        if (column >= columns) row++, column = 0;
    }
    return row;
}

static void hide_line(void)
{
    int rows;

    if (!editing) return;
    rows = rows_above();
    if (rows > 0) printf("\033[%dA", rows);
    say("\r\033[J");
}

static void show_line(void)
{
    if (editing) lib->el_set(editor, EL_REFRESH);
}

/* --- Tab, and what is pasted --- */

static unsigned char insert(const char *text)
{
    if (!*text) return CC_ERROR;
    return lib->el_insertstr(editor, text) == 0 ? CC_REFRESH : CC_ERROR;
}

/* In the middle of a paste a tab is a tab. */
static unsigned char on_tab(EditLine *el, int character)
{
    static char inserted[4096];
    const LineInfo *info = lib->el_line(el);
    const char *answer, *end;
    (void)character;

    if (mp_edit_input_is_ahead()) return insert("\t");
    mp_edit_input_begin_output();
    answer = complete(info->buffer, (size_t)(info->cursor - info->buffer),
                      columns_of_terminal());
    mp_edit_input_end_output();
    end = answer ? strchr(answer, '\n') : NULL;
    if (!end || (size_t)(end - answer) >= sizeof inserted) return CC_ERROR;
    if (end[1]) {
        hide_line();
        say(end + 1);
        show_line();
    }
    memcpy(inserted, answer, (size_t)(end - answer));
    inserted[end - answer] = '\0';
    return end[1] && !*inserted ? CC_NORM : insert(inserted);
}

/* How many bytes of a character (UTF-8) are due behind [byte], when it was
 * [due] before it. */
static int due_behind(unsigned char byte, int due)
{
    if (byte < 0x80) return 0;
    if (byte < 0xc0) return due > 0 ? due - 1 : 0;
    return byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
}

/* Reads up to [end], at most [size] - 1 bytes and no half of a character:
 * whether there may be more. Terminals send a '\r' for each line. */
static bool read_pasted(char *text, size_t size, const char *end)
{
    size_t len = 0, at = 0; /* at: how much of [end] is there */
    char byte;
    bool more = true;
    int due = 0;

    while (end[at] && (more = mp_edit_input_byte(&byte, PASTE_MS))) {
        at = byte == end[at] ? at + 1 : byte == end[0];
        if (byte == '\r') byte = '\n';
        if ((unsigned char)byte >= ' ' || byte == '\n' || byte == '\t')
            text[len++] = byte;
        due = due_behind((unsigned char)byte, due);
        if (len > size / 2 && at == 0 && due == 0) break;
        if (len == size - 1) break;
    }
    if (!end[at]) len -= at - 1; /* without ESC */
    text[len] = '\0';
    return more && end[at];
}

/* A pasted text is one, whatever lines it has. */
static unsigned char on_paste(EditLine *el, int character)
{
    char text[4096];
    bool more;
    (void)character;

    do {
        more = read_pasted(text, sizeof text, PASTE_ENDS);
        if (*text && lib->el_insertstr(el, text) != 0) return CC_ERROR;
    } while (more);
    return CC_REFRESH;
}

/* --- a line --- */

/* One character for libedit: 1, or -1 when there is none. */
static int get_character(EditLine *el, wchar_t *character)
{
    mbstate_t state;
    char byte;
    (void)el;

    memset(&state, 0, sizeof state);
    while (mp_edit_input_byte(&byte, -1)) {
        size_t used = mbrtowc(character, &byte, 1, &state);

        if (used == (size_t)-1) {
            memset(&state, 0, sizeof state); /* no character: dropped */
            continue;
        }
        if (used != (size_t)-2) return 1;
    }
    return -1;
}

static size_t read_edited(const char *prompt, char *line, size_t size)
{
    const char *edited;
    int len = 0;

    shown_prompt = prompt;
    say("\033[?2004h"); /* pastes are marked */
    editing = true;
    edited = lib->el_gets(editor, &len);
    editing = false;
    had_text = lib->el_line(editor)->lastchar > lib->el_line(editor)->buffer;
    say("\033[?2004l");
    mp_edit_input_flush();
    if (mp_edit_input_is_stopped() || !edited || len <= 0 ||
        (size_t)len >= size) {
        lib->el_reset(editor);
        return 0;
    }
    memcpy(line, edited, (size_t)len);
    return (size_t)len;
}

/* Characters of the user's locale; numbers stay those of Lua. */
static void set_characters(void)
{
    setlocale(LC_CTYPE, "");
    if (MB_CUR_MAX == 1) setlocale(LC_CTYPE, "C.UTF-8");
}

/* Keys as shells have them; ~/.editrc may say otherwise. */
static void bind_keys(void)
{
    static const char *const keys[][2] = {
        {"^I", "moonpipe-complete"},        {PASTE_BEGINS, "moonpipe-paste"},
        {"^R", "em-inc-search-prev"},       {"^W", "ed-delete-prev-word"},
        {"\033[3~", "ed-delete-next-char"}, {"\033[H", "ed-move-to-beg"},
        {"\033[F", "ed-move-to-end"},       {"\033[1~", "ed-move-to-beg"},
        {"\033[4~", "ed-move-to-end"},      {"\033[1;5C", "em-next-word"},
        {"\033[1;5D", "ed-prev-word"}};

    lib->el_set(editor, EL_ADDFN, "moonpipe-complete",
                "completes what stands before the cursor", on_tab);
    lib->el_set(editor, EL_ADDFN, "moonpipe-paste", "takes a pasted text",
                on_paste);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        lib->el_set(editor, EL_BIND, keys[i][0], keys[i][1], NULL);
}

/* Never closed: el_end would lose the names that EL_ADDFN was given, and
 * el_gets leaves the terminal as it found it. */
static void open_editor(bool keeps)
{
    const char *kind = getenv("TERM");

    if (!isatty(STDOUT_FILENO) || !kind || strcmp(kind, "dumb") == 0) return;
    lib = mp_edit_lib();
    if (!lib) return;
    set_characters();
    editor = lib->el_init("moonpipe", stdin, stdout, stderr);
    history_list = lib->history_init();
    if (!editor || !history_list) {
        editor = NULL;
        return;
    }
    mp_edit_history_open(lib, history_list, keeps);
    lib->el_set(editor, EL_PROMPT, get_prompt);
    lib->el_set(editor, EL_EDITOR, "emacs");
    lib->el_set(editor, EL_HIST, lib->history, history_list);
    lib->el_set(editor, EL_SIGNAL, 0);
    bind_keys();
    lib->el_source(editor, NULL);
    lib->el_set(editor, EL_GETCFN, get_character);
}

static void on_resumed(void)
{
    if (!editing) return;
    lib->el_set(editor, EL_PREP_TERM, 1);
    show_line();
}

static void on_resized(void)
{
    lib->el_resize(editor);
}

static const mp_EditScreen screen = {hide_line, show_line, on_resumed,
                                     on_resized};
#endif

/* --- either
 * ------------------------------------------------------------------- */

void mp_edit_open(moonpipe_Engine *engine, mp_EditComplete completes,
                  bool keeps)
{
    const mp_EditScreen *shown = NULL;

    terminal = isatty(STDIN_FILENO);
#ifdef MOONPIPE_EDIT
    complete = completes;
    if (terminal) open_editor(keeps);
    if (editor) shown = &screen;
#else
    (void)completes;
    (void)keeps;
#endif
    mp_edit_input_open(engine, shown);
}

size_t mp_edit_line(const char *prompt, char *line, size_t size)
{
    mp_edit_input_go();
#ifdef MOONPIPE_EDIT
    if (editor) return read_edited(prompt, line, size);
#endif
    return read_plain(prompt, line, size);
}

bool mp_edit_had_text(void)
{
    return had_text;
}

void mp_edit_remember(const char *text)
{
#ifdef MOONPIPE_EDIT
    if (editor) mp_edit_history_add(text);
#else
    (void)text;
#endif
}

void mp_edit_stop(void)
{
    mp_edit_input_stop();
}

bool mp_edit_continues(void)
{
    return mp_edit_input_has_pipe();
}

bool mp_edit_is_terminal(void)
{
    return terminal;
}

void mp_edit_close(void)
{
    mp_edit_input_close();
}

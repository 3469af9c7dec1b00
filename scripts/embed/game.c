/*
 * game.c: people who talk in a game, which goes on meanwhile; with SDL2.
 *     cc game.c $(pkg-config --cflags --libs moonpipe sdl2) -o game
 *
 *     game                  an innkeeper talks; space asks again, escape leaves
 *     game GUESTS PICTURE   all guests ask at once; when each has its answer it
 *                           prints them and what the frames took, and saves the
 *                           last one as a BMP
 */
#include <SDL.h>
#include <moonpipe.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WIDTH = 960, HEIGHT = 540, FPS = 60, BUDGET_US = 2000, LATE_US = 200 };

static const char script[] =
    "local mp = require 'moonpipe'\n"
    "local prompt = mp.ChatPromptTemplate.from_messages {\n"
    "  { 'system', 'You keep an inn. Answer in two sentences.' },\n"
    "  { 'human', '{question}' } }\n"
    "return { question = mp.RunnablePassthrough() } | prompt\n"
    "  | mp.init_chat_model() | mp.StrOutputParser()\n";

typedef struct Guest {
    char said[4000];
    size_t used;
    bool talks, failed;
} Guest;

typedef struct Game {
    SDL_Window *window;
    moonpipe_Engine *engine;
    uint64_t chain;
    Guest *guests;
    int count;
    int frames, late; /* of them over the budget by more than LATE_US */
    double worst_cpu_us, worst_us;
} Game;

/* --- talking ---------------------------------------------------------------
 */

static void say(Guest *guest, const char *text, size_t length)
{
    size_t room = sizeof guest->said - 1 - guest->used;

    if (length > room) length = room;
    memcpy(guest->said + guest->used, text, length);
    guest->used += length;
    guest->said[guest->used] = '\0';
}

static void on_token(void *guest, uint64_t call, const char *text,
                     size_t length)
{
    (void)call;
    say(guest, text, length);
}

static void on_done(void *userdata, uint64_t call, const char *text,
                    size_t length)
{
    Guest *guest = userdata;

    (void)call, (void)text, (void)length;
    guest->talks = false;
}

static void on_error(void *userdata, uint64_t call, const moonpipe_Error *error)
{
    Guest *guest = userdata;
    const char *text = moonpipe_error_message(error);

    (void)call;
    say(guest, text, strlen(text));
    guest->talks = false;
    guest->failed = true;
}

static void ask(Game *game, Guest *guest, const char *question)
{
    moonpipe_Options options;

    if (guest->talks) return;
    memset(guest, 0, sizeof *guest);
    moonpipe_options_init(&options);
    options.flags = MOONPIPE_TEXT;
    options.userdata = guest;
    options.on_token = on_token;
    options.on_done = on_done;
    options.on_error = on_error;
    guest->talks = true;
    if (!moonpipe_start(game->engine, game->chain, question, strlen(question),
                        &options))
        on_error(guest, 0, moonpipe_error(game->engine));
}

/* What a frame gives to all chains: about BUDGET_US of this thread's time. The
 * clock on the wall also counts what other programs took. */
static void update(Game *game)
{
    struct timespec cpu[2], wall[2];
    double cpu_us, wall_us;

    clock_gettime(CLOCK_MONOTONIC, &wall[0]);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu[0]);
    moonpipe_update(game->engine, BUDGET_US);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu[1]);
    clock_gettime(CLOCK_MONOTONIC, &wall[1]);
    cpu_us = (double)(cpu[1].tv_sec - cpu[0].tv_sec) * 1e6 +
             (double)(cpu[1].tv_nsec - cpu[0].tv_nsec) / 1e3;
    wall_us = (double)(wall[1].tv_sec - wall[0].tv_sec) * 1e6 +
              (double)(wall[1].tv_nsec - wall[0].tv_nsec) / 1e3;
    game->late += cpu_us > BUDGET_US + LATE_US;
    if (cpu_us > game->worst_cpu_us) game->worst_cpu_us = cpu_us;
    if (wall_us > game->worst_us) game->worst_us = wall_us;
}

/* --- drawing ---------------------------------------------------------------
 */

/* Letters of 3 x 5 points from ' ' to '_': a digit is a row. */
static const unsigned short letters[] = {
    000000, 022202, 055000, 057575, 036263, 051245, 025253, 022000,
    012221, 042224, 005250, 002720, 000024, 000700, 000002, 011244,
    075557, 026227, 071747, 071317, 055711, 074717, 074757, 071122,
    075757, 075717, 002020, 002024, 012421, 007070, 042124, 071202,
    075547, 025755, 065656, 034443, 065556, 074647, 074644, 034553,
    055755, 072227, 011152, 055655, 044447, 057755, 065555, 025552,
    065644, 025563, 065655, 034216, 072222, 055557, 055552, 055775,
    055255, 055222, 071247, 064446, 044211, 031113, 025000, 000007,
};

static void fill(SDL_Surface *screen, int x, int y, int w, int h, Uint32 color)
{
    SDL_Rect rect = {x, y, w, h};

    SDL_FillRect(screen, &rect, color);
}

static void draw_letter(SDL_Surface *screen, int c, int x, int y, int size)
{
    unsigned points;

    if (c >= 'a' && c <= 'z') c += 'A' - 'a';
    points = letters[c >= ' ' && c <= '_' ? c - ' ' : 0];
    for (int i = 0; i < 15; i++)
        if (points & 1U << (14 - i))
            fill(screen, x + i % 3 * size, y + i / 3 * size, size, size,
                 0xf0e8d0);
}

/* Words are broken where the cell ends; what is below it is not drawn. */
static void draw_text(SDL_Surface *screen, const char *text, SDL_Rect cell,
                      int size)
{
    int columns = cell.w / (4 * size), rows = cell.h / (7 * size);

    for (int at = 0; *text && at < columns * rows; text++, at++)
        draw_letter(screen, (unsigned char)*text,
                    cell.x + at % columns * 4 * size,
                    cell.y + at / columns * 7 * size, size);
}

static void draw_guest(SDL_Surface *screen, const Guest *guest, SDL_Rect cell,
                       int nod)
{
    int size = cell.h > 100 ? 3 : 1, person = 10 * size;
    SDL_Rect text = {cell.x + person, cell.y + size, cell.w - person - size,
                     cell.h - 2 * size};
    int y = cell.y + 2 * size + (guest->talks ? nod * size : 0);

    SDL_SetClipRect(screen, &cell);
    fill(screen, cell.x + 2 * size, y, 5 * size, 5 * size, 0xd8a070);
    fill(screen, cell.x + size, y + 5 * size, 7 * size, 9 * size,
         guest->failed ? 0x902020 : 0x306080);
    SDL_SetClipRect(screen, &text);
    draw_text(screen, guest->said, text, size);
    SDL_SetClipRect(screen, NULL);
}

static void draw(Game *game)
{
    SDL_Surface *screen = SDL_GetWindowSurface(game->window);
    int columns = 1, rows;

    if (!screen) return;
    while (columns * columns < game->count)
        columns++;
    rows = (game->count + columns - 1) / columns;
    SDL_FillRect(screen, NULL, 0x181410);
    for (int i = 0; i < game->count; i++) {
        SDL_Rect cell = {i % columns * (WIDTH / columns),
                         i / columns * (HEIGHT / rows), WIDTH / columns,
                         HEIGHT / rows};

        draw_guest(screen, &game->guests[i], cell, (game->frames + i) / 8 % 2);
    }
    SDL_UpdateWindowSurface(game->window);
}

/* --- the game --------------------------------------------------------------
 */

static bool wants_to_leave(Game *game)
{
    SDL_Event event;
    bool leaves = false;

    while (SDL_PollEvent(&event)) {
        int key = event.type == SDL_KEYDOWN ? event.key.keysym.sym : 0;

        leaves |= event.type == SDL_QUIT || key == SDLK_ESCAPE;
        if (key == SDLK_SPACE) ask(game, &game->guests[0], "And what else?");
    }
    return leaves;
}

static bool somebody_talks(const Game *game)
{
    for (int i = 0; i < game->count; i++)
        if (game->guests[i].talks) return true;
    return false;
}

static void play(Game *game, bool once)
{
    while (!wants_to_leave(game)) {
        Uint64 begin = SDL_GetTicks64(), took;

        update(game);
        draw(game);
        game->frames++;
        if (once && !somebody_talks(game)) return;
        took = SDL_GetTicks64() - begin;
        if (took < 1000 / FPS) SDL_Delay((Uint32)(1000 / FPS - took));
    }
}

static void ask_all(Game *game, bool once)
{
    char question[100];

    if (!once) ask(game, game->guests, "Innkeeper, what is the news?");
    for (int i = 0; once && i < game->count; i++) {
        snprintf(question, sizeof question, "guest %d says good morning to all",
                 i + 1);
        ask(game, &game->guests[i], question);
    }
}

/* Returns whether all guests got an answer, and the picture was saved. */
static bool report(const Game *game, const char *picture)
{
    bool ok = SDL_SaveBMP(SDL_GetWindowSurface(game->window), picture) == 0;

    for (int i = 0; i < game->count; i++) {
        puts(game->guests[i].said);
        ok &= !game->guests[i].failed && !game->guests[i].talks;
    }
    fprintf(stderr,
            "%d frames, %d over their budget; longest update: "
            "%.2f ms of CPU, %.2f ms of the clock\n",
            game->frames, game->late, game->worst_cpu_us / 1e3,
            game->worst_us / 1e3);
    return ok;
}

static bool begin(Game *game)
{
    if (SDL_Init(SDL_INIT_VIDEO) != 0) return false;
    game->window = SDL_CreateWindow("An inn", SDL_WINDOWPOS_CENTERED,
                                    SDL_WINDOWPOS_CENTERED, WIDTH, HEIGHT, 0);
    game->engine = moonpipe_open(NULL);
    game->guests = calloc((size_t)game->count, sizeof *game->guests);
    if (!game->window || !game->engine || !game->guests) return false;
    game->chain =
        moonpipe_load_text(game->engine, "game", script, strlen(script));
    if (!game->chain)
        fprintf(stderr, "%s\n",
                moonpipe_error_text(moonpipe_error(game->engine)));
    return game->chain != 0;
}

static void end(Game *game)
{
    moonpipe_close(game->engine);
    free(game->guests);
    if (game->window) SDL_DestroyWindow(game->window);
    SDL_Quit();
}

int main(int argc, char **argv)
{
    bool once = argc == 3, ok;
    Game game = {.count = once ? atoi(argv[1]) : 1};

    if (game.count < 1) return 2;
    ok = begin(&game);
    if (ok) {
        ask_all(&game, once);
        play(&game, once);
        if (once) ok = report(&game, argv[2]);
    } else {
        fprintf(stderr, "cannot begin: %s\n", SDL_GetError());
    }
    end(&game);
    return ok ? 0 : 1;
}

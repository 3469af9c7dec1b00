/*
 * pipe.h: the `|` translator. Lua text in, text that stock LuaJIT compiles out.
 *
 *     local chain = { context = docs } | prompt | model
 *
 * becomes, on the same line,
 *
 *     local chain = (P(P(P.map({ context = docs }, 1), prompt, 2), model, 3))
 *
 * and the whole text is wrapped as `local P = ... return function(...) <text>
 * end`, so that P is a local that no environment can hide. Who runs the text
 * calls the loaded chunk with a P of his own and gets the function of the text.
 * The numbers index the sites: what stood where, in the author's words, so
 * that P can name a wrong operand without guessing at stack levels.
 *
 * Parentheses around a whole chain keep it one value and no tail call. A chain
 * of more than MP_PIPE_NEST operators would need more nested calls than LuaJIT
 * has stack slots for (250, two for each), so it becomes a row of calls
 * instead:
 * `(P.chain(a, b, 1)(c, 2)(d, 3)())`. Both evaluate in the same order.
 *
 * Pure: no Lua, no files, no global state. Threads: any.
 */
#ifndef MP_PIPE_H
#define MP_PIPE_H

#include "buf.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MP_PIPE_NEST 8

/* Syntax levels that a text may nest. LuaJIT's own limit is 200. */
#define MP_PIPE_LEVELS 180

typedef enum mp_PipeKey {
    MP_PIPE_STRING,   /* name = v, ["name"] = v */
    MP_PIPE_INDEX,    /* v, [3] = v */
    MP_PIPE_COMPUTED, /* [expr] = v: the key is known only at run time */
    MP_PIPE_SPREAD    /* a last `...`: any number of values */
} mp_PipeKey;

/* A piece of mp_Pipe.texts. */
typedef struct mp_PipeText {
    uint32_t at;
    uint32_t len;
} mp_PipeText;

/* Where an operand stands in the author's text. Of one that is longer than its
 * line [width] is what is on that line. */
typedef struct mp_PipeSpan {
    uint32_t line;   /* 0: not known */
    uint32_t column; /* in bytes, from 1 */
    uint32_t width;  /* in bytes */
} mp_PipeSpan;

/* One entry of a map: `context = retriever`. */
typedef struct mp_PipeEntry {
    mp_PipeKey kind;
    uint32_t line;
    uint32_t index;    /* of MP_PIPE_INDEX and MP_PIPE_SPREAD */
    mp_PipeText key;   /* of MP_PIPE_STRING its bytes, else as written */
    mp_PipeText value; /* as written, on one line, shortened */
    mp_PipeSpan span;  /* of the value */
} mp_PipeEntry;

/* What one number in the text stands for: an operator or a map. */
typedef struct mp_PipeSite {
    bool is_map;
    uint32_t line;    /* of the `|`, of the `{` */
    mp_PipeText left; /* operands as written, on one line, shortened */
    mp_PipeText right;
    mp_PipeSpan left_span; /* of the first operator of a chain only */
    mp_PipeSpan right_span;
    uint32_t first; /* a map's entries: [first] to [first + count - 1] */
    uint32_t count;
} mp_PipeSite;

typedef struct mp_Pipe {
    bool changed; /* false: nothing to translate; use the text as it is */
    mp_Buf text;  /* the translated text */
    mp_Buf texts;
    mp_PipeSite *sites; /* site n of the text is sites[n - 1] */
    uint32_t site_count;
    mp_PipeEntry *entries;
    uint32_t entry_count;
    mp_PipeSpan failed; /* what a message of kind `lua` is about */
} mp_Pipe;

/* Translates [text]. [name] is how messages call it ("rag.lua"). Text without
 * the byte `|` and bytecode are not looked at. Fails with kind `lua` and a
 * message in LuaJIT's words (`rag.lua:7: unexpected symbol near '<eof>'`),
 * with `too_large` or `memory`; [pipe] then needs no mp_pipe_term, and holds
 * nothing but `failed`. */
mp_Status mp_pipe_translate(mp_Pipe *pipe, const char *text, size_t len,
                            const char *name, mp_Error *err);

/* The same for any text, without wrapping: for tests of the parser. A text
 * without `|` operators must come out as it went in. */
mp_Status mp_pipe_rewrite(mp_Pipe *pipe, const char *text, size_t len,
                          const char *name, mp_Error *err);

/* Frees what a translation holds. */
void mp_pipe_term(mp_Pipe *pipe);

#endif

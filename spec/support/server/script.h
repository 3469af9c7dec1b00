/*
 * script.h: how the server shall answer one request.
 *
 * A script is a line of settings, `delay=100; status=429; header=Retry-After:
 * 2`. Values may hold %XX codes. Times are milliseconds unless they end in `us`
 * or `s`; sizes are bytes unless they end in `k` or `m`. An unknown key is an
 * error, so that a misspelt test cannot pass.
 *
 * When
 *   delay=T        before the first byte of the head
 *   body_delay=T   between the head and the body
 *   hold           answer when POST /release comes
 *   never          never answer
 * The head
 *   status=N  header=NAME: VALUE (may be repeated)  content_type=TEXT
 *   request_id=TEXT  redirect=URL (status 302 unless given)
 *   framing=length|chunked|close   how the body's end is told
 *   length=N|+N|-N    a false Content-Length; the connection closes after it
 *   http10            HTTP/1.0, framing=close
 *   close             says Connection: close, and does so
 *   hangup=T          closes an idle connection T after the answer, unsaid
 *   raw=TEXT          these bytes and the end of the connection, no head
 * The body, instead of the usual one
 *   body=TEXT  body64=BASE64  empty  html
 *   error=CODE        OpenAI's error object, at status 200 unless given
 *   message=TEXT      its message
 *   huge=SIZE|endless, shape=json|line|lines|event|comments
 *                     a valid answer of that size; SIZE x without a line end;
 *                     lines but no event; one event; nothing but comments
 *   gzip              with Content-Encoding: gzip, whatever was asked for
 *   bad_json          JSON with a hole (in a stream: behind `after` tokens)
 *   bom               begins with a byte order mark
 * The answer
 *   answer=TEXT       default: the last user message
 *   answer_json=TEXT  the inside of a JSON string, sent as it is
 *   token=TEXT        the next token, verbatim (may be repeated)
 *   tokens=N          tok0 tok1 ...
 *   finish=REASON  fingerprint=TEXT  answer_id=TEXT  usage=IN,OUT  no_usage
 *   stream=yes|no     whatever the request says
 * Streams
 *   gap=T             between tokens
 *   comments=N|endless   comments before the first event, `gap` apart
 *   keepalive         a comment before each token
 *   eol=lf|cr|crlf|mixed  no_space  multiline  fields
 *   no_role  no_done  no_finish  no_last_blank
 *   error=CODE; after=K    an error event behind K tokens, then the end
 *   error_json=TEXT        that event's data, or the error body, verbatim
 *   error_event            with `event: error`
 * Embeddings
 *   dims=N  shuffle (order of the list, not its indexes)  floats (although
 *   base64 was asked for)  missing (leaves the last one out)
 * How bytes leave
 *   split=K  pause=T  drip=T    K bytes a piece; the time between; drip is
 *                     split=1 and pause=T. A piece is one chunk and one send
 * The end; PLACE is K bytes into the body, or hK into the head
 *   end=K             the body ends there, rightly framed
 *   cut=PLACE         closes the connection
 *   reset=PLACE       resets it
 *   stall=PLACE       sends no more until POST /release
 */
#ifndef SCRIPT_H
#define SCRIPT_H

#include "bytes.h"

#define ENDLESS INT64_MAX

typedef enum Framing { BY_DEFAULT, BY_LENGTH, BY_CHUNKS, BY_CLOSE } Framing;
typedef enum Shape {
    SHAPE_JSON,
    SHAPE_LINE,
    SHAPE_LINES,
    SHAPE_EVENT,
    SHAPE_COMMENTS
} Shape;
typedef enum Eol { EOL_LF, EOL_CR, EOL_CRLF, EOL_MIXED } Eol;
typedef enum Answer { AS_ASKED, AS_STREAM, AS_WHOLE } Answer;
typedef enum Fault { NO_FAULT, END, CUT, RESET, STALL } Fault;

/* Text that was not given has at == NULL; an empty one has not. */
typedef struct Script {
    int references;
    int64_t delay_us, body_delay_us, gap_us, pause_us, hangup_us;
    int64_t status, split, tokens, comments, after, dims, huge;
    Bytes headers; /* whole lines */
    Bytes content_type, request_id, redirect, body, length, raw;
    Bytes error, message, error_json;
    Bytes answer; /* escaped for JSON */
    Bytes finish, fingerprint, answer_id, usage;
    Bytes *token; /* escaped, token_count of them */
    int token_count;
    int framing, shape, eol, streamed; /* enums as ints: tables fill them */
    Fault fault;
    bool fault_in_head;
    int64_t fault_at;
    bool hold, never, http10, close, empty, html, gzip, bad_json, bom;
    bool no_usage, no_role, keepalive, no_space, multiline, fields, no_done;
    bool no_finish, no_last_blank, error_event, shuffle, floats, missing;
} Script;

/* Returns a script with one reference, or NULL and what is wrong in
 * [complaint]. */
Script *script_parse(Span text, Bytes *complaint);

/* The script of a request that has none. */
Script *script_plain(void);

Script *script_keep(Script *script);
void script_drop(Script *script);

#endif

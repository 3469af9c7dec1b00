/*
 * writer.h: puts one reply on a socket as its script says: whole or in slices,
 * at once or dripping, up to the place where it breaks.
 *
 * writer_fill is asked again and again; between its answers the writer keeps
 * nothing that a blocked socket could spoil.
 */
#ifndef WRITER_H
#define WRITER_H

#include "reply.h"

typedef enum Step {
    STEP_SEND,  /* there are bytes to flush; then ask again */
    STEP_WAIT,  /* flush; nothing more before resume_us */
    STEP_BREAK, /* flush; the script's fault is due */
    STEP_FINISH /* flush; then the reply is over */
} Step;

typedef struct Writer {
    Reply reply;
    const Script *script; /* borrowed */
    Bytes out;            /* what is to be sent */
    size_t sent;          /* of out */
    size_t stop;          /* where a fault in the head stops sending */
    Bytes piece;          /* of the body */
    size_t piece_at;      /* what of it is in out */
    int64_t piece_us;     /* the wait behind it */
    int64_t body_sent;    /* put into out, without framing */
    int64_t resume_us;
    bool body_ended, fault_done;
} Writer;

/* Begins with the reply that is set already. */
void writer_begin(Writer *writer, const Script *script);

Step writer_fill(Writer *writer);

/* 1: all was sent that may be; 0: the socket is full; -1: it is broken. */
int writer_flush(Writer *writer, int fd);

/* Goes on behind a fault, as if there were none. */
void writer_heal(Writer *writer);

/* Forgets the reply; what is in `out` stays. */
void writer_end(Writer *writer);
void writer_free(Writer *writer);

#endif

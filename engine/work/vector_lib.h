/*
 * vector_lib.h: moonpipe_vector.so, which holds FAISS, opened at first use.
 *
 * It is looked for near the file that this code is part of: in its folder and
 * the one above (the build), and in the library folder of the installation.
 * Where the build had no FAISS, there is none, and all is `unsupported`.
 *
 * Threads: any.
 */
#ifndef MP_VECTOR_LIB_H
#define MP_VECTOR_LIB_H

#include "err.h"
#include "faiss_shim.h"

typedef struct mp_VectorLib {
#define MP_FAISS_FIELD(name, arguments) int(*name) arguments;
    MP_FAISS_FUNCTIONS(MP_FAISS_FIELD)
#undef MP_FAISS_FIELD
} mp_VectorLib;

/* The functions, or NULL with the reason: `unsupported`. */
const mp_VectorLib *mp_vector_lib(mp_Error *err);

#endif

/* test_hash.c: work/hash and work/hash_job. The golden values are the vectors'
 * version: if they change, so must its name. */
#include "alloc.h"
#include "engine.h"
#include "hash_job.h"
#include "test.h"
#include "torture.h"
#include "word.h"

#include "check_case.h"

#include <math.h>
#include <string.h>

static void vector_of(const char *text, float *out)
{
    CHECK(mp_hash_text(text, strlen(text), out, NULL) == MP_OK);
}

static double product(const float *a, const float *b)
{
    double sum = 0;

    for (size_t i = 0; i < MP_HASH_DIM; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

static double likeness(const char *a, const char *b)
{
    float one[MP_HASH_DIM], two[MP_HASH_DIM];

    vector_of(a, one);
    vector_of(b, two);
    return product(one, two);
}

static bool same(const char *a, const char *b)
{
    float one[MP_HASH_DIM], two[MP_HASH_DIM];

    vector_of(a, one);
    vector_of(b, two);
    return memcmp(one, two, sizeof one) == 0;
}

/* --- golden --- */

/* A sum over all values in which each place counts differently. */
static double digest(const char *text)
{
    float vector[MP_HASH_DIM];
    double sum = 0;

    vector_of(text, vector);
    for (size_t i = 0; i < MP_HASH_DIM; i++)
        sum += vector[i] * (double)(i + 1);
    return sum;
}

typedef struct Golden {
    const char *text;
    double digest;
} Golden;

static const Golden golden[] = {
    {"a", 79.1959581},
    {"harrison worked at kensho", 769.155796},
    {"Wo wohnt Bärbel? In Köln.", -704.089398},
    {"\xd0\x93\xd0\xb4\xd0\xb5 \xd0\xba\xd0\xbe\xd1\x82", 443.760157},
    {"the cat the dog the cat", -138.018205},
    {"\xff\xfe", 1083.5},
};

static void test_golden(void)
{
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        double got = digest(golden[i].text);

        if (fabs(got - golden[i].digest) > 1e-3)
            fprintf(stderr, "  %.9g for %.9g\n", got, golden[i].digest);
        CHECK_CASE(golden[i].text, fabs(got - golden[i].digest) <= 1e-3);
    }
}

/* The few places of a short text, each of the same size. */
static void test_one_letter(void)
{
    float vector[MP_HASH_DIM];
    int taken = 0;

    vector_of("a", vector); /* the word, and " a " */
    for (size_t i = 0; i < MP_HASH_DIM; i++) {
        taken += vector[i] != 0;
        CHECK(vector[i] == 0 || fabs(fabs(vector[i]) - sqrt(0.5)) < 1e-7);
    }
    CHECK(taken == 2);
}

/* --- what is a word --- */

static void test_words(void)
{
    CHECK(same("Harrison, worked (at) KENSHO!", "harrison worked at kensho"));
    CHECK(same("", " \t\n.,;"));
    CHECK(same("\xc3\x84rger", "\xc3\xa4rger")); /* Latin-1 */
    CHECK(same("\xce\x91\xd0\x96\xd0\x81", "\xce\xb1\xd0\xb6\xd1\x91"));
    CHECK(same("a\xc2\xa0z", "a z"));                        /* no-break */
    CHECK(same("it\xe2\x80\x99s", "it s"));                  /* quote */
    CHECK(same("\xe7\x8c\xab\xe3\x80\x82", "\xe7\x8c\xab")); /* full stop */
    CHECK(!same("\xe2\x82\xac", ""));                        /* the euro sign */
    CHECK(!same("a_b", "a b"));
    CHECK(!same("a b", "b a"));
    CHECK(!same("\xff", ""));
}

static void test_long_word(void)
{
    char text[3 * MP_WORD_MAX + 1], cut[3 * MP_WORD_MAX + 3];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    snprintf(cut, sizeof cut, "%.64s %.64s %.64s", text, text, text);
    CHECK(same(text, cut));
}

static void test_likeness(void)
{
    const char *question = "where did harrison work?";
    double near = likeness(question, "harrison worked at kensho");
    double far = likeness(question, "bears like to eat honey");

    CHECK(near > 0.25 && far < 0.1);
    CHECK(likeness("cat", "cats") > 0.4);
    CHECK(fabs(likeness(question, question) - 1) < 1e-6);
    CHECK(likeness("", question) == 0);
}

/* A text that fills the table several times over, read in pieces. */
static void test_pieces(void)
{
    static const char text[] = "one two \xc3\x84three four_five six seven \xff"
                               "eight nine ten eleven twelve thirteen";
    float whole[MP_HASH_DIM], pieces[MP_HASH_DIM];

    vector_of(text, whole);
    for (size_t piece = 1; piece < sizeof text; piece++) {
        size_t at = 0;
        mp_Hash hash;

        mp_hash_init(&hash);
        while (at < sizeof text - 1)
            CHECK(mp_hash_read(&hash, text, sizeof text - 1, &at, at + piece,
                               NULL) == MP_OK);
        mp_hash_finish(&hash, pieces);
        CHECK(memcmp(whole, pieces, sizeof whole) == 0);
    }
}

/* --- the job --- */

static mp_Job *job_of(const char *const *texts, size_t count)
{
    size_t *ends = mp_alloc_zero(count, sizeof *ends);
    mp_Job *job = NULL;
    mp_Buf all;

    mp_buf_init(&all, 0);
    if (!ends) return NULL;
    for (size_t i = 0; i < count; i++) {
        mp_buf_text(&all, texts[i]);
        ends[i] = all.len;
    }
    if (all.status == MP_OK) job = mp_hash_job(&all, ends, count);
    if (!job) mp_alloc_free(ends);
    mp_buf_term(&all);
    return job;
}

static mp_Event *await_event(mp_Engine *engine)
{
    mp_Event *event;

    while (!(event = mp_engine_next(engine)))
        mp_engine_wait(engine, -1);
    return event;
}

static const char *const texts[] = {"", "harrison worked at kensho", "", "ten"};

static mp_Status embed_all(void *userdata)
{
    mp_Engine *engine;
    mp_Status status = mp_engine_new(&engine, NULL);
    uint64_t id;

    (void)userdata;
    if (status != MP_OK) return status;
    status = mp_engine_submit(engine, job_of(texts, 4), &id, NULL);
    if (status == MP_OK) {
        mp_Event *event = await_event(engine);
        float wanted[MP_HASH_DIM];

        if (event->kind == MP_EVENT_FAILED)
            status = -(mp_Status)event->job->err->kind;
        for (size_t i = 0; status == MP_OK && i < 4; i++) {
            status = mp_hash_text(texts[i], strlen(texts[i]), wanted, NULL);
            CHECK(status != MP_OK ||
                  memcmp(event->floats.data + i * MP_HASH_DIM, wanted,
                         sizeof wanted) == 0);
        }
        mp_job_free_event(event);
    }
    mp_engine_free(engine);
    return status;
}

/* Much text takes many slices; a cancel comes between two of them. */
static void test_cancel(void)
{
    mp_Engine *engine = NULL;
    size_t *ends = mp_alloc_zero(1, sizeof *ends);
    mp_Event *event;
    uint64_t id = 0;
    mp_Buf text;

    CHECK(mp_engine_new(&engine, NULL) == MP_OK);
    mp_buf_init(&text, 0);
    for (int i = 0; i < 1000000; i++)
        mp_buf_printf(&text, "%x ", (unsigned)i * 2654435761u);
    *ends = text.len;
    CHECK(mp_engine_submit(engine, mp_hash_job(&text, ends, 1), &id, NULL) ==
          MP_OK);
    mp_engine_cancel(engine, id);
    event = await_event(engine);
    CHECK(event->kind == MP_EVENT_CANCELLED);
    mp_job_free_event(event);
    mp_engine_free(engine);
}

int main(void)
{
    test_golden();
    test_one_letter();
    test_words();
    test_long_word();
    test_likeness();
    test_pieces();
    test_cancel();
    CHECK(torture(embed_all, NULL) > 6);
    return TEST_END();
}

/* test_lexical.c: work/lexical against a search of its own, with deletions;
 * memory that is not there. */
#include "lexical.h"
#include "test.h"
#include "torture.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { WORDS = 12, LONGEST = 9, DOCS = 300 };

/* A collection of random texts over few words: w0 is frequent, w11 is rare. */
typedef struct Case {
    unsigned seed;
    size_t docs;
    int times[DOCS][WORDS];
    int lengths[DOCS];
    bool gone[DOCS];
} Case;

static unsigned next(Case *c)
{
    c->seed = c->seed * 1664525u + 1013904223u;
    return c->seed >> 8;
}

static size_t random_text(Case *c, size_t doc, char *text, size_t size)
{
    size_t len = 0;
    unsigned words = next(c) % LONGEST;

    for (unsigned i = 0; i < words; i++) {
        unsigned word = next(c) % WORDS * (next(c) % WORDS) / (WORDS - 1);

        c->times[doc][word]++;
        len += (size_t)snprintf(text + len, size - len,
                                i % 2 ? "W%u, " : "w%u ", word);
    }
    c->lengths[doc] = (int)words;
    return len;
}

static mp_Status add_text(mp_Lexical *lexical, size_t doc, const char *bytes,
                          size_t len, bool cut)
{
    mp_LexicalText text = {bytes, len, 0, cut};
    mp_Status status = mp_lexical_reserve(lexical, doc, 1, NULL);

    while (status == MP_OK && text.at < text.len)
        status = mp_lexical_read(lexical, doc, &text, text.at + 7, NULL);
    if (status == MP_OK && len == 0)
        status = mp_lexical_read(lexical, doc, &text, 0, NULL);
    if (status == MP_OK)
        mp_lexical_keep(lexical, doc, 1);
    else
        mp_lexical_drop(lexical, doc, 1);
    return status;
}

static void add_random(mp_Lexical *lexical, Case *c)
{
    char text[LONGEST * 8];
    size_t len = random_text(c, c->docs, text, sizeof text);

    CHECK(add_text(lexical, c->docs, text, len, false) == MP_OK);
    c->docs++;
}

/* The [k] best for [query]; returns how many there are. */
static size_t search(mp_Lexical *lexical, const char *query, size_t len,
                     bool cut, size_t k, mp_LexicalHit *out)
{
    mp_LexicalSearch one = {.query = {query, len, 0, cut}};
    size_t count;

    CHECK(mp_lexical_begin(lexical, &one, k, NULL) == MP_OK);
    while (mp_lexical_step(lexical, &one))
        ;
    count = one.count;
    if (count > 0) memcpy(out, one.hits, count * sizeof *out);
    mp_lexical_end(&one);
    return count;
}

/* --- against plain loops --- */

static double weight_of(const Case *c, int word)
{
    double all = 0, own = 0;

    for (size_t doc = 0; doc < c->docs; doc++) {
        all += !c->gone[doc];
        own += !c->gone[doc] && c->times[doc][word] > 0;
    }
    return log(1 + (all - own + 0.5) / (own + 0.5));
}

static double score_of(const Case *c, size_t doc, int word, double average)
{
    double times = c->times[doc][word];
    double length = c->lengths[doc] / average;

    return weight_of(c, word) * times * 2.2 /
           (times + 1.2 * (1 - 0.75 + 0.75 * length));
}

static double average_of(const Case *c)
{
    double words = 0, all = 0;

    for (size_t doc = 0; doc < c->docs; doc++) {
        all += !c->gone[doc];
        words += c->gone[doc] ? 0 : c->lengths[doc];
    }
    return words / all;
}

/* [words] as text: the first one twice. */
static void check_search(mp_Lexical *lexical, const Case *c, int a, int b,
                         size_t k)
{
    static mp_LexicalHit hits[DOCS];
    char query[32];
    int len = snprintf(query, sizeof query, "W%d w%d zz w%d", a, b, a);
    size_t count = search(lexical, query, (size_t)len, false, k, hits);
    size_t wanted = 0, better = 0;
    double average = average_of(c);

    for (size_t doc = 0; doc < c->docs; doc++) {
        double score =
            2 * score_of(c, doc, a, average) + score_of(c, doc, b, average);
        bool found = false;

        if (c->gone[doc] || score == 0) continue;
        wanted++;
        for (size_t i = 0; i < count && !found; i++) {
            found = hits[i].doc == doc;
            if (found) CHECK(fabs(hits[i].score - score) < 1e-9);
        }
        if (!found && count > 0) better += score > hits[count - 1].score + 1e-9;
    }
    CHECK(count == (wanted < k ? wanted : k));
    CHECK(better == 0);
    for (size_t i = 1; i < count; i++)
        CHECK(hits[i - 1].score > hits[i].score ||
              (hits[i - 1].score == hits[i].score &&
               hits[i - 1].doc < hits[i].doc));
}

static void check_searches(mp_Lexical *lexical, Case *c)
{
    for (int i = 0; i < 8; i++) {
        int a = (int)(next(c) % WORDS), b = (int)(next(c) % WORDS);

        check_search(lexical, c, a, a == b ? (b + 1) % WORDS : b,
                     1 + next(c) % 20);
    }
}

static void delete_some(mp_Lexical *lexical, Case *c, unsigned one_in)
{
    uint32_t docs[DOCS + 2];
    size_t count = 0;

    for (size_t doc = 0; doc < c->docs; doc++) {
        if (next(c) % one_in != 0) continue;
        docs[count++] = (uint32_t)doc;
        c->gone[doc] = true;
    }
    docs[count++] = 4000000000u; /* never there */
    mp_lexical_delete(lexical, docs, count);
}

static void test_random(unsigned seed)
{
    static Case c;
    mp_Lexical lexical;

    c = (Case){.seed = seed};
    mp_lexical_init(&lexical, 1.2, 0.75);
    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < DOCS / 6; i++)
            add_random(&lexical, &c);
        check_searches(&lexical, &c);
        delete_some(&lexical, &c, 3 + (unsigned)round);
        check_searches(&lexical, &c);
    }
    mp_lexical_term(&lexical);
}

/* --- details --- */

static void test_words(void)
{
    mp_Lexical lexical;
    mp_LexicalHit hits[4];

    mp_lexical_init(&lexical, 1.2, 0.75);
    CHECK(search(&lexical, "a", 1, false, 4, hits) == 0);
    CHECK(add_text(&lexical, 0, "\xc3\x84rger, no!", 11, false) == MP_OK);
    CHECK(add_text(&lexical, 1, "", 0, false) == MP_OK);
    CHECK(search(&lexical, "\xc3\xa4RGER", 6, false, 4, hits) == 1);
    CHECK(search(&lexical, "", 0, false, 4, hits) == 0);
    CHECK(search(&lexical, " .!", 3, false, 4, hits) == 0);
    CHECK(lexical.live == 2 && lexical.words == 2);
    mp_lexical_term(&lexical);
}

static size_t find(mp_Lexical *lexical, const char *query)
{
    mp_LexicalHit hits[4];

    return search(lexical, query, strlen(query), false, 4, hits);
}

/* Of scripts without blanks each character is a term, in whatever pieces the
 * text is read; what stands beside them is a word as ever. */
static void test_alone(void)
{
    static const char *const texts[] = {
        "\u6f22\u5b57\u3092\u8aad\u3080\u3002",      /* five and a stop */
        "C\u8a00\u8a9eABC\uff0cabc\uff21\U00020bb7", /* ABC; abc, wide A */
        "\uc11c\uc6b8\uc5d0\uc11c \u304b\xe6\xbc",   /* cut at its end */
    };
    static const uint32_t counts[] = {5, 6, 6};
    mp_Lexical lexical;

    mp_lexical_init(&lexical, 1.2, 0.75);
    for (size_t i = 0; i < 3; i++) {
        CHECK(add_text(&lexical, i, texts[i], strlen(texts[i]), false) ==
              MP_OK);
        CHECK(lexical.lengths[i] == counts[i]);
    }
    CHECK(find(&lexical, "\u5b57") == 1 && find(&lexical, "\u8aad\u66f8") == 1);
    CHECK(find(&lexical, "abc") == 1 && find(&lexical, "c") == 1);
    CHECK(find(&lexical, "\uc11c\uc6b8") == 1 && find(&lexical, "\u3002") == 0);
    CHECK(find(&lexical, "\U00020bb7") == 1 && find(&lexical, "\uff0c") == 0);
    mp_lexical_term(&lexical);
}

/* Terms that the caller cut may hold anything but NUL. */
static void test_cut(void)
{
    static const char one[] = "New York\0A\0\0b", two[] = "New\0York";
    mp_Lexical lexical;
    mp_LexicalHit hits[4];

    mp_lexical_init(&lexical, 1.2, 0.75);
    CHECK(add_text(&lexical, 0, one, sizeof one - 1, true) == MP_OK);
    CHECK(add_text(&lexical, 1, two, sizeof two - 1, true) == MP_OK);
    CHECK(lexical.lengths[0] == 3 && lexical.lengths[1] == 2);
    CHECK(search(&lexical, "New York", 8, true, 4, hits) == 1);
    CHECK(hits[0].doc == 0);
    CHECK(search(&lexical, "York\0a", 6, true, 4, hits) == 1);
    CHECK(hits[0].doc == 1);
    mp_lexical_term(&lexical);
}

/* Numbers that were given out but never added are holes. */
static void test_holes(void)
{
    mp_Lexical lexical;
    mp_LexicalHit hits[4];
    uint32_t hole = 3;

    mp_lexical_init(&lexical, 1.2, 0.75);
    CHECK(add_text(&lexical, 7, "a b", 3, false) == MP_OK);
    CHECK(add_text(&lexical, 2, "a", 1, false) == MP_OK);
    mp_lexical_delete(&lexical, &hole, 1);
    CHECK(lexical.live == 2 && lexical.gone == 0);
    CHECK(search(&lexical, "a", 1, false, 4, hits) == 2);
    CHECK(hits[0].doc == 2 && hits[1].doc == 7);
    mp_lexical_term(&lexical);
}

/* What is dropped leaves the index as it was. */
static void test_drop(void)
{
    static const char text[] = "a b c";
    mp_LexicalText words = {text, 5, 0, false};
    mp_Lexical lexical;
    mp_LexicalHit hits[4];

    mp_lexical_init(&lexical, 1.2, 0.75);
    CHECK(add_text(&lexical, 0, "a b", 3, false) == MP_OK);
    CHECK(mp_lexical_reserve(&lexical, 1, 2, NULL) == MP_OK);
    CHECK(mp_lexical_read(&lexical, 1, &words, 5, NULL) == MP_OK);
    mp_lexical_drop(&lexical, 1, 2);
    CHECK(search(&lexical, "a b c", 5, false, 4, hits) == 1);
    CHECK(fabs(hits[0].score - 2 * log(1 + 0.5 / 1.5)) < 1e-12);
    CHECK(lexical.live == 1 && lexical.words == 2);
    mp_lexical_term(&lexical);
}

/* Lists give their memory back once most of the documents have gone. */
static void test_tidy(void)
{
    mp_Lexical lexical;
    mp_LexicalHit hits[4];
    uint32_t docs[3000];

    mp_lexical_init(&lexical, 1.2, 0.75);
    for (uint32_t i = 0; i < 3000; i++) {
        CHECK(add_text(&lexical, i, i % 3 ? "often" : "often rare",
                       i % 3 ? 5 : 10, false) == MP_OK);
        docs[i] = i;
    }
    mp_lexical_delete(&lexical, docs, 1000);
    CHECK(!mp_lexical_tidy(&lexical));
    mp_lexical_delete(&lexical, docs, 2998);
    CHECK(lexical.terms[0].room >= 3000);
    while (mp_lexical_tidy(&lexical))
        ;
    CHECK(lexical.gone == 0 && lexical.terms[0].room < 3000);
    CHECK(lexical.terms[0].count == 2 && lexical.terms[1].count == 0);
    CHECK(search(&lexical, "often", 5, false, 4, hits) == 2);
    CHECK(hits[0].doc == 2998 && hits[1].doc == 2999);
    mp_lexical_term(&lexical);
}

/* --- memory --- */

static mp_Status use(void *userdata)
{
    mp_LexicalSearch one = {.query = {"w1 w40", 6, 0, false}};
    mp_Lexical lexical;
    mp_Status status = MP_OK;
    char text[16];

    (void)userdata;
    mp_lexical_init(&lexical, 1.2, 0.75);
    for (size_t i = 0; status == MP_OK && i < 200; i++) {
        int len = snprintf(text, sizeof text, "w%zu w%zu", i % 10, i);

        status = add_text(&lexical, i, text, (size_t)len, false);
        CHECK(lexical.live == i + (status == MP_OK));
    }
    if (status == MP_OK) status = mp_lexical_begin(&lexical, &one, 5, NULL);
    while (status == MP_OK && mp_lexical_step(&lexical, &one))
        ;
    CHECK(status != MP_OK || (one.count == 5 && one.hits[0].doc == 40));
    mp_lexical_end(&one);
    mp_lexical_term(&lexical);
    return status;
}

int main(void)
{
    for (unsigned seed = 1; seed <= 5; seed++)
        test_random(seed);
    test_words();
    test_alone();
    test_cut();
    test_holes();
    test_drop();
    test_tidy();
    CHECK(torture(use, NULL) > 20);
    return TEST_END();
}

/*
 * test_call.c: values into chains and out of them, by calls that wait and by
 * callbacks, and functions of the host that are given values.
 */
#include "host.h"

static const char *text_of(const moonpipe_Value *value, const char *path)
{
    return moonpipe_get_text(value, path, NULL);
}

/* Loads [text] after a line that has mp. */
static uint64_t load_mp(moonpipe_Engine *engine, const char *text)
{
    char script[2048] = "local mp = require 'moonpipe' ";

    add(script, sizeof script, text, strlen(text));
    return load(engine, script);
}

/* What the chain [text] makes of [input], owned. */
static moonpipe_Value *made(moonpipe_Engine *engine, const char *text,
                            moonpipe_Value *input)
{
    uint64_t chain = load_mp(engine, text);
    moonpipe_Value *result = moonpipe_call(engine, chain, input, NULL);

    moonpipe_drop(engine, chain);
    return result;
}

static bool is_json(moonpipe_Value *value, const char *json)
{
    moonpipe_Value *text = moonpipe_to_json(value);
    bool same = strcmp(text_of(text, NULL), json) == 0;

    if (!same) fprintf(stderr, "  %s\n", text_of(text, NULL));
    moonpipe_free(text);
    moonpipe_free(value);
    return same;
}

static moonpipe_Value *json(const char *text)
{
    return moonpipe_new_json(text, strlen(text));
}

/* --- data --- */

static void test_gives_what_it_is_given(moonpipe_Engine *engine)
{
    static const char *const same[] = {
        "{\"a\":[1,2.5,\"x\",true,false,null,{}],\"b\":{\"c\":[]}}",
        "[]",
        "{}",
        "\"text\"",
        "\"a\\u0000b\"",
        "0.25",
        "-3",
        "true",
        "false",
        "null",
        "[[],[[]],{\"n\":[{\"n\":1}]}]"};
    const char *id = "return function(x) return x end";

    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        CHECK(is_json(made(engine, id, json(same[i])), same[i]));
    CHECK(is_json(made(engine, id, moonpipe_new_integer(INT64_MAX)),
                  "\"9223372036854775807\""));
    CHECK(is_json(made(engine, id, moonpipe_new_integer(9007199254740992)),
                  "9007199254740992"));
    CHECK(is_json(made(engine, "return function(x) return x == nil end",
                       moonpipe_new_null()),
                  "true"));
}

/* A table is what its keys say, as in JSON. */
static void test_gives_tables_by_their_shape(moonpipe_Engine *engine)
{
    CHECK(is_json(made(engine, "return function() return { 1, 2, n = 3 } end",
                       moonpipe_new_null()),
                  "[1,2,null]"));
    CHECK(is_json(made(engine, "return function() return mp.array {} end",
                       moonpipe_new_null()),
                  "[]"));
    CHECK(is_json(made(engine,
                       "return function() return setmetatable({ 1 }, "
                       "{ __tojson = function(t) return { t[1], 'j' } end }) "
                       "end",
                       moonpipe_new_null()),
                  "[1,\"j\"]"));
    CHECK(is_json(made(engine,
                       "return function() return setmetatable({ a = mp.null }, "
                       "{}) end",
                       moonpipe_new_null()),
                  "{\"a\":null}"));
}

static void fails_with(moonpipe_Engine *engine, const char *text, int kind,
                       const char *message)
{
    uint64_t chain = load_mp(engine, text);
    const moonpipe_Error *error = moonpipe_error(engine);

    CHECK(!moonpipe_call(engine, chain, moonpipe_new_null(), NULL));
    CHECK(moonpipe_error_kind(error) == kind);
    CHECK(strstr(moonpipe_error_message(error), message));
    if (!strstr(moonpipe_error_message(error), message))
        fprintf(stderr, "  %s\n", moonpipe_error_message(error));
}

static void test_refuses_what_is_no_data(moonpipe_Engine *engine)
{
    int input = MOONPIPE_KIND_INPUT;

    fails_with(engine, "return function() return { a = { 1, print } } end",
               input, "cannot give the host a function at $.a[2]");
    fails_with(engine, "return function() return { x = io.stdout } end", input,
               "a userdata at $.x");
    fails_with(engine, "return function() return { [1] = 1, [3] = 3 } end",
               input, "an array with holes and no field n at $");
    fails_with(engine, "return function() return { 1, a = 2 } end", input,
               "both integers and strings");
    fails_with(engine, "return function() return { [true] = 1 } end", input,
               "a table with a boolean as key");
    fails_with(engine, "return function() return { [0.5] = 1 } end", input,
               "the number 0.5 as key");
    fails_with(engine,
               "return function() local t = {} t.t, t.u = t, t return t end",
               input, "more than 128 containers");
    fails_with(engine,
               "return function() return setmetatable({}, { __tojson = "
               "function() error('own', 0) end }) end",
               MOONPIPE_KIND_LUA, "own");
    fails_with(engine,
               "return function() local big = { ('x'):rep(2^26) } "
               "return { big, big, big, big } end",
               MOONPIPE_KIND_TOO_LARGE, "more than 256 MiB");
    fails_with(engine, "return function() error('no', 0) end",
               MOONPIPE_KIND_LUA, "no");
}

static void test_refuses_broken_inputs(moonpipe_Engine *engine)
{
    uint64_t chain = load(engine, "return function(x) return x end");
    moonpipe_Value *value = moonpipe_new_array();

    CHECK(moonpipe_call(engine, chain, NULL, NULL) == NULL);
    CHECK(kind_of(engine) == MOONPIPE_KIND_MEMORY);
    moonpipe_set(value, "x", moonpipe_new_null());
    CHECK(moonpipe_start_value(engine, chain, value, NULL) == 0);
    CHECK(kind_of(engine) == MOONPIPE_KIND_INPUT);
    value = moonpipe_new_array();
    for (int i = 0; i < 128; i++) {
        moonpipe_Value *outer = moonpipe_new_array();

        moonpipe_add(outer, value);
        value = outer;
    }
    CHECK(moonpipe_call(engine, chain, value, NULL) == NULL);
    CHECK(strstr(moonpipe_error_text(moonpipe_error(engine)), "more than 128"));
    CHECK(moonpipe_call(engine, 1u << 30, moonpipe_new_null(), NULL) == NULL);
    CHECK(kind_of(engine) == MOONPIPE_KIND_CLOSED);
    CHECK(moonpipe_start_value(engine, 1u << 30, moonpipe_new_null(), NULL) ==
          0);
}

/* What is read asks its members, which may change it: where the new keys land
 * is Lua's affair, but no key that is none is taken. */
static void test_reads_what_changes(moonpipe_Engine *engine)
{
    uint64_t chain = load_mp(
        engine, "return function() local t = {}\n"
                "  local mt = { __tojson = function()\n"
                "    for k in pairs(t) do t[k] = nil end\n"
                "    for i = 1, 30 do t[i + 0.5] = i end return 1 end }\n"
                "  for i = 1, 64 do t['k' .. i] = setmetatable({}, mt) end\n"
                "  return t end");
    moonpipe_Value *value =
        moonpipe_call(engine, chain, moonpipe_new_null(), NULL);

    for (size_t i = 0; i < moonpipe_length(value); i++)
        CHECK(moonpipe_key(value, i)[0] == 'k');
    if (!value)
        CHECK(kind_of(engine) == MOONPIPE_KIND_INPUT ||
              kind_of(engine) == MOONPIPE_KIND_LUA);
    moonpipe_free(value);
}

/* --- floats and messages --- */

static void test_gives_floats(moonpipe_Engine *engine)
{
    static const float numbers[] = {1, 2, 3, 4};
    size_t rows, dim;
    const float *read;
    moonpipe_Value *value = moonpipe_new_object();

    moonpipe_set(value, "v", moonpipe_new_floats(numbers, 1, 4));
    moonpipe_set(value, "m", moonpipe_new_floats(numbers, 2, 2));
    value = made(engine,
                 "return function(x)\n"
                 "  assert(tostring(x.v) == 'mp.Floats(4)' and x.v[4] == 4)\n"
                 "  assert(tostring(x.m) == 'mp.Floats(2 x 2)')\n"
                 "  return { x.m, x.v, mp.Floats { { 7, 8, 9 } } }\n"
                 "end",
                 value);
    read = moonpipe_get_floats(value, "0", &rows, &dim);
    CHECK(read && rows == 2 && dim == 2 && memcmp(read, numbers, 16) == 0);
    read = moonpipe_get_floats(value, "1", &rows, &dim);
    CHECK(read && rows == 1 && dim == 4 && read[3] == 4);
    read = moonpipe_get_floats(value, "2", &rows, &dim);
    CHECK(read && rows == 1 && dim == 3 && read[0] == 7);
    CHECK(is_json(value, "[[[1,2],[3,4]],[1,2,3,4],[[7,8,9]]]"));
    value = made(engine,
                 "return function(x) return mp.HashEmbeddings()"
                 ":embed_documents(x) end",
                 json("[\"a bear\", \"a bee\", \"a bear\"]"));
    read = moonpipe_get_floats(value, NULL, &rows, &dim);
    CHECK(read && rows == 3 && dim == 1024);
    CHECK(read && memcmp(read, read + 2 * dim, dim * sizeof *read) == 0);
    moonpipe_free(value);
}

static const char calling[] =
    "return function() return mp.AIMessage { content = 'I look.',\n"
    "  tool_calls = { { name = 'look', args = { at = 'bear' }, id = 'c1' } },\n"
    "  usage_metadata = { input_tokens = 3, output_tokens = 4,\n"
    "    total_tokens = 7 } } end";

static void test_reads_messages(moonpipe_Engine *engine)
{
    moonpipe_Value *value = made(engine, calling, moonpipe_new_null());
    moonpipe_Value *back;

    CHECK(moonpipe_type(value) == MOONPIPE_TYPE_OBJECT);
    CHECK(strcmp(text_of(value, NULL), "I look.") == 0);
    CHECK(strcmp(text_of(value, "type"), "ai") == 0);
    CHECK(moonpipe_length(moonpipe_get(value, "tool_calls")) == 1);
    CHECK(strcmp(text_of(value, "tool_calls.0.name"), "look") == 0);
    CHECK(strcmp(text_of(value, "tool_calls.0.args.at"), "bear") == 0);
    CHECK(moonpipe_get_integer(value, "usage_metadata.total_tokens") == 7);
    back = moonpipe_new_array(); /* and it is one again */
    moonpipe_add(back, value);
    value = made(engine,
                 "return function(x)\n"
                 "  assert(tostring(x[1]) == 'I look.')\n"
                 "  assert(x[1].tool_calls[1].args.at == 'bear')\n"
                 "  assert(mp.ChatPromptTemplate.from_messages { x[1] })\n"
                 "  return x[1].type .. x[1].usage_metadata.total_tokens\n"
                 "end",
                 back);
    CHECK(strcmp(text_of(value, NULL), "ai7") == 0);
    moonpipe_free(value);
}

static void test_messages_without_calls(moonpipe_Engine *engine)
{
    moonpipe_Value *input = moonpipe_new_array();
    moonpipe_Value *message = moonpipe_new_object(), *value;

    moonpipe_set(message, "role", moonpipe_new_string("user"));
    moonpipe_set(message, "content", moonpipe_new_string("hi"));
    moonpipe_add(input, message);
    value = made(engine,
                 "return mp.GenericFakeChatModel { messages = { 'so so' } }",
                 input);
    CHECK(strcmp(text_of(value, NULL), "so so") == 0);
    CHECK(moonpipe_type(moonpipe_get(value, "tool_calls")) ==
          MOONPIPE_TYPE_ARRAY);
    CHECK(strncmp(text_of(value, "id"), "run-", 4) == 0);
    moonpipe_free(value);
    value = made(engine, "return mp.ChatPromptTemplate.from_template 'say {x}'",
                 json("{\"x\": \"hi\"}"));
    CHECK(moonpipe_length(value) == 1);
    CHECK(strcmp(text_of(value, "0"), "say hi") == 0);
    CHECK(strcmp(text_of(value, "0.type"), "human") == 0);
    moonpipe_free(value);
    value = made(engine, "return mp.PromptTemplate.from_template 'say {x}'",
                 json("{\"x\": \"hi\"}"));
    CHECK(strcmp(text_of(value, NULL), "say hi") == 0);
    moonpipe_free(value);
}

/* A message or Document that the host has written to is checked. */
static void test_closes_what_was_written_to(moonpipe_Engine *engine)
{
    uint64_t id = load(engine, "return function(x) return x end");
    moonpipe_Value *value = made(engine, calling, moonpipe_new_null());

    moonpipe_set(value, "type", moonpipe_new_string("bear"));
    value = moonpipe_call(engine, id, value, NULL);
    CHECK(value == NULL && kind_of(engine) == MOONPIPE_KIND_INPUT);
    CHECK(strstr(moonpipe_error_text(moonpipe_error(engine)), "type bear"));
    value = made(engine, calling, moonpipe_new_null());
    moonpipe_set(value, "content", moonpipe_new_integer(1));
    value = moonpipe_call(engine, id, value, NULL);
    CHECK(value == NULL && kind_of(engine) == MOONPIPE_KIND_LUA);
    value = made(engine, calling, moonpipe_new_null());
    moonpipe_set(value, "content", moonpipe_new_string("You look."));
    value = moonpipe_call(engine, id, value, NULL);
    CHECK(strcmp(text_of(value, NULL), "You look.") == 0);
    moonpipe_free(value);
}

static void test_documents_and_errors(moonpipe_Engine *engine)
{
    moonpipe_Value *value = made(
        engine,
        "return mp.BM25Retriever.from_texts({ 'bears eat honey', 'bees' })",
        moonpipe_new_string("bears"));

    CHECK(strcmp(text_of(value, "0"), "bears eat honey") == 0);
    CHECK(moonpipe_get(value, "0.metadata") != NULL);
    value = made(engine,
                 "return function(x) return x[1].page_content, x end | "
                 "{ a = function(t) return t end }",
                 value);
    CHECK(strcmp(text_of(value, "a"), "bears eat honey") == 0);
    moonpipe_free(value);
    value = made(engine,
                 "return function() return mp.Document('text', { n = 1 }) end",
                 moonpipe_new_null());
    CHECK(moonpipe_get_integer(value, "metadata.n") == 1);
    value = made(engine, "return function(x) return tostring(x) end", value);
    CHECK(strcmp(text_of(value, NULL), "text") == 0);
    moonpipe_free(value);
    value = made(engine,
                 "return function() return mp.RunnableLambda(function(x)\n"
                 "  error('broken', 0) end):batch({ 1 },\n"
                 "  { return_exceptions = true }) end",
                 moonpipe_new_null());
    CHECK(strcmp(text_of(value, "0.kind"), "lua") == 0);
    CHECK(strstr(text_of(value, "0.message"), "broken"));
    moonpipe_free(value);
}

/* --- callbacks --- */

typedef struct Kept {
    moonpipe_Value *value;
    int count;
    Told told;
} Kept;

static void keep(void *userdata, uint64_t call, const moonpipe_Value *result)
{
    Kept *kept = userdata;

    CHECK(call != 0);
    kept->count++;
    kept->value = moonpipe_copy(result);
}

static void no_text(void *userdata, uint64_t call, const char *result,
                    size_t length)
{
    (void)userdata, (void)call, (void)result, (void)length;
    CHECK(!"on_done beside on_value");
}

static void test_tells_values(moonpipe_Engine *engine)
{
    Kept kept = {0};
    moonpipe_Options options;
    uint64_t chain = load_mp(
        engine, "local vectors = mp.HashEmbeddings()\n"
                "return { text = function(x) return x end,\n"
                "  v = function(x) return vectors:embed_query(x) end }");

    moonpipe_options_init(&options);
    options.userdata = &kept;
    options.on_value = keep;
    options.on_done = no_text;
    CHECK(moonpipe_start_value(engine, chain, moonpipe_new_string("bear"),
                               &options) != 0);
    CHECK(moonpipe_wait(engine, 0, -1) == 1);
    CHECK(kept.count == 1);
    CHECK(strcmp(text_of(kept.value, "text"), "bear") == 0);
    CHECK(moonpipe_length(moonpipe_get(kept.value, "v")) == 1024);
    moonpipe_free(kept.value);
    CHECK(moonpipe_start(engine, chain, "\"bee\"", 5, &options) != 0);
    CHECK(moonpipe_wait(engine, 0, -1) == 1); /* JSON in, a value out */
    CHECK(strcmp(text_of(kept.value, "text"), "bee") == 0);
    moonpipe_free(kept.value);
}

static void test_tells_errors_beside_values(moonpipe_Engine *engine)
{
    Told told;
    moonpipe_Options options = telling(&told, 0);
    uint64_t chain = load(engine, "return function() return print end");

    options.on_value = keep;
    CHECK(moonpipe_start_value(engine, chain, moonpipe_new_null(), &options));
    CHECK(moonpipe_wait(engine, 0, -1) == 1);
    CHECK(told.errors == 1 && told.done == 0);
    CHECK(told.kind == MOONPIPE_KIND_INPUT);
}

static void test_calls_stream(moonpipe_Engine *engine)
{
    Told told;
    moonpipe_Options options = telling(&told, MOONPIPE_TEXT_OUT);
    uint64_t chain =
        load_mp(engine, "return mp.GenericFakeChatModel { messages = "
                        "{ 'one two three' } }");
    moonpipe_Value *value;

    options.on_token = on_token;
    value = moonpipe_call(engine, chain, moonpipe_new_string("hi"), &options);
    CHECK(strcmp(text_of(value, NULL), "one two three") == 0);
    CHECK(strcmp(text_of(value, "type"), "ai") == 0);
    CHECK(told.tokens >= 3 && strcmp(told.text, "one two three") == 0);
    CHECK(told.done == 0 && told.errors == 0);
    moonpipe_free(value);
    options.timeout = 0.02;
    chain = load_mp(engine, "return function() mp.sleep(60) end");
    CHECK(!moonpipe_call(engine, chain, moonpipe_new_null(), &options));
    CHECK(kind_of(engine) == MOONPIPE_KIND_TIMEOUT_TOTAL);
    CHECK(told.errors == 0);
}

static void call_again(void *userdata, uint64_t call, const char *token,
                       size_t length)
{
    moonpipe_Engine **engine = userdata;

    CHECK(call != 0 && length > 0 && token[length] == '\0');
    CHECK(moonpipe_call(*engine, 1, moonpipe_new_null(), NULL) == NULL);
    CHECK(kind_of(*engine) == MOONPIPE_KIND_UNSUPPORTED);
    moonpipe_interrupt(*engine);
}

static void test_is_no_call_in_a_callback(moonpipe_Engine *engine)
{
    moonpipe_Options options;
    uint64_t chain =
        load_mp(engine, "return mp.RunnableGenerator(function(_, emit)\n"
                        "  emit('x') mp.sleep(60) end)");

    moonpipe_options_init(&options);
    options.userdata = &engine;
    options.on_token = call_again;
    CHECK(!moonpipe_call(engine, chain, moonpipe_new_null(), &options));
    CHECK(kind_of(engine) == MOONPIPE_KIND_CANCELLED);
}

/* What nothing can end is an error, and is not left behind. */
static void test_calls_that_never_end(moonpipe_Engine *engine)
{
    uint64_t chain =
        load_mp(engine, "local scheduler = require 'moonpipe.scheduler'\n"
                        "return function() scheduler.park() end");

    CHECK(!moonpipe_call(engine, chain, moonpipe_new_null(), NULL));
    CHECK(kind_of(engine) == MOONPIPE_KIND_INTERNAL);
    CHECK(moonpipe_wait(engine, 0, 5000000) == 1);
}

int main(void)
{
    moonpipe_Engine *engine = moonpipe_open(NULL);

    CHECK(engine != NULL);
    test_gives_what_it_is_given(engine);
    test_gives_tables_by_their_shape(engine);
    test_refuses_what_is_no_data(engine);
    test_refuses_broken_inputs(engine);
    test_reads_what_changes(engine);
    test_gives_floats(engine);
    test_reads_messages(engine);
    test_messages_without_calls(engine);
    test_closes_what_was_written_to(engine);
    test_documents_and_errors(engine);
    test_tells_values(engine);
    test_tells_errors_beside_values(engine);
    test_calls_stream(engine);
    test_is_no_call_in_a_callback(engine);
    test_calls_that_never_end(engine);
    moonpipe_close(engine);
    return TEST_END();
}

/*
 * test_memory.c: a host whose allocations fail in turn: each function of the
 * API says `memory` or works, nothing leaks, and the next engine is well. Ours
 * alone fail: LuaJIT, which ends the process in some places, keeps its memory.
 *
 * It links the static library, whose failing allocator no host sees.
 */
#include "host.h"

#include "torture.h"

typedef struct Trial {
    moonpipe_Engine *engine;
    Told told;
    int asked;
} Trial;

static void later(void *userdata, uint64_t answer, const char *input,
                  size_t length)
{
    Trial *trial = userdata;

    (void)length;
    trial->asked++;
    moonpipe_complete(trial->engine, answer, input, strlen(input));
}

/* Waits on the I/O thread, works on the pool, translates, reads and writes
 * JSON, asks the host, streams. */
static const char chain[] =
    "local mp = require 'moonpipe'\n"
    "local vectors = mp.HashEmbeddings()\n"
    "local wait = function(x) mp.sleep(0.0001) return x end\n"
    "local words = mp.BM25Retriever.from_texts({ 'a text', 'words' })\n"
    "local embed = function(x)\n"
    "  vectors:embed_query(x.text)\n"
    "  words:delete { words:add_texts({ x.text })[1] }\n"
    "  return words:invoke(x.text)[1].page_content\n"
    "end\n"
    "local model = mp.GenericFakeChatModel { messages = { 'one two' } }\n"
    "return { text = mp.host.later | wait, more = { a = wait, b = wait } }\n"
    "  | embed | mp.PromptTemplate.from_template '{x}' | model";

static mp_Status status_of(moonpipe_Engine *engine)
{
    return -moonpipe_error_kind(moonpipe_error(engine));
}

static mp_Status call_chain(Trial *trial)
{
    moonpipe_Engine *engine = trial->engine;
    moonpipe_Options options = telling(&trial->told, MOONPIPE_TEXT_OUT);
    uint64_t id;

    options.on_token = on_token;
    if (moonpipe_register(engine, "later", later, trial, 0) != 0)
        return status_of(engine);
    id = load(engine, chain);
    if (id) id = start(engine, id, "\"a \\u00e9 text\"", &options);
    if (!id) return status_of(engine);
    if (moonpipe_wait(engine, id, 20000000) != 1) return status_of(engine);
    CHECK(trial->told.done + trial->told.errors == 1);
    if (trial->told.errors) return -trial->told.kind;
    CHECK(strcmp(trial->told.result, "one two") == 0);
    return MP_OK;
}

static mp_Status whole_life(void *userdata)
{
    Trial trial = {.engine = moonpipe_open(NULL)};
    mp_Status status;

    (void)userdata;
    if (!trial.engine) return -MP_KIND_MEMORY;
    status = call_chain(&trial);
    moonpipe_close(trial.engine);
    return status;
}

/* --- values --- */

/* Answers with what it was given and more. */
static void tool(void *userdata, uint64_t answer, const moonpipe_Value *input)
{
    Trial *trial = userdata;
    moonpipe_Value *result = moonpipe_new_object();

    trial->asked++;
    moonpipe_set(result, "was", moonpipe_copy(input));
    moonpipe_complete_value(trial->engine, answer, result);
}

static const char value_chain[] =
    "local mp = require 'moonpipe'\n"
    "local vectors = mp.HashEmbeddings()\n"
    "return mp.host.tool | { was = function(x) return x.was end,\n"
    "  v = function(x) return vectors:embed_query(x.was.text) end,\n"
    "  m = function() return mp.AIMessage 'hi' end }";

static moonpipe_Value *new_input(void)
{
    static const float numbers[] = {1, 2};
    moonpipe_Value *input = moonpipe_new_object();
    moonpipe_Value *list = moonpipe_new_array();

    moonpipe_set(input, "text", moonpipe_new_string("a bear"));
    moonpipe_add(list, moonpipe_new_json("{\"b\":[1],\"a\":\"x\"}", 17));
    moonpipe_add(list, moonpipe_new_floats(numbers, 1, 2));
    moonpipe_set(input, "list", list);
    return input;
}

static mp_Status call_with_values(Trial *trial)
{
    moonpipe_Engine *engine = trial->engine;
    moonpipe_Value *result, *text;
    moonpipe_Tool about;
    uint64_t id;
    mp_Status status;

    moonpipe_tool_init(&about);
    about.name = "tool";
    about.description = "Gives it back.";
    about.schema = "{\"type\":\"object\"}";
    about.on_call = tool;
    about.userdata = trial;
    if (moonpipe_register_tool(engine, &about) != 0) return status_of(engine);
    id = load(engine, value_chain);
    if (!id) return status_of(engine);
    result = moonpipe_call(engine, id, new_input(), NULL);
    if (!result) return status_of(engine);
    text = moonpipe_to_json(moonpipe_get(result, "was"));
    status = text ? MP_OK : -MP_KIND_MEMORY;
    if (text)
        CHECK(strcmp(moonpipe_get_text(text, NULL, NULL),
                     "{\"list\":[{\"a\":\"x\",\"b\":[1]},[1,2]],"
                     "\"text\":\"a bear\"}") == 0);
    CHECK(strcmp(moonpipe_get_text(result, "m", NULL), "hi") == 0);
    moonpipe_free(text);
    moonpipe_free(result);
    return status;
}

static mp_Status life_of_values(void *userdata)
{
    Trial trial = {.engine = moonpipe_open(NULL)};
    mp_Status status;

    (void)userdata;
    if (!trial.engine) return -MP_KIND_MEMORY;
    status = call_with_values(&trial);
    moonpipe_close(trial.engine);
    return status;
}

static mp_Status script(void *userdata)
{
    static const char text[] =
        "local mp = require 'moonpipe'\n"
        "local step = mp.RunnableLambda(function(x) mp.sleep(0) return x end)\n"
        "local chain = step | { a = step, b = step }\n"
        "assert(chain:invoke(1).b == 1)\n"
        "local value, err = chain:start(2):wait()\n"
        "if err then error(err, 0) end\n";
    moonpipe_Engine *engine = moonpipe_open(NULL);
    mp_Status status = MP_OK;

    (void)userdata;
    if (!engine) return -MP_KIND_MEMORY;
    if (moonpipe_run_text(engine, "test", text, strlen(text)) != 0)
        status = status_of(engine);
    moonpipe_close(engine);
    return status;
}

int main(void)
{
    CHECK(torture(whole_life, NULL) > 20);
    CHECK(torture(script, NULL) > 10);
    CHECK(torture(life_of_values, NULL) > 40);
    CHECK(whole_life(NULL) == MP_OK);
    return TEST_END();
}

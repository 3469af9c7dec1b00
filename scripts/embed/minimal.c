/*
 * minimal.c: a chain inside a C program, its answer token by token.
 *     cc minimal.c $(pkg-config --cflags --libs moonpipe) -o minimal
 */
#include <moonpipe.h>

#include <stdio.h>
#include <string.h>

static const char script[] =
    "local mp = require 'moonpipe'\n"
    "local prompt = mp.PromptTemplate.from_template('Hello, {name}.')\n"
    "local model = mp.FakeListChatModel { responses = { 'Hello, C.' } }\n"
    "return prompt | model | mp.StrOutputParser()\n";

static void show(void *out, uint64_t call, const char *token, size_t length)
{
    (void)call;
    fwrite(token, 1, length, out);
}

int main(void)
{
    moonpipe_Engine *engine = moonpipe_open(NULL);
    moonpipe_Value *input = moonpipe_new_object();
    moonpipe_Options options;
    uint64_t chain;

    if (!engine) return 1;
    moonpipe_options_init(&options);
    options.flags = MOONPIPE_TEXT_OUT; /* tokens, else JSON */
    options.userdata = stdout;
    options.on_token = show;
    chain = moonpipe_load_text(engine, "minimal", script, strlen(script));
    moonpipe_set(input, "name", moonpipe_new_string("engine"));
    if (!moonpipe_start_value(engine, chain, input, &options))
        puts(moonpipe_error_text(moonpipe_error(engine)));
    moonpipe_wait(engine, 0, -1); /* or moonpipe_update, each frame */
    moonpipe_close(engine);
    return 0;
}

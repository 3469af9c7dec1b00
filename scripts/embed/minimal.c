/*
 * minimal.c: a chain inside a C program.
 *
 *     cc minimal.c $(pkg-config --cflags --libs moonpipe) -o minimal
 */
#include <moonpipe.h>

#include <stdio.h>
#include <string.h>

static const char script[] =
    "local mp = require 'moonpipe'\n"
    "local prompt = mp.PromptTemplate.from_template('Hello, {name}.')\n"
    "local model = mp.FakeListChatModel { responses = { 'Hello, C.' } }\n"
    "local chain = prompt | model | mp.StrOutputParser()\n"
    "print(chain:invoke { name = 'engine' })\n";

int main(void)
{
    moonpipe_Engine *engine = moonpipe_open(NULL);
    int failed;

    if (!engine) return 1;
    failed = moonpipe_run_text(engine, "=minimal", script, strlen(script));
    if (failed) fprintf(stderr, "%s\n", moonpipe_error(engine));
    moonpipe_close(engine);
    return failed ? 1 : 0;
}

// What scripts/bench/network measures of others: the commands and the figures of
// calls.lua, one line `name value` each.
//
//   node peer.mjs openai|langchain two URL ROUNDS
//   node peer.mjs openai|langchain wide URL WIDTH ROUNDS
//   node peer.mjs openai|langchain calls URL CONCURRENCY TOTAL ROUNDS
//   node peer.mjs openai|langchain stream URL ROUNDS TOKENS
//   node peer.mjs openai|langchain memory URL COUNT
//
// `openai` is the npm client alone, `langchain` is prompt | model | parser.
import process from "node:process";
import { readFileSync } from "node:fs";

const [, , who, what, url, ...rest] = process.argv;
const numbers = rest.map(Number);
const baseURL = url.replace(/\/chat\/completions$/, "");

const MODEL = "gpt-4o-mini", KEY = "sk-mock";
const MEMORY_MS = 2000; // until all calls have been sent

const now = () => Number(process.hrtime.bigint()) / 1e6;
const cpu = () => {
  const use = process.cpuUsage();
  return (use.user + use.system) / 1e3;
};

function median(values) {
  values.sort((a, b) => a - b);
  return values[Math.floor(values.length / 2)];
}

// ---- the two ---------------------------------------------------------------------

// Each gives ask(template, topic), a call; map(templates), which gives a function
// of a topic that makes all of them; stream(text), the texts of a stream.

async function openai() {
  const { default: OpenAI } = await import("openai");
  const client = new OpenAI({ apiKey: KEY, baseURL, maxRetries: 0 });
  const create = (content, stream) => client.chat.completions.create({
    model: MODEL, stream, messages: [{ role: "user", content }],
  });
  const ask = async (template, topic) => {
    const answer = await create(template.replace("{topic}", topic), false);
    return answer.choices[0].message.content;
  };
  return {
    ask,
    map: (templates) => (topic) => Promise.all(templates.map((one) => ask(one, topic))),
    async *stream(text) {
      for await (const chunk of await create(text, true)) {
        const content = chunk.choices[0]?.delta?.content;
        if (content) yield content;
      }
    },
  };
}

async function langchain() {
  const { ChatPromptTemplate } = await import("@langchain/core/prompts");
  const { StringOutputParser } = await import("@langchain/core/output_parsers");
  const { RunnableMap } = await import("@langchain/core/runnables");
  const { ChatOpenAI } = await import("@langchain/openai");
  const options = { model: MODEL, apiKey: KEY, maxRetries: 0, configuration: { baseURL } };
  const model = new ChatOpenAI(options);
  const streaming = new ChatOpenAI({ ...options, streaming: true });
  const chains = new Map();
  const chain = (template) => {
    const prompt = ChatPromptTemplate.fromTemplate(template);
    if (!chains.has(template))
      chains.set(template, prompt.pipe(model).pipe(new StringOutputParser()));
    return chains.get(template);
  };
  return {
    ask: (template, topic) => chain(template).invoke({ topic }),
    map(templates) {
      const map = RunnableMap.from(
        Object.fromEntries(templates.map((one, i) => ["b" + i, chain(one)])));
      return async (topic) => Object.values(await map.invoke({ topic }));
    },
    async *stream(text) {
      const chunks = await streaming.pipe(new StringOutputParser()).stream(text);
      for await (const chunk of chunks) if (chunk) yield chunk;
    },
  };
}

// ---- what is measured ------------------------------------------------------------

const JOKE = "tell me a joke about {topic}";
const POEM = "write a 2-line poem about {topic}";

async function time(fn) {
  const start = now();
  await fn();
  return now() - start;
}

const commands = {
  async two(peer, rounds) {
    const both = peer.map([JOKE, POEM]), ratios = [];
    await both("bear");
    for (let i = 0; i < rounds; i++) {
      const joke = await time(() => peer.ask(JOKE, "bear"));
      const poem = await time(() => peer.ask(POEM, "bear"));
      ratios.push(await time(() => both("bear")) / Math.max(joke, poem));
    }
    console.log(`ratio ${median(ratios).toFixed(4)}`);
  },

  async wide(peer, width, rounds) {
    const templates = Array.from({ length: width }, (_, i) => `tell me joke ${i} about {topic}`);
    const map = peer.map(templates), walls = [], cpus = [];
    const run = async () => {
      const answers = await map("bear");
      if (answers[width - 1] !== `tell me joke ${width - 1} about bear`) throw Error("wrong");
    };
    await peer.ask(JOKE, "bear");
    console.log(`cold_ms ${(await time(run)).toFixed(3)}`);
    for (let i = 0; i < rounds; i++) {
      const before = cpu();
      walls.push(await time(run));
      cpus.push((cpu() - before) * 1e3 / width);
    }
    console.log(`warm_ms ${median(walls).toFixed(3)}\ncpu_us ${median(cpus).toFixed(3)}`);
  },

  async calls(peer, concurrency, total, rounds) {
    const rates = [], cpus = [];
    const run = async (count) => {
      let left = count;
      await Promise.all(Array.from({ length: concurrency }, async () => {
        while (left > 0) {
          const topic = "t" + left--;
          if (await peer.ask(JOKE, topic) !== "tell me a joke about " + topic) throw Error("wrong");
        }
      }));
    };
    await run(Math.max(1000, 2 * concurrency)); // its compiler wants more than connections
    for (let i = 0; i < rounds; i++) {
      const before = cpu(), ms = await time(() => run(total));
      rates.push(total / ms * 1e3);
      cpus.push((cpu() - before) * 1e3 / total);
    }
    console.log(`rate ${median(rates).toFixed(0)}\ncpu_us ${median(cpus).toFixed(3)}`);
  },

  async stream(peer, rounds, tokens) {
    const firsts = [], walls = [];
    for (let i = 0; i <= rounds; i++) {
      const start = now();
      let first = 0, count = 0;
      for await (const _ of peer.stream("go on")) {
        first ||= now();
        count++;
      }
      if (count !== tokens) throw Error(`${count} tokens`);
      if (i > 0) {
        firsts.push(first - start);
        walls.push(now() - start);
      }
    }
    console.log(`first_ms ${median(firsts).toFixed(3)}\nwhole_ms ${median(walls).toFixed(3)}`);
  },

  async memory(peer, count) {
    const resident = () => readFileSync("/proc/self/statm", "utf8").split(" ")[1] * 4096;
    const before = resident();
    for (let i = 0; i < count; i++) peer.ask(JOKE, "bear").catch(() => {});
    await new Promise((done) => setTimeout(done, MEMORY_MS));
    console.log(`bytes ${((resident() - before) / count).toFixed(0)}`);
  },
};

await commands[what](await { openai, langchain }[who](), ...numbers);
process.exit(0);

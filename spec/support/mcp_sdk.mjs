// A server of the official SDK behind HTTP, for specs; prints its port. With `json` it answers
// without streams. Its tools: `echo`; `grow`, which adds a tool; `forget`, which forgets all
// sessions; `count`, which says how many sessions there were, and which requests were cancelled.
import { createServer } from "node:http";
import { randomUUID } from "node:crypto";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { z } from "zod";

const sessions = new Map();
let count = 0, cancelled = 0, deleted = 0, key = "";
const text = (value) => ({ content: [{ type: "text", text: value }] });

function makeServer() {
  const server = new McpServer({ name: "sdk", version: "1" });
  const hints = { annotations: { readOnlyHint: true } };
  server.registerTool("echo", { description: "Echoes.", inputSchema: { x: z.string() }, ...hints },
    async ({ x }) => text(x));
  server.registerTool("grow", { description: "Adds a tool.", ...hints }, async () => {
    server.registerTool("grown", { description: "New.", ...hints }, async () => text("new"));
    return text("grown");
  });
  server.registerTool("forget", { description: "Forgets.", ...hints }, async () => {
    setTimeout(() => sessions.clear(), 0);
    return text("forgotten");
  });
  server.registerTool("count", { description: "Counts.", ...hints },
    async () => text(`${count} ${cancelled} ${deleted} ${key}`));
  server.registerTool("wait", { description: "Waits.", ...hints }, (extra) => new Promise((done) => {
    extra.signal.addEventListener("abort", () => { cancelled++; done(text("")); });
  }));
  return server;
}

async function open() {
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    enableJsonResponse: process.argv[2] === "json",
    onsessioninitialized: (id) => { sessions.set(id, transport); count++; },
  });
  await makeServer().connect(transport);
  return transport;
}

createServer(async (request, response) => {
  const id = request.headers["mcp-session-id"];
  if (request.method === "DELETE") deleted++;
  key = request.headers["x-key"] ?? "";
  const transport = id ? sessions.get(id) : await open();
  if (!transport) return response.writeHead(404).end("no such session");
  await transport.handleRequest(request, response);
}).listen(0, "127.0.0.1", function () { console.log(this.address().port); });

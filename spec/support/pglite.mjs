// PostgreSQL with the real extension pgvector, in WebAssembly, behind a loopback port: for specs,
// since Debian 12 has no pgvector. Says its port as spec/support/process.lua wants it, and ends with
// its stdin.
import { renameSync, writeFileSync } from "node:fs";
import { PGlite } from "@electric-sql/pglite";
import { vector } from "@electric-sql/pglite-pgvector";
import { PGLiteSocketServer } from "@electric-sql/pglite-socket";

const file = process.argv[process.argv.indexOf("--port-file") + 1];
const db = await PGlite.create({ extensions: { vector } });
const server = new PGLiteSocketServer({ db, host: "127.0.0.1", port: 0, maxConnections: 4 });
server.addEventListener("listening", (event) => {
  writeFileSync(`${file}.new`, `${event.detail.port}\n`);
  renameSync(`${file}.new`, file);
});
await server.start();
process.stdin.on("end", () => process.exit(0));
process.stdin.resume();

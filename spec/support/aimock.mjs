// The server of the npm package @copilotkit/aimock, which speaks the protocols of
// most providers, on a free port.
//
//   node aimock.mjs FOLDER ANSWERS --port-file FILE
//
// FOLDER is where the package was installed, ANSWERS a file with its fixtures. It
// ends when its stdin does.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, answers, , portFile] = process.argv.slice(2);
const entry = join(folder, "node_modules/@copilotkit/aimock/dist/index.js");
const { LLMock } = await import(pathToFileURL(entry));

const server = new LLMock({ port: 0, chunkSize: 5, logLevel: "silent", auth: { apiKeys: ["sk-aimock"] } });
server.addFixturesFromJSON(readFileSync(answers, "utf8"));
await server.start();
writeFileSync(portFile, `${server.port}\n`);
process.stdin.on("end", () => process.exit(0)).resume();

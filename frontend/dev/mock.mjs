// A portal made of invented answers, to look at pages before or without the real one. Never part of the bundle.
// node dev/mock.mjs [port] [images]   then open http://127.0.0.1:PORT/ (it serves ../static/app under the portal's CSP)
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname } from "node:path";
import { answersFor } from "./answers.mjs";

const port = Number(process.argv[2] ?? 0);
const world = { images: Number(process.argv[3] ?? 12), signedIn: false, trouble: process.argv[4] === "trouble" };
const TYPES = { ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".woff2": "font/woff2" };
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self' data:; connect-src 'self'";

async function body(request) {
  let text = "";
  for await (const part of request) text += part;
  return text ? JSON.parse(text) : {};
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, "http://mock");
  response.setHeader("Content-Security-Policy", CSP);
  if (url.pathname.startsWith("/static/app/")) {
    const file = new URL(`../..${url.pathname}`, import.meta.url);
    response.setHeader("Content-Type", TYPES[extname(url.pathname)] ?? "application/octet-stream");
    return response.end(await readFile(file));
  }
  if (!url.pathname.startsWith("/api/v1")) {
    response.setHeader("Content-Type", "text/html");
    return response.end(await readFile(new URL("../../static/app/index.html", import.meta.url)));
  }
  const path = url.pathname.slice("/api/v1".length);
  const found = answersFor(world, request.method, path, url.searchParams, await body(request));
  const [status, answer] = found ?? [
    404,
    { title: "Not found", code: "not_found", detail: `The mock has no ${path}.` },
  ];
  response.statusCode = status;
  response.setHeader("Content-Type", status < 400 ? "application/json" : "application/problem+json");
  response.end(status === 204 ? undefined : JSON.stringify(answer));
});
server.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));

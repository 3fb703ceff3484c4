import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import { afterEach, expect, test } from "vitest";
import { createPoster, type Poster } from "./poster.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function listen(handle: RequestListener): Promise<{ url: string; server: Server }> {
  const server = createServer(handle).listen(0, "127.0.0.1");
  await once(server, "listening");
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return { url: `http://127.0.0.1:${port}/hook`, server };
}

function openPoster(timeoutMs: number, stopping = new AbortController()): Poster {
  const poster = createPoster({ timeoutMs, signal: stopping.signal });
  closers.push(poster.close);
  return poster;
}

test("body and headers arrive as they are, and one connection serves many", async () => {
  const taken: unknown[] = [];
  const { url, server } = await listen(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(Buffer.from(chunk));
    taken.push([request.method, request.url, request.headers["x-sign"], Buffer.concat(chunks).toString()]);
    response.writeHead(202).end("an answer nobody reads");
  });
  let connections = 0;
  server.on("connection", () => (connections += 1));
  const poster = openPoster(5_000);
  expect(await poster.post(url, { "x-sign": "a" }, "häuser")).toBe(202);
  expect(await poster.post(url, { "x-sign": "b" }, "{}")).toBe(202);
  expect(taken).toEqual([
    ["POST", "/hook", "a", "häuser"],
    ["POST", "/hook", "b", "{}"],
  ]);
  expect(connections).toBe(1);
});

test("no answer in time, half an answer, nobody there, an end meanwhile: each is an error", async () => {
  const silent = await listen(() => undefined);
  await expect(openPoster(50).post(silent.url, {}, "{}")).rejects.toThrow("no answer within 50 ms");
  const half = await listen((_request, response) => {
    response.writeHead(200, { "content-length": "100" }).write("half");
    setImmediate(() => response.destroy());
  });
  await expect(openPoster(5_000).post(half.url, {}, "{}")).rejects.toThrow("aborted");
  await expect(openPoster(5_000).post("http://127.0.0.1:1/hook", {}, "{}")).rejects.toThrow("ECONNREFUSED");
  const stopping = new AbortController();
  const posted = openPoster(5_000, stopping).post(silent.url, {}, "{}");
  stopping.abort();
  await expect(posted).rejects.toThrow("aborted");
});

test("a redirection is an answer like any other: nobody is led elsewhere", async () => {
  const { url } = await listen((_request, response) =>
    response.writeHead(307, { location: "http://127.0.0.1:1/" }).end(),
  );
  expect(await openPoster(5_000).post(url, {}, "{}")).toBe(307);
});

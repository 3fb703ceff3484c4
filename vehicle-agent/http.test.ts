import { once } from "node:events";
import { get } from "node:http";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { answerJson, serveOnLoopback } from "./http.ts";

test("a page of loopback is not answered to a web site whose name points here [R20]", async () => {
  const server = await serveOnLoopback(0, async (path) => answerJson(200, { path }));
  const { port } = new URL(server.url);
  const ask = async (host: string) => {
    const [response] = await once(
      get({ host: "127.0.0.1", port, path: "/health?x=1", headers: { host } }),
      "response",
    );
    return [response.statusCode, await text(response)];
  };
  for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, "localhost"])
    expect(await ask(host)).toEqual([200, '{"path":"/health"}']);
  for (const host of ["evil.example", `evil.example:${port}`, "127.0.0.1.evil.example", "10.0.0.1"])
    expect(await ask(host)).toEqual([421, expect.not.stringContaining("path")]);
  await server.close();
});

import { once } from "node:events";
import { request } from "node:http";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { startAuthority } from "../authority/server.ts";
import { startInbox } from "../inbox/server.ts";

async function ask(url: string, method: string, path: string, host: string): Promise<[number, string]> {
  const asked = request({ host: "127.0.0.1", port: new URL(url).port, method, path, headers: { host } });
  asked.end();
  const [response] = await once(asked, "response");
  return [response.statusCode, await text(response)];
}

test("mails and control entrances of stand-ins are closed to a web site whose name points here [R20]", async () => {
  const inbox = await startInbox({ port: 0, smtpPort: 0, storePath: ":memory:" });
  const authority = await startAuthority({ port: 0, storePath: ":memory:", apiKey: "key" });
  for (const [url, method, path] of [
    [inbox.url, "GET", "/messages"],
    [inbox.url, "GET", "/"],
    [authority.url, "GET", "/_control/store"],
    [authority.url, "DELETE", "/_control/faults"],
  ] as const) {
    expect((await ask(url, method, path, "evil.example"))[0]).toBe(421);
    for (const host of ["localhost:1", new URL(url).host])
      expect((await ask(url, method, path, host))[0]).toBeLessThan(300);
  }
  await inbox.close();
  await authority.close();
});

test("a stand-in that is meant to be reached from elsewhere answers to every name [R20]", async () => {
  const authority = await startAuthority({ port: 0, host: "0.0.0.0", storePath: ":memory:", apiKey: "key" });
  expect((await ask(authority.url, "GET", "/health", "authority.internal"))[0]).toBe(200);
  await authority.close();
});

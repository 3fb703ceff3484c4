import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { type RunningPartners, startPartners } from "../all.ts";
import { openStandIn, partnerClient } from "../client.ts";
import { testPartnersOptions } from "../testing/partners.ts";
import { knobSchema } from "./knobs.ts";

let partners: RunningPartners;
beforeAll(async () => {
  partners = await startPartners(testPartnersOptions(null));
});
afterAll(() => partners.close());

const names = ["factory", "gateway", "vss", "authority", "transport"] as const;

test.each(names)(
  "the address of the stand-in %s says what it is, and its links lead somewhere [N17]",
  async (name) => {
    const address = partners.addresses[name];
    const answer = await fetch(`${address}/`);
    expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
    expect(answer.headers.get("content-security-policy")).toContain("default-src 'none'");
    const page = await answer.text();
    expect(page).toMatch(/This stands for the (factory|payment gateway|workshops|authority|carrier)/);
    expect(page).toContain("Nothing: it works as it does by itself.");
    expect(page).toContain("/v1/");
    const links = [...page.matchAll(/href="([^"]+)"/g)].map(([, path = ""]) => path);
    expect(links).toContain("/_control/knobs");
    for (const path of links) expect([path, (await fetch(`${address}${path}`)).status]).toEqual([path, 200]);
  },
);

test("what someone has set is listed with the way back, and that way leads back [N13]", async () => {
  const set = async (name: (typeof names)[number], path: string, body: object) =>
    partnerClient(partners.addresses[name])("PUT", path, { body });
  await set("transport", "/_control/pace", { mode: "manual" });
  await set("factory", "/_control/faults", { failNext: { count: 1, status: 503 } });
  await set("gateway", "/_control/cards/pm_card_visa", { behaviour: "decline" });
  const list = async (name: (typeof names)[number]) =>
    (
      await openStandIn(partners.addresses[name]).get(
        "/_control/knobs",
        z.object({ knobs: z.array(knobSchema) }),
      )
    ).knobs;
  expect(await list("transport")).toEqual([
    { what: "pace", value: { mode: "manual" }, reset: "/_control/pace" },
  ]);
  expect(await list("factory")).toMatchObject([{ what: "faults" }]);
  expect(await list("gateway")).toMatchObject([{ what: "cards", value: [{ behaviour: "decline" }] }]);
  expect(await (await fetch(partners.addresses.transport)).text()).toContain(
    `curl -X DELETE ${partners.addresses.transport}/_control/pace`,
  );
  for (const name of ["transport", "factory", "gateway"] as const) {
    for (const { reset } of await list(name))
      expect((await partnerClient(partners.addresses[name])("DELETE", reset)).status).toBe(204);
    expect(await list(name)).toEqual([]);
  }
  expect((await partnerClient(partners.addresses.transport)("GET", "/_control/pace")).body).toMatchObject({
    mode: "auto",
  });
});

test("a fault that was used up is set no more", async () => {
  const vss = partnerClient(partners.addresses.vss, "vss-key-1");
  await vss("PUT", "/_control/faults", { body: { failNext: { count: 1, status: 503 } } });
  await vss("GET", "/v1/vehicles/WCAZZZ1B0TA000001/maintenance");
  expect((await vss("GET", "/_control/knobs")).body).toEqual({ knobs: [] });
});

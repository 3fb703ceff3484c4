import { mkdtemp, readdir, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { canonicalJson } from "@caas/contract/canonical-json.ts";
import { manifestEntrySchema, manifestHash } from "@caas/contract/manifest.ts";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openDirectoryStorage } from "../storage/storage.ts";
import { entry } from "../testing/test-signer.ts";
import { planSlot, readPlannedSlot, readSlotFiles, type SlotFiles, slotFilesOf } from "./slots.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "caas-slots-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const base = entry("plataformaBase", { configuration: { z: 1, a: { y: [1, 2], x: "ñ" } } });
const seats = entry("asientos/../calefactables");

describe("the files of a slot", () => {
  test("one file per entry and an index, all canonical, none outside the slot whatever the code", () => {
    const files = slotFilesOf({ version: 7, entries: [base, seats] });
    expect([...files.keys()].sort()).toEqual(
      [
        `asientos%2F..%2Fcalefactables.${seats.id}.json`,
        "manifest.json",
        `plataformaBase.${base.id}.json`,
      ].sort(),
    );
    expect(files.get(`plataformaBase.${base.id}.json`)).toBe(
      `{"code":"plataformaBase","configuration":{"a":{"x":"ñ","y":[1,2]},"z":1},"id":"${base.id}","term":{"kind":"unlimited"}}`,
    );
    expect(readSlotFiles(files)).toEqual({
      kind: "intact",
      hash: manifestHash([base, seats]),
      content: { version: 7, entries: expect.arrayContaining([base, seats]) },
    });
  });

  test("`applyBefore` is about the delivery and is not kept", () => {
    const delivered = { ...base, applyBefore: "2026-03-01T08:00:00.000Z" };
    expect(slotFilesOf({ version: 1, entries: [delivered] })).toEqual(
      slotFilesOf({ version: 1, entries: [base] }),
    );
  });

  const right = slotFilesOf({ version: 7, entries: [base, seats] });
  const changed = (change: (files: Map<string, string>) => void): SlotFiles => {
    const files = new Map(right);
    change(files);
    return files;
  };
  test.each([
    { fault: "no index", files: changed((files) => files.delete("manifest.json")) },
    { fault: "an index that is no JSON", files: changed((files) => files.set("manifest.json", "{")) },
    { fault: "a missing file", files: changed((files) => files.delete(`plataformaBase.${base.id}.json`)) },
    { fault: "a file of another version", files: changed((files) => files.set("old.json", "{}")) },
    {
      fault: "half a file",
      files: changed((files) => files.set(`plataformaBase.${base.id}.json`, '{"code":"plataf')),
    },
    {
      fault: "one changed value",
      files: changed((files) => {
        const name = `plataformaBase.${base.id}.json`;
        files.set(name, (files.get(name) ?? "").replace('"z":1', '"z":2'));
      }),
    },
    { fault: "nothing at all", files: new Map<string, string>() },
  ])("$fault is damage, with a hash that no manifest has", ({ files }) => {
    const reading = readSlotFiles(files);
    expect(reading.kind).toBe("damaged");
    expect(reading.hash).not.toBe(manifestHash([base, seats]));
  });

  test('a key "__proto__" is left behind at the door, so that it cannot differ between hash and disk', () => {
    const configuration = JSON.parse('{"a":[{"__proto__":0,"b":1}]}');
    const received = manifestEntrySchema.parse(entry("any", { configuration }));
    expect(JSON.stringify(received.configuration)).toBe('{"a":[{"b":1}]}');
    const reading = readSlotFiles(slotFilesOf({ version: 1, entries: [received] }));
    expect(reading).toMatchObject({ kind: "intact", hash: manifestHash([received]) });
  });

  test("any configuration found as planned reads as planned", () => {
    const contents = fc.array(
      fc.record({
        code: fc.string({ minLength: 1, maxLength: 64 }),
        settings: fc.dictionary(fc.string(), fc.jsonValue()),
      }),
      { maxLength: 4 },
    );
    fc.assert(
      fc.property(contents, fc.nat(), (list, version) => {
        const entries = list.map(({ code, settings }) =>
          manifestEntrySchema.parse(entry(code, { configuration: JSON.parse(JSON.stringify(settings)) })),
        );
        const planned = planSlot({ version, entries }, manifestHash(entries));
        expect(readSlotFiles(planned.files)).toEqual(planned.reading);
        expect(readPlannedSlot(new Map(planned.files), planned)).toBe(planned.reading);
        expect(planned.files.get("manifest.json")).toBe(
          canonicalJson(JSON.parse(planned.files.get("manifest.json") ?? "")),
        );
      }),
    );
  });

  test("files that differ from the plan are parsed", () => {
    const planned = planSlot({ version: 7, entries: [base, seats] });
    for (const [name, text] of planned.files) {
      const less = new Map(planned.files);
      less.delete(name);
      for (const found of [
        less,
        new Map([...planned.files, [name, `${text} `]]),
        new Map([...less, [`${name}.old`, text]]),
        new Map([...planned.files, ["added.json", "{}"]]),
      ])
        expect(readPlannedSlot(found, planned)).toEqual(readSlotFiles(found));
    }
    const other = slotFilesOf({ version: 8, entries: [seats] });
    expect(readPlannedSlot(other, planned)).toEqual(readSlotFiles(other));
    expect(readPlannedSlot(planned.files, null)).toEqual(planned.reading);
  });

  test("any configuration reads back as it was written", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (configuration) => {
        // As it comes off the wire: JSON has no -0, and the contract's schema takes no key "__proto__" along.
        const sent = entry("any", { configuration: JSON.parse(JSON.stringify(configuration)) });
        const received = manifestEntrySchema.parse(sent);
        const reading = readSlotFiles(slotFilesOf({ version: 1, entries: [received] }));
        expect(reading).toMatchObject({ kind: "intact", hash: manifestHash([received]) });
      }),
    );
  });
});

describe("slots on disk", () => {
  test("staging leaves only the new version, and only the switch makes it active", async () => {
    const { slots } = await openDirectoryStorage(root);
    expect(await slots.active()).toBeNull();
    await slots.stage("a", slotFilesOf({ version: 1, entries: [base] }));
    expect(await slots.active()).toBeNull();
    await slots.activate("a");
    await slots.stage("b", slotFilesOf({ version: 2, entries: [base, seats] }));
    await slots.stage("b", slotFilesOf({ version: 3, entries: [seats] }));
    expect(await slots.active()).toBe("a");
    await slots.activate("b");
    expect(await slots.active()).toBe("b");
    expect(await readdir(join(root, "configuration", "active"))).toEqual(
      [...slotFilesOf({ version: 3, entries: [seats] }).keys()].sort(),
    );
    expect(await readlink(join(root, "configuration", "active"))).toBe("slots/b");
    expect(await slots.read("a")).toEqual(slotFilesOf({ version: 1, entries: [base] }));
  });

  test("remains of a crash beside the active slot do no harm", async () => {
    const { slots } = await openDirectoryStorage(root);
    await slots.stage("a", slotFilesOf({ version: 1, entries: [base] }));
    await slots.activate("a");
    await symlink("slots/b", join(root, "configuration", "active.new"));
    await slots.stage("b", new Map([["half", "written"]]));
    await writeFile(join(root, "journal.json.new"), "half a jour");
    const after = await openDirectoryStorage(root);
    expect(await after.slots.active()).toBe("a");
    await after.write("journal.json", "whole");
    expect(await after.read("journal.json")).toBe("whole");
    await after.slots.stage("b", slotFilesOf({ version: 2, entries: [seats] }));
    await after.slots.activate("b");
    expect(readSlotFiles(await after.slots.read("b")).kind).toBe("intact");
  });
});

import { type Display, type DisplayAck, displaySchema } from "@caas/contract/display.ts";
import * as z from "zod";
import { readIntact } from "../storage/read-intact.ts";
import type { AgentStorage } from "../storage/storage.ts";

/** The messages on the car's screen, newest first. */
export type Screen = {
  shown(now: Date): Display[];
  /** Puts a verified message on the screen, durably, unless it has expired. */
  show(message: Display, now: Date): Promise<DisplayAck["result"]>;
};

const fileName = "display/current.json";
/** More than fit on a screen; a sender that never stops cannot fill the disk. */
const mostShown = 16;

export async function openScreen(storage: AgentStorage): Promise<Screen> {
  // What was shown is sent again: a damaged text costs the driver a moment.
  let messages = (await readIntact(storage, fileName, parseMessages)) ?? [];
  const shown = (now: Date): Display[] =>
    messages.filter(({ expiresAt }) => Date.parse(expiresAt) > now.getTime());
  return {
    shown,
    async show(message, now) {
      if (Date.parse(message.expiresAt) <= now.getTime()) return "expired";
      const others = shown(now).filter(({ id }) => id !== message.id);
      const next = [message, ...others]
        .sort((a, b) => Date.parse(b.issuedAt) - Date.parse(a.issuedAt))
        .slice(0, mostShown);
      await storage.write(fileName, JSON.stringify(next));
      messages = next;
      return "shown";
    },
  };
}

function parseMessages(text: string): Display[] {
  return z.array(displaySchema).parse(JSON.parse(text));
}

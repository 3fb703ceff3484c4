import { type DisplayAck, signDisplayAck, verifyDisplay } from "@caas/contract/display.ts";
import { verifyManifest } from "@caas/contract/manifest.ts";
import { kindOfOwnTopic } from "@caas/contract/topics.ts";
import type { AgentParts } from "../agent-parts.ts";
import { judgeManifest } from "../change/accept.ts";
import type { Progress } from "../change/progress.ts";
import { keySetFileName } from "../identity/identity.ts";
import type { Reporter } from "../report/reporter.ts";

/** Takes one message from the link, one after another. `arrivedMs` is of `performance.now`. */
export type MessageTaker = (topic: string, payload: Buffer, arrivedMs: number) => Promise<void>;

export function createMessageTaker(
  parts: AgentParts & { reporter: Reporter; progress: Progress },
): MessageTaker {
  const { identity, storage, logger, events, keys, journal, time, applier, reporter, progress } = parts;
  const { vin, proofKey } = identity;
  let heldManifest: string | null = null;
  const keyOf = (kid: string) => keys.keyOf(kid, { signed: new Date(time.highestMs()), latest: time.now() });

  async function takeManifest(token: string, arrivedMs: number): Promise<void> {
    const result = verifyManifest(token, {
      vin,
      proofKey: proofKey.kid,
      keyOf,
    });
    if (result.kind === "refused") {
      // The report names our key set; a newer one with that key will be sent, followed by the message.
      if (result.reason === "unknownKey") heldManifest = token;
      return reporter.refuse(`manifest.${result.reason}`);
    }
    const { manifest } = result;
    // A change that a full disk left open is ended first: its outcome decides how this message counts.
    if (applier.isOpen) await progress.follow(() => applier.recover());
    // A waiting change counts as processed here: sent again it is the status query, and older ones are refused.
    const processed = applier.deferral ?? journal.record.outcome;
    const verdict = judgeManifest(manifest, processed, keys.version);
    // A replay is not: its time says nothing new.
    const isNewlySigned = Date.parse(manifest.issuedAt) > time.lastSignedMs();
    if (verdict.kind !== "awaitKeys") time.witness(new Date(manifest.issuedAt));
    switch (verdict.kind) {
      case "awaitKeys":
        heldManifest = token;
        return reporter.send();
      case "refuse":
        return reporter.refuse(`manifest.${verdict.reason}`);
      case "repeatOutcome":
        if (isNewlySigned) await progress.follow(() => applier.restoreEnded(manifest));
        return reporter.send();
      case "process":
        await progress.follow(() => applier.applyManifest(manifest, arrivedMs), arrivedMs);
        return reporter.send();
    }
  }

  async function takeKeys(token: string, arrivedMs: number): Promise<void> {
    const result = keys.accept(token);
    if (result.kind === "refused") return reporter.refuse(`keys.${result.reason}`);
    time.atLeast(new Date(result.keySet.issuedAt));
    if (!result.newer) return;
    await storage.write(keySetFileName, token);
    events.emit("keysAccepted", result.keySet.version);
    const held = heldManifest;
    heldManifest = null;
    await reporter.send();
    if (held !== null) await takeManifest(held, arrivedMs);
  }

  async function takeDisplay(token: string): Promise<void> {
    const message = verifyDisplay(token, vin, keyOf);
    if (message === null) return reporter.refuse("display.untrusted");
    time.witness(new Date(message.issuedAt));
    const result = await parts.screen.show(message, time.now());
    // Acknowledged only once the driver can see it.
    await parts.adapter.show?.(parts.screen.shown(time.now()));
    events.emit("displayed", message, result);
    const ack: DisplayAck = { vin, id: message.id, result, at: time.now().toISOString() };
    parts.connection.publish("display-ack", signDisplayAck(ack, proofKey)).catch((error: unknown) => {
      logger.debug({ vin, err: error }, "an acknowledgement was lost; the message comes again");
    });
  }

  return async (topic, payload, arrivedMs) => {
    const kind = kindOfOwnTopic(topic, vin);
    if (kind === null) return reporter.refuse("link.otherTopic");
    // A compact JWS is ASCII: any other byte stays one character and is refused by the decoder.
    const token = payload.toString("latin1");
    switch (kind) {
      case "manifest":
        return takeManifest(token, arrivedMs);
      case "keys":
        return takeKeys(token, arrivedMs);
      case "display":
        return takeDisplay(token);
      default:
        return reporter.refuse("link.otherTopic");
    }
  };
}

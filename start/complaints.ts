import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";

const entrySchema = z.looseObject({
  level: z.int(),
  /** ms since the epoch */
  time: z.number(),
  msg: z.string().default(""),
  err: z.looseObject({ message: z.string() }).optional(),
});
/** pino's "warn"; lower levels are routine. */
const warnLevel = 40;

/**
 * The last warnings and errors in each part's log, a line each, to be shown when something went wrong.
 * @param sinceMs when this session began: what an earlier one complained of is over
 */
export function readComplaints(dataDir: string, sinceMs: number, most = 3): string[] {
  const folder = join(dataDir, "logs");
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((file) => {
    const complaints = readFileSync(join(folder, file), "utf8")
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .flatMap((line) => describeComplaint(line, sinceMs));
    return complaints.slice(-most).map((text) => `${file}: ${text}`);
  });
}

function describeComplaint(line: string, sinceMs: number): string[] {
  try {
    const { level, time, msg, err } = entrySchema.parse(JSON.parse(line));
    if (level < warnLevel || time < sinceMs) return [];
    // Some libraries put the whole stack into the message.
    const [why = ""] = err?.message.split("\n") ?? [];
    return [why === "" ? msg : `${msg}: ${why}`];
  } catch {
    return []; // the last line of a part that was killed
  }
}

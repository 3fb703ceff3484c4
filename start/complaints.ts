import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";

const entrySchema = z.looseObject({
  level: z.int(),
  msg: z.string().default(""),
  err: z.looseObject({ message: z.string() }).optional(),
});
/** pino's "warn"; lower levels are routine. */
const warnLevel = 40;

/** The last warnings and errors in each part's log, to be shown when something went wrong. */
export function readComplaints(dataDir: string, most = 3): string[] {
  const folder = join(dataDir, "logs");
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((file) => {
    const complaints = readFileSync(join(folder, file), "utf8")
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .flatMap((line) => describeComplaint(line));
    return complaints.slice(-most).map((text) => `${file}: ${text}`);
  });
}

function describeComplaint(line: string): string[] {
  try {
    const { level, msg, err } = entrySchema.parse(JSON.parse(line));
    if (level < warnLevel) return [];
    return [err === undefined ? msg : `${msg}: ${err.message}`];
  } catch {
    return []; // the last line of a part that was killed
  }
}

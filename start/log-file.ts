import { createWriteStream, existsSync, mkdirSync, type WriteStream } from "node:fs";
import { dirname } from "node:path";
import { wordsOf } from "@caas/simulator/command/run.ts";
import { wordsOfFileTrouble } from "./file-trouble.ts";

// A part's log on disk. A log that cannot be written is a pity and no reason to end the platform: it goes on without,
// says so once, and writes again when there is room.

export type LogFile = {
  write(line: string): void;
  /** Resolves when the last line is in the file, or cannot be written. */
  end(): Promise<void>;
};

/** How long lines are let go before writing is tried again. */
const againAfterMs = 10_000;

export type LogFileOptions = {
  /** Hears once of each trouble, in a sentence. */
  onTrouble: (sentence: string) => void;
  /** Monotonic, ms. */
  now?: () => number;
  /** Default: appends to the file at `path`. */
  open?: (path: string) => WriteStream;
};

export function openLogFile(path: string, options: LogFileOptions): LogFile {
  const { onTrouble, now = () => performance.now(), open = append } = options;
  let stream: WriteStream | null = null;
  /** Writing fails at present, and that was told. */
  let isTold = false;
  let notBefore = Number.NEGATIVE_INFINITY;

  function fail(error: unknown): void {
    stream = null;
    notBefore = now() + againAfterMs;
    if (isTold) return;
    isTold = true;
    const why = wordsOfFileTrouble(error) ?? wordsOf(error);
    onTrouble(`${path} cannot be written: ${why}. The platform goes on without this log until it can.`);
  }

  function reopen(): void {
    try {
      const opened = open(path);
      stream = opened;
      // An error may come long after the write that caused it, and of a stream that was replaced since.
      opened.on("error", (error) => {
        if (stream === opened) fail(error);
      });
      if (isTold)
        opened.write("(lines are missing here: the log could not be written)\n", (error) => {
          isTold = error !== null && error !== undefined;
        });
    } catch (error) {
      fail(error);
    }
  }

  return {
    write(line) {
      if (stream === null && now() >= notBefore) reopen();
      stream?.write(`${line}\n`);
    },
    end: () =>
      new Promise((resolve) => {
        if (stream === null) return resolve();
        // An error closes it, too.
        stream.once("close", () => resolve());
        stream.end();
      }),
  };
}

function append(path: string): WriteStream {
  // One level only: the data folder is there before any log of it.
  const folder = dirname(path);
  if (!existsSync(folder)) mkdirSync(folder, 0o755);
  return createWriteStream(path, { flags: "a" });
}

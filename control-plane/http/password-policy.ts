import type { ZxcvbnFactory } from "@zxcvbn-ts/core";
import { isGeneratedPassword } from "./passwords.ts";

export const shortestPassword = 12;
/** Longer texts are no passwords; hashing them would only cost us time. */
export const longestPassword = 128;

/** In powers of ten: a name and a year are 8. With slow hashes 9 take a core two years. */
const leastGuessesLog10 = 9;
/** What is behind it makes no password weaker, and judging takes longer with each character. */
const mostJudged = 64;

let loaded: Promise<ZxcvbnFactory> | undefined;

/** With its lists it takes 25 MB: loaded when the first password is chosen. */
function loadJudge(): Promise<ZxcvbnFactory> {
  loaded ??= Promise.all([import("@zxcvbn-ts/core"), import("@zxcvbn-ts/language-common")]).then(
    ([{ ZxcvbnFactory }, { adjacencyGraphs, dictionary }]) =>
      new ZxcvbnFactory({ dictionary, graphs: adjacencyGraphs }),
  );
  return loaded;
}

/**
 * Why a password that a person chose is not taken, as a sentence without its subject; `null` for a good one.
 *
 * @param about what a guesser knows of the person: user name, name
 */
export async function judgePassword(chosen: string, about: readonly string[]): Promise<string | null> {
  if (chosen.length < shortestPassword) return `must have at least ${shortestPassword} characters`;
  if (chosen.length > longestPassword) return `must have at most ${longestPassword} characters`;
  // The form of a generated one is kept under a fast hash.
  if (isGeneratedPassword(chosen)) return "must not have the form of a generated password";
  const judge = await loadJudge();
  const [asTyped, known] = [chosen.slice(0, mostJudged), about.flatMap(partsOf)];
  // A guesser tries separators between words, too: they make a name no secret.
  const guesses = [asTyped, asTyped.replaceAll(/[\p{P}\p{Z}]/gu, "")].map((text) => judge.check(text, known));
  const guessesLog10 = Math.min(...guesses.map((guess) => guess.guessesLog10));
  return guessesLog10 < leastGuessesLog10
    ? "is too easy to guess: it is a common password, a pattern, or made of your name; four unrelated words are a good one"
    : null;
}

function partsOf(text: string): string[] {
  return [text, ...text.split(/[^\p{L}\p{N}]+/u).filter((part) => part.length > 2)];
}

// Text that people typed, as it may be shown beside other text: in a subject, a list, a page.

/** Nothing of them is seen, and some turn the writing around them: U+202E, U+2066, U+200B, U+FEFF and their like. */
const invisible = /[\p{Default_Ignorable_Code_Point}\p{Bidi_Control}\uFFF9-\uFFFB]/gu;
/** Persian and Indian names need them between two letters. */
const joiner = /[\u200C\u200D]/;

/**
 * The same text on one line, without characters that are not seen: nothing typed in can begin a line of its own in a
 * message, or change how the text around it is read.
 */
export function showOnOneLine(text: string): string {
  return text
    .replaceAll(invisible, (found, at: number) => (joiner.test(found) && isInWord(text, at) ? found : ""))
    .replaceAll(/[\s\p{Cc}]+/gu, " ")
    .trim();
}

function isInWord(text: string, at: number): boolean {
  return /[\p{L}\p{M}]$/u.test(text.slice(0, at)) && /^\p{L}/u.test(text.slice(at + 1));
}

/** Whether anything of it can be read: blanks, marks and filling characters alone cannot. */
export function isReadable(text: string): boolean {
  return /[\p{L}\p{N}]/u.test(text.replaceAll(invisible, ""));
}

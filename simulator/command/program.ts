import { Command, InvalidArgumentError } from "commander";

// What every command has in common: wrong use ends with 2 and a sentence that stays on the screen, chance has a seed.

/** @param name as a person types it */
export function createProgram(name: string, description: string): Command {
  return (
    new Command(name)
      .description(description)
      .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
      // The whole help would scroll the sentence away.
      .showHelpAfterError(`See ${name} --help.`)
  );
}

export function addSeed(command: Command, decides: string, seed = 1): Command {
  return command.option("--seed <n>", decides, wholeNumber(0, 2 ** 31 - 1), seed);
}

export function wholeNumber(least: number, most: number) {
  return (text: string): number => {
    const number = Number(text);
    if (!/^\d+$/.test(text) || number < least || number > most)
      throw new InvalidArgumentError(`A whole number from ${least} to ${most}.`);
    return number;
  };
}

export function positive(text: string): number {
  const number = Number(text);
  if (!Number.isFinite(number) || number <= 0) throw new InvalidArgumentError("A number above 0.");
  return number;
}

/** What is known of the libraries of a family (native-notes/), and what this program does about it. */
const troubles: Readonly<Partial<Record<string, string>>> = {
  SafeNet:
    'libraries of this family are known to crash when the program that loaded them ends (jsign 328); here that is a process of its own, which is ended before, and what was signed is passed on by then',
};

/** What to know of a library of this family; nothing has to be done about it. */
export function knownTrouble(family: string): string | undefined {
  return troubles[family];
}

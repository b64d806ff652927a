/** A connection as the table sees it. */
export interface TableEntry {
  /** The address of the client. */
  readonly address: string;
  /** Closes the connection at once. */
  readonly close: () => void;
}

/**
 * The open connections of a server, bounded. When there are too many, one of the address that has most of them is
 * closed, and of these the one that was idle longest: whoever opens thousands loses their own, and others get in.
 */
export class ConnectionTable {
  readonly #most: number;
  /** Of each address, those idle longest first. */
  readonly #byAddress = new Map<string, Set<TableEntry>>();
  #size = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** Takes a connection in, and closes another where there are too many. */
  add(entry: TableEntry): void {
    const same = this.#byAddress.get(entry.address) ?? new Set();
    this.#byAddress.set(entry.address, same.add(entry));
    this.#size += 1;
    while (this.#size > this.#most) this.#closeOne();
  }

  /** Notes that a connection did something useful. */
  touch(entry: TableEntry): void {
    const same = this.#byAddress.get(entry.address);
    if (same?.delete(entry) === true) same.add(entry);
  }

  remove(entry: TableEntry): void {
    const same = this.#byAddress.get(entry.address);
    if (same?.delete(entry) !== true) return;
    this.#size -= 1;
    if (same.size === 0) this.#byAddress.delete(entry.address);
  }

  closeAll(): void {
    for (const entries of [...this.#byAddress.values()]) for (const entry of [...entries]) entry.close();
  }

  #closeOne(): void {
    let largest = new Set<TableEntry>();
    for (const entries of this.#byAddress.values()) if (entries.size > largest.size) largest = entries;
    const [entry] = largest;
    if (entry === undefined) return;
    this.remove(entry);
    entry.close();
  }
}

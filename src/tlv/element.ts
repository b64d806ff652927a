/** How an element is laid out and read. */
export type ElementKind = 'plain' | 'text' | 'number' | 'container' | 'padding';

/** One row of a table of elements: what a tag means in one place of a file. */
export interface ElementDefinition {
  readonly tag: number;
  readonly name: string;
  /**
   * plain: bytes. text: UTF-8 with a closing NUL. number: big-endian. container: tag and length, its elements follow
   * inline. padding: the tag byte alone.
   */
  readonly kind: ElementKind;
  /** The lengths of value that are right, in bytes; any when left out. */
  readonly lengths?: readonly number[];
  /** The tag of the container that the element belongs in; at the top when left out. */
  readonly parent?: number;
}

/** What the tags mean in one place, e.g. in the header. Tags that it lacks are kept and shown as unknown. */
export type ElementTable = ReadonlyMap<number, ElementDefinition>;

/** One element as it stands in a file. */
export interface Element {
  readonly tag: number;
  /** Bytes from the start of the file to the tag. */
  readonly offset: number;
  /** The value as a view of the file; empty for padding; for a container all that it holds. */
  readonly value: Uint8Array;
  /** What a container holds. */
  readonly children?: readonly Element[];
}

/** An element that is still to be written. */
export interface ElementDraft {
  readonly tag: number;
  /** Left out for containers and padding. */
  readonly value?: Uint8Array;
  readonly children?: readonly ElementDraft[];
}

/** Builds a table from its rows. */
export function elementTable(definitions: readonly ElementDefinition[]): ElementTable {
  return new Map(definitions.map((definition) => [definition.tag, definition]));
}

/** The first element with a tag, in containers too; `undefined` when there is none. */
export function findElement(elements: readonly Element[], tag: number): Element | undefined {
  for (const element of elements) {
    if (element.tag === tag) return element;
    const inside = element.children === undefined ? undefined : findElement(element.children, tag);
    if (inside !== undefined) return inside;
  }
  return undefined;
}

/** The first element of each tag, in containers too, by tag. */
export function firstElements(elements: readonly Element[]): readonly (Element | undefined)[] {
  const first: (Element | undefined)[] = new Array<Element | undefined>(32);
  collectFirst(elements, first);
  return first;
}

function collectFirst(elements: readonly Element[], first: (Element | undefined)[]): void {
  for (const element of elements) {
    first[element.tag] ??= element;
    if (element.children !== undefined) collectFirst(element.children, first);
  }
}

/** How many bytes an element takes in its file, tag and length included. */
export function elementLength(element: Element, table: ElementTable): number {
  return table.get(element.tag)?.kind === 'padding' ? 1 : 3 + element.value.length;
}

/** The name of a tag, for people. */
export function elementName(tag: number, table: ElementTable): string {
  return table.get(tag)?.name ?? `element ${String(tag)}`;
}

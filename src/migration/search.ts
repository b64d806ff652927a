import { RefusalError } from '../errors.js';
import { attemptMove, countFailing, restartPhones, type Attempt } from './attempt.js';
import type { Trial } from './carry-out.js';
import { findExtras, type Extras } from './extras.js';
import { restart, type Move } from './moves.js';
import type { Situation, Wanted } from './situation.js';
import { findWays, type Part, type Way } from './ways.js';

/** So many moves are tried at the most. Each set of extra steps gets its turn before orders are tried in vain. */
const mostTrials = 1000;

/** In so many orders the renewals of one way are tried, where the plain order loses phones. */
const mostOrders = 24;

/** The best way that was found, or why every way is refused. */
export type Found =
  | { readonly attempt: Attempt; readonly refusal: undefined }
  | { readonly attempt: undefined; readonly refusal: RefusalError | undefined };

/** What is looked for, and from where. */
export interface SearchRequest {
  readonly situation: Situation;
  readonly wanted: Wanted;
  /** Before the phones have restarted. */
  readonly start: Attempt;
  /** Whether phones hold other lists than the servers offer, so that they restart first. */
  readonly isBehind: boolean;
}

/**
 * Looks for the way to the wanted state that loses the fewest phones; of those the one with the fewest outages on the
 * way, and of those the one with the fewest steps. Every way is tried without extra steps first, then with one, with two
 * and so on, the renewals in an order that loses nobody where there is one; other orders only if all that loses phones.
 */
export async function searchWay(trial: Trial, request: SearchRequest): Promise<Found> {
  const search = new Search(trial, request);
  const { situation, wanted } = request;
  const extras = findExtras(situation, wanted);
  const ways = [...findWays(situation, wanted)];
  for (const chosen of extras) {
    for (const way of ways) await search.tryWay(chosen, way, firstHarmless);
    if (search.isPerfect()) break;
  }
  for (const order of otherOrders(situation, wanted)) {
    if (!search.couldOrdersHelp() || search.isExhausted()) break;
    for (const chosen of extras) {
      for (const way of ways) await search.tryWay(chosen, way, () => order);
    }
  }
  const { best, refusal } = search;
  return best === undefined ? { attempt: undefined, refusal } : { attempt: best, refusal: undefined };
}

/** In which order free moves are tried: by their names, or the first one that harms nobody. */
type Order = readonly string[] | undefined;
const firstHarmless = (): Order => undefined;

function* otherOrders({ cluster }: Situation, { renewals = [], renamings = [] }: Wanted): Generator<Order> {
  const names = [
    ...renewals.map(({ node, certificate }) => `renew ${node} ${certificate}`),
    ...renamings.map(({ node }) => `rename ${node}`),
  ];
  if (names.length < 2 || cluster.nodes.length === 0) return;
  let count = 0;
  for (const order of permute(names)) {
    count += 1;
    if (count > mostOrders) return;
    yield order;
  }
}

function* permute<Item>(items: readonly Item[]): Generator<readonly Item[]> {
  if (items.length <= 1) {
    yield items;
    return;
  }
  for (const [index, first] of items.entries()) {
    for (const rest of permute(items.filter((_, other) => other !== index))) yield [first, ...rest];
  }
}

class Search {
  best: Attempt | undefined;
  refusal: RefusalError | undefined;
  readonly #trial: Trial;
  readonly #request: SearchRequest;
  #trials = 0;

  constructor(trial: Trial, request: SearchRequest) {
    this.#trial = trial;
    this.#request = request;
  }

  hasLostNobody(): boolean {
    return this.best?.failures.size === 0;
  }

  /** A phone without Security by Default asks nobody: who signs the CTL decides, and that was tried. */
  couldOrdersHelp(): boolean {
    const { phones } = this.#request.situation;
    const lost = [...(this.best?.failures.keys() ?? [])];
    return this.best === undefined || lost.some((index) => phones[index]?.securityByDefault === true);
  }

  /** Whether nothing better is to be hoped for. */
  isPerfect(): boolean {
    return this.isExhausted() || (this.hasLostNobody() && this.best?.outage === 0);
  }

  isExhausted(): boolean {
    return this.#trials >= mostTrials;
  }

  async tryWay({ before, after, last }: Extras, way: Way, order: () => Order): Promise<void> {
    if (this.isExhausted()) return;
    const { start, isBehind } = this.#request;
    const first = isBehind ? [...before, { name: 'restart', actions: [restart] }] : before;
    const begun = isBehind ? start : restartPhones(start);
    const parts = [fixed([...first, ...after]), ...way, fixed(last)];
    let attempt: Attempt | undefined = begun;
    for (const part of parts) {
      attempt = attempt === undefined ? undefined : await this.#tryPart(attempt, part, order());
    }
    if (attempt !== undefined) this.#take(attempt);
  }

  async #tryPart(start: Attempt, { moves, isFree }: Part, order: Order): Promise<Attempt | undefined> {
    let attempt: Attempt | undefined = start;
    const left = order === undefined || !isFree ? [...moves] : sortByName(moves, order);
    while (attempt !== undefined && left.length > 0) {
      const next: { move: Move; after: Attempt } | undefined =
        isFree && order === undefined ? await this.#leastHarmful(attempt, left) : await this.#try(attempt, left[0]);
      if (next !== undefined) left.splice(left.indexOf(next.move), 1);
      attempt = next?.after;
    }
    return attempt;
  }

  /** The first move that harms nobody, else the one that harms the fewest. */
  async #leastHarmful(start: Attempt, moves: readonly Move[]): Promise<{ move: Move; after: Attempt } | undefined> {
    let least: { move: Move; after: Attempt } | undefined;
    for (const move of moves) {
      const tried = await this.#try(start, move);
      if (tried === undefined) continue;
      if (this.#harm(start, tried) === 0) return tried;
      if (least === undefined || this.#harm(start, tried) < this.#harm(start, least)) least = tried;
      if (this.isExhausted()) break;
    }
    return least;
  }

  /** How many phones a move puts out of service, each as often as they restart. */
  #harm(start: Attempt, { move, after }: { readonly move: Move; readonly after: Attempt }): number {
    const restarts = move.actions.filter(({ kind }) => kind === 'restart-phones').length;
    const without = countFailing(start, this.#request.situation.phones) * restarts;
    return Math.max(0, after.outage - start.outage - without);
  }

  async #try(start: Attempt, move: Move | undefined): Promise<{ move: Move; after: Attempt } | undefined> {
    if (move === undefined) return undefined;
    this.#trials += 1;
    try {
      return { move, after: await attemptMove(this.#trial, start, move) };
    } catch (error) {
      if (!(error instanceof RefusalError)) throw error;
      this.refusal ??= error;
      return undefined;
    }
  }

  #take(attempt: Attempt): void {
    const { phones } = this.#request.situation;
    const worth = (one: Attempt): readonly number[] => [countFailing(one, phones), one.outage, one.actions.length];
    if (this.best === undefined || isLess(worth(attempt), worth(this.best))) this.best = attempt;
  }
}

function fixed(moves: readonly Move[]): Part {
  return { moves, isFree: false };
}

function sortByName(moves: readonly Move[], order: readonly string[]): Move[] {
  return [...moves].sort((left, right) => order.indexOf(left.name) - order.indexOf(right.name));
}

/** The first number that differs decides. */
function isLess(left: readonly number[], right: readonly number[]): boolean {
  const place = left.findIndex((value, index) => value !== right[index]);
  return place >= 0 && (left[place] ?? 0) < (right[place] ?? 0);
}

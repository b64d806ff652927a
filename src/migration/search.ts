import { RefusalError } from '../errors.js';
import { attemptMove, countFailing, type Attempt } from './attempt.js';
import type { Trial } from './carry-out.js';
import { afterExtras, findExtras, findWays, type Move, type Way } from './moves.js';
import type { Situation, Wanted } from './situation.js';

/** So many moves are tried before the best way so far is taken: enough for every order of five. */
const mostTrials = 600;

/** The best way that was found, or why every way is refused. */
export type Found =
  | { readonly attempt: Attempt; readonly refusal: undefined }
  | { readonly attempt: undefined; readonly refusal: RefusalError | undefined };

/**
 * Looks for the way to the wanted state that loses the fewest phones and, of those, has the fewest steps. Every way is
 * tried without extra steps first, then with one, with two and so on; the renewals of a way in every order.
 */
export async function searchWay(trial: Trial, start: Attempt, situation: Situation, wanted: Wanted): Promise<Found> {
  const search = new Search(trial, situation);
  const extras = findExtras(situation, wanted);
  for (const chosen of subsets(extras)) {
    for (const way of findWays(situation, wanted)) {
      const last = [...way.last, ...afterExtras(chosen, wanted)];
      await search.tryWay(start, { first: [...chosen, ...way.first], free: way.free, last });
    }
    if (search.isGoodEnough()) break;
  }
  const { best, refusal } = search;
  return best === undefined ? { attempt: undefined, refusal } : { attempt: best, refusal: undefined };
}

/** The smaller first; each in the order of the whole. */
function subsets<Item>(items: readonly Item[]): readonly (readonly Item[])[] {
  let all: Item[][] = [[]];
  for (const item of items) all = [...all, ...all.map((subset) => [...subset, item])];
  return all.sort((left, right) => left.length - right.length);
}

class Search {
  best: Attempt | undefined;
  refusal: RefusalError | undefined;
  readonly #trial: Trial;
  readonly #situation: Situation;
  #trials = 0;

  constructor(trial: Trial, situation: Situation) {
    this.#trial = trial;
    this.#situation = situation;
  }

  /** Whether nothing better is to be hoped for: extra steps help nobody who is not helped by TVS or an ITL (P11). */
  isGoodEnough(): boolean {
    if (this.#trials >= mostTrials) return true;
    const { best } = this;
    if (best === undefined) return false;
    return [...best.failures.keys()].every((index) => this.#situation.phones[index]?.securityByDefault === false);
  }

  async tryWay(start: Attempt, way: Way): Promise<void> {
    const begun = await this.#tryAll(start, way.first);
    if (begun !== undefined) await this.#tryOrders(begun, way.free, way.last);
  }

  /** The free moves in every order, the one that loses least first. */
  async #tryOrders(attempt: Attempt, free: readonly Move[], last: readonly Move[]): Promise<void> {
    if (free.length === 0) {
      const done = await this.#tryAll(attempt, last);
      if (done !== undefined) this.#take(done);
      return;
    }
    const tried: { readonly move: Move; readonly after: Attempt }[] = [];
    for (const move of free) {
      const after = await this.#tryAll(attempt, [move]);
      if (after !== undefined) tried.push({ move, after });
    }
    const failing = ({ after }: { readonly after: Attempt }): number => this.#lost(after);
    for (const { move, after } of tried.sort((left, right) => failing(left) - failing(right))) {
      await this.#tryOrders(
        after,
        free.filter((other) => other !== move),
        last,
      );
      if (this.isGoodEnough()) return;
    }
  }

  async #tryAll(start: Attempt, moves: readonly Move[]): Promise<Attempt | undefined> {
    let attempt = start;
    for (const move of moves) {
      this.#trials += 1;
      try {
        attempt = await attemptMove(this.#trial, attempt, move);
      } catch (error) {
        if (!(error instanceof RefusalError)) throw error;
        this.refusal ??= error;
        return undefined;
      }
    }
    return attempt;
  }

  #take(attempt: Attempt): void {
    const { best } = this;
    const isBetter =
      best === undefined ||
      this.#lost(attempt) < this.#lost(best) ||
      (this.#lost(attempt) === this.#lost(best) && attempt.actions.length < best.actions.length);
    if (isBetter) this.best = attempt;
  }

  #lost(attempt: Attempt): number {
    return countFailing(attempt, this.#situation.phones);
  }
}

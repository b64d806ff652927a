import type { Command } from 'commander';
import { declareReadingCommands } from './trust-list.js';

/** Declares the commands of the group `itl`. */
export function declareItlCommands(group: Command): void {
  declareReadingCommands(group, 'ITL');
}

import { encryptedStories } from './encrypted-stories.js';
import { migrationStories } from './migration-stories.js';
import { moveStories } from './move-stories.js';
import { recoveryStories } from './recovery-stories.js';
import { renewalStories } from './renewal-stories.js';
import type { Story } from './story.js';

/** The stories of the tech notes, in the order of the rules they show. */
export const stories: readonly Story[] = [
  ...migrationStories,
  ...renewalStories,
  ...recoveryStories,
  ...moveStories,
  ...encryptedStories,
];

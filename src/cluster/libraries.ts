import { createRequire } from 'node:module';
import type * as Yaml from 'yaml';
import type * as Zod from 'zod';

// Both are loaded when a cluster file is read, not when this room is imported: together they cost a command more than
// 100 ms, and most commands read no cluster file. `require` because reading is synchronous.
const require = createRequire(import.meta.url);

/** The `yaml` package. */
export function loadYaml(): typeof Yaml {
  return require('yaml') as typeof Yaml;
}

/** The `zod` package. */
export function loadZod(): typeof Zod.z {
  return (require('zod') as typeof Zod).z;
}

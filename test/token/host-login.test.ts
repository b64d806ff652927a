import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { buildFaultShim, shimMissing } from '../fault-shim/build.js';
import { skipReason } from '../skip-reason.js';
import { makeSoftTokens, rightPin, temporaryFolder } from './soft-tokens.js';

const built = (name: string): string => JSON.stringify(new URL(`../../dist/token/${name}`, import.meta.url).href);

test.skipIf(shimMissing !== undefined)(
  `a second C_SetPIN that fails without a return value counts as failed${skipReason(shimMissing)}`,
  async () => {
    const folder = temporaryFolder();
    const soft = await makeSoftTokens(folder, [{ label: 'CTL', bits: 1024 }]);
    const shim = buildFaultShim(join(folder, 'shim'), soft.softHsm.module);
    // CKR_USER_NOT_LOGGED_IN: the token wants the login first.
    shim.setRules('C_SetPIN 1 rv=0x101');
    const program = `
      import { HostLogin } from ${built('host-login.js')};
      import { HostModule } from ${built('host-module.js')};
      const module = new HostModule(${JSON.stringify(shim.module)});
      const { library } = module;
      const { slotId } = module.tokens().tokens.find(({ label }) => label === 'CTL');
      const slot = module.findSlot(slotId);
      const session = library.C_OpenSession(slot.handle, 6);
      // pkcs11js itself refuses every call of a library that was let go of, without a return value.
      const login = library.C_Login.bind(library);
      library.C_Login = (...values) => { login(...values); library.close(); };
      try {
        new HostLogin(library).changePin(slot, session, process.env.PIN, 'another PIN');
        console.log('done');
      } catch ({ failure: { functionName, returnValue = 'none', pin } }) {
        console.log(functionName, returnValue, pin);
      }
      // SoftHSM2 is not let go of as it wants to be.
      process.kill(process.pid, 'SIGKILL');`;
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
      encoding: 'utf8',
      env: { ...soft.environment, ...shim.environment, PIN: rightPin },
      // Where the host has its record of calls.
      stdio: ['ignore', 'pipe', 'pipe', 'ignore', 'ignore'],
    });
    expect([stdout, stderr]).toEqual(['C_SetPIN none user\n', '']);
  },
);

import { join } from 'node:path';
import { printable } from '../../bytes/index.js';
import { LabPhone, socketTransport } from '../../lab/index.js';
import { tftpPort } from '../../tftp/index.js';
import { parseEndpoint } from '../endpoint.js';
import { exitCode } from '../exit-code.js';
import { checkOutput, makeFolder, writeOutput } from '../files.js';
import type { Output } from '../output.js';
import { describeDecision, describedPhone, formatDecision } from '../virtual-phone.js';
import type { BootOptions } from './phone.js';

/** `phone boot`. */
export async function bootPhone(server: string, options: BootOptions, output: Output): Promise<number> {
  const { save } = options;
  const places = save === undefined ? [] : await placesIn(save);
  const write = options.log === true ? (line: string): void => output.note(line) : undefined;
  const phone = new LabPhone(await describedPhone(options), () => Math.floor(Date.now() / 1000), write);
  const transport = socketTransport(parseEndpoint(server, tftpPort));
  try {
    const { decisions, registered } = await phone.boot(transport);
    const held = { ctl: phone.state.ctl, itl: phone.state.itl };
    const saved: string[] = [];
    for (const { kind, path } of places) {
      const list = held[kind];
      if (list !== undefined)
        saved.push((await writeOutput({ path, inputs: [], updates: path, bytes: list.bytes })).path);
    }
    const lines = [
      ...decisions.map(({ file, decision }) => formatDecision(file, decision)),
      `${phone.deviceName}: ${registered ? 'has its configuration' : 'has no configuration that it trusts'}\n`,
      ...saved.map((path) => `saved: ${printable(path)}\n`),
    ];
    output.result(lines.join(''), {
      device: phone.deviceName,
      registered,
      decisions: decisions.map(({ file, decision }) => describeDecision(file, decision)),
      tvsServers: phone.state.tvsServers,
      saved,
      log: phone.log,
    });
    return registered ? exitCode.done : exitCode.no;
  } finally {
    await transport.close();
  }
}

/** Where the lists are kept. Looked at before the phone boots. */
async function placesIn(folder: string): Promise<readonly { readonly kind: 'ctl' | 'itl'; readonly path: string }[]> {
  await makeFolder(folder, 'name a folder that can be made for --save');
  const places = [
    { kind: 'ctl', path: join(folder, 'CTLFile.tlv') },
    { kind: 'itl', path: join(folder, 'ITLFile.tlv') },
  ] as const;
  for (const { path } of places) await checkOutput({ path, inputs: [], updates: path });
  return places;
}

import { printable } from '../../bytes/index.js';
import { startTftpServer, tftpPort, type TftpEvent } from '../../tftp/index.js';
import { exitCode } from '../exit-code.js';
import type { Output } from '../output.js';
import { formatEndpoint, parseEndpoint, parsePort } from '../endpoint.js';
import { untilStopped } from '../until-stopped.js';
import type { ServeOptions } from './tftp.js';

/** `tftp serve`. Ends with exit code 0 when it is told to end: that is how a server ends. */
export async function serveTftp(folder: string, options: ServeOptions, output: Output): Promise<number> {
  const { host } = options;
  const port = parsePort(options.port);
  const fallback = (options.fallback ?? []).map((text) => parseEndpoint(text, tftpPort));
  const log = (event: TftpEvent): void => output.note(printable(describeEvent(event)));
  const server = await startTftpServer({ root: folder, host, port, fallback, log });
  const stopped = untilStopped();
  const address = { host: server.host, port: server.port };
  output.result(`${formatEndpoint(address)}\n`, { ...address, folder, fallback });
  const signal = await stopped;
  await server.close();
  output.note(`ended by ${signal}`);
  return exitCode.done;
}

/** One line of the log. */
function describeEvent(event: TftpEvent): string {
  switch (event.kind) {
    case 'request': {
      const options = event.options.map(({ name, value }) => ` ${name}=${value}`).join('');
      return `${formatEndpoint(event.client)} asks for ${event.name}${options}`;
    }
    case 'refused': {
      const what = event.name ?? 'a request';
      return `${formatEndpoint(event.client)} refused ${what}: ${event.reason} (error ${String(event.code)})`;
    }
    case 'busy':
      return `${formatEndpoint(event.client)} waits for ${event.name}: too many transfers, or too many bytes held, at once`;
    case 'fallback': {
      const server = formatEndpoint(event.server);
      return event.failure === undefined
        ? `${event.name} fetched from ${server}`
        : `${event.name} not fetched from ${server}: ${event.failure}`;
    }
    case 'transfer':
      return `${formatEndpoint(event.client)} ${describeTransfer(event)}`;
  }
}

function describeTransfer(event: TftpEvent & { readonly kind: 'transfer' }): string {
  const { end, name, size, resent, milliseconds } = event;
  switch (end.kind) {
    case 'sent': {
      const again = resent === 0 ? '' : `, ${String(resent)} packets sent again`;
      return `got ${name}: ${String(size)} bytes in ${milliseconds.toFixed(0)} ms${again}`;
    }
    case 'timeout':
      return end.complete
        ? `was sent all of ${name}, but did not confirm the last block`
        : `stopped answering while ${name} was sent`;
    case 'client-error':
      return `ended ${name} with error ${String(end.code)}: ${end.message}`;
    case 'failed':
      return `did not get ${name}: ${end.reason}`;
    case 'ended':
      return `did not get all of ${name}: the transfer was ended`;
  }
}

/**
 * The configuration of a lab's phones: as much of a real one as a phone's trust depends on, in the elements that
 * clusters use. Reading it takes just these elements out of any configuration.
 */

/** Where a TVS server is reached. */
export interface TvsAddress {
  readonly host: string;
  readonly port: number;
}

/** Phones hold no more TVS servers than this (phone-rules.md). */
const mostServers = 3;

/** @param secure whether the phone encrypts its signalling. */
export function formatConfiguration(deviceName: string, tvs: readonly TvsAddress[], secure: boolean): Uint8Array {
  const members = tvs
    .slice(0, mostServers)
    .map(
      ({ host, port }, index) =>
        `<member priority="${String(index)}"><port>${String(port)}</port><address>${host}</address></member>`,
    );
  const lines = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<device>',
    `<deviceName>${deviceName}</deviceName>`,
    `<deviceSecurityMode>${secure ? '3' : '1'}</deviceSecurityMode>`,
    `<tvs><members>${members.join('')}</members></tvs>`,
    '</device>',
  ];
  return new TextEncoder().encode(`${lines.join('\n')}\n`);
}

/** The TVS servers that a configuration names, `host:port`, at most three; none when it names none. */
export function parseTvsServers(configuration: Uint8Array): readonly string[] {
  const text = new TextDecoder().decode(configuration);
  const part = /<tvs>([\s\S]*?)<\/tvs>/.exec(text)?.[1] ?? '';
  const members = [...part.matchAll(/<member\b[^>]*>([\s\S]*?)<\/member>/g)].map(([, member = '']) => {
    const host = /<address>\s*([^<\s]+)\s*<\/address>/.exec(member)?.[1];
    const port = /<port>\s*(\d+)\s*<\/port>/.exec(member)?.[1] ?? '2445';
    return host === undefined ? undefined : `${host.includes(':') ? `[${host}]` : host}:${port}`;
  });
  return members.filter((server) => server !== undefined).slice(0, mostServers);
}

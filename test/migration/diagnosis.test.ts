import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parseRelease, type Cluster } from '../../src/cluster/index.js';
import { createLabToken } from '../../src/lab/index.js';
import {
  diagnose,
  diagnosisChecks,
  readPhoneLog,
  signersToAsk,
  type DiagnosisCheck,
  type DiagnosisEvidence,
  type DiagnosisFinding,
  type DiagnosisRule,
  type DiagnosisSeverity,
} from '../../src/migration/index.js';
import type { TvsReply } from '../../src/phone/index.js';
import type { TrustList } from '../../src/trust-list/index.js';
import { answering, now, SmallCluster, start } from './diagnosis-cluster.js';

const folder = mkdtempSync(join(tmpdir(), 'etb-diagnosis-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const known = (list: TrustList) => ({ kind: 'known', list }) as const;
const unknown = (digest: string) => ({ kind: 'unknown', digest }) as const;
const none = { kind: 'none' } as const;
const sha1 = ({ bytes }: TrustList): string => createHash('sha1').update(bytes).digest('hex');
const file = (certificate: Uint8Array) => [{ name: 'TVS.pem', certificate }];
const withRelease = (cluster: Cluster, release: string): Cluster => ({ ...cluster, release: parseRelease(release) });
const tokens = [await createLabToken('0054f509', start), await createLabToken('008580ef', start)];

// A cluster in its life: one node, 11.5.1.
const lab = await SmallCluster.make({ folder, release: '11.5.1' });
const first = { cluster: lab.cluster, itl: await lab.itl(), tvs: lab.tvsCertificate() };
const firstEmpty = await lab.emptyItl();
const firstCtl = await lab.tokenlessCtl();
const tokenCtl = await lab.tokenCtl(tokens);
const oneTokenCtl = await lab.tokenCtl(tokens.slice(0, 1));
const emptiedCtl = await lab.toNonSecure(firstCtl);
const configuration = await lab.configuration();
const toTokens = await lab.toToken(firstCtl, tokens);
const toTokenless = await lab.toTokenless(tokenCtl);
const mixed = lab.cluster;
await lab.renew('CallManager');
const renewed = { cluster: lab.cluster, itl: await lab.itl(), ctl: await lab.updateCtl(firstCtl) };
const renewedConfiguration = await lab.configuration();
await lab.renew('TVS');
const both = { cluster: lab.cluster, itl: await lab.itl(), tvs: lab.tvsCertificate() };

const recoveryItl = await lab.recoveryItl();
await lab.renew('ITLRecovery');
// Nothing is left that the phone knows.
const gone = await lab.itl();

// From 12.0 on ITLRecovery signs.
const recent = await SmallCluster.make({ folder, release: '12.5.1' });
const recentCtl = await recent.tokenlessCtl();
await recent.renew('CallManager');
const oneRenewed = { cluster: recent.cluster, ctl: await recent.updateCtl(recentCtl) };
await recent.renew('ITLRecovery');
const allRenewed = { cluster: recent.cluster, ctl: await recent.tokenlessCtl() };

// Two nodes, and another cluster.
const two = await SmallCluster.make({ folder, release: '11.5.1', nodes: 2 });
const ofPublisher = await two.itl();
const ofSubscriber = await two.itl('cucm-sub');
const subscriberConfiguration = await two.configuration('cucm-sub');
const other = await SmallCluster.make({ folder, release: '11.5.1', name: 'faraway' });
const otherItl = await other.itl();
const otherConfiguration = await other.configuration();

const misnamed = await lab.resigned(both.itl, lab.certificates.signer('cucm-pub', 'CallManager'), 'CTLFile.tlv');

/** A list as a restored backup leaves it: everything but the records of the signer, signature and all. */
function withoutSigner({ bytes, header, records }: TrustList): Uint8Array {
  const [signing] = records;
  return Buffer.concat([bytes.subarray(0, header.length), bytes.subarray(header.length + signing!.length)]);
}

function spoiled({ bytes }: TrustList): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[copy.length - 1]! ^= 1;
  return copy;
}

const yes = (certificate: Uint8Array, roles: readonly number[]) => (): TvsReply => ({
  status: 'success',
  certificate,
  roles,
  timeToLive: 60,
});
const no = (): TvsReply => ({ status: 'not-trusted' });
const silent = { kind: 'unreachable', server: '192.0.2.10:2445', reason: 'ECONNREFUSED' } as const;
const callManager = lab.certificates.identity('cucm-pub', 'CallManager').certificate.der;

const log = (text: string): readonly [ReturnType<typeof readPhoneLog>] => [readPhoneLog(text, 'phone.log')];

interface Case {
  readonly name: string;
  readonly check: DiagnosisCheck;
  readonly rule: DiagnosisRule | undefined;
  readonly severity: DiagnosisSeverity;
  /** In what it says, or its evidence, or what to do. */
  readonly says: RegExp;
  readonly fires: Omit<DiagnosisEvidence, 'now'>;
  /** What is almost the same: by name. */
  readonly not: Readonly<Record<string, Omit<DiagnosisEvidence, 'now'>>>;
}

const itlOf = (list: TrustList | Uint8Array) => ({ itl: list instanceof Uint8Array ? list : list.bytes });
const ctlOf = (list: TrustList | Uint8Array) => ({ ctl: list instanceof Uint8Array ? list : list.bytes });

/** For each finding a case that fires it, and near misses. */
const cases: readonly Case[] = [
  {
    name: 'an ITL that is cut off',
    check: 'list-unreadable',
    rule: 'P7',
    severity: 'error',
    says: /Error parsing the ITL File!!/,
    fires: { served: itlOf(first.itl.bytes.subarray(0, 900)) },
    not: { whole: { served: itlOf(first.itl) } },
  },
  {
    name: 'an ITL larger than phones load',
    check: 'list-unreadable',
    rule: 'P7',
    severity: 'error',
    says: /phones load 65535 at the most/,
    fires: {
      served: itlOf(
        Buffer.concat([
          first.itl.bytes,
          ...Array.from({ length: 60 }, () => first.itl.bytes.subarray(first.itl.header.length)),
        ]),
      ),
    },
    not: { 'of usual size': { served: itlOf(first.itl) } },
  },
  {
    name: 'an ITL that calls itself a CTL',
    check: 'list-of-other-kind',
    rule: 'P7',
    severity: 'error',
    says: /calls itself an? CTL.*FILENAME is CTLFile.tlv/s,
    fires: { served: itlOf(misnamed) },
    not: { 'as a CTL': { served: ctlOf(misnamed) }, 'an ITL': { served: itlOf(both.itl) } },
  },
  {
    name: 'a restored backup without the CallManager key',
    check: 'no-signing-record',
    rule: 'A9',
    severity: 'error',
    says: /This etoken was not used to sign the ITL file[\s\S]*backup[\s\S]*"etoken-bridge itl reset localkey"/,
    fires: { served: itlOf(withoutSigner(first.itl)) },
    not: { 'with its signer': { served: itlOf(first.itl) }, 'another fault': { served: itlOf(spoiled(first.itl)) } },
  },
  {
    name: 'an ITL that another key signed, as after a restored backup',
    check: 'not-verified',
    rule: 'A9',
    severity: 'error',
    says: /This etoken was not used to sign the ITL file[\s\S]*key of the signer is lost[\s\S]*"utils itl reset localkey"/,
    fires: { served: itlOf(spoiled(first.itl)) },
    not: { whole: { served: itlOf(first.itl) } },
  },
  {
    name: 'a CTL that was changed after it was signed',
    check: 'not-verified',
    rule: 'A9',
    severity: 'error',
    says: /Verification of the CTL file failed/,
    fires: { served: ctlOf(spoiled(firstCtl)) },
    not: { whole: { served: ctlOf(firstCtl) }, 'without its signer': { served: ctlOf(withoutSigner(firstCtl)) } },
  },
  {
    name: 'an ITL older than the CallManager certificate',
    check: 'signer-not-current',
    rule: 'A9',
    severity: 'warning',
    says: /not signed by a CallManager certificate of the cluster file/,
    fires: { served: itlOf(first.itl), cluster: renewed.cluster },
    not: {
      'written anew': { served: itlOf(renewed.itl), cluster: renewed.cluster },
      'signed by ITLRecovery': { served: itlOf(recoveryItl), cluster: both.cluster },
      'of the other node': { served: itlOf(ofSubscriber), cluster: two.cluster },
    },
  },
  {
    name: 'a CTL that was not updated after CallManager was renewed',
    check: 'signer-not-current',
    rule: 'A6',
    severity: 'warning',
    says: /utils ctl update CTLFile/,
    fires: { served: ctlOf(firstCtl), cluster: renewed.cluster },
    not: {
      updated: { served: ctlOf(renewed.ctl), cluster: renewed.cluster },
      'signed by a token': { served: ctlOf(tokenCtl), cluster: renewed.cluster },
      'from 12.0 on': { served: ctlOf(recentCtl), cluster: oneRenewed.cluster },
    },
  },
  {
    name: 'a CTL with one token',
    check: 'one-token',
    rule: 'A5',
    severity: 'warning',
    says: /SAST-ADN0054f509/,
    fires: { served: ctlOf(oneTokenCtl) },
    not: { 'two tokens': { served: ctlOf(tokenCtl) }, tokenless: { served: ctlOf(firstCtl) } },
  },
  {
    name: 'tokens from 14SU3 on',
    check: 'tokens-end',
    rule: 'A14',
    severity: 'error',
    says: /14SU3/,
    fires: { served: ctlOf(tokenCtl), cluster: withRelease(mixed, '14SU3') },
    not: {
      'one release before': { served: ctlOf(tokenCtl), cluster: withRelease(mixed, '14SU2') },
      tokenless: { served: ctlOf(firstCtl), cluster: withRelease(mixed, '14SU3') },
    },
  },
  {
    name: 'a tokenless CTL before 10.0',
    check: 'tokenless-too-early',
    rule: 'A8',
    severity: 'warning',
    says: /finds no token/,
    fires: { served: ctlOf(firstCtl), cluster: withRelease(mixed, '9.1.2') },
    not: {
      'in 10.0': { served: ctlOf(firstCtl), cluster: withRelease(mixed, '10.0') },
      tokens: { served: ctlOf(tokenCtl), cluster: withRelease(mixed, '9.1.2') },
    },
  },
  {
    name: 'CallManager and TVS renewed together',
    check: 'both-renewed',
    rule: 'A1',
    severity: 'error',
    says: /knows neither the signer nor any TVS server/,
    fires: { served: itlOf(both.itl), held: { itl: known(first.itl), ctl: none } },
    not: {
      'CallManager only': { served: itlOf(renewed.itl), held: { itl: known(first.itl), ctl: none } },
      'a TVS server that is known': {
        served: itlOf(both.itl),
        held: { itl: known(first.itl), ctl: none },
        tvsCertificates: file(first.tvs),
      },
      'another cluster': { served: itlOf(otherItl), held: { itl: known(first.itl), ctl: none } },
      'signed by ITLRecovery': { served: itlOf(recoveryItl), held: { itl: known(first.itl), ctl: none } },
    },
  },
  {
    name: 'both renewed, as the TVS server shows',
    check: 'both-renewed',
    rule: 'A1',
    severity: 'error',
    says: /192\.0\.2\.10:2445: not the certificate/,
    fires: {
      served: itlOf(both.itl),
      held: { itl: known(first.itl), ctl: none },
      tvs: [answering(both.tvs, { itl: both.itl }, yes(callManager, [0, 2]))],
    },
    not: {
      'TVS has the old one': {
        served: itlOf(both.itl),
        held: { itl: known(first.itl), ctl: none },
        tvs: [answering(first.tvs, { itl: both.itl }, yes(callManager, [0, 2]))],
      },
    },
  },
  {
    name: 'both renewed: the list is rejected',
    check: 'list-rejected',
    rule: 'P5',
    severity: 'error',
    says: /rejects the server's ITL/,
    fires: { served: itlOf(both.itl), held: { itl: known(first.itl), ctl: none }, tvs: [silent] },
    not: {
      'signed by ITLRecovery': { served: itlOf(recoveryItl), held: { itl: known(first.itl), ctl: none } },
      'nobody told of a CTL, so a warning': { served: itlOf(both.itl), held: { ctl: known(firstCtl) } },
    },
  },
  {
    name: 'a device without Security by Default and a renewed CTL',
    check: 'list-rejected',
    rule: 'P11',
    severity: 'error',
    says: /delete the CTL at the device by hand/,
    fires: { served: ctlOf(renewed.ctl), held: { ctl: known(firstCtl) }, securityByDefault: false },
    not: {
      'that knows the signer': { served: ctlOf(emptiedCtl), held: { ctl: known(firstCtl) }, securityByDefault: false },
      'whose ITL does not matter': {
        served: itlOf(both.itl),
        held: { itl: known(first.itl) },
        securityByDefault: false,
      },
    },
  },
  {
    name: 'a CTL and no ITL, and a signer that the CTL does not know',
    check: 'list-rejected',
    rule: 'P4',
    severity: 'error',
    says: /P4: /,
    fires: { served: itlOf(renewed.itl), held: { ctl: known(firstCtl), itl: none } },
    not: { 'that it knows': { served: itlOf(first.itl), held: { ctl: known(firstCtl), itl: none } } },
  },
  {
    name: 'a list that only TVS can vouch for',
    check: 'needs-tvs',
    rule: 'P10',
    severity: 'warning',
    says: /only if TVS vouches/,
    fires: { served: itlOf(renewed.itl), held: { itl: known(first.itl), ctl: none } },
    not: {
      'TVS was asked': {
        served: itlOf(renewed.itl),
        held: { itl: known(first.itl), ctl: none },
        tvs: [answering(first.tvs, { itl: renewed.itl }, yes(callManager, [0, 2]))],
      },
      'no TVS is needed': { served: itlOf(first.itl), held: { itl: none, ctl: none } },
      'no TVS is known': {
        served: itlOf(both.itl),
        held: { itl: known(first.itl), ctl: none },
        tvsCertificates: file(both.tvs),
      },
    },
  },
  {
    name: 'a list that the phone takes now that TVS answers',
    check: 'list-would-be-taken',
    rule: 'P5',
    severity: 'note',
    says: /as long as TVS answers/,
    fires: {
      served: itlOf(renewed.itl),
      held: { itl: known(first.itl), ctl: none },
      tvs: [
        answering(
          first.tvs,
          { itl: renewed.itl },
          yes(renewed.cluster.nodes[0]!.certificates.CallManager!.der, [0, 2]),
        ),
      ],
    },
    not: {
      'TVS says no': {
        served: itlOf(renewed.itl),
        held: { itl: known(first.itl), ctl: none },
        tvs: [answering(first.tvs, { itl: renewed.itl }, no)],
      },
    },
  },
  {
    name: 'the list that the server has',
    check: 'list-same',
    rule: undefined,
    severity: 'note',
    says: /not the problem/,
    fires: { served: itlOf(first.itl), held: { itl: unknown(sha1(first.itl)) } },
    not: { another: { served: itlOf(first.itl), held: { itl: unknown(sha1(renewed.itl)) } } },
  },
  {
    name: 'a list of which only the checksum is known',
    check: 'list-differs',
    rule: 'P5',
    severity: 'warning',
    says: /--held-itl/,
    fires: { served: itlOf(renewed.itl), held: { itl: unknown(sha1(first.itl)) } },
    not: {
      'at hand': { served: itlOf(renewed.itl), held: { itl: known(first.itl) } },
      'the same': { served: itlOf(first.itl), held: { itl: unknown(sha1(first.itl)) } },
    },
  },
  {
    name: 'a log of another phone',
    check: 'held-is-another',
    rule: undefined,
    severity: 'warning',
    says: /not the ITL that the phone reports/,
    fires: { held: { itl: known(first.itl) }, logs: log(alarm(sha1(renewed.itl))) },
    not: { 'of this phone': { held: { itl: known(first.itl) }, logs: log(alarm(sha1(first.itl))) } },
  },
  {
    name: 'a CTL of another signer (tokenless, before 12.0)',
    check: 'signer-renewed',
    rule: 'A6',
    severity: 'warning',
    says: /renewed or changed/,
    fires: { served: ctlOf(renewed.ctl), held: { ctl: known(firstCtl), itl: known(first.itl) } },
    not: {
      'the same signer': { served: ctlOf(emptiedCtl), held: { ctl: known(firstCtl), itl: known(first.itl) } },
      'from 12.0 on, ITLRecovery the same': { served: ctlOf(oneRenewed.ctl), held: { ctl: known(recentCtl) } },
    },
  },
  {
    name: 'CallManager and ITLRecovery renewed, the CTL not updated',
    check: 'signers-renewed',
    rule: 'A7',
    severity: 'error',
    says: /neither the CallManager nor the ITLRecovery/,
    fires: { served: ctlOf(recentCtl), cluster: allRenewed.cluster },
    not: {
      'one of them': { served: ctlOf(recentCtl), cluster: oneRenewed.cluster },
      updated: { served: ctlOf(allRenewed.ctl), cluster: allRenewed.cluster },
    },
  },
  {
    name: 'CallManager and ITLRecovery renewed, and the phone has the CTL of before',
    check: 'signers-renewed',
    rule: 'A7',
    severity: 'error',
    says: /no signer of the one CTL is in the other/,
    fires: { served: ctlOf(allRenewed.ctl), held: { ctl: known(recentCtl), itl: none } },
    not: { 'one of them': { served: ctlOf(oneRenewed.ctl), held: { ctl: known(recentCtl), itl: none } } },
  },
  {
    name: 'from tokenless to tokens',
    check: 'tokenless-to-tokens',
    rule: 'A3',
    severity: 'warning',
    says: /Phone-SAST-trust/,
    fires: { served: ctlOf(toTokens), held: { ctl: known(firstCtl), itl: known(first.itl) } },
    not: {
      'tokens before': { served: ctlOf(toTokens), held: { ctl: known(tokenCtl), itl: known(first.itl) } },
      'tokenless after': { served: ctlOf(renewed.ctl), held: { ctl: known(firstCtl), itl: known(first.itl) } },
    },
  },
  {
    name: 'from tokenless to tokens, and TVS does not know the token',
    check: 'tokenless-to-tokens',
    rule: 'A3',
    severity: 'error',
    says: /no token is in the CTL of the phone/,
    fires: {
      served: ctlOf(toTokens),
      held: { ctl: known(firstCtl), itl: known(first.itl) },
      tvs: [answering(first.tvs, { ctl: toTokens }, no)],
    },
    not: { 'tokens before': { served: ctlOf(toTokens), held: { ctl: known(tokenCtl), itl: known(first.itl) } } },
  },
  {
    name: 'from tokens to tokenless, on a device that has its CTL only',
    check: 'tokens-to-tokenless',
    rule: 'A4',
    severity: 'error',
    says: /as a server only \(function 2\)/,
    fires: { served: ctlOf(toTokenless), held: { ctl: known(tokenCtl) }, securityByDefault: false },
    not: {
      'tokenless before': { served: ctlOf(toTokenless), held: { ctl: known(firstCtl) }, securityByDefault: false },
    },
  },
  {
    name: 'from tokens to tokenless, with the signer in the ITL',
    check: 'tokens-to-tokenless',
    rule: 'A4',
    severity: 'note',
    says: /finds the signer there/,
    fires: { served: ctlOf(toTokenless), held: { ctl: known(tokenCtl), itl: known(first.itl) } },
    not: { 'tokens after': { served: ctlOf(oneTokenCtl), held: { ctl: known(tokenCtl), itl: known(first.itl) } } },
  },
  {
    name: 'an ITL of another cluster',
    check: 'other-cluster',
    rule: 'A10',
    severity: 'error',
    says: /another cluster[\s\S]*faraway-pub/,
    fires: { served: itlOf(otherItl), held: { itl: known(first.itl), ctl: none } },
    not: {
      'the same cluster, everything renewed': { served: itlOf(both.itl), held: { itl: known(first.itl), ctl: none } },
      'the other node': { served: itlOf(ofSubscriber), held: { itl: known(ofPublisher), ctl: none } },
    },
  },
  {
    name: 'an empty ITL takes the lists of another cluster',
    check: 'other-cluster',
    rule: 'A10',
    severity: 'note',
    says: /all the same/,
    fires: { served: itlOf(otherItl), held: { itl: known(firstEmpty), ctl: none } },
    not: { 'its own cluster': { served: itlOf(first.itl), held: { itl: known(firstEmpty), ctl: none } } },
  },
  {
    name: 'the list of the central cluster, and a configuration of its own',
    check: 'other-cluster',
    rule: 'A13',
    severity: 'error',
    says: /central TFTP/,
    fires: {
      served: itlOf(first.itl),
      held: { itl: known(first.itl), ctl: none },
      configuration: otherConfiguration,
      cluster: other.cluster,
    },
    not: {
      'of one cluster': {
        served: itlOf(first.itl),
        held: { itl: known(first.itl) },
        configuration,
        cluster: first.cluster,
      },
      'signed by the other node': {
        served: itlOf(ofPublisher),
        held: { itl: known(ofPublisher), ctl: none },
        configuration: subscriberConfiguration,
        cluster: two.cluster,
      },
    },
  },
  {
    name: 'the same without the cluster file',
    check: 'other-cluster',
    rule: 'A13',
    severity: 'warning',
    says: /CN=faraway-pub.*which no list of the phone names/,
    fires: { held: { itl: known(first.itl), ctl: none }, configuration: otherConfiguration },
    not: { 'its own': { held: { itl: known(first.itl), ctl: none }, configuration } },
  },
  {
    name: 'a configuration that is signed by the new key',
    check: 'configuration-rejected',
    rule: 'P12',
    severity: 'error',
    says: /does not register/,
    fires: { held: { itl: known(first.itl), ctl: none }, configuration: renewedConfiguration },
    not: {
      'after the new ITL': {
        served: itlOf(recoveryItl),
        held: { itl: known(first.itl), ctl: none },
        configuration: renewedConfiguration,
      },
      'the old one': { held: { itl: known(first.itl), ctl: none }, configuration },
    },
  },
  {
    name: 'TVS with a certificate that the phone does not know',
    check: 'tvs-certificate',
    rule: 'P9',
    severity: 'error',
    says: /asks it nothing/,
    fires: {
      served: itlOf(both.itl),
      held: { itl: known(first.itl), ctl: none },
      tvs: [answering(both.tvs, { itl: both.itl }, no)],
    },
    not: {
      'that it knows': {
        served: itlOf(both.itl),
        held: { itl: known(first.itl), ctl: none },
        tvs: [answering(first.tvs, { itl: both.itl }, no)],
      },
      'a device that asks none': {
        held: { ctl: known(firstCtl) },
        tvsCertificates: file(both.tvs),
        securityByDefault: false,
      },
    },
  },
  {
    name: 'TVS renewed and not restarted, from the lists of the server',
    check: 'tvs-certificate',
    rule: 'P9',
    severity: 'warning',
    says: /restart TVS, then TFTP/,
    fires: { served: itlOf(both.itl), tvsCertificates: file(first.tvs) },
    not: { restarted: { served: itlOf(both.itl), tvsCertificates: file(both.tvs) } },
  },
  {
    name: 'a certificate file that no server shows',
    check: 'tvs-certificate-file',
    rule: 'P9',
    severity: 'warning',
    says: /no TVS server shows the certificate of TVS.pem/,
    fires: { tvs: [answering(first.tvs, {}, no)], tvsCertificates: file(both.tvs) },
    not: { 'that it shows': { tvs: [answering(first.tvs, {}, no)], tvsCertificates: file(first.tvs) } },
  },
  {
    name: 'TVS does not know the signer, and the phone needs it',
    check: 'tvs-not-trusted',
    rule: 'P10',
    severity: 'error',
    says: /signer of the ITL/,
    fires: {
      served: itlOf(renewed.itl),
      held: { itl: known(first.itl), ctl: none },
      tvs: [answering(first.tvs, { itl: renewed.itl }, no)],
    },
    not: {
      'knows it': {
        served: itlOf(renewed.itl),
        held: { itl: known(first.itl), ctl: none },
        tvs: [answering(first.tvs, { itl: renewed.itl }, yes(callManager, [0, 2]))],
      },
    },
  },
  {
    name: 'TVS does not know the signer, and nothing is known of a phone',
    check: 'tvs-not-trusted',
    rule: 'P10',
    severity: 'warning',
    says: /Phone-SAST-trust/,
    fires: { served: ctlOf(toTokens), tvs: [answering(first.tvs, { ctl: toTokens }, no)] },
    not: {
      'knows it': {
        served: ctlOf(toTokens),
        tvs: [answering(first.tvs, { ctl: toTokens }, yes(tokens[0]!.certificate.der, [0]))],
      },
    },
  },
  {
    name: 'TVS knows the signer of a list for configurations only',
    check: 'tvs-roles',
    rule: 'P10',
    severity: 'error',
    says: /vouches for the roles \{3\}/,
    fires: {
      served: itlOf(renewed.itl),
      held: { itl: known(first.itl), ctl: none },
      tvs: [answering(first.tvs, { itl: renewed.itl }, yes(callManager, [3]))],
    },
    not: {
      'as a signer': {
        served: itlOf(renewed.itl),
        held: { itl: known(first.itl), ctl: none },
        tvs: [answering(first.tvs, { itl: renewed.itl }, yes(callManager, [0]))],
      },
    },
  },
  {
    name: 'TVS knows the signer of the configuration as a signer of lists only',
    check: 'tvs-roles',
    rule: 'P12',
    severity: 'warning',
    says: /the configuration needs role 2 or 3/,
    fires: { configuration, tvs: [answering(first.tvs, { configuration }, yes(callManager, [0]))] },
    not: { 'as TFTP': { configuration, tvs: [answering(first.tvs, { configuration }, yes(callManager, [0, 2]))] } },
  },
  {
    name: 'TVS cannot be reached, and the phone needs it',
    check: 'tvs-unreachable',
    rule: 'P10',
    severity: 'error',
    says: /ECONNREFUSED/,
    fires: { served: itlOf(renewed.itl), held: { itl: known(first.itl), ctl: none }, tvs: [silent] },
    not: {
      'it answers': {
        served: itlOf(renewed.itl),
        held: { itl: known(first.itl), ctl: none },
        tvs: [answering(first.tvs, { itl: renewed.itl }, no)],
      },
      'a device that asks none': { served: ctlOf(renewed.ctl), tvs: [silent], securityByDefault: false },
    },
  },
  {
    name: 'TVS cannot be reached, and the phone needs it not',
    check: 'tvs-unreachable',
    rule: 'P10',
    severity: 'warning',
    says: /second TVS server/,
    fires: { served: itlOf(first.itl), held: { itl: known(first.itl), ctl: none }, tvs: [silent] },
    not: { 'was not asked': { served: itlOf(first.itl), held: { itl: known(first.itl), ctl: none } } },
  },
  {
    name: 'TVS breaks off when it is asked',
    check: 'tvs-unreachable',
    rule: 'P10',
    severity: 'warning',
    says: /gave no answer about the signer of the ITL/,
    fires: {
      served: itlOf(first.itl),
      tvs: [answering(first.tvs, { itl: first.itl }, () => ({ status: 'unreachable', reason: 'closed' }))],
    },
    not: { 'it answers': { served: itlOf(first.itl), tvs: [answering(first.tvs, { itl: first.itl }, no)] } },
  },
  {
    name: 'an empty ITL on the server',
    check: 'empty-itl',
    rule: 'P6',
    severity: 'warning',
    says: /take any list and any configuration/,
    fires: { served: itlOf(firstEmpty) },
    not: { full: { served: itlOf(first.itl) } },
  },
  {
    name: 'an empty ITL beside a CTL',
    check: 'empty-itl',
    rule: 'P6',
    severity: 'warning',
    says: /the CTL still decides.*P9/,
    fires: { held: { itl: known(firstEmpty), ctl: known(firstCtl) } },
    not: { full: { held: { itl: known(first.itl), ctl: known(firstCtl) } } },
  },
  {
    name: 'an empty ITL on the phone, and no CTL',
    check: 'empty-itl',
    rule: 'P6',
    severity: 'note',
    says: /takes any list/,
    fires: { held: { itl: known(firstEmpty), ctl: none } },
    not: { full: { held: { itl: known(first.itl), ctl: none } } },
  },
  {
    name: 'a CTL left over in a non-secure cluster',
    check: 'ctl-left-over',
    rule: 'P2',
    severity: 'warning',
    says: /a missing CTL file removes none/,
    fires: { held: { ctl: known(firstCtl) }, cluster: first.cluster },
    not: {
      'in a mixed cluster': { held: { ctl: known(firstCtl) }, cluster: mixed },
      'no CTL': { held: { ctl: none }, cluster: first.cluster },
      'the emptied CTL': { held: { ctl: known(emptiedCtl) }, served: ctlOf(emptiedCtl), cluster: first.cluster },
    },
  },
  {
    name: 'a CTL of before the emptied one',
    check: 'ctl-left-over',
    rule: 'P2',
    severity: 'warning',
    says: /emptied/,
    fires: { held: { ctl: unknown(sha1(firstCtl)) }, served: ctlOf(emptiedCtl) },
    not: { 'the emptied one': { held: { ctl: unknown(sha1(emptiedCtl)) }, served: ctlOf(emptiedCtl) } },
  },
  {
    name: 'a device without Security by Default',
    check: 'no-security-by-default',
    rule: 'P11',
    severity: 'note',
    says: /only its CTL counts/,
    fires: { held: { ctl: known(firstCtl) }, securityByDefault: false },
    not: { 'with it': { held: { ctl: known(firstCtl) } } },
  },
  {
    name: 'the ITL must be deleted',
    check: 'must-be-deleted',
    rule: 'A12',
    severity: 'error',
    says: /all four conditions hold/,
    fires: {
      served: itlOf(gone),
      held: { itl: known(first.itl), ctl: none },
      tvsCertificates: file(both.tvs),
      verificationFailed: true,
      oldKeyBackup: false,
    },
    not: {
      'a backup exists': {
        served: itlOf(gone),
        held: { itl: known(first.itl), ctl: none },
        tvsCertificates: file(both.tvs),
        verificationFailed: true,
        oldKeyBackup: true,
      },
    },
  },
  {
    name: 'a list that was rejected, in a log',
    check: 'rejected-in-log',
    rule: 'P5',
    severity: 'error',
    says: /phone.log, line 2/,
    fires: {
      logs: log('dgetfile-GETXXTP [src=ITLFile.tlv]\nSECUREAPP-Trust List update failed. ITL (P5: not in its lists)'),
    },
    not: {
      accepted: { logs: log('SECUREAPP-TL file verified successfully. ITL (P3: fine)') },
      'accepted afterwards': {
        logs: log(
          'SECUREAPP-Trust List update failed. ITL (P5: no)\nSECUREAPP-TL file verified successfully. ITL (P5: yes)',
        ),
      },
    },
  },
  {
    name: 'a list that was accepted, in a log',
    check: 'accepted-in-log',
    rule: 'P3',
    severity: 'note',
    says: /accepted its ITL/,
    fires: { logs: log('SECUREAPP-TL file verified successfully. ITL (P3: fine)') },
    not: { rejected: { logs: log('SECUREAPP-Trust List update failed. ITL (P5: no)') } },
  },
  {
    name: 'a signer that TVS did not know, in a log',
    check: 'tvs-refused-in-log',
    rule: 'P10',
    severity: 'error',
    says: /CN=a \(serial 0A0B\)/,
    fires: { logs: log(tvsLog('Cannot find the certificate in the cache')) },
    not: { 'it knew': { logs: log(tvsLog('Found entry {rolecount : 1}')) } },
  },
  {
    name: 'a signer that TVS knew, in a log',
    check: 'tvs-answered-in-log',
    rule: 'P10',
    severity: 'note',
    says: /knows it/,
    fires: { logs: log(tvsLog('Found entry {rolecount : 1}')) },
    not: { 'it did not': { logs: log(tvsLog('Cannot find the certificate in the cache')) } },
  },
  {
    name: 'TVS that was not reached, in a log',
    check: 'tvs-failed-in-log',
    rule: 'P10',
    severity: 'error',
    says: /did not reach TVS 192\.0\.2\.10/,
    fires: { logs: log('SECUREAPP-TVS server [192.0.2.10] not reachable: ECONNREFUSED') },
    not: {
      'it answered later': {
        logs: log(
          'SECUREAPP-TVS server [192.0.2.10] not reachable: ECONNREFUSED\nSECUREAPP-Attempting connect to TVS server addr [192.0.2.10]\nSECUREAPP-Authentication Response received, status : 0',
        ),
      },
    },
  },
  {
    name: 'TVS that was not trusted, in a log',
    check: 'tvs-failed-in-log',
    rule: 'P9',
    severity: 'error',
    says: /does not trust the certificate of TVS/,
    fires: {
      logs: log("SECUREAPP-TVS server [192.0.2.10] not reachable: the TVS server's certificate is not the one"),
    },
    not: { trusted: { logs: log('SECUREAPP-SSL session setup Cert Verification - Certificate is valid.') } },
  },
  {
    name: 'the common ITL taken and the configuration rejected, in a log',
    check: 'central-tftp-in-log',
    rule: 'A13',
    severity: 'warning',
    says: /ITLSEP001122334455.tlv is not there/,
    fires: { logs: log(bootLog('ITLFile.tlv', 'Auth failed.')) },
    not: {
      'the configuration is fine': { logs: log(bootLog('ITLFile.tlv', 'Hashes match... authentication successful.')) },
      'a list of its own': { logs: log(bootLog(undefined, 'Auth failed.')) },
      'the configuration was rejected before the list came': {
        logs: log(
          `dgetfile-GETXXTP [src=SEP001122334455.cnf.xml.sgn]\nSECUREAPP-Auth failed.\n${bootLog('ITLFile.tlv', '')}`,
        ),
      },
    },
  },
  {
    name: 'alarms of two phones',
    check: 'several-phones-in-log',
    rule: undefined,
    severity: 'note',
    says: /alarms of 2 phones; the last one, SEP001122334456/,
    fires: { logs: log(alarm(sha1(first.itl)) + alarm(sha1(renewed.itl), 'SEP001122334456')) },
    not: { 'two of one phone': { logs: log(alarm(sha1(first.itl)) + alarm(sha1(renewed.itl))) } },
  },
  {
    name: 'a file that is no log',
    check: 'nothing-in-log',
    rule: undefined,
    severity: 'note',
    says: /nothing in phone.log is known/,
    fires: { logs: log('Dear colleague,\nthe phones do not work.') },
    not: { 'a log': { logs: log(alarm(sha1(first.itl))) } },
  },
];

function alarm(itl: string, device = 'SEP001122334455'): string {
  const spaced = itl.toUpperCase().replaceAll(/../g, '$& ');
  return [
    '<x-cisco-alarm>',
    '<Alarm Name="DeviceTLInfo"><ParameterList>',
    `<String name="DeviceName">${device}</String>`,
    '<String name="CTL_Signature">Not Installed</String>',
    `<String name="ITL_Signature">${spaced}</String>`,
    '</ParameterList></Alarm>',
    '</x-cisco-alarm>\n',
  ].join('\n');
}

function tvsLog(outcome: string): string {
  return [
    '10:00:00.000 | debug tvsHandleQueryCertReq : Subject Name is: CN=a',
    '10:00:00.000 | debug tvsHandleQueryCertReq : Issuer Name is: CN=b',
    '10:00:00.000 | debug tvsHandleQueryCertReq : Serial Number is: 0A0B',
    `10:00:00.000 | debug CertificateDBCache::getCertificateInformation - ${outcome}`,
  ].join('\n');
}

function bootLog(common: string | undefined, outcome: string): string {
  return [
    'dgetfile-GETXXTP [src=ITLSEP001122334455.tlv]',
    ...(common === undefined
      ? []
      : ['dgetfile-File not found [src=ITLSEP001122334455.tlv]', `dgetfile-GETXXTP [src=${common}]`]),
    'SECUREAPP-TL file verified successfully.',
    'dgetfile-GETXXTP [src=SEP001122334455.cnf.xml.sgn]',
    `SECUREAPP-${outcome}`,
  ].join('\n');
}

function textOf({ what, evidence, whatToDo }: DiagnosisFinding): string {
  return [what, ...evidence, ...whatToDo].join('\n');
}

describe('each finding', () => {
  test.each(cases)('$rule $check: $name', ({ check, rule, severity, says, fires, not }) => {
    const found = diagnose({ ...fires, now }).findings.filter(
      (finding) => finding.check === check && finding.rule === rule && finding.severity === severity,
    );
    expect(found).toHaveLength(1);
    expect(textOf(found[0]!)).toMatch(says);
    for (const [name, evidence] of Object.entries(not)) {
      const { findings } = diagnose({ ...evidence, now });
      const missed = findings.filter((one) => one.check === check && one.rule === rule && one.severity === severity);
      expect([name, ...missed.map(textOf)]).toEqual([name]);
    }
  });

  test('every check has a case', () => {
    expect([...new Set(cases.map(({ check }) => check))].sort()).toEqual([...diagnosisChecks].sort());
  });
});

describe('a CTL that the phone rejects', () => {
  const evidence = {
    served: { ...ctlOf(renewed.ctl), ...itlOf(renewed.itl) },
    held: { ctl: known(firstCtl), itl: known(first.itl) },
    tvs: [silent],
    now,
  } satisfies DiagnosisEvidence;
  const advice = ({ served }: Pick<DiagnosisEvidence, 'served'>): string =>
    diagnose({ ...evidence, served })
      .findings.filter(({ check, list }) => check === 'list-rejected' && list === 'ctl')
      .flatMap(({ whatToDo }) => whatToDo)
      .join('\n');

  test('waits for the ITL that knows its signer, and is taken after it', () => {
    expect(advice(evidence)).toMatch(/settle the ITL first/);
    expect(advice({ served: { ...evidence.served, ...itlOf(first.itl) } })).toMatch(/^see the findings about TVS/);
    expect(advice({ served: { ...evidence.served, ...itlOf(first.itl) } })).not.toMatch(/settle the ITL/);
    const after = diagnose({ ...evidence, held: { ...evidence.held, itl: known(renewed.itl) } }).findings;
    expect(after.find(({ list }) => list === 'ctl')).toMatchObject({ check: 'signer-renewed', severity: 'note' });
  });

  test('cannot be told while nobody told which other list the phone holds', () => {
    const findings = (held: NonNullable<DiagnosisEvidence['held']>): readonly string[] =>
      diagnose({ ...evidence, held })
        .findings.filter(({ check }) => check === 'list-rejected' || check === 'list-differs')
        .map(({ severity, check, list }) => `${severity} ${check} ${list ?? ''}`);
    expect(findings({ ctl: known(firstCtl) })).toEqual(['warning list-differs ctl']);
    expect(findings({ itl: known(first.itl) })).toEqual(['warning list-differs itl']);
    expect(findings(evidence.held)).toEqual(['error list-rejected ctl', 'error list-rejected itl']);
  });
});

describe('a diagnosis', () => {
  test('names the most important first: errors, warnings, notes, each in the order of the checks', () => {
    const { findings, wrong } = diagnose({
      served: { ...itlOf(both.itl), ...ctlOf(oneTokenCtl) },
      held: { itl: known(first.itl), ctl: known(firstCtl) },
      tvs: [silent],
      cluster: both.cluster,
      now,
    });
    expect(wrong).toBe(true);
    const severities = ['error', 'warning', 'note'];
    const ranks = findings.map(
      ({ severity, check }) => severities.indexOf(severity) * 100 + diagnosisChecks.indexOf(check),
    );
    expect(ranks).toEqual([...ranks].sort((left, right) => left - right));
    expect(new Set(findings.map(({ severity }) => severity)).size).toBeGreaterThan(1);
  });

  test('finds nothing wrong in a cluster and a phone that are well', () => {
    const { findings, wrong, deletion } = diagnose({
      served: itlOf(first.itl),
      held: { itl: known(first.itl), ctl: none },
      configuration,
      cluster: first.cluster,
      tvs: [answering(first.tvs, { itl: first.itl, configuration }, yes(callManager, [0, 2]))],
      now,
    });
    expect(findings.map(({ check }) => check)).toEqual(['list-same']);
    expect([wrong, deletion.verdict]).toEqual([false, 'need-not']);
  });

  test('of any part of the evidence ends, and never guesses: what is not given is unknown', () => {
    const whole: DiagnosisEvidence = {
      served: { ...itlOf(both.itl), ...ctlOf(renewed.ctl) },
      held: { itl: known(first.itl), ctl: known(firstCtl) },
      configuration: renewedConfiguration,
      cluster: both.cluster,
      tvs: [silent, answering(both.tvs, { itl: both.itl }, no)],
      tvsCertificates: file(first.tvs),
      logs: log(alarm(sha1(first.itl))),
      verificationFailed: true,
      oldKeyBackup: false,
      now,
    };
    const names = ['served', 'held', 'configuration', 'cluster', 'tvs', 'tvsCertificates', 'logs'] as const;
    for (let part = 0; part < 2 ** names.length; part += 1) {
      const left = names.filter((_, index) => (part & (2 ** index)) === 0);
      const evidence = { ...whole, ...Object.fromEntries(left.map((name) => [name, undefined])) };
      for (const securityByDefault of [true, false]) {
        const { findings, deletion } = diagnose({ ...evidence, securityByDefault });
        for (const { evidence: shown, what } of findings) expect([what, shown.length > 0]).toEqual([what, true]);
        if (left.includes('served')) expect(deletion.conditions[0]!.answer).toBe('unknown');
        if (left.includes('held')) expect(deletion.conditions[1]!.answer).toBe('unknown');
      }
    }
  });

  test('asks TVS for each signer once, and for none of a file that is no list', () => {
    const served = { ctl: firstCtl.bytes, itl: first.itl.bytes };
    // Before 12.0 one key signs both lists and the configuration.
    expect(signersToAsk({ served, configuration })).toHaveLength(1);
    expect(signersToAsk({ served: { ctl: tokenCtl.bytes, itl: first.itl.bytes } })).toHaveLength(2);
    expect(signersToAsk({ served: { itl: Uint8Array.of(1, 2, 3) } })).toEqual([]);
  });
});

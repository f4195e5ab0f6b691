import type { CheckReport, FailureCode, Findings, Report } from '../../diagnose/check.js'
import { createChecks } from '../../diagnose/checks/index.js'
import type { McpClient } from '../../diagnose/client.js'
import { mayComeLater } from '../../diagnose/explain.js'
import { readFindings } from '../../diagnose/findings.js'
import { shakeHands } from '../../diagnose/handshake.js'
import { type CheckAccess, createCheckProbe, type Probe } from '../../diagnose/probe.js'
import { runChecks } from '../../diagnose/run.js'
import { type Network, proxyFor } from '../../upstream/http/network.js'
import { sleep } from '../../util/async.js'
import { ProxyError } from '../../util/errors.js'
import { createRedactor, printable } from '../../util/redact.js'
import type { Runtime } from '../../util/runtime.js'
import { shownUrl } from '../../util/url-text.js'
import type { BridgeTarget } from '../access/find-target.js'
import { EXIT, STATUS_OF, worstOf, worstStatus } from '../exit-codes.js'
import type { CheckFlags } from '../inputs.js'
import { openNetwork, readAuthorities } from '../network.js'
import { bridgeCommand } from './bridge-command.js'
import { type CheckedTarget, openAccess } from './choose-credential.js'
import { readBaseline, resolveCheckTarget, secretsOf } from './resolve-target.js'

/** What is known before the first check runs. */
export interface CheckStart {
  readonly target: string
  readonly url: string
  readonly profile: string
  readonly access: string
  readonly kind: CheckAccess['kind']
  /** The HTTP proxy on the way, without its credentials. */
  readonly proxy: string | undefined
}

export interface CheckEvents {
  onStart(start: CheckStart): void
  onReport(report: CheckReport): void
  /** Also checks what only people want to know. */
  readonly forPeople?: boolean
  /** Authenticates as `serve` would: with the credential that is configured, or none. */
  readonly asServe?: boolean
  /** Puts itself between us and the network; gets what takes secrets out of a text. */
  watch?(network: Network, clean: (text: string) => string): Network
}

/** The report, and what failed worst. */
export interface CheckResult {
  readonly report: Report
  readonly worst: FailureCode | undefined
  readonly findings: Findings
  /** What is configured of the target. */
  readonly target: BridgeTarget
}

/**
 * Runs the checks of `test-target`.
 *
 * @throws {ProxyError} `USAGE` or `CONFIG_INVALID` when there is nothing to check.
 */
export async function checkTarget(
  given: Runtime,
  argument: string | undefined,
  flags: CheckFlags,
  events: CheckEvents,
): Promise<CheckResult> {
  const {
    onStart,
    onReport,
    watch = (network) => network,
    forPeople = false,
    asServe = false,
  } = events
  const checked = await resolveCheckTarget(given, argument, flags, asServe)
  const { target, url } = checked
  const baseline = readBaseline(given, flags.baseline)
  const ca = readAuthorities(flags, given)
  const known = secretsOf(given, checked)
  const clean = (text: string, isName = false) => printable(createRedactor(known)(text, isName))
  const newNetwork = () =>
    watch(
      openNetwork(given, flags, () => true),
      clean,
    )
  const network = newNetwork()
  const runtime: Runtime = { ...given, fetch: network.fetch, allowHttp: flags.allowHttp }
  const access = remembering(await openAccess(runtime, checked, flags, asServe), known)
  const { clock, env } = runtime
  const timeoutMs = flags.timeout * 1_000
  const openBridge = flags.viaStdio
    ? () => openOwnBridge(runtime, argument, flags, checked, timeoutMs)
    : undefined
  const proxy = proxyFor(url, flags.proxyEnv ? env : {})
  const probe = await createCheckProbe({
    ...{ clock, network, newNetwork, ca, url, access, timeoutMs, openBridge },
    allowHttp: flags.allowHttp,
    proxy,
  })
  const name = target.signIn.name
  const place = shownUrl(url)
  onStart({
    target: name,
    url: place,
    profile: target.signIn.profile,
    access: access.label,
    kind: access.kind,
    proxy: proxy?.origin,
  })
  try {
    if (flags.wait > 0) await waitForTarget(probe, flags.wait * 1_000)
    const checks = createChecks(probe, { calls: flags.call, p95Ms: flags.budget, forPeople })
    const { reports, failures } = await runChecks(checks, {
      ...{ clock, only: flags.only, leaveOut: flags.skip, baseline, clean, onReport },
    })
    const warned = reports.some(({ outcome, expected }) => outcome === 'warn' && !expected)
    const all: FailureCode[] =
      flags.strict && warned ? [...failures, 'CHECK_FAILED'] : [...failures]
    const exitCode = worstStatus(all.map((code) => STATUS_OF[code]))
    const report: Report = {
      ok: exitCode === EXIT.ok,
      target: name,
      url: place,
      protocolVersion: await versionOf(probe, reports),
      checks: reports,
      counts: countOutcomes(reports),
      exitCode,
    }
    return { report, worst: worstOf(all), findings: await readFindings(probe, clean), target }
  } finally {
    await probe.close()
  }
}

/** Keeps each credential that is got on the way from being printed. */
function remembering(access: CheckAccess, known: (string | undefined)[]): CheckAccess {
  const keep = <T extends Awaited<ReturnType<CheckAccess['authenticate']>>>(proof: T): T => {
    known.push(proof?.token, ...Object.values(proof?.headers ?? {}))
    return proof
  }
  return {
    ...access,
    authenticate: async (challenge) => keep(await access.authenticate(challenge)),
    again: async (proof, challenge) => keep(await access.again(proof, challenge)),
  }
}

async function openOwnBridge(
  runtime: Runtime,
  argument: string | undefined,
  flags: CheckFlags,
  checked: CheckedTarget,
  timeoutMs: number,
): Promise<McpClient> {
  const { clock, system, program } = runtime
  if (system.start === undefined) throw new ProxyError('INTERNAL', 'No process can be started')
  const command = bridgeCommand(argument, flags, checked, runtime)
  const [{ createStdioClient }, bridge] = await Promise.all([
    import('../../diagnose/stdio-client.js'),
    system.start(program.node, [program.script, ...command.args], command.env),
  ])
  return createStdioClient(clock, bridge, timeoutMs)
}

async function versionOf(probe: Probe, reports: readonly CheckReport[]): Promise<string | null> {
  const talked = reports.some(
    ({ id, outcome }) => !/^(reach|auth)\./.test(id) && outcome !== 'skip',
  )
  if (!talked) return null
  const hands = await probe.talk().catch(() => undefined)
  return hands?.session?.version ?? null
}

/** Counts outcomes by kind. */
export function countOutcomes(reports: readonly CheckReport[]): Report['counts'] {
  const counts = { pass: 0, warn: 0, fail: 0, skip: 0 }
  for (const { outcome } of reports) counts[outcome] += 1
  return counts
}

const PAUSE_MS = 500

/** Waits until something answers that is no gateway in trouble, or the time is over. */
async function waitForTarget(
  { client, access, clock }: Pick<Probe, 'client' | 'access' | 'clock'>,
  waitMs: number,
): Promise<void> {
  const end = clock.now() + waitMs
  for (;;) {
    const { discover, session } = await shakeHands({ client, headers: access.plain })
    await session?.close()
    const isThere = discover !== undefined && !mayComeLater(discover)
    if (isThere || clock.now() + PAUSE_MS > end) return
    await sleep(clock, PAUSE_MS)
  }
}

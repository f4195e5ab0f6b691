import type { CheckReport, FailureCode, Findings, Report } from '../../diagnose/check.js'
import { createChecks } from '../../diagnose/checks/index.js'
import { mayComeLater } from '../../diagnose/explain.js'
import { readFindings } from '../../diagnose/findings.js'
import { openHandshake } from '../../diagnose/handshake.js'
import { type CheckAccess, createCheckProbe, type Probe } from '../../diagnose/probe.js'
import { type RunResult, runChecks } from '../../diagnose/run.js'
import { type Network, proxyFor } from '../../upstream/http/network.js'
import { sleep } from '../../util/async.js'
import { createCleaner } from '../../util/redact.js'
import type { Runtime } from '../../util/runtime.js'
import { shownUrl } from '../../util/url-text.js'
import type { BridgeTarget } from '../access/find-target.js'
import { EXIT, STATUS_OF, worstOf, worstStatus } from '../exit-codes.js'
import type { CheckFlags } from '../inputs.js'
import { openNetwork, readAuthorities } from '../network.js'
import { type CheckedTarget, openAccess } from './choose-credential.js'
import { openOwnBridge } from './own-bridge.js'
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

export interface CheckOptions {
  onStart?(start: CheckStart): void
  onReport?: (report: CheckReport) => void
  /** Adds checks that inform people and are no criteria. */
  readonly forPeople?: boolean
  /** Authenticates as `serve` would: with the credential that is configured, or none. */
  readonly asServe?: boolean
  /** Wraps the network to observe it; `clean` removes secrets from a text. */
  watch?(network: Network, clean: (text: string) => string): Network
}

/** The result of checking one target. */
export interface CheckResult {
  readonly start: CheckStart
  readonly report: Report
  /** The failure that decides the exit status. */
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
  options: CheckOptions,
): Promise<CheckResult> {
  const { watch = (network) => network, forPeople = false, asServe = false } = options
  const checked = await resolveCheckTarget(given, argument, flags, asServe)
  const baseline = readBaseline(given, flags.baseline)
  const secrets = secretsOf(given, checked)
  const clean = createCleaner(secrets)
  const opened = openNetwork(given, flags, () => true)
  const network = watch(opened, clean)
  const runtime: Runtime = { ...given, fetch: network.fetch, allowHttp: flags.allowHttp }
  const access = await openAccess(runtime, checked, flags, { asServe, secrets })
  const proxy = proxyFor(checked.url, flags.proxyEnv ? given.env : {})
  const probe = await createCheckProbe({
    ...{ clock: given.clock, network, url: checked.url, access, proxy },
    ca: readAuthorities(flags, given),
    allowHttp: flags.allowHttp,
    timeoutMs: flags.timeout * 1_000,
    openBridge: flags.viaStdio ? () => openOwnBridge(runtime, argument, flags, checked) : undefined,
  })
  const { name, profile } = checked.target.signIn
  const start: CheckStart = {
    ...{ target: name, url: shownUrl(checked.url), profile },
    ...{ access: access.label, kind: access.kind, proxy: proxy?.origin },
  }
  options.onStart?.(start)
  try {
    if (flags.wait > 0) await waitForTarget(probe, flags.wait * 1_000)
    const checks = createChecks(probe, { calls: flags.call, p95Ms: flags.budget, forPeople })
    const results = await runChecks(checks, {
      ...{ clock: given.clock, only: flags.only, leaveOut: flags.skip, baseline, clean },
      onReport: options.onReport,
    })
    const failures = failuresOf(results, flags.strict)
    return {
      start,
      report: await reportOf(checked, probe, results, failures),
      worst: worstOf(failures),
      findings: await readFindings(probe, clean),
      target: checked.target,
    }
  } finally {
    await probe.close()
  }
}

/** With `--strict`, an unexpected warning is a failure too. */
function failuresOf({ reports, failures }: RunResult, isStrict: boolean): readonly FailureCode[] {
  const warned = reports.some(({ outcome, expected }) => outcome === 'warn' && !expected)
  return isStrict && warned ? [...failures, 'CHECK_FAILED'] : failures
}

async function reportOf(
  { target, url }: CheckedTarget,
  probe: Probe,
  { reports }: RunResult,
  failures: readonly FailureCode[],
): Promise<Report> {
  const exitCode = worstStatus(failures.map((code) => STATUS_OF[code]))
  return {
    ok: exitCode === EXIT.ok,
    target: target.signIn.name,
    url: shownUrl(url),
    protocolVersion: await versionOf(probe, reports),
    checks: reports,
    counts: countOutcomes(reports),
    exitCode,
  }
}

async function versionOf(probe: Probe, reports: readonly CheckReport[]): Promise<string | null> {
  const talked = reports.some(
    ({ id, outcome }) => !/^(reach|auth)\./.test(id) && outcome !== 'skip',
  )
  if (!talked) return null
  const handshake = await probe.handshake().catch(() => undefined)
  return handshake?.session?.version ?? null
}

/** Counts outcomes by kind. */
export function countOutcomes(reports: readonly CheckReport[]): Report['counts'] {
  const counts = { pass: 0, warn: 0, fail: 0, skip: 0 }
  for (const { outcome } of reports) counts[outcome] += 1
  return counts
}

const PAUSE_MS = 500

/** Waits until the target itself answers, not a gateway in its place, or until the time is over. */
async function waitForTarget(
  { client, access, clock }: Pick<Probe, 'client' | 'access' | 'clock'>,
  waitMs: number,
): Promise<void> {
  const end = clock.now() + waitMs
  for (;;) {
    const { discover, session } = await openHandshake({ client, headers: access.plain })
    await session?.close()
    const isThere = discover !== undefined && !mayComeLater(discover)
    if (isThere || clock.now() + PAUSE_MS > end) return
    await sleep(clock, PAUSE_MS)
  }
}

import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { TITLES, type Workplace } from './candidates.js'
import { checkCheckGates, renderChecks } from './checks/report.js'
import { figuresOf } from './figures.js'
import { checkGates, renderGates } from './gates.js'
import { type Issuer, startIssuer } from './issuer.js'
import { type Plan, parsePlan, USAGE } from './plan.js'
import { pinned, type Started, startProcess } from './process.js'
import { publish } from './publish.js'
import { type Results, renderDisturbance, renderResults } from './report.js'
import { checkStdioGates, renderStdio, renderStdioDisturbance } from './stdio/report.js'
import { measureChecks } from './suites/checks.js'
import { measureRequests } from './suites/requests.js'
import { measureStdio } from './suites/stdio.js'
import { measureStreams } from './suites/streams.js'

interface Places {
  folder: string
  bin: string
  /** The project's folder. */
  root: string
}

/**
 * Measures `serve` against a direct connection, a relay that looks at nothing, and a relay as the
 * SDK makes it, `stdio` against bridges, and `test-target` against the inspector, in one run on one
 * machine. Absolute figures depend on the machine; the ratios between candidates that took turns do
 * not, so ratios are what it prints and what it judges.
 *
 * @returns The exit status.
 */
export async function bench(argv: string[], places: Places): Promise<number> {
  let plan: Plan | 'help'
  try {
    plan = parsePlan(argv)
  } catch (error) {
    console.error(`error: ${(error as Error).message}\n\n${USAGE}`)
    return 2
  }
  if (plan === 'help') {
    console.log(USAGE)
    return 0
  }
  const issuer = await startIssuer()
  try {
    return await measure(plan, issuer, places)
  } catch (error) {
    console.error(`\nerror: ${(error as Error).message}`)
    return 1
  } finally {
    issuer.close()
  }
}

async function measure(plan: Plan, issuer: Issuer, { root, ...places }: Places) {
  const work: Workplace = { ...places, issuer, targetToken: 'bench-target-token-0123456789' }
  const started = Date.now()
  const progress = (text: string) => {
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${seconds(started)} ${text}`)
    else console.error(`${seconds(started)} ${text}`)
  }
  const loader = startLoader(work)
  await loader.remote.ready
  const results: Results = {
    requests: await measureRequests(work, plan, loader, progress),
    streams: plan.suites.includes('streams')
      ? await measureStreams(work, plan, loader, progress)
      : new Map(),
  }
  const stdio = plan.suites.includes('stdio')
    ? await measureStdio(work, plan, loader, progress)
    : undefined
  await loader.stop()
  const checks = plan.suites.includes('checks')
    ? await measureChecks(work, plan, progress)
    : undefined
  progress('done\n')
  const [serveGates, stdioGates] = [checkGates(results), checkStdioGates(stdio)]
  const checksGates = checkCheckGates(checks)
  if (!pinned)
    console.log('Not pinned to cores (needs Linux, taskset and two cores): less exact.\n')
  const parts = [
    renderResults(results, plan.candidates),
    renderStdio(stdio),
    renderChecks(checks),
    renderGates('serve', serveGates),
    renderGates('stdio', stdioGates),
    renderGates('test-target', checksGates),
    renderDisturbance(results) ?? '',
    renderStdioDisturbance(stdio) ?? '',
  ]
  console.log(parts.filter((part) => part !== '').join('\n\n'))
  const gates = [...serveGates, ...stdioGates, ...checksGates]
  if (plan.jsonFile !== undefined)
    writeJson(plan.jsonFile, { plan, results: { ...results, stdio, checks }, gates })
  if (plan.save)
    publish(root, figuresOf(results, stdio, { machine: describeMachine(), burst: plan.burst }))
  return gates.some(({ passed }) => passed === false) ? 1 : 0
}

function describeMachine(): string {
  const cores = cpus().length
  return `${cores === 2 ? 'two' : cores} cores, Node ${process.versions.node.split('.')[0]}`
}

function startLoader({ folder }: Workplace): Started {
  return startProcess(folder, { name: 'loader', role: 'other', script: [`${folder}/loader.js`] })
}

function seconds(since: number): string {
  return `${((Date.now() - since) / 1000).toFixed(0).padStart(4)} s`
}

function writeJson(file: string, document: object): void {
  const plain = (_key: string, value: unknown) =>
    value instanceof Map ? Object.fromEntries(value) : value
  const machine = { node: process.version, pinned, titles: TITLES }
  writeFileSync(file, `${JSON.stringify({ machine, ...document }, plain, 2)}\n`)
}
